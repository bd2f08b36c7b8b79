"""The small tables: means that are means, quintiles that are fifths, files that can be read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.evaluation.toy_task import FRAME, NETWORKS, run
from tests.toy import TARGETS
from workbench.evaluation import METRICS, Cell, by_quantile, per_device, per_task, write_report
from workbench.predictor.method import Estimate


@pytest.fixture
def result(tasks, data):
    return run(tasks, data, ["linear", "nearest"], [5, 8], seeds=(0, 1))


def test_means_are_over_devices_and_seeds(result):
    frame = per_task(result)
    asked = frame[~frame["floor"]].set_index(["task", "method", "probes"])
    assert list(asked.index) == [("T", name, count) for count in (5, 8) for name in ("linear", "nearest")]
    for name in METRICS:
        pd.testing.assert_series_equal(asked[name], result.task_means()[name])
    assert set(zip(asked["devices"], asked["seeds"], strict=True)) == {(len(TARGETS), 2)}
    assert asked["target_reads"].tolist() == [5, 5, 8, 8]
    assert "flops" in set(frame[frame["floor"]]["method"])


def test_every_device_has_its_row(result):
    frame = per_device(result)
    rows = frame[(frame["method"] == "linear") & (frame["probes"] == 8)]
    assert rows["device"].tolist() == list(TARGETS)
    records = [row for row in result.results if (row["method"], row["probes"]) == ("linear", 8)]
    for device, rae in zip(rows["device"], rows["rae"], strict=True):
        assert rae == pytest.approx(np.mean([record["rae"] for record in records if record["device"] == device]))


def test_quintiles_by_hand():
    actual = np.arange(1.0, 11.0)
    ms = actual * np.repeat([1.1, 0.8, 1.0, 1.0, 1.5], 2)
    one = Cell("T", "d", 0, 10, actual[::-1], {"a": Estimate(*(part[::-1] for part in (ms, ms * 0.9, ms * 1.1)))}, {})
    frame = by_quantile([one]).set_index("quintile")
    assert frame["bias"].tolist() == pytest.approx([0.1, -0.2, 0, 0, 0.5])
    assert frame["mdape"].tolist() == pytest.approx([0.1, 0.2, 0, 0, 0.5])
    assert frame["coverage90"].tolist() == pytest.approx([1, 0, 1, 1, 0])
    assert frame["width90"].tolist() == pytest.approx([0.2] * 5)


def test_cells_hold_the_truth_about_the_test_set(result):
    for cell in result.cells:
        assert len(cell.actual_ms) == len(NETWORKS) - cell.probes
        assert np.isin(cell.actual_ms, FRAME[cell.device]).all()
        assert set(cell.estimates) == set(cell.exact)


def test_the_report_is_four_small_files(result, tmp_path):
    written = write_report(result, tmp_path / "report", ["linear", "nearest"])
    assert sorted(path.name for path in written) == sorted(path.name for path in (tmp_path / "report").iterdir())
    frames = {path.stem: pd.read_csv(path) for path in written}
    assert set(frames) == {"per_task", "per_device", "by_quantile", "significance"}
    assert len(frames["by_quantile"].query("method == 'linear' and probes == 5")) == 5
    assert set(frames["significance"]["mark"]) <= {"better", "worse", "noise"}
    assert frames["significance"][["method", "other"]].drop_duplicates().to_numpy().tolist() == [["nearest", "linear"]]
    pd.testing.assert_series_equal(frames["per_task"]["rae"], per_task(result)["rae"], rtol=1e-4)
