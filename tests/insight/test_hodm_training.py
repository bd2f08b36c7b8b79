"""The story of a training, on toy devices."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.toy import SOURCES, TARGETS, one_thread, toy_frame, toy_networks, write_table
from workbench.insight.hodm_training import DRAWN, HODMTraining, thinned
from workbench.insight.live import LiveTraining
from workbench.training import checkpoint
from workbench.training.fit import FitConfig, pretrain
from workbench.training.lesson import Course, draw_lesson

NETWORKS = toy_networks(300)
STEPS = 150


class Notes:
    """A tracker that only remembers."""

    run_id = "abc"

    def __init__(self):
        self.kept = {}

    def __getattr__(self, name):
        def note(*values, **options):
            self.kept.setdefault(name, []).append((values, options))
            return "models:/m-1"

        return note


@pytest.fixture(scope="module")
def result(tmp_path_factory) -> HODMTraining:
    folder = write_table(tmp_path_factory.mktemp("data"), toy_frame(NETWORKS, {**SOURCES, **TARGETS}))
    lesson = draw_lesson("nasbench201", list(TARGETS), list(SOURCES), [folder], samples=100, held_out=40, probes=8)
    with one_thread(), LiveTraining(Course(lesson, STEPS)) as live:
        parts = (lesson.sources, lesson.design, lesson.probes, np.random.default_rng(0), FitConfig(steps=STEPS))
        return HODMTraining(lesson, pretrain(*parts, progress=live, watch=live.check), live.course)


def test_targets_are_read_on_the_probes_and_nowhere_else(result):
    for target in result.targets.values():
        assert target.reads == len(result.lesson.probes) == 8
        assert not set(target.rows) & set(result.lesson.probes)
        assert len(target.rows) == len(NETWORKS) - 8
    assert (result.results["target_reads"] == 8).all()


def test_hodm_and_every_floor_are_scored_on_every_target(result):
    table = result.results.set_index(["method", "device"])
    assert set(table.index.get_level_values("method")) >= {"hodm", "flops", "nearest", "linear"}
    for device in TARGETS:
        assert table.loc[("hodm", device), "rae"] < 0.5 * table.loc[("flops", device), "rae"]
    assert result.metrics["rae"] == pytest.approx(table.loc["hodm", "rae"].mean())
    assert result.metrics["linear_rae"] == pytest.approx(table.loc["linear", "rae"].mean())


def test_what_was_learnt_of_each_source_is_told(result):
    assert list(result.learnt["device"]) == list(SOURCES)
    assert (result.learnt["networks"] == 40).all()
    assert result.learnt["spearman"].mean() > 0.7


def test_charges_are_shares_and_know_what_binds_a_device(result):
    assert set(result.charges.index) == {*SOURCES, *TARGETS}
    np.testing.assert_allclose(result.charges.sum(axis=1), 100, rtol=1e-4)
    flops = result.charges["Dense FLOPs (%)"]
    assert flops["compute"] > flops["memory"]
    assert flops["compute"] > flops["launch"]


def test_every_figure_is_drawn_and_a_large_test_set_is_thinned(result):
    assert set(result.figures) == {
        "training_curve", "floors", "predicted_against_measured", "operator_costs", "attention_map",
    }  # fmt: skip
    frame = result.predictions("phone")
    drawn = thinned(frame)
    assert (drawn["role"] == "probe").sum() == 8
    assert (drawn["role"] == "check").sum() == DRAWN
    assert len(result.figures["predicted_against_measured"].to_json()) < 100_000


def test_everything_is_kept(result, tmp_path):
    notes = Notes()
    assert result.keep(notes, tmp_path) == "models:/m-1"
    ((model, load, example), _) = notes.kept["log_model"][0]
    assert load is checkpoint.load_predictor
    assert load(model)(example).shape == (len(example), 3)
    assert set(json.loads((tmp_path / "model" / "model.json").read_text())["devices"]) == set(TARGETS)
    assert {values[1] for values, _ in notes.kept["log_table"]} == {
        "devices.csv", "results.csv", "learnt.csv", "charges.csv",
    }  # fmt: skip
    (history,), _ = notes.kept["log_history"][0]
    assert history["validation_loss"].notna().sum() > 10
    assert len(notes.kept["log_figure"]) == len(result.figures)


def test_the_kept_predictor_says_what_the_figures_show(result):
    target = result.targets["phone"]
    archs = [NETWORKS.archs[row] for row in range(0, 300, 50)]
    rows = result.lesson.sources.networks.rows(archs)
    ms = result.predictor.predict(archs, "phone").ms
    np.testing.assert_allclose(ms, target.transferred.estimate.ms[rows], rtol=1e-3)
