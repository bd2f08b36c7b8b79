"""The floors are right where their own assumption holds."""

from __future__ import annotations

import numpy as np
import pytest

from tests.toy import SOURCES, TARGETS, rae, toy_networks, toy_sources
from workbench.describe.design import Design, build_design
from workbench.predictor.baselines import FLOORS
from workbench.predictor.baselines.linear import WEIGHTS
from workbench.predictor.method import Estimate, Probed, Sources
from workbench.spaces import SPACES
from workbench.training.transfer import choose_probes

NETWORKS = toy_networks()
ROWS = np.arange(0, 200, 2)


@pytest.fixture(scope="module")
def known() -> tuple[Sources, Design, np.ndarray]:
    sources = toy_sources(NETWORKS, ROWS)
    design = build_design(NETWORKS, ROWS, sources.latency_ms)
    return sources, design, choose_probes(design, 10, np.random.default_rng(0), "d_optimal")


def predict(name: str, known: tuple[Sources, Design, np.ndarray], actual_ms: np.ndarray) -> Estimate:
    sources, design, probes = known
    adapt = FLOORS[name](sources, design, probes, np.random.default_rng(0))
    return adapt(Probed(probes, actual_ms[probes]), None)()


def test_flops_is_exact_on_a_line_in_flops(known):
    actual = 3.0 + 2e-8 * NETWORKS.flops
    estimate = predict("flops", known, actual)
    np.testing.assert_allclose(estimate.ms, actual, rtol=1e-6)
    np.testing.assert_allclose(estimate.high_ms - estimate.low_ms, 0, atol=1e-4 * actual.mean())


@pytest.mark.parametrize("name", SOURCES)
def test_nearest_finds_the_source_that_is_a_multiple(known, name):
    """Exactly the design's view of that source, times the factor."""
    sources, design, _ = known
    actual = 7 * SOURCES[name].latency_ms(NETWORKS)
    estimate = predict("nearest", known, actual)
    described = design.source[:, sources.devices.index(name)]
    assert np.ptp(estimate.ms / described) < 1e-9 * (estimate.ms / described).mean()
    assert rae(actual, estimate.ms) < 0.1


def test_linear_follows_a_mixture_of_sources(known):
    sources = known[0]
    scaled = [
        device.latency_ms(NETWORKS) / mean for device, mean in zip(SOURCES.values(), sources.mean_ms, strict=True)
    ]
    actual = 5 * (0.6 * scaled[0] + 0.4 * scaled[2])
    assert rae(actual, predict("linear", known, actual).ms) < 0.3


@pytest.mark.parametrize("name", TARGETS)
def test_linear_beats_flops_on_new_devices(known, name):
    actual, probes = TARGETS[name].latency_ms(NETWORKS), known[2]
    linear, flops = (rae(actual, predict(floor, known, actual).ms, probes) for floor in ("linear", "flops"))
    assert linear < 0.8 * flops


def test_linear_is_plain_ridge_where_no_probe_is_wild(known):
    """Its prior for a wild probe is so small that ordinary readings are never discounted."""
    _, design, probes = known
    actual = TARGETS["phone"].latency_ms(NETWORKS)
    relative = actual[probes] / actual[probes].mean()
    *scales, spread, noise = WEIGHTS["nasbench201"]
    census = design._replace(deviations=design.census, roots=design.roots[:, :0])
    terms = spread * np.concatenate([census.weighted(tuple(scales)), np.ones((len(NETWORKS), 1))], axis=1)
    gram = terms[probes] @ terms[probes].T + noise**2 * np.eye(len(probes))
    expected = 1 + terms @ terms[probes].T @ np.linalg.solve(gram, relative - 1)
    np.testing.assert_allclose(predict("linear", known, actual).ms, expected * actual[probes].mean(), rtol=1e-4)


@pytest.mark.parametrize("name", FLOORS)
def test_floors_know_no_scale(known, name):
    actual = TARGETS["phone"].latency_ms(NETWORKS)
    small, large = predict(name, known, actual), predict(name, known, 1000 * actual)
    for one, other in zip(small, large, strict=True):
        np.testing.assert_allclose(1000 * one, other, rtol=1e-5)


def test_linear_knows_every_space():
    assert set(SPACES) <= set(WEIGHTS)
