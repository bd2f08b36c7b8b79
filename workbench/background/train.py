"""The job that trains HODM, tests it and keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from workbench import tracking
from workbench.insight.hodm_training import HODMTraining
from workbench.jobs.worker import Report
from workbench.training.fit import FitConfig, Pretrained, pretrain
from workbench.training.lesson import Course, draw_lesson

KEPT = ("spearman", "rae", "coverage90")  # means over the targets that are shown at the end


def train(
    report: Report,
    folder: str,
    space: str,
    targets: Sequence[str],
    sources: Sequence[str] = (),
    data: Sequence[str] = (),
    samples: int = 900,
    held_out: int = 100,
    probes: int = 10,
    steps: int = 1500,
    seed: int = 0,
) -> None:
    """Train HODM, validating on each source device; test it on the targets, log it, keep the model in ``folder``.

    Args:
        report: shows ``curve`` (`Course.smooth`), ``errors`` (`Course.errors`) and at last ``run_url`` and ``model``.
        folder: of the model.
        space, targets, sources, data, samples, held_out, probes, seed: see `draw_lesson`.
        steps: of the training.
    """
    report(0, steps, "reading what was measured")
    lesson = draw_lesson(space, targets, sources, data, samples, held_out, probes, seed)
    course = Course(lesson, steps)

    def watch(step: int, pretrained: Pretrained) -> None:
        course.check(step, pretrained)
        report(step, steps, "training", **(_curves(course) if step in course.validations else {}))

    parts = (lesson.sources, lesson.design, lesson.probes, np.random.default_rng(seed), FitConfig(steps=steps))
    pretrained = pretrain(*parts, progress=course, watch=watch)
    report(steps, steps, "testing on the targets, and keeping what was learnt")
    result = HODMTraining(lesson, pretrained, course)
    params = {"space": space, "sources": lesson.sources.devices, "targets": targets}
    params |= {"samples": samples, "held_out": held_out, "probes": probes, "steps": steps, "seed": seed}
    with tracking.run("train", f"hodm on {space}", params, {"mlflow.source.name": "a job in the background"}) as run:
        model = result.keep(run, folder)
    metrics = {name: float(result.metrics[name]) for name in KEPT}
    report(steps, steps, "trained", run_url=run.url, model=model, metrics=metrics)


def _curves(course: Course) -> dict[str, Any]:
    """The course so far as plain data, without devices that no held-out network was measured on."""
    return {"curve": course.smooth().to_dict("list"), "errors": course.errors.dropna(axis="columns").to_dict("list")}
