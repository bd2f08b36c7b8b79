"""Interval calibration: overconfident heads are widened, timid ones narrowed."""

from __future__ import annotations

import numpy as np
import pytest

from tests.toy import SOURCES, toy_networks, toy_sources
from workbench.describe.design import build_design
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


def test_factor_is_positive_and_repeatable(sources):
    first = factor(sources)
    assert 0 < first < 10
    assert factor(sources) == first


def test_overconfidence_is_widened_and_timidity_narrowed(sources):
    overconfident, timid = factor(sources, config=only(0.02, 0.02)), factor(sources, config=only(1.0, 0.2))
    assert overconfident > 3
    assert timid < 0.5


def test_a_single_source_cannot_be_left_out():
    assert factor(toy_sources(NETWORKS, ROWS, {"edge": SOURCES["edge"]})) == 1.0


def test_devices_with_too_few_measurements_are_passed_over(sources):
    latency_ms = sources.latency_ms.copy()
    latency_ms[20:, 0] = np.nan
    partial = Sources(NETWORKS, ROWS, latency_ms, sources.devices)
    assert 0 < factor(partial) < 10
    few = Sources(NETWORKS, ROWS[:20], sources.latency_ms[:20], sources.devices)
    assert factor(few) == 1.0, "nothing to learn from"


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
