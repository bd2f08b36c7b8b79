"""An unseen toy device, predicted with more and more probes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from tests.toy import SOURCES, TARGETS, toy_frame, toy_networks, toy_predictor
from workbench.config import WorkbenchError
from workbench.data.table import LatencyTable
from workbench.devices.device import DeviceCard
from workbench.evaluation import METRICS
from workbench.insight.transfer_study import HEAD, HODM, ZERO_SHOT, TransferStudy

NETWORKS = toy_networks(120)
CARD = DeviceCard("phone", family="mobile-cpu", memory_bandwidth_gbps=4, peak_fp32_gflops=30)


def toy_table(frame: pd.DataFrame | None = None) -> LatencyTable:
    frame = toy_frame(NETWORKS, {**SOURCES, "phone": TARGETS["phone"]}) if frame is None else frame
    return LatencyTable("nasbench201", frame, {"phone": CARD})


@pytest.fixture(scope="module")
def study() -> TransferStudy:
    return TransferStudy(toy_table(), "phone", samples=60)


def test_probes_are_read_and_nothing_else(study):
    look = study.look(8)
    assert look.reads == 8
    assert (look.frame["role"] == "probe").sum() == 8
    assert len(look.checks) == len(NETWORKS) - 8
    assert list(look.scores["method"]) == [HEAD, "flops", "nearest", "linear"]
    assert np.isfinite(look.scores[list(METRICS)]).all(axis=None)


def test_a_table_of_latencies_is_the_truth_that_is_revealed(study):
    truth = toy_table().frame["phone"]
    frame = study.look(5).frame
    assert frame["measured_ms"].tolist() == truth.loc[frame["arch"]].tolist()


@pytest.mark.parametrize("method", [HEAD, ZERO_SHOT, "linear"])
@pytest.mark.parametrize("count", [0, 6])
def test_noise_in_every_latency_that_was_not_read_changes_no_prediction(study, method, count):
    look = study.look(count, method)
    frame, noise = toy_table().frame, np.random.default_rng(1)
    unread = ~frame.index.isin(look.frame.loc[look.frame["role"] == "probe", "arch"])
    frame.loc[unread, "phone"] = noise.uniform(1, 100, unread.sum())
    other = TransferStudy(toy_table(frame), "phone", samples=60).look(count, method)
    assert other.frame["arch"].tolist() == look.frame["arch"].tolist()
    for column in ("predicted_ms", "low_ms", "high_ms"):
        np.testing.assert_array_equal(other.frame[column], look.frame[column])
    assert not np.allclose(other.frame["measured_ms"], look.frame["measured_ms"])


def test_probes_are_nested_and_checks_stay_in_their_order(study):
    probes = [look.frame.loc[look.frame["role"] == "probe", "arch"].tolist() for look in map(study.look, (0, 3, 9, 20))]
    for fewer, more in pairwise(probes):
        assert more[: len(fewer)] == fewer
    few, many = (study.look(count).checks["arch"].tolist() for count in (3, 9))
    assert [arch for arch in few if arch in set(many)] == many


def test_without_a_measurement_the_card_speaks_and_nothing_is_read(study):
    look = study.look(0)
    assert (look.method, look.reads) == (ZERO_SHOT, 0)
    assert list(look.scores["method"]) == [ZERO_SHOT]
    assert look.scores["spearman"].item() > 0.5


def test_measuring_helps_and_the_intervals_hold(study):
    errors = [study.look(count).scores["rae"].iloc[0] for count in (0, 3, 20)]
    assert errors[2] < errors[0]
    assert study.look(20).scores["coverage90"].iloc[0] > 0.8


def test_an_added_network_is_measured_once_and_after_the_probes(study):
    first, added = study.look(4).frame["arch"].iloc[0], study.look(4).least_certain
    look = study.look(4, HEAD, [added, first, added])
    assert look.reads == 5
    assert look.frame["arch"].iloc[4] == added
    assert added not in set(look.checks["arch"])


def test_the_least_certain_network_has_the_widest_interval(study):
    look = study.look(6)
    width = (look.checks["high_ms"] - look.checks["low_ms"]).to_numpy()
    assert look.checks["arch"].iloc[width.argmax()] == look.least_certain


def test_a_look_is_made_once(study):
    assert study.look(7) is study.look(7)
    assert study.look(7, "linear") is not study.look(7)


def test_intervals_are_stretched_between_the_rungs_as_at_them(study):
    factors = [study.factor(count) for count in (1, 2, 3, 5, 7, 10)]
    assert factors[0] == factors[1]
    assert min(factors[1], factors[3]) <= factors[2] <= max(factors[1], factors[3])
    assert min(factors) >= 1


def test_a_seed_draws_other_networks_and_is_repeated(study):
    again = TransferStudy(toy_table(), "phone", samples=60)
    pd.testing.assert_frame_equal(again.look(5).frame, study.look(5).frame)
    other = TransferStudy(toy_table(), "phone", samples=60, seed=1)
    assert other.sources.networks.archs != study.sources.networks.archs


def test_what_was_not_measured_is_left_out():
    frame = toy_table().frame.copy()
    frame.loc[frame.index[::2], "phone"] = np.nan
    frame["memory"] = np.nan
    frame.loc[frame.index[::3], "edge"] = np.nan
    study = TransferStudy(toy_table(frame), "phone", list(SOURCES), samples=60)
    assert "memory" not in study.sources.devices
    look = study.look(6)
    assert set(look.frame["arch"]) == set(frame.index[frame["phone"].notna()])
    assert not study.knows(frame.index[0])


def test_a_model_is_one_more_method_and_its_probes_come_first():
    predictor = toy_predictor()
    frame = toy_frame(toy_networks(), {**SOURCES, "phone": TARGETS["phone"]})
    study = TransferStudy(toy_table(frame), "phone", samples=60, model=predictor)
    assert study.methods[0] == HODM
    assert tuple(study.look(8, HODM).frame["arch"].head(8)) == predictor.probes
    added = study.look(8, HODM).least_certain
    for count in (1, 2, 8, 12):
        look, plain = study.look(count, HODM, [added]), study.look(count, HODM)
        assert look.reads == count + (added not in set(plain.frame["arch"].head(count)))
        assert np.isfinite(look.frame[["predicted_ms", "low_ms", "high_ms"]]).all(axis=None)


@pytest.mark.parametrize("devices", [["phone"], ["phone", "memory"]])
def test_without_a_source_device_there_is_a_sentence(devices):
    frame = toy_table().frame[devices].copy()
    if "memory" in frame:
        frame["memory"] = np.nan
    with pytest.raises(WorkbenchError, match=r"source device|source architectures"):
        TransferStudy(toy_table(frame), "phone")


@pytest.mark.parametrize("measured", [0, 1, 2])
def test_a_target_that_was_hardly_measured_is_refused(measured):
    frame = toy_table().frame.copy()
    frame.loc[frame.index[measured:], "phone"] = np.nan
    with pytest.raises(WorkbenchError, match=f"at least 3 networks measured on 'phone', got {measured}"):
        TransferStudy(toy_table(frame), "phone")


def test_three_networks_are_enough():
    frame = toy_table().frame.copy()
    frame.loc[frame.index[3:], "phone"] = np.nan
    study = TransferStudy(toy_table(frame), "phone", samples=60)
    assert study.most == 1
    assert len(study.look(1).checks) == 2
    with pytest.raises(WorkbenchError, match="at least 2 networks to be scored on"):
        study.look(1, HEAD, study.look(1).checks["arch"])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"count": 51}, "0 to 50 probes, got 51"),
        ({"count": 5, "method": "heads"}, "did you mean 'head'"),
        ({"count": 5, "method": HODM}, "Unknown method 'hodm'"),
        ({"count": 5, "extra": ["|none~0|+|none~0|none~1|+|none~0|none~1|none~9|"]}, "not among the"),
    ],
)
def test_what_cannot_be_looked_at_is_one_sentence(study, asked, message):
    with pytest.raises(WorkbenchError, match=message):
        study.look(**asked)
