"""Plausible devices that agree with the probes: they become like the device, and foresee each probe without it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.toy import toy_networks, toy_sources
from workbench.describe.design import build_design
from workbench.describe.plausible import plausible_costs, usual_cost
from workbench.devices.device import DeviceCard
from workbench.predictor.adapt import HeadConfig, adapt
from workbench.predictor.likely import Expected
from workbench.predictor.opinions import opinions

NETWORKS = toy_networks()
CARD = DeviceCard("gpu", family="desktop-gpu", batch_size=32, peak_fp32_gflops=1e4, memory_bandwidth_gbps=500)
ROWS = np.arange(0, 200, 2)
DESIGN = build_design(NETWORKS, ROWS, toy_sources(NETWORKS, ROWS).latency_ms)
PROBES = np.arange(3, 183, 18)


@pytest.fixture(scope="module")
def expected() -> Expected:
    costs = plausible_costs(NETWORKS, 150, np.random.default_rng(0), CARD, 0.3)
    return Expected(NETWORKS.counts @ usual_cost(NETWORKS, costs), NETWORKS.counts, costs, DESIGN.deviations)


def devices(count: int = 12) -> np.ndarray:
    """`a x s` milliseconds on devices with this card that are none of those drawn."""
    return NETWORKS.counts @ plausible_costs(NETWORKS, count, np.random.default_rng(7), CARD, 0.3)


def error(predicted: np.ndarray, actual: np.ndarray) -> float:
    scale = np.median(actual / predicted)
    return float(np.abs(predicted * scale - actual).sum() / np.abs(actual - actual.mean()).sum())


def test_probes_tell_which_devices_are_likely(expected):
    before, after = [], []
    for actual in devices().T:
        ms, _ = expected.given(PROBES, actual[PROBES])
        before.append(error(expected.usual, actual))
        after.append(error(ms, actual))
    assert np.median(after) < 0.8 * np.median(before)


def test_a_device_that_was_drawn_is_found_with_its_scale(expected):
    drawn = NETWORKS.counts @ expected.costs
    folds_nothing = np.flatnonzero((drawn > 0).all(axis=0))
    actual = 7 * drawn[:, folds_nothing[11]]
    ms, _ = expected.given(PROBES, actual[PROBES])
    np.testing.assert_allclose(ms, actual, rtol=0.2)


def test_a_probe_is_foreseen_without_itself(expected):
    """A reading that is changed moves what is said of the others, and what it says itself only through the scale, which
    is a median of all."""
    actual = devices(1)[:, 0]
    _, first = expected.given(PROBES, actual[PROBES])
    changed = actual[PROBES].copy()
    changed[0] *= 1.001 if changed[0] > 0 else 1
    _, second = expected.given(PROBES, changed)
    assert second[0] / first[0] == pytest.approx(1, abs=0.002)
    wild = actual[PROBES].copy()
    wild[0] *= 3
    _, third = expected.given(PROBES, wild)
    assert third[0] < 2 * first[0], "not what was read"
    assert not np.allclose(third[1:], first[1:], rtol=1e-3)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_probes_are_enough_for_an_answer(expected, count):
    actual = devices(1)[:, 0]
    ms, foreseen = expected.given(PROBES[:count], actual[PROBES[:count]])
    assert ms.shape == (len(NETWORKS),)
    assert foreseen.shape == (count,)
    assert np.isfinite(ms).all()
    assert (ms > 0).all()


def test_probes_that_are_folded_away_do_not_blow_up_the_others(expected):
    """Devices that take nothing for a probe have no scale of their own there."""
    constant = np.flatnonzero(~NETWORKS.counts[:, NETWORKS.live].any(axis=1))
    assert len(constant), "some networks compute nothing"
    ms, _ = expected.given(constant[:1], np.array([0.01]))
    assert np.isfinite(ms).all()
    assert ms.max() < 100


def test_the_unit_does_not_matter(expected):
    actual = devices(1)[:, 0]
    for one, other in zip(
        expected.given(PROBES, actual[PROBES]), expected.given(PROBES, 1e3 * actual[PROBES]), strict=True
    ):
        np.testing.assert_allclose(1e3 * one, other, rtol=1e-5)


def test_taking_some_networks_asks_the_same_devices(expected):
    actual = devices(1)[:, 0]
    rows = np.concatenate([PROBES, [1, 2]])  # what is said of a network does not depend on its company
    ms, foreseen = expected.take(rows).given(np.arange(len(PROBES)), actual[PROBES])
    whole, said = expected.given(PROBES, actual[PROBES])
    np.testing.assert_allclose(ms, whole[rows], rtol=1e-5)
    np.testing.assert_allclose(foreseen, said, rtol=1e-5)


def test_the_head_predicts_better_with_likely_devices(expected):
    errors = []
    for told in (None, expected):
        found = []
        for actual in devices().T:
            priors = opinions(DESIGN.shapes, PROBES[:5], actual[PROBES[:5]], told)
            posterior = adapt(DESIGN.blocks, PROBES[:5], actual[PROBES[:5]], priors, HeadConfig())
            found.append(error(np.maximum(posterior.predict()[0], 1e-3 * actual.mean()), actual))
        errors.append(np.median(found))
    assert errors[1] < errors[0]
