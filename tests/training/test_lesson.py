"""A lesson: what is learnt from, held out and probed; and the course of a training on it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.toy import SOURCES, TARGETS, toy_frame, toy_networks, write_table
from workbench.config import WorkbenchError
from workbench.data import sources
from workbench.data.table import LatencyTable
from workbench.devices.device import DeviceCard
from workbench.predictor.hodm import HODMConfig
from workbench.training.fit import FitConfig, Pretrained, pretrain
from workbench.training.lesson import Course, Lesson, choose_sources, draw_lesson, read_sources, validate

NETWORKS = toy_networks(120)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """All toy devices; the phone was measured on the first hundred networks only."""
    monkeypatch.setattr(sources, "BUNDLED", tmp_path / "none")
    frame = toy_frame(NETWORKS, {**SOURCES, **TARGETS})
    frame.iloc[100:, frame.columns.get_loc("phone")] = np.nan
    return write_table(tmp_path / "data", frame)


def plan(folder, **changes) -> Lesson:
    arguments = {"targets": ["phone"], "sources": list(SOURCES), "samples": 60, "held_out": 20, "probes": 6}
    return draw_lesson("nasbench201", folders=[folder], **{**arguments, **changes})


def train(lesson: Lesson, steps: int, width: int = 16, **more) -> Pretrained:
    generator = np.random.default_rng(0)
    config, size = FitConfig(steps=steps), HODMConfig(width=width, heads=2)
    return pretrain(lesson.sources, lesson.design, lesson.probes, generator, config, size, **more)


def test_what_is_learnt_from_held_out_and_probed_does_not_overlap(folder):
    lesson = plan(folder)
    assert lesson.sources.devices == tuple(SOURCES)
    assert (len(lesson.sources.rows), len(lesson.held_out), len(lesson.probes)) == (60, 20, 6)
    assert not set(lesson.sources.rows) & set(lesson.held_out)
    assert not set(lesson.probes) & set(lesson.held_out)
    measured = lesson.table.column("phone").notna()
    assert measured[lesson.probe_archs].all()
    assert lesson.held_out_ms.shape == (20, len(SOURCES))
    assert (plan(folder).held_out == lesson.held_out).all()
    assert (plan(folder, seed=1).held_out != lesson.held_out).any()


def test_no_latency_of_a_target_is_looked_at(folder, tmp_path):
    frame = toy_frame(NETWORKS, {**SOURCES, **TARGETS})
    frame["phone"] = np.random.default_rng(0).uniform(1, 1e6, len(frame))
    frame.iloc[100:, frame.columns.get_loc("phone")] = np.nan
    other, lesson = plan(write_table(tmp_path / "noise", frame)), plan(folder)
    np.testing.assert_array_equal(other.probes, lesson.probes)
    for one, same in zip(other.design.blocks, lesson.design.blocks, strict=True):
        np.testing.assert_array_equal(one, same)


def test_devices_are_listed_with_their_roles_and_what_they_share(folder):
    table = plan(folder, targets=["phone", "accelerator"]).devices.set_index("device")
    assert table.loc["phone", "role"] == "target"
    assert table.loc["edge", "role"] == "source"
    assert table.loc["phone", "networks"] == 100
    assert table["shared with"].tolist() == [""] * len(SOURCES) + ["0 of 5 sources"] * 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"targets": []}, "expects a target device, got none"),
        ({"targets": ["fone"]}, "did you mean 'phone'"),
        ({"targets": ["edge"]}, "is also a source"),
        ({"held_out": 119}, "2 to learn from"),
        ({"held_out": 0}, "at least 1 network to hold out"),
        ({"probes": 100}, r"1 to \d+ probes"),
        ({"probes": 0}, "got 0; correct the number"),
    ],
)
def test_a_lesson_that_cannot_be_made_is_one_sentence(folder, changes, message):
    with pytest.raises(WorkbenchError, match=message):
        plan(folder, **changes)


def test_sources_are_well_measured_and_on_other_hardware():
    frame = toy_frame(NETWORKS, {**SOURCES, **TARGETS})
    frame.iloc[40:, frame.columns.get_loc("memory")] = np.nan
    cards = {name: DeviceCard(name, hardware="chip") for name in ("phone", "edge")}
    table = LatencyTable("nasbench201", frame, cards)
    assert choose_sources(table, ["phone"]) == ("compute", "launch", "server", "accelerator")
    alike = LatencyTable("nasbench201", frame, {name: DeviceCard(name, hardware="chip") for name in frame})
    assert choose_sources(alike, ["phone"]) == ("compute", "launch", "edge", "server", "accelerator")


def test_the_course_of_a_training_is_kept(folder):
    lesson = plan(folder)
    course = Course(lesson, 30, checks=5)
    trained = train(lesson, 30, progress=course, watch=course.check)
    history = course.history
    assert tuple(history["loss"]) == trained.losses
    assert history.loc[history["validation_loss"].notna(), "step"].tolist() == [1, 6, 12, 18, 24, 30]
    assert history["validation_loss"].iloc[-1] == pytest.approx(validate(trained, lesson).loss)
    assert len(course.smooth()) == 6
    assert list(course.errors) == ["step", *lesson.sources.devices]
    assert course.errors["step"].tolist() == [1, 6, 12, 18, 24, 30]
    off = np.abs(read_sources(trained, lesson) / lesson.held_out_ms - 1)
    np.testing.assert_allclose(course.errors.iloc[-1, 1:].to_numpy(float), np.median(off, axis=0), rtol=1e-5)
    assert course.smooth()["loss"].iloc[-1] == pytest.approx(np.mean(trained.losses[-25:]))


def test_watching_changes_nothing(folder):
    lesson = plan(folder)
    assert train(lesson, 4, watch=Course(lesson, 4).check).losses == train(lesson, 4).losses


def test_training_makes_held_out_networks_of_the_sources_predictable(folder):
    lesson = plan(folder)
    early, late = train(lesson, 2, 32), train(lesson, 400, 32)
    assert validate(late, lesson).loss < 0.5 * validate(early, lesson).loss
    predicted, actual = read_sources(late, lesson), lesson.held_out_ms
    assert np.median(np.abs(predicted / actual - 1)) < 0.2
