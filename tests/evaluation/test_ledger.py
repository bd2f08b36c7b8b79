"""Nothing of a target is seen but its probes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.evaluation.toy_task import FRAME, NETWORKS, TASK, run, write_tasks
from tests.toy import TARGETS, write_table
from workbench.describe.dbsel import DEFAULT_SELECTOR, SELECTORS
from workbench.predictor.baselines import FLOORS
from workbench.training.adaptive import ADAPTIVE, Enough
from workbench.training.fit import FitConfig
from workbench.training.transfer import METHODS, hodm


def unprobed_replaced(frame: pd.DataFrame, predictions: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """``frame`` with noise in the place of every target latency that was no probe."""
    noise = frame.copy()
    draw = np.random.default_rng(seed)
    for device, rows in predictions.groupby("device"):
        probed = frame.index.isin(rows.loc[rows["role"] == "probe", "arch"])
        replaced = frame[device].notna().to_numpy() & ~probed
        noise.loc[replaced, device] = np.exp(draw.uniform(-8, 8, replaced.sum()))
    return noise


CHEAP = ("linear", "nearest", "flops")


@pytest.mark.parametrize(
    ("method", "selector"),
    [
        *((method, DEFAULT_SELECTOR) for method in METHODS),
        *(
            (method, selector)
            for method in CHEAP
            for selector in (*SELECTORS, ADAPTIVE)
            if selector != DEFAULT_SELECTOR
        ),
    ],
)
def test_noise_in_every_unprobed_target_latency_changes_no_bit(tmp_path, tasks, data, method, selector):
    """The honest-ledger test: scaling, selection, training and intervals see sources and probes, nothing else."""
    before = run(tasks, data, method, selector=selector)
    noise = unprobed_replaced(FRAME, before.predictions)
    assert (noise[list(TARGETS)] == FRAME[list(TARGETS)]).sum().tolist() == [6, 6]
    after = run(tasks, write_table(tmp_path / "noise", noise), method, selector=selector)
    pd.testing.assert_frame_equal(before.predictions, after.predictions, check_exact=True)
    assert before.results[0]["rae"] != after.results[0]["rae"]


def test_the_rule_that_stops_sees_probes_only(tmp_path, tasks, data):
    wish = {"probes": 30, "selector": ADAPTIVE, "enough": Enough(width=0.1)}
    before = run(tasks, data, **wish)
    assert min(record["target_reads"] for record in before.results) < 30
    after = run(tasks, write_table(tmp_path / "noise", unprobed_replaced(FRAME, before.predictions)), **wish)
    pd.testing.assert_frame_equal(before.predictions, after.predictions, check_exact=True)
    for first, second in zip(before.results, after.results, strict=True):
        assert first["target_reads"] == second["target_reads"]


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
    """Where every network is a source network, whose order means nothing, and where probes do not depend on it: of two
    cells that mirror each other and are one to every feature, `central` would take the first, and here there are two.
    """
    tasks = write_tasks(tmp_path, {"T": {**TASK, "source_samples": len(NETWORKS)}})
    turned = FRAME.sample(frac=1, random_state=1)[list(FRAME)[::-1]]
    first = run(tasks, data, method, selector="a_optimal").predictions
    other = run(tasks, write_table(tmp_path / "turned", turned), method, selector="a_optimal").predictions
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
