"""What an evaluation gives: the record's fields, the predictions, several methods and numbers of probes at once."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from tests.evaluation.toy_task import COLUMNS, FIELDS, FRAME, NETWORKS, run
from tests.toy import TARGETS
from workbench.config import WorkbenchError
from workbench.describe.dbsel import DEFAULT_SELECTOR
from workbench.evaluation import METRICS, EvaluationResult, evaluate, score
from workbench.predictor.baselines import FLOORS
from workbench.predictor.method import Estimate
from workbench.training.adaptive import ADAPTIVE, Enough
from workbench.training.transfer import METHODS


@pytest.mark.parametrize("method", METHODS)
def test_record_has_exactly_the_fields_of_the_design(tasks, data, method):
    result = run(tasks, data, method)
    assert [record["device"] for record in result.results] == list(TARGETS)
    for record in result.results:
        assert sorted(record) == sorted(FIELDS)
        assert (record["task"], record["space"], record["method"], record["seed"]) == ("T", "nasbench201", method, 0)
        assert (record["probes"], record["selector"]) == (6, DEFAULT_SELECTOR)
        assert record["target_reads"] == record["probes"]
        assert record["n_test"] == len(NETWORKS) - 6
        assert min(record[name] for name in FIELDS if name.endswith("_s")) >= 0
        assert 0 <= record["coverage90"] <= 1
    json.dumps(result.results, allow_nan=False)


@pytest.mark.parametrize("method", METHODS)
def test_predictions_have_a_row_per_network_and_device(tasks, data, method):
    frame = run(tasks, data, method).predictions
    assert list(frame.columns[: len(COLUMNS)]) == COLUMNS
    for device, rows in frame.groupby("device"):
        assert device in TARGETS
        assert sorted(rows["arch"]) == sorted(NETWORKS.archs)
        assert rows["role"].value_counts().to_dict() == {"test": len(NETWORKS) - 6, "probe": 6}
    assert (frame["low_ms"] > 0).all()
    assert (frame["low_ms"] <= frame["predicted_ms"]).all()
    assert (frame["predicted_ms"] <= frame["high_ms"]).all()


@pytest.mark.parametrize("method", ["hodm", "linear"])
def test_every_floor_stands_beside_with_the_same_probes(tasks, data, method):
    result = run(tasks, data, method)
    others = [name for name in FLOORS if name != method]
    assert [record["method"] for record in result.floors] == others * len(TARGETS)
    for name in others:
        alone = run(tasks, data, name)
        for record, beside in zip(alone.results, [r for r in result.floors if r["method"] == name], strict=True):
            assert {key: beside[key] for key in ("device", "n_test", *METRICS)} == {
                key: record[key] for key in ("device", "n_test", *METRICS)
            }


def test_scores_are_those_of_the_test_rows(tasks, data):
    result = run(tasks, data)
    for record in result.results:
        frame = result.predictions
        rows = frame[(frame["device"] == record["device"]) & (frame["role"] == "test")].set_index("arch")
        actual = FRAME.loc[rows.index, record["device"]].to_numpy()
        expected = score(actual, Estimate(*rows[["predicted_ms", "low_ms", "high_ms"]].to_numpy().T))
        assert {name: record[name] for name in METRICS} == pytest.approx(expected)


def test_all_devices_of_a_task_share_their_probes(tasks, data):
    probes = run(tasks, data).predictions.query("role == 'probe'").groupby("device")["arch"].apply(frozenset)
    assert probes.nunique() == 1


def test_linear_beats_the_flops_line(tasks, data):
    errors = {method: run(tasks, data, method).task_means().loc["T", "rae"] for method in ("linear", "flops")}
    assert errors["linear"] < 0.7 * errors["flops"]


def test_seeds_are_repeatable_and_differ(tasks, data):
    first, again = (run(tasks, data, seeds=(0, 1), selector="random").predictions for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    by_seed = [set(rows["arch"]) for _, rows in first.query("role == 'probe'").groupby("seed")]
    assert len(by_seed) == 2
    assert by_seed[0] != by_seed[1]


def test_hodm_is_repeatable(tasks, data):
    first, again = (run(tasks, data, "hodm").predictions for _ in range(2))
    pd.testing.assert_frame_equal(first, again, check_exact=True)


def test_task_means_are_over_devices_and_seeds(tasks, data):
    result = run(tasks, data, seeds=(0, 1))
    assert len(result.results) == 4
    assert result.task_means().loc["T", "rae"] == pytest.approx(np.mean([record["rae"] for record in result.results]))
    assert EvaluationResult().task_means().empty


def test_progress_is_told_once_per_device(tasks, data):
    lines = []
    run(tasks, data, progress=lines.append)
    assert [line.split(":")[0] for line in lines] == [f"T seed 0 {device}" for device in TARGETS]


# Several methods and numbers of probes


def test_one_run_of_several_methods_is_the_same_as_several_runs(tasks, data):
    methods, counts = ["hodm", "linear"], [4, 8]
    together = run(tasks, data, methods, counts, seeds=(0, 1))
    assert len(together.results) == 2 * 2 * 2 * len(TARGETS)
    assert {record["method"] for record in together.floors} == set(FLOORS) - {"linear"}
    for method in methods:
        for count in counts:
            alone = run(tasks, data, method, count, seeds=(0, 1))
            mine = [row for row in together.results if (row["method"], row["probes"]) == (method, count)]
            for record, expected in zip(mine, alone.results, strict=True):
                assert list(record) == list(expected)
                assert all(record[key] == expected[key] for key in record if not key.endswith("_s"))
    key = ["device", "seed", "probes"]
    probes = together.predictions.query("role == 'probe'").groupby([*key, "method"])["arch"].apply(frozenset)
    assert (probes.groupby(level=key).nunique() == 1).all()
    assert list(together.task_means().index.names) == ["task", "method", "probes"]


def test_repeated_names_and_numbers_count_once(tasks, data):
    assert len(run(tasks, data, ["linear", "linear"], [5, 5], seeds=(0, 0)).results) == len(TARGETS)


def test_predictions_can_be_left_out(tasks, data):
    full, lean = run(tasks, data), run(tasks, data, predictions=False)
    assert lean.predictions.empty
    assert [record["rae"] for record in lean.results] == [record["rae"] for record in full.results]


# No probes


def all_alike(sources, design, pool, generator):
    """A method that needs no measurement: every network takes a millisecond."""

    def adapt(probed, card):
        alone.update(reads=len(probed.ms), pool=len(pool))
        ms = np.ones(len(sources.networks))
        return lambda: Estimate(ms, ms / 2, ms * 2)

    return adapt


alone: dict[str, int] = {}


@pytest.mark.parametrize("selector", [None, "random", ADAPTIVE])
def test_without_probes_a_method_is_told_none(tasks, data, monkeypatch, selector):
    monkeypatch.setitem(METHODS, "alike", all_alike)
    result = run(tasks, data, "alike", 0, selector=selector)
    assert alone == {"reads": 0, "pool": 10}
    for record in result.results:
        assert sorted(record) == sorted(FIELDS)
        assert (record["probes"], record["target_reads"], record["n_test"]) == (0, 0, len(NETWORKS))
    assert set(result.predictions["role"]) == {"test"}
    told = " ".join(result.notes)
    for name in {record["method"] for record in run(tasks, data).floors} - {row["method"] for row in result.floors}:
        assert f"T: floor {name} is left out of 0 probes" in told


def test_a_method_that_needs_probes_fails_without(tasks, data):
    result = evaluate(tasks, [data], method="linear", probes=0, seeds=(0, 1))
    assert not result.results
    assert set(result.failures) == {"T"}
    assert "expects at least 1 probe" in result.failures["T"]


def test_a_method_that_fails_takes_nobody_with_it(tasks, data, monkeypatch):
    monkeypatch.setitem(METHODS, "alike", all_alike)
    result = evaluate(tasks, [data], method=["alike", "linear"], probes=[0, 5])
    assert set(result.failures) == {"T, linear, 0 probes"}
    there = {(row["method"], row["probes"]) for row in result.results}
    assert there == {("alike", 0), ("alike", 5), ("linear", 5)}


def test_the_first_failure_of_a_method_is_the_last_attempt(tasks, data, monkeypatch):
    attempts = []

    def broken(*_):
        attempts.append(1)
        raise WorkbenchError("Broken.")

    monkeypatch.setitem(METHODS, "broken", broken)
    assert evaluate(tasks, [data], method="broken", probes=5, seeds=(0, 1, 2)).failures == {"T": "Broken."}
    assert len(attempts) == 1


# Adaptive selection


def test_adaptive_reads_what_it_needs_and_never_more_than_the_budget(tasks, data):
    spent = {width: run(tasks, data, probes=15, selector=ADAPTIVE, enough=Enough(width)) for width in (None, 1e-6, 0.3)}
    for width in (None, 1e-6):
        assert [record["target_reads"] for record in spent[width].results] == [15, 15]
    for record in spent[0.3].results:
        assert (record["selector"], record["probes"]) == (ADAPTIVE, 15)
        assert 1 <= record["target_reads"] < 15
        assert record["n_test"] == len(NETWORKS) - record["target_reads"]
    roles = spent[0.3].predictions.query("role == 'probe'").groupby("device").size()
    assert roles.to_dict() == {row["device"]: row["target_reads"] for row in spent[0.3].results}
