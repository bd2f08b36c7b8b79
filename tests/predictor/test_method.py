"""What every method is given and gives back."""

from __future__ import annotations

import numpy as np
import pytest

from tests.toy import toy_networks
from workbench.config import WorkbenchError
from workbench.devices.device import DeviceCard
from workbench.predictor.method import Z90, Sources, gaussian_estimate

NETWORKS = toy_networks(6)


def test_an_estimate_is_a_ninety_percent_interval():
    ms, low, high = gaussian_estimate(np.array([10.0, 20.0]), np.array([1.0, 2.0]), 15)
    np.testing.assert_allclose(ms, [10, 20])
    np.testing.assert_allclose(low, [10 - Z90, 20 - 2 * Z90])
    np.testing.assert_allclose(high, [10 + Z90, 20 + 2 * Z90])


def test_latencies_are_positive():
    ms, low, high = gaussian_estimate(np.array([-5.0, 0.001, 8.0]), 6.0, 10)
    np.testing.assert_allclose(ms, [0.01, 0.01, 8])
    np.testing.assert_allclose(low, 0.01)
    assert (low <= ms).all()
    assert (ms <= high).all()


def test_sources_that_do_not_match_are_refused():
    with pytest.raises(WorkbenchError, match=r"Source latencies expect 3 x 2 .* got 2 x 3; match them"):
        Sources(NETWORKS, np.arange(3), np.ones((2, 3)), ("a", "b"))


def test_siblings_run_on_the_same_hardware():
    cards = {name: DeviceCard(name, hardware=chip) for name, chip in {"a": "x", "b": "y", "c": "x", "d": None}.items()}
    sources = Sources(NETWORKS, np.arange(1), np.ones((1, 5)), tuple("abcde"), cards)
    assert [sources.siblings(index) for index in range(5)] == [[0, 2], [1], [0, 2], [3], [4]]


def test_mean_leaves_out_what_was_not_measured():
    latency_ms = np.array([[1.0, np.nan], [3.0, 5.0]])
    np.testing.assert_array_equal(Sources(NETWORKS, np.arange(2), latency_ms, ("a", "b")).mean_ms, [2, 5])
