"""Plausible devices: positive, additive, repeatable, and as fast or slow as their card says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.toy import SOURCES, toy_networks
from workbench.describe.plausible import (
    FAMILIES,
    HIDES,
    Plausible,
    plausible_cost,
    plausible_costs,
    plausible_latencies,
)
from workbench.devices.device import FAMILIES as USUAL
from workbench.devices.device import DeviceCard

NETWORKS = toy_networks()
CARD = DeviceCard("gpu", family="desktop-gpu", batch_size=32, peak_fp32_gflops=1e4, memory_bandwidth_gbps=500)


def draw(card: DeviceCard | None = None, count: int = 40, seed: int = 0) -> np.ndarray:
    return plausible_latencies(NETWORKS, count, np.random.default_rng(seed), card)


@pytest.mark.parametrize("card", [None, CARD, DeviceCard("blank")], ids=["none", "card", "blank"])
def test_latencies_are_positive_additive_and_repeatable(card):
    latencies = draw(card)
    assert latencies.shape == (len(NETWORKS), 40)
    assert np.isfinite(latencies).all()
    assert (latencies >= 0).all()
    assert (latencies > 0).mean() > 0.9  # zero: all of it is folded away
    costs = plausible_costs(NETWORKS, 40, np.random.default_rng(0), card)
    np.testing.assert_allclose(NETWORKS.counts.astype(float) @ costs, latencies)
    np.testing.assert_array_equal(latencies, draw(card))
    assert not np.array_equal(latencies, draw(card, seed=1))


def test_a_cuda_graph_launches_in_less_time_than_a_framework():
    small = replace(CARD, batch_size=1)
    eager, graph = (draw(replace(small, runtime=f"{name} 2.11.0")).mean() for name in ("torch_cuda", "cuda_graphs"))
    assert graph < eager / 3
    told = replace(small, launch_overhead_us=5.0)
    np.testing.assert_array_equal(draw(told), draw(replace(told, runtime="cuda_graphs")))


def test_every_usual_family_has_its_figures():
    assert set(FAMILIES) == set(USUAL)
    assert set(HIDES) <= {family.rpartition("-")[2] for family in USUAL} | {""}


def test_work_hides_behind_launches_where_launches_are_queued(monkeypatch):
    """Where launches take nearly all the time, twice the work then costs next to nothing; where not, it adds up."""
    slow_to_launch = replace(CARD, batch_size=1, launch_overhead_us=1e4)

    def extra(probability: float) -> float:
        monkeypatch.setitem(HIDES, "gpu", probability)
        once, twice = draw(slow_to_launch), draw(replace(slow_to_launch, batch_size=2))
        there = once > 0
        return float((twice[there] / once[there] - 1).max())

    assert extra(1.0) == 0
    assert extra(0.0) > 0


def test_one_draw_serves_every_card():
    """A figure that a card gives replaces the drawn one and moves nothing else."""
    drawn = Plausible.draw(NETWORKS, 20, np.random.default_rng(3))
    for card in (None, CARD, DeviceCard("blank")):
        alone = plausible_costs(NETWORKS, 20, np.random.default_rng(3), card)
        np.testing.assert_array_equal(drawn.costs(card), alone)
    told = replace(CARD, batch_size=1, launch_overhead_us=20.0)
    usual = FAMILIES["desktop-gpu"].launch_us
    lucky = drawn._replace(luck=drawn.luck._replace(launch=np.full(20, np.log(20.0 / usual.median) / usual.spread)))
    np.testing.assert_allclose(lucky.costs(replace(told, launch_overhead_us=None)), drawn.costs(told))


def test_quirks_are_factors_that_grow_as_they_are_asked_for():
    none, few, many = (plausible_costs(NETWORKS, 20, np.random.default_rng(1), CARD, size) for size in (0, 0.3, 1.0))
    there = none > 0
    np.testing.assert_array_equal(there, many > 0)
    np.testing.assert_allclose(np.log(few[there] / none[there]) / 0.3, np.log(many[there] / none[there]), atol=1e-12)
    assert 0.2 < np.log(many[there] / none[there]).std() < 0.5


@pytest.mark.parametrize(
    ("change", "slower"),
    [({"batch_size": 256}, True), ({"peak_fp32_gflops": 1e3}, True), ({"memory_bandwidth_gbps": 50}, True),
     ({"launch_overhead_us": 500}, True), ({"peak_fp32_gflops": 1e5}, False)],
)  # fmt: skip
@pytest.mark.parametrize("queued", [0.0, 1.0])
def test_a_card_moves_latency_the_right_way(change, slower, queued, monkeypatch):
    """With the same random numbers, every single draw; where launches are queued, a change may hide behind them."""
    monkeypatch.setitem(HIDES, "gpu", queued)
    before, after = draw(CARD), draw(replace(CARD, **change))
    there = before > 0  # not folded away
    moved = after[there] / before[there] if slower else before[there] / after[there]
    assert (moved > 1).all() if queued == 0 else (moved >= 1 - 1e-12).all() and (moved > 1).any()


def test_a_mean_device_is_nearer_to_toy_devices_than_a_constant():
    mean = NETWORKS.counts @ plausible_cost(NETWORKS)
    assert mean.mean() == pytest.approx(1)
    for device in SOURCES.values():
        actual = device.latency_ms(NETWORKS)
        assert np.corrcoef(mean, actual)[0, 1] > 0.5
