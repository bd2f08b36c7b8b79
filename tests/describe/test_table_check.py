"""What a table is like: each defect is found where it was put, and a clean table has none."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from tests.toy import SOURCES, toy_frame, toy_networks
from workbench.config import WorkbenchError
from workbench.data.table import read_frame
from workbench.describe.table_check import FEWEST, TableCheck, check_table

NETWORKS = toy_networks(200)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "table_check"))


@pytest.fixture
def frame() -> pd.DataFrame:
    return toy_frame(NETWORKS, SOURCES)


def found(frame, space="nasbench201") -> TableCheck:
    return check_table(space, frame)


def of(check: TableCheck, device: str):
    return next(entry for entry in check.devices if entry.device == device)


def test_a_clean_table_has_no_findings(frame):
    check = found(frame)
    assert check.findings() == []
    assert (check.space, check.rows, check.repeated, check.malformed) == ("nasbench201", 200, 0, 0)
    assert [entry.device for entry in check.devices] == list(SOURCES)
    for entry in check.devices:
        column = frame[entry.device]
        assert (entry.smallest_ms, entry.median_ms, entry.largest_ms) == (column.min(), column.median(), column.max())
        assert check.missing_share(entry) == 0


def test_a_linear_device_can_be_predicted_and_noise_cannot(frame):
    generator = np.random.default_rng(0)
    frame["noise"] = generator.uniform(1, 2, len(frame))
    frame["noisy"] = frame["edge"] * generator.uniform(0.8, 1.25, len(frame))
    check = found(frame)
    exact, noisy, noise = (of(check, name).ceiling for name in ("edge", "noisy", "noise"))
    assert exact.spearman > 0.99
    assert exact.rae < 0.05
    assert 0.3 < noisy.spearman < exact.spearman
    assert abs(noise.spearman) < 0.4
    assert noise.rae > 0.8


def test_the_ceiling_needs_enough_networks_and_some_spread(frame):
    frame["few"], frame["constant"] = frame["edge"], 3.5
    frame.iloc[FEWEST - 1 :, frame.columns.get_loc("few")] = np.nan
    check = found(frame)
    assert of(check, "few").ceiling is None
    assert of(check, "constant").ceiling is None
    assert found(frame.iloc[: FEWEST - 1]).devices[0].ceiling is None


def test_partly_measured_devices_are_fitted_on_their_own_networks(frame):
    frame.loc[frame.index[:80], "edge"] = np.nan
    check = found(frame)
    assert of(check, "edge").measured == 120
    assert check.missing_share(of(check, "edge")) == pytest.approx(0.4)
    assert of(check, "edge").ceiling.spearman > 0.99
    assert check.findings() == ["edge: 40.0% of the networks are not measured."]


def test_whole_and_constant_columns(frame):
    frame["whole"], frame["constant"] = np.ceil(frame["edge"]), 7.0
    check = found(frame)
    assert (of(check, "whole").whole, of(check, "whole").constant) == (True, False)
    assert of(check, "constant").constant
    text = "\n".join(check.findings())
    assert "whole: whole milliseconds" in text
    assert "constant: every latency is 7 ms." in text


def test_near_zero_values_and_outliers_are_told_apart(frame):
    frame.loc[frame.index[[3, 70]], "edge"] = frame["edge"].median() / 1000
    frame.loc[frame.index[11], "server"] *= 40
    frame.loc[frame.index[12], "server"] *= 20
    check = found(frame)
    assert of(check, "edge").near_zero == 2
    assert of(check, "edge").outliers == ()
    outliers = of(check, "server").outliers
    assert {outlier.arch for outlier in outliers} == set(frame.index[[11, 12]])
    assert outliers[0].ms == frame.loc[outliers[0].arch, "server"]
    assert abs(outliers[0].expected_ms - SOURCES["server"].latency_ms(NETWORKS)[11]) < 3 * frame["server"].median()
    assert "server: 2 outliers, the farthest" in "\n".join(check.findings())
    assert [len(entry.outliers) for entry in check.devices].count(0) == len(SOURCES) - 1


def test_rows_that_repeat_or_are_no_networks(frame):
    spoiled = pd.concat([frame, frame.iloc[:3] * 9, frame.iloc[:2].set_axis(["|none~0|", np.nan])])
    check = found(spoiled)
    assert (check.rows, check.repeated, check.malformed) == (205, 3, 2)
    assert check.devices == found(frame).devices, "the first row of a network counts, the others do not"
    assert len(check.findings()) == 2


def test_cells_that_are_no_latency(frame):
    spoiled = frame.astype({"edge": object})
    spoiled.iloc[:4, spoiled.columns.get_loc("edge")] = ["fast", 0.0, -1.0, np.inf]
    spoiled["words"] = "fast"
    check = found(spoiled)
    assert (of(check, "edge").unusable, of(check, "edge").measured) == (4, 196)
    assert (of(check, "words").unusable, of(check, "words").measured) == (200, 0)
    assert "words: nothing was measured." in check.findings()


def test_the_nearest_device_and_copies(frame):
    frame["twin"], frame["copy"] = frame["edge"] * 1.5, frame["memory"]
    check = found(frame)
    assert (of(check, "edge").nearest, of(check, "twin").nearest) == ("twin", "edge")
    assert of(check, "edge").nearest_spearman > 0.999
    assert (of(check, "edge").copied, of(check, "copy").copied) == (False, True)
    assert of(found(frame[["edge"]]), "edge").nearest is None


def test_empty_tables(frame):
    assert found(frame[[]]).findings() == ["There is no column of latencies."]
    assert found(frame.iloc[:0]).devices[0].measured == 0
    assert len(found(frame.iloc[:1]).devices) == len(SOURCES)


def test_the_same_table_is_described_the_same(frame):
    assert found(frame) == found(frame)
    with pytest.raises(WorkbenchError, match="did you mean 'fbnet'"):
        found(frame, "fbnett")


#: The device of which a linear model knows less than the published ceiling: its runtime folds networks away.
NOT_LINEAR = {("nasbench201", "raspi4")}


def test_real_ceilings_are_as_published(shared_data):
    published = json.loads((shared_data / "bench" / "noise_ceiling.json").read_text())
    for space, devices in published.items():
        check = check_table(space, read_frame(shared_data / "data" / f"{space}.parquet", list(devices)))
        for device, ceiling in devices.items():
            if (space, device) not in NOT_LINEAR:
                assert of(check, device).ceiling.spearman > ceiling["spearman"] - 0.02, device
                assert of(check, device).ceiling.rae < ceiling["rae"] + 0.05, device
