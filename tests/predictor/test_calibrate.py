"""Interval calibration: overconfident heads are widened, timid ones left as they are."""

from __future__ import annotations

import numpy as np
import pytest

from tests.toy import SOURCES, toy_networks, toy_sources
from workbench.describe.design import build_design
from workbench.devices.device import DeviceCard
from workbench.predictor.adapt import HeadConfig
from workbench.predictor.calibrate import interval_factor
from workbench.predictor.method import Sources

NETWORKS = toy_networks()
ROWS = np.arange(0, 200, 2)
DEFAULT = HeadConfig()


def factor(sources: Sources, count: int = 8, config: HeadConfig = DEFAULT) -> float:
    design = build_design(sources.networks, sources.rows, sources.latency_ms)
    return interval_factor(sources, design, count, np.random.default_rng(0), config)


@pytest.fixture(scope="module")
def sources() -> Sources:
    return toy_sources(NETWORKS, ROWS)


def only(noise: float, spread: float) -> HeadConfig:
    return HeadConfig(noise=(noise,), spread=(spread,), outlier=1e-300)  # without outliers to blame misses on


def test_factor_is_repeatable_and_only_widens(sources):
    first = factor(sources)
    assert 1 <= first < 10
    assert factor(sources) == first


def test_overconfidence_is_widened_and_timidity_left_alone(sources):
    assert factor(sources, config=only(0.003, 0.0001)) > 3
    assert factor(sources, config=only(1.0, 0.2)) == 1.0


def test_siblings_are_left_out_together(sources):
    """A twin of the left-out device would tell its secrets; a target has none."""
    latency_ms = np.repeat(sources.latency_ms, 2, axis=1)
    names = tuple(f"{name}_{batch}" for name in sources.devices for batch in (1, 2))
    cards = {name: DeviceCard(name, hardware=name.split("_")[0]) for name in names}
    config = HeadConfig((1.0,), (0.001,), (0.001,), (0.06,), (0.002,), outlier=1e-300)  # principal components decide
    told, untold = (factor(Sources(NETWORKS, ROWS, latency_ms, names, known), config=config) for known in ({}, cards))
    assert untold == pytest.approx(factor(sources, config=config), rel=1e-6)
    assert told == 1.0
    assert untold > 3


def test_where_all_are_siblings_one_is_left_out_alone(sources):
    cards = {name: DeviceCard(name, hardware="one") for name in sources.devices}
    config = only(0.01, 0.001)
    same = factor(Sources(NETWORKS, ROWS, sources.latency_ms, sources.devices, cards), config=config)
    assert same == factor(sources, config=config)


def test_a_single_source_cannot_be_left_out():
    assert factor(toy_sources(NETWORKS, ROWS, {"edge": SOURCES["edge"]})) == 1.0


def test_devices_with_too_few_measurements_are_passed_over(sources):
    latency_ms = sources.latency_ms.copy()
    latency_ms[20:, 0] = np.nan
    partial = Sources(NETWORKS, ROWS, latency_ms, sources.devices)
    config = only(0.01, 0.001)
    assert factor(partial, config=config) > 1
    few = Sources(NETWORKS, ROWS[:20], sources.latency_ms[:20], sources.devices)
    assert factor(few, config=config) == 1.0, "nothing to learn from"


def test_noise_in_the_sources_does_not_narrow(sources):
    """Heavy tails that the head does not know of have to come out as wider intervals."""
    draw = np.random.default_rng(3)
    heavy = sources.latency_ms * np.exp(0.3 * draw.standard_t(2, sources.latency_ms.shape).clip(-6, 6))
    config = only(0.02, 0.2)
    assert factor(Sources(NETWORKS, ROWS, heavy, sources.devices), config=config) > 2 * factor(sources, config=config)


def test_the_sources_are_not_changed(sources):
    before = sources.latency_ms.copy()
    factor(sources)
    np.testing.assert_array_equal(sources.latency_ms, before)
