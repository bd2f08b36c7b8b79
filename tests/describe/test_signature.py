"""The behaviour signature knows no scale, no unknown probe, and tells devices apart."""

from __future__ import annotations

import numpy as np
import pytest

from tests.toy import COMPUTE_BOUND, LAUNCH_BOUND, MEMORY_BOUND, Roofline, toy_networks
from workbench.config import WorkbenchError
from workbench.describe.signature import signature

PROBES = np.array([[1.0, 2.0, 3.0, 6.0], [5.0, 1.0, 1.0, 1.0]])


def test_values_and_mean():
    values, mean = signature(PROBES)
    np.testing.assert_allclose(mean, [3, 2])
    np.testing.assert_allclose(values, [[-2 / 3, -1 / 3, 0, 1], [1.5, -0.5, -0.5, -0.5]])
    np.testing.assert_allclose(values.mean(axis=1), 0, atol=1e-12)


def test_scale_is_gone():
    values, mean = signature(PROBES)
    faster, faster_mean = signature(PROBES / 1000)
    np.testing.assert_allclose(faster, values)
    np.testing.assert_allclose(faster_mean, mean / 1000)


def test_one_device_may_be_a_plain_list():
    np.testing.assert_array_equal(signature([1.0, 2.0, 3.0, 6.0])[0], signature(PROBES)[0][:1])


@pytest.mark.parametrize("unknown", [99.0, np.nan])
def test_unknown_probes_take_no_part(unknown):
    known = np.array([[True, True, False, True]])
    probe_ms = np.array([[1.0, 2.0, unknown, 6.0]])
    values, mean = signature(probe_ms, known)
    np.testing.assert_allclose(mean, [3])
    np.testing.assert_allclose(values, [[-2 / 3, -1 / 3, 0, 1]])


def test_a_device_without_known_probes_is_refused():
    with pytest.raises(WorkbenchError, match="at least one known probe per device, got none"):
        signature(PROBES, np.array([[True] * 4, [False] * 4]))


def test_the_input_is_not_changed():
    before = PROBES.copy()
    signature(PROBES)
    np.testing.assert_array_equal(PROBES, before)


def test_devices_that_are_bound_differently_have_different_signatures():
    networks = toy_networks()
    probes = np.arange(16)
    twin = Roofline(2 * COMPUTE_BOUND.gflops, 2 * COMPUTE_BOUND.gbps, COMPUTE_BOUND.launch_us / 2)
    devices = (COMPUTE_BOUND, MEMORY_BOUND, LAUNCH_BOUND, twin)
    values, mean = signature(np.stack([device.latency_ms(networks)[probes] for device in devices]))
    distance = np.linalg.norm(values[:, None] - values[None], axis=-1)
    assert distance[0, 1] > 1, "compute-bound and memory-bound"
    assert distance[np.triu_indices(3, 1)].min() > 0.05
    assert distance[0, 3] < 1e-9, "twice as fast in everything is the same behaviour"
    assert mean[0] / mean[3] == pytest.approx(2)
