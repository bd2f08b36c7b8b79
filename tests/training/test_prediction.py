"""Predicting on a device of the tables: right on toy devices, whatever else the tables hold."""

from __future__ import annotations

import numpy as np
import pytest

from tests.toy import SOURCES, TARGETS, toy_frame, toy_networks, write_table
from workbench.config import WorkbenchError
from workbench.data import sources
from workbench.training.prediction import predict_device

NETWORKS = toy_networks(200)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """All toy devices; the target was measured on the first hundred networks only."""
    monkeypatch.setattr(sources, "BUNDLED", tmp_path / "none")
    frame = toy_frame(NETWORKS, {**SOURCES, **TARGETS})
    frame.iloc[100:, frame.columns.get_loc("phone")] = np.nan
    return write_table(tmp_path / "data", frame)


def test_networks_that_were_not_measured_are_predicted(folder):
    asked = list(NETWORKS.archs[100:])
    found = predict_device("nasbench201", asked, "phone", [folder], method="linear")
    truth = TARGETS["phone"].latency_ms(NETWORKS)[100:]
    estimate = found.of(asked)
    assert np.median(np.abs(estimate.ms / truth - 1)) < 0.05
    assert np.mean((estimate.low_ms <= truth) & (truth <= estimate.high_ms)) > 0.8
    assert len(found.measured_ms) == 100
    assert set(np.array(found.networks.archs)[found.probes]) <= set(found.measured_ms.index)


def test_a_network_that_no_table_holds_can_be_asked_for(folder):
    known = set(NETWORKS.archs)
    other = next(arch for arch in toy_networks(400, seed=9).archs if arch not in known)
    estimate = predict_device("nasbench201", [other], "phone", [folder], method="linear").of([other])
    assert estimate.low_ms[0] <= estimate.ms[0] <= estimate.high_ms[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"device": "fone"}, "phone"),
        ({"method": "hodn"}, "hodm"),
        ({"archs": ["|nor_conv_3x3~0|"]}, "nor_conv_3x3"),
    ],
)
def test_bad_input_is_one_sentence(folder, changes, message):
    arguments = {"archs": list(NETWORKS.archs[:1]), "device": "phone", "method": "linear", **changes}
    with pytest.raises(WorkbenchError, match=message):
        predict_device("nasbench201", folders=[folder], **arguments)


def test_a_device_alone_is_refused(tmp_path):
    alone = write_table(tmp_path / "alone", toy_frame(NETWORKS, {"phone": TARGETS["phone"]}))
    with pytest.raises(WorkbenchError, match="another device"):
        predict_device("nasbench201", list(NETWORKS.archs[:1]), "phone", [alone], method="linear")
