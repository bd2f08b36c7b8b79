"""Interactions: found where they are, absent where latency is additive."""

from __future__ import annotations

import numpy as np

from tests.toy import SOURCES, toy_networks, toy_sources
from workbench.describe.design import build_design
from workbench.describe.interactions import arch_choices, fit_interactions, kernel
from workbench.spaces import get_space

NETWORKS = toy_networks(800)
CHOICES = arch_choices("nasbench201", NETWORKS.archs)
ROWS, OTHERS = np.arange(0, 800, 2), np.arange(1, 800, 2)


def folded(scale: float) -> np.ndarray:
    """An effect of two places together: both the first and the last are among the same three operations."""
    names = np.unique(CHOICES)[:3]
    return scale * (np.isin(CHOICES[:, 0], names) & np.isin(CHOICES[:, 5], names))


def test_an_effect_of_two_places_is_learnt_and_noise_is_not():
    noise = 0.05 * np.random.default_rng(0).standard_normal(800)
    residuals = np.stack([folded(0.3) - folded(0.3).mean() + 0.1 * noise, noise], axis=1)
    found = fit_interactions(CHOICES[ROWS], residuals[ROWS])
    learnt = found(CHOICES[OTHERS])
    assert np.abs(learnt[:, 0] - residuals[OTHERS, 0]).mean() < 0.3 * np.abs(residuals[OTHERS, 0]).mean()
    assert not learnt[:, 1].any()
    np.testing.assert_array_equal(found.without([1])(CHOICES[OTHERS])[:, 0], learnt[:, 0])


def test_unmeasured_networks_teach_nothing():
    residuals = np.stack([folded(0.3) - folded(0.3).mean()] * 2, axis=1)[ROWS]
    residuals[::3, 1] = np.nan
    found = fit_interactions(CHOICES[ROWS], residuals)
    assert not found.weights[::3, 1].any()
    assert found.weights[:, 1].any()
    assert np.isfinite(found(CHOICES)).all()


def test_choices_speak_of_the_same_in_every_call():
    np.testing.assert_array_equal(arch_choices("nasbench201", NETWORKS.archs[7:9]), CHOICES[7:9])
    archs = get_space("ofa_mobilenetv3").sample(3, np.random.default_rng(0))
    assert arch_choices("ofa_mobilenetv3", archs) is None


def test_the_kernel_is_a_correlation():
    covariance = kernel(CHOICES[:60], CHOICES[:60], 1.0)
    np.testing.assert_allclose(np.diag(covariance), 1)
    assert np.linalg.eigvalsh(covariance).min() > -1e-9
    assert covariance.min() > 0


def test_the_kernel_multiplies_over_the_places():
    one, other = CHOICES[:40], CHOICES[100:130]
    expected = np.prod((1 + 3.0 * (one[:, None] == other[None])) / (1 + 3.0), axis=2)
    np.testing.assert_allclose(kernel(one, other, 3.0), expected, rtol=1e-12)


def test_a_design_of_additive_devices_has_none_and_one_that_folds_has_some():
    sources = toy_sources(NETWORKS, ROWS)
    additive = build_design(NETWORKS, ROWS, sources.latency_ms)
    assert additive.interactions is None or not additive.interactions.weights[:, 0].any()
    latency_ms = sources.latency_ms.copy()
    latency_ms[:, 1] += folded(latency_ms[:, 1].mean())[ROWS]
    design = build_design(NETWORKS, ROWS, latency_ms)
    actual = list(SOURCES.values())[1].latency_ms(NETWORKS) + folded(latency_ms[:, 1].mean())
    relative = actual / latency_ms[:, 1].mean()
    alone = design.source - design.interactions(CHOICES)
    errors = [np.abs(source[OTHERS, 1] - relative[OTHERS]).mean() for source in (design.source, alone)]
    assert errors[0] < 0.6 * errors[1]
    assert design.without([1]).interactions is None or design.without([1]).source.shape[1] == len(SOURCES) - 1
