"""Evaluation: metrics by hand, the record's fields, and an honest ledger."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.toy import SOURCES, TARGETS, one_thread, toy_frame, toy_networks, write_table
from workbench import evaluation
from workbench.config import WorkbenchError
from workbench.data import sources
from workbench.data.table import LatencyTable
from workbench.data.tasks import Task
from workbench.devices.device import DeviceCard, write_cards
from workbench.evaluation import METRICS, EvaluationResult, evaluate, score
from workbench.predictor.hodm import HODMConfig
from workbench.predictor.method import Estimate
from workbench.training.fit import FitConfig
from workbench.training.transfer import METHODS, hodm

#: DESIGN section 5.
FIELDS = [
    "task",
    "device",
    "space",
    "method",
    "selector",
    "probes",
    "seed",
    "n_test",
    "spearman",
    "kendall",
    "rae",
    "mape",
    "mdape",
    "acc5",
    "acc10",
    "coverage90",
    "width90",
    "target_reads",
    "pretrain_s",
    "select_s",
    "adapt_s",
    "predict_s",
]
COLUMNS = ["task", "device", "arch", "role", "predicted_ms", "low_ms", "high_ms"]
NETWORKS = toy_networks(80)
FRAME = toy_frame(NETWORKS, SOURCES | TARGETS)
TASK = {"space": "nasbench201", "source": list(SOURCES), "target": list(TARGETS), "source_samples": 50}
FLOORS = [name for name in METHODS if name != "hodm"]


@pytest.fixture(autouse=True)
def isolated(tmp_path, monkeypatch):
    """An own cache, no bundled measurements, and a HODM that trains for a moment only."""
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("WORKBENCH_DATA", raising=False)
    (tmp_path / "none").mkdir()
    monkeypatch.setattr(sources, "BUNDLED", tmp_path / "none")
    monkeypatch.setitem(METHODS, "hodm", hodm(FitConfig(steps=8, devices=6), HODMConfig(width=12, heads=2)))
    with one_thread():
        yield


@pytest.fixture
def data(tmp_path) -> Path:
    return write_table(tmp_path / "data", FRAME)


@pytest.fixture
def tasks(tmp_path) -> Path:
    return write_tasks(tmp_path, {"T": TASK})


def write_tasks(folder: Path, content: dict) -> Path:
    path = folder / "tasks.json"
    path.write_text(json.dumps(content))
    return path


def run(tasks: Path, data: Path, method: str = "linear", probes: int = 6, **more) -> EvaluationResult:
    result = evaluate(tasks, [data], method=method, probes=probes, **more)
    assert not result.failures, result.failures
    return result


def failure(tasks: Path, data: Path, **more) -> str:
    """The one sentence why task T did not run, after checking that nothing stands for it."""
    result = evaluate(tasks, [data], **{"method": "linear", "probes": 6, **more})
    assert set(result.failures) == {"T"}
    assert not [record for record in result.results if record["task"] == "T"]
    sentence = result.failures["T"]
    assert len(sentence.splitlines()) == 1
    return sentence


# Metrics


def test_metrics_by_hand():
    actual, predicted = np.array([1.0, 2.0, 4.0, 5.0]), np.array([1.04, 1.84, 6.0, 5.0])
    scores = score(
        actual, Estimate(predicted, predicted - np.array([0.1, 0.1, 1, 1]), predicted + np.array([0.1, 0.2, 1, 1]))
    )
    assert tuple(scores) == METRICS
    assert scores["rae"] == pytest.approx((0.04 + 0.16 + 2) / (2 + 1 + 1 + 2))
    assert scores["mape"] == pytest.approx((0.04 + 0.08 + 0.5 + 0) / 4)
    assert scores["mdape"] == pytest.approx(0.06)
    assert (scores["acc5"], scores["acc10"]) == (0.5, 0.75)
    assert scores["coverage90"] == 0.75
    assert scores["width90"] == pytest.approx(np.median([0.2 / 1.04, 0.3 / 1.84, 2 / 6, 2 / 5]))
    assert scores["spearman"] == pytest.approx(0.8)
    assert scores["kendall"] == pytest.approx(4 / 6)


def test_a_perfect_prediction():
    actual = np.array([3.0, 1.0, 2.0])
    scores = score(actual, Estimate(actual, actual, actual))
    expected = dict.fromkeys(METRICS, 1.0) | {"rae": 0.0, "mape": 0.0, "mdape": 0.0, "width90": 0.0}
    assert scores == pytest.approx(expected)


def test_the_mean_has_an_rae_of_one_and_ranks_nothing():
    actual = np.array([1.0, 2.0, 6.0])
    mean = np.full(3, 3.0)
    scores = score(actual, Estimate(mean, mean - 1, mean + 1))
    assert (scores["rae"], scores["spearman"], scores["kendall"]) == (pytest.approx(1), 0, 0)


def test_ties_are_ranked_as_scipy_ranks_them():
    draw = np.random.default_rng(0)
    actual, predicted = draw.integers(1, 9, 60).astype(float), draw.integers(1, 9, 60).astype(float)
    scores = score(actual, Estimate(predicted, predicted, predicted))
    ranks = [stats.rankdata(values) for values in (actual, predicted)]
    assert scores["spearman"] == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert scores["kendall"] == pytest.approx(stats.kendalltau(actual, predicted).statistic)


def test_equal_latencies_have_no_rae():
    actual = np.array([2.0, 2.0])
    assert np.isnan(score(actual, Estimate(actual + 1, actual, actual + 2))["rae"])


# Records and predictions


@pytest.mark.parametrize("method", METHODS)
def test_record_has_exactly_the_fields_of_the_design(tasks, data, method):
    result = run(tasks, data, method)
    assert [record["device"] for record in result.results] == list(TARGETS)
    for record in result.results:
        assert sorted(record) == sorted(FIELDS)
        assert (record["task"], record["space"], record["method"], record["seed"]) == ("T", "nasbench201", method, 0)
        assert (record["probes"], record["selector"]) == (6, "d_optimal")
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


# The ledger


def unprobed_replaced(frame: pd.DataFrame, predictions: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """``frame`` with noise in the place of every target latency that was no probe."""
    noise = frame.copy()
    draw = np.random.default_rng(seed)
    for device, rows in predictions.groupby("device"):
        probed = frame.index.isin(rows.loc[rows["role"] == "probe", "arch"])
        replaced = frame[device].notna().to_numpy() & ~probed
        noise.loc[replaced, device] = np.exp(draw.uniform(-8, 8, replaced.sum()))
    return noise


@pytest.mark.parametrize("selector", ["d_optimal", "random"])
@pytest.mark.parametrize("method", METHODS)
def test_noise_in_every_unprobed_target_latency_changes_no_bit(tmp_path, tasks, data, method, selector):
    """The honest-ledger test: scaling, selection, training and intervals see sources and probes, nothing else."""
    before = run(tasks, data, method, selector=selector)
    noise = unprobed_replaced(FRAME, before.predictions)
    assert (noise[list(TARGETS)] == FRAME[list(TARGETS)]).sum().tolist() == [6, 6]
    after = run(tasks, write_table(tmp_path / "noise", noise), method, selector=selector)
    pd.testing.assert_frame_equal(before.predictions, after.predictions, check_exact=True)
    assert before.results[0]["rae"] != after.results[0]["rae"]


def test_a_probe_that_reads_otherwise_does_change_predictions(tmp_path, tasks, data):
    before = run(tasks, data)
    frame = FRAME.copy()
    frame.loc[before.predictions.query("role == 'probe'")["arch"].iloc[0], "phone"] *= 1.5
    after = run(tasks, write_table(tmp_path / "other", frame))
    changed = (
        (before.predictions["predicted_ms"] != after.predictions["predicted_ms"])
        .groupby(before.predictions["device"])
        .mean()
    )
    assert changed["phone"] > 0.99
    assert changed["accelerator"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("method", ["linear", "hodm"])
def test_noise_in_published_targets_changes_no_bit(tmp_path, shared_data, monkeypatch, method):
    """The same on FBNet's task F1, with other people's measurements and the real sizes."""
    monkeypatch.setitem(METHODS, "hodm", hodm(FitConfig(steps=40)))
    tasks = shared_data / "bench" / "tasks.json"
    before = run(tasks, shared_data / "data", method, probes=10, only=["F1"])
    assert {record["target_reads"] for record in before.results} == {10}
    frame = pd.read_parquet(shared_data / "data" / "fbnet.parquet").set_index("arch")
    noisy = write_table(tmp_path / "noise", unprobed_replaced(frame, before.predictions), "fbnet")
    after = run(tasks, noisy, method, probes=10, only=["F1"])
    pd.testing.assert_frame_equal(before.predictions, after.predictions, check_exact=True)
    assert before.task_means().loc["F1", "spearman"] > 0.5
    assert abs(after.task_means().loc["F1", "spearman"]) < 0.2


@pytest.mark.parametrize("method", FLOORS)
def test_order_of_rows_and_columns_does_not_matter_to_the_floors(tmp_path, data, method):
    """Where every network is a source network, whose order means nothing."""
    tasks = write_tasks(tmp_path, {"T": {**TASK, "source_samples": len(NETWORKS)}})
    turned = FRAME.sample(frac=1, random_state=1)[list(FRAME)[::-1]]
    first = run(tasks, data, method).predictions
    other = run(tasks, write_table(tmp_path / "turned", turned), method).predictions
    key = ["device", "arch"]
    merged = first.merge(other, on=key, suffixes=("", "_turned"))
    assert len(merged) == len(first)
    assert (merged["role"] == merged["role_turned"]).all()
    for name in ("predicted_ms", "low_ms", "high_ms"):
        np.testing.assert_allclose(merged[name], merged[f"{name}_turned"], rtol=1e-5)


def test_order_of_columns_never_matters(tmp_path, tasks, data):
    turned = write_table(tmp_path / "turned", FRAME[list(FRAME)[::-1]])
    pd.testing.assert_frame_equal(run(tasks, data).predictions, run(tasks, turned).predictions, check_exact=True)


def test_other_columns_of_the_table_do_not_matter(tmp_path, tasks, data):
    more = FRAME.assign(bystander=1.0, broken=0.0)
    first, other = run(tasks, data), run(tasks, write_table(tmp_path / "more", more))
    pd.testing.assert_frame_equal(first.predictions, other.predictions, check_exact=True)


# Partly measured devices


def test_unmeasured_targets_are_neither_probed_nor_scored(tmp_path, tasks):
    frame = FRAME.copy()
    frame.loc[frame.index[:30], "phone"] = np.nan
    frame.loc[frame.index[20:40], "accelerator"] = np.nan
    result = run(tasks, write_table(tmp_path / "partial", frame))
    assert [record["n_test"] for record in result.results] == [80 - 30 - 6, 80 - 20 - 6]
    probes = result.predictions.query("role == 'probe'")["arch"]
    assert frame.loc[probes, list(TARGETS)].notna().all().all()
    assert np.isfinite([record["spearman"] for record in result.results]).all()


def test_sources_are_drawn_from_what_was_measured_on_sources():
    frame = FRAME.copy()
    frame.loc[frame.index[:40], list(SOURCES)] = np.nan
    frame.loc[frame.index[40:50], "edge"] = np.nan
    table = LatencyTable("nasbench201", frame)
    task = Task("T", "nasbench201", tuple(SOURCES), tuple(TARGETS), 30)
    drawn = evaluation.draw_sources(task, table, NETWORKS, np.random.default_rng(0))
    assert len(set(drawn.rows)) == 30
    assert drawn.rows.min() >= 40
    np.testing.assert_array_equal(drawn.latency_ms, frame[list(SOURCES)].to_numpy()[drawn.rows])
    hidden = LatencyTable("nasbench201", frame.assign(**dict.fromkeys(TARGETS, np.nan)))
    again = evaluation.draw_sources(task, hidden, NETWORKS, np.random.default_rng(0))
    np.testing.assert_array_equal(again.rows, drawn.rows)


@pytest.mark.parametrize("method", METHODS)
def test_partly_measured_sources_are_fine(tmp_path, tasks, method):
    frame = FRAME.copy()
    frame.loc[frame.index[::2], "compute"] = np.nan
    frame.loc[frame.index[1::2], "server"] = np.nan
    result = run(tasks, write_table(tmp_path / "partial", frame), method)
    assert np.isfinite([record["rae"] for record in result.results]).all()


# What goes wrong


def test_an_unknown_device_fails_its_task_and_no_other(tmp_path, data):
    wrong = {**TASK, "target": ["phone", "acelerator"]}
    tasks = write_tasks(tmp_path, {"A": TASK, "T": wrong, "B": TASK})
    result = evaluate(tasks, [data], method="linear", probes=6)
    assert result.failures == {"T": result.failures["T"]}
    assert "Unknown device 'acelerator'; did you mean 'accelerator'" in result.failures["T"]
    assert {record["task"] for record in result.results} == {"A", "B"}
    assert set(result.predictions["task"]) == {"A", "B"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": ["compute", "phone"]}, "target phone is also a source device"),
        ({"source": ["computer"]}, "Unknown device 'computer'; did you mean 'compute'"),
        ({"space": "fbnet"}, "No latency table fbnet.parquet"),
        ({"space": "nasbench"}, "Unknown space 'nasbench'; did you mean 'nasbench201'"),
    ],
)
def test_a_task_that_cannot_run_says_why(tmp_path, data, change, message):
    assert message in failure(write_tasks(tmp_path, {"T": {**TASK, **change}}), data)


def test_more_probes_than_architectures(tasks, data):
    sentence = failure(tasks, data, probes=81)
    assert "81 probes" in sentence
    assert "80" in sentence


@pytest.mark.parametrize("method", ["flops", "linear"])
def test_probes_that_leave_nothing_to_test(tasks, data, method):
    assert "80" in failure(tasks, data, probes=80, method=method)


def test_targets_without_a_common_network(tmp_path, tasks):
    frame = FRAME.copy()
    frame.loc[frame.index[:40], "phone"] = np.nan
    frame.loc[frame.index[40:], "accelerator"] = np.nan
    assert "probes" in failure(tasks, write_table(tmp_path / "apart", frame))


def test_a_source_that_was_never_measured(tmp_path, tasks):
    assert "source" in failure(tasks, write_table(tmp_path / "empty", FRAME.assign(edge=np.nan)))


def test_a_target_that_was_never_measured(tmp_path, tasks):
    sentence = failure(tasks, write_table(tmp_path / "empty", FRAME.assign(phone=np.nan)))
    assert "phone" in sentence


@pytest.mark.parametrize("value", [0.0, -3.0, np.inf])
def test_impossible_latencies_fail_the_task(tmp_path, tasks, value):
    frame = FRAME.copy()
    frame.iloc[7, frame.columns.get_loc("phone")] = value
    sentence = failure(tasks, write_table(tmp_path / "wrong", frame))
    assert "phone" in sentence
    assert str(frame.index[7]) in sentence


def test_an_empty_table_fails_the_task(tmp_path, tasks):
    assert "expects at least" in failure(tasks, write_table(tmp_path / "empty", FRAME.iloc[:0]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "hodn"}, "Unknown method 'hodn'; did you mean 'hodm'"),
        ({"selector": "randm"}, "Unknown selector 'randm'; did you mean 'random'"),
        ({"only": ["U"]}, "Unknown task 'U'"),
        ({"only": []}, "task"),
        ({"probes": 0}, "probe"),
        ({"probes": -1}, "probe"),
        ({"seeds": (-1,)}, "seed"),
    ],
)
def test_bad_arguments_raise_before_anything_runs(tasks, data, monkeypatch, arguments, message):
    monkeypatch.setattr(evaluation, "run_task", lambda *_: pytest.fail("ran"))
    with pytest.raises(WorkbenchError, match=message):
        evaluate(tasks, [data], **{"method": "linear", **arguments})


def test_a_data_folder_that_is_not_there_raises(tasks, tmp_path):
    with pytest.raises(WorkbenchError, match="Data folder"):
        evaluate(tasks, [tmp_path / "nowhere"], method="linear")


# Hardware on both sides


def test_shared_hardware_is_noted(tmp_path, data):
    write_cards(data / "devices.yaml", {name: DeviceCard(name, hardware="one chip") for name in ("edge", "phone")})
    result = run(write_tasks(tmp_path, {"T": TASK}), data)
    (note,) = result.notes
    assert note.startswith("T: ")
    assert "phone" in note
    assert "edge" in note


def test_without_cards_there_is_nothing_to_note(tasks, data):
    assert run(tasks, data).notes == []
