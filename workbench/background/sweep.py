"""The job that carries out a sweep, as ``workbench ablate`` does."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from workbench.config import WorkbenchError
from workbench.jobs.worker import Report
from workbench.sweep import ClusterConfig, Options, cores, make_plan, read_sweep, run_sweep

LOG = logging.getLogger("workbench.jobs")


def sweep(
    report: Report,
    folder: str,
    file: str,
    workers: int | None = None,
    scheduler: str | None = None,
    only: Sequence[str] = (),
    fail_fast: bool = False,
    wait: bool = False,
) -> None:
    """Carry out the sweep that ``file`` describes; begun again, it goes on where it was.

    Args:
        report: shows ``url`` (the parent run in MLflow), ``skipped`` and ``failed`` (label to reason) at the end.
        folder: of the sweep.
        file: see `read_sweep`.
        workers: on this machine; as many as the file describes, or one per core, if None.
        scheduler: address of a cluster instead.
        only, fail_fast, wait: see `Options`.

    Raises:
        WorkbenchError: a run failed, or the sweep could not be carried out.
    """
    described = read_sweep(file)
    plan = make_plan(described)
    cluster = ClusterConfig(workers or len(described.workers) or cores(), scheduler, described.workers)
    options = Options(only, fail_fast, wait, ["workbench", "ablate", file])
    report(0, len(plan.runs), "starting workers")
    done = run_sweep(
        plan, Path(folder), cluster, options,
        advance=lambda ended, todo: report(ended, todo, "running notebooks"), tell=LOG.info,
    )  # fmt: skip
    report(done.runs, done.runs, "swept", url=done.url, skipped=done.skipped, failed=done.failed)
    if done.trouble:
        raise WorkbenchError(f"{done.trouble} The results are in {folder}; starting again brings MLflow up to date.")
    if done.failed:
        label, reason = next(iter(done.failed.items()))
        raise WorkbenchError(f"{len(done.failed)} of {done.runs} runs failed, first {label}: {reason}")
