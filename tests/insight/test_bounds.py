"""What binds an operator: roofs of a card, and what a model charges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from workbench.devices.device import DeviceCard
from workbench.graphs.features import PHYSICS, physics
from workbench.graphs.graph import Op
from workbench.insight.bounds import BOUNDS, bound, card_roofs, card_terms, charge_terms

CONV = Op("conv", "conv", 64, 64, 32, 32, kernel=3)
ADD = Op("add", "add", 64, 64, 32, 32, hidden=2)
IDLE = Op("skip", "identity", 64, 64, 32, 32)
CARD = DeviceCard("mine", peak_fp32_gflops=100, memory_bandwidth_gbps=10, launch_overhead_us=2)


def test_terms_are_work_over_roofs():
    compute, memory, launch = card_terms([CONV], CARD)[0]
    work = physics(CONV)
    assert compute == pytest.approx((work.flops + work.elementwise_flops) / 100e9 * 1e3)
    assert memory == pytest.approx((work.bytes_read + work.bytes_written) / 10e9 * 1e3)
    assert launch == pytest.approx(work.launches * 2e-3)


def test_a_convolution_computes_an_addition_moves_and_what_does_nothing_is_bound_by_nothing():
    assert bound(card_terms([CONV, ADD, IDLE], CARD)) == ["compute", "memory", "nothing"]
    slow = replace(CARD, launch_overhead_us=1e5)
    assert bound(card_terms([CONV, ADD, IDLE], slow)) == ["launch", "launch", "nothing"]


def test_a_batch_multiplies_arithmetic_and_activations_but_neither_weights_nor_launches():
    one, eight = (card_terms([CONV], replace(CARD, batch_size=batch))[0] for batch in (1, 8))
    assert eight[0] == pytest.approx(8 * one[0])
    weights_ms = physics(CONV).weight_bytes / 10e9 * 1e3
    assert eight[1] - weights_ms == pytest.approx(8 * (one[1] - weights_ms))
    assert eight[2] == one[2]


def test_the_precision_decides_peak_and_bytes():
    half = card_terms([CONV], replace(CARD, precision="bf16", peak_bf16_gflops=400))[0]
    single = card_terms([CONV], CARD)[0]
    assert half[0] == pytest.approx(single[0] / 4)
    assert half[1] == pytest.approx(single[1] / 2)


def test_what_a_card_does_not_know_is_not_guessed():
    for field in ("peak_fp32_gflops", "memory_bandwidth_gbps", "launch_overhead_us"):
        assert card_terms([CONV], replace(CARD, **{field: None})) is None
    assert card_terms([CONV], replace(CARD, precision="int8")) is None
    assert card_terms([CONV], replace(CARD, precision="ternary")) is None
    assert card_terms([CONV], None) is None


def test_caches_and_own_ceilings_are_used_where_they_are_known():
    rich = replace(CARD, conv_fp32_gflops=150, l2_kib=1024, l2_bandwidth_gbps=80, l3_mib=16)
    roofs = card_roofs(rich)
    assert roofs.ceiling_gflops(CONV) == 150
    assert roofs.ceiling_gflops(ADD) == 100
    assert roofs.bandwidth_gbps == {"L2": 80, "memory": 10}
    np.testing.assert_array_equal(roofs.slope_gbps(np.array([1000.0, 2000.0])), [80, 10])


def test_charges_are_summed_by_what_they_speak_for():
    assert sorted(name for names in BOUNDS.values() for name in names) == sorted(PHYSICS)
    quantities = ("dense_flops", "bytes_read", "weight_bytes", "launches")
    terms = charge_terms(np.array([[1.0, 2.0, 0.5, 0.1], [3.0, 1.0, 1.0, 4.0]]), quantities)
    np.testing.assert_allclose(terms, [[1, 2.5, 0.1], [3, 2, 4]])
    assert bound(terms) == ["memory", "launch"]
