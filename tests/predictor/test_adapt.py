"""The Bayesian head: exact where the law is, unmoved by outliers, honest about noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from workbench.config import WorkbenchError
from workbench.predictor.adapt import HeadConfig, adapt
from workbench.predictor.opinions import PriorMean, shaped

NETWORKS, PROBES = 120, np.arange(3, 120, 6)
OTHERS = np.setdiff1d(np.arange(NETWORKS), PROBES)
#: One model and no outliers: plain Bayesian ridge.
SINGLE = HeadConfig((0.7,), (0.4,), (0.1,), (0.3,), (0.1,), outlier=1e-9, noise_power=0.0, pairs=0)


def draw_blocks(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    return tuple(draw.standard_normal((NETWORKS, width)) for width in (2, 3, 4))


BLOCKS = draw_blocks()


def law(scale_ms: float = 20.0) -> np.ndarray:
    """Milliseconds that are exactly linear in the blocks."""
    weights = (np.array([0.15, -0.08]), np.array([0.05, 0.03, -0.06]), np.array([0.01, -0.01, 0.005, 0.01]))
    return scale_ms * (1 + sum(block @ weight for block, weight in zip(BLOCKS, weights, strict=True)))


def noisy(sd: float, seed: int = 1) -> np.ndarray:
    return law() * (1 + sd * np.random.default_rng(seed).standard_normal(NETWORKS))


def test_a_noise_free_linear_law_is_found():
    actual = law()
    mean, deviation = adapt(BLOCKS, PROBES, actual[PROBES]).predict()
    np.testing.assert_allclose(mean[OTHERS], actual[OTHERS], rtol=0.05)
    assert (deviation > 0).all()
    assert np.abs(mean - actual)[OTHERS].mean() < 0.1 * np.abs(actual - actual.mean()).mean()


def test_it_is_bayesian_ridge_regression():
    """One model on the grid gives the textbook posterior in feature space."""
    probe_ms = noisy(0.02)[PROBES]
    mean, deviation = adapt(BLOCKS, PROBES, probe_ms, config=SINGLE).predict()
    scales = SINGLE.principal, SINGLE.physics, SINGLE.deviations
    scaled = [scale[0] * block for scale, block in zip(scales, BLOCKS, strict=True)]
    terms = 0.3 * np.concatenate([*scaled, np.ones((NETWORKS, 1))], axis=1)
    relative = probe_ms / probe_ms.mean()
    inverse = np.linalg.inv(terms[PROBES].T @ terms[PROBES] / 0.1**2 + np.eye(terms.shape[1]))
    expected = 1 + terms @ inverse @ terms[PROBES].T @ (relative - 1) / 0.1**2
    variance = np.einsum("af,fg,ag->a", terms, inverse, terms) + 0.1**2
    np.testing.assert_allclose(mean, expected * probe_ms.mean(), rtol=1e-6)
    np.testing.assert_allclose(deviation, np.sqrt(variance) * probe_ms.mean(), rtol=1e-4)


def test_without_outliers_a_wild_probe_is_believed():
    """An outlier probability of zero leaves plain ridge regression, whatever was measured."""
    probe_ms = noisy(0.01)[PROBES]
    probe_ms[7] *= 5
    posterior = adapt(BLOCKS, PROBES, probe_ms, config=replace(SINGLE, outlier=0.0))
    assert not posterior.outlier.any()
    believed = posterior.predict()[0]
    np.testing.assert_allclose(
        believed, adapt(BLOCKS, PROBES, probe_ms, config=replace(SINGLE, outlier=1e-300)).predict()[0]
    )


def test_nothing_given_is_changed_and_twice_is_the_same():
    blocks, probes, probe_ms = tuple(block.copy() for block in BLOCKS), PROBES.copy(), noisy(0.05)[PROBES]
    prior = PriorMean("right", law().copy(), law()[PROBES].copy())
    kept = probe_ms.copy()
    first, second = (adapt(blocks, probes, probe_ms, [prior]) for _ in range(2))
    for posterior in (first, second):
        posterior.predict()
    for before, after in zip(
        (*BLOCKS, PROBES, kept, law(), law()[PROBES]), (*blocks, probes, probe_ms, *prior[1:3]), strict=True
    ):
        np.testing.assert_array_equal(before, after)
    for one, other in zip(first.predict(), second.predict(), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(first.outlier, second.outlier)
    assert first.trust == second.trust


def test_milliseconds_or_microseconds_make_no_difference():
    actual = noisy(0.05)
    slow, fast = (adapt(BLOCKS, PROBES, actual[PROBES] * unit).predict() for unit in (1, 1000))
    for one, other in zip(slow, fast, strict=True):
        np.testing.assert_allclose(1000 * one, other, rtol=1e-8)


@pytest.mark.parametrize("factor", [3.0, 0.2])
def test_an_outlier_is_suspected_and_hardly_matters(factor):
    actual = noisy(0.01)
    clean = adapt(BLOCKS, PROBES, actual[PROBES])
    probe_ms = actual[PROBES].copy()
    probe_ms[7] *= factor
    posterior = adapt(BLOCKS, PROBES, probe_ms)
    assert posterior.outlier[7] > 0.95
    assert np.delete(posterior.outlier, 7).max() < 0.2
    assert clean.outlier.max() < 0.2
    mean, clean_mean = posterior.predict()[0], clean.predict()[0]
    spread = np.abs(actual - actual.mean()).mean()
    assert np.abs(mean - clean_mean)[OTHERS].mean() < 0.15 * spread
    naive = adapt(BLOCKS, PROBES, probe_ms, config=replace(SINGLE, outlier=1e-300)).predict()[0]
    assert np.abs(naive - actual)[OTHERS].mean() > 3 * np.abs(mean - actual)[OTHERS].mean(), (
        "without the hypothesis it does matter"
    )


def test_two_outliers_are_both_suspected():
    probe_ms = noisy(0.01)[PROBES]
    probe_ms[[2, 11]] *= [4, 3]
    posterior = adapt(BLOCKS, PROBES, probe_ms)
    assert posterior.outlier[[2, 11]].min() > 0.9
    assert np.delete(posterior.outlier, [2, 11]).max() < 0.3


def test_an_outlier_widens_all_intervals():
    """What happened to one measurement can happen to the ones that are predicted, though noise and scales are fixed."""
    probe_ms, config = noisy(0.01)[PROBES], replace(SINGLE, outlier=0.05)
    calm = adapt(BLOCKS, PROBES, probe_ms, config=config).predict()[1] / probe_ms.mean()
    probe_ms[7] *= 3
    assert (adapt(BLOCKS, PROBES, probe_ms, config=config).predict()[1] / probe_ms.mean() > 2 * calm).all()


def test_whole_milliseconds_are_believed_less():
    """They are those of a coarse clock; the same readings in another unit are not, and neither are they to a head that
    is not wary."""
    few = PROBES[:6]
    whole = np.round(40 * noisy(0.02)[few])
    said = [
        adapt(BLOCKS, few, probe_ms, config=config).predict()[1].mean() / probe_ms.mean()
        for probe_ms, config in ((whole, HeadConfig()), (whole * 1.0001, HeadConfig()), (whole, HeadConfig(wary=False)))
    ]
    assert said[0] > 1.1 * said[1]
    assert said[1] == pytest.approx(said[2], rel=1e-6)


def test_intervals_grow_with_the_noise():
    widths = [np.median(adapt(BLOCKS, PROBES, noisy(sd)[PROBES]).predict()[1]) for sd in (0.0, 0.05, 0.2)]
    assert widths[0] < 0.7 * widths[1]
    assert widths[1] < 0.7 * widths[2]


def test_intervals_cover_what_they_promise():
    """Ninety percent intervals hold about ninety percent when the noise is Gaussian."""
    inside = []
    for seed in range(20):
        actual = noisy(0.1, seed)
        mean, deviation = adapt(BLOCKS, PROBES, actual[PROBES]).predict(OTHERS)
        inside.append(np.abs(actual[OTHERS] - mean) <= 1.645 * deviation)
    assert 0.84 < np.mean(inside) < 0.97


def test_more_probes_leave_less_doubt():
    actual = noisy(0.05)
    few, many = (adapt(BLOCKS, rows, actual[rows], config=SINGLE).predict(OTHERS)[1] for rows in (PROBES[:4], PROBES))
    assert (many < few).mean() > 0.95


def test_networks_unlike_the_probes_are_less_certain():
    blocks = tuple(block.copy() for block in BLOCKS)
    for block in blocks:
        block[OTHERS[0]] *= 10
    deviation = adapt(blocks, PROBES, noisy(0.02)[PROBES]).predict()[1]
    assert deviation[OTHERS[0]] > 3 * np.median(deviation)


def test_a_prior_that_is_right_is_trusted_and_one_that_is_wrong_is_not():
    draw = np.random.default_rng(5)
    actual = 20 * np.exp(0.5 * draw.standard_normal(NETWORKS))  # nothing to do with the blocks
    good = PriorMean("good", actual, actual[PROBES])
    right = adapt(BLOCKS, PROBES, actual[PROBES], [good])
    wrong_ms = 20 * np.exp(0.5 * draw.standard_normal(NETWORKS))
    bad = PriorMean("bad", wrong_ms, wrong_ms[PROBES])
    wrong = adapt(BLOCKS, PROBES, actual[PROBES], [bad])
    assert right.trust["good"] > 0.9
    assert wrong.trust["bad"] < 0.3
    both = adapt(BLOCKS, PROBES, actual[PROBES], [bad, good])
    assert both.trust["good"] > 0.9
    assert both.trust["bad"] < 0.1
    np.testing.assert_allclose(right.predict()[0][OTHERS], actual[OTHERS], rtol=0.1)


def test_a_prior_is_judged_on_probes_it_has_not_seen():
    """A prior that repeats its probes, but predicts them badly from the others, earns no trust."""
    actual = law()
    guess = np.random.default_rng(3).uniform(10, 40, NETWORKS)
    memorised = guess.copy()
    memorised[PROBES] = actual[PROBES]
    posterior = adapt(BLOCKS, PROBES, actual[PROBES], [PriorMean("memory", memorised, guess[PROBES])])
    assert posterior.trust["memory"] < 0.1
    np.testing.assert_allclose(posterior.predict()[0][OTHERS], actual[OTHERS], rtol=0.05)


def test_without_a_prior_there_is_nothing_to_trust():
    assert adapt(BLOCKS, PROBES, law()[PROBES]).trust == {}


def test_a_wild_probe_does_not_move_the_scale_of_a_shape():
    shape, actual = law(), 3 * law()
    probe_ms = actual[PROBES].copy()
    probe_ms[[1, 5]] *= 4
    prior = shaped("right", shape, PROBES, probe_ms)
    np.testing.assert_allclose(prior.ms, actual)
    np.testing.assert_allclose(prior.probe_ms, actual[PROBES])
    assert adapt(BLOCKS, PROBES, probe_ms, [prior]).scale == pytest.approx(actual[PROBES].mean())


def test_models_carry_nearly_all_the_weight():
    for sd in (0.0, 0.1):
        posterior = adapt(BLOCKS, PROBES, noisy(sd)[PROBES])
        shares = np.array([model.weight for model in posterior.models])
        assert shares.sum() == pytest.approx(1)
        assert (np.diff(shares) <= 0).all()
    everything = adapt(BLOCKS, PROBES[:3], noisy(0.1)[PROBES[:3]])
    assert len(everything.models) > 1


def test_moments_are_those_of_the_mixture_of_its_members():
    """Each member's posterior by itself, by the textbook (Rasmussen and Williams 2006, equations 2.23 and 2.24)."""
    probe_ms = noisy(0.1)[PROBES]
    probe_ms[3] *= 2.5
    posterior = adapt(BLOCKS, PROBES, probe_ms, [shaped("truth", noisy(0.3, seed=2), PROBES, probe_ms)])
    assert any(model.outliers for model in posterior.models)
    rows, others = OTHERS[:7], OTHERS[5:9]
    relative, means, spreads, noises = probe_ms / posterior.scale, [], [], []
    for model in posterior.models:
        features = np.concatenate([s * block for s, block in zip(model.scales, BLOCKS, strict=True)], axis=1)
        kernel = model.spread**2 * (features @ features.T + 1)
        errors = model.noise**2 * np.maximum(relative, 0.05)
        errors[list(model.outliers)] += 1.0
        gain = kernel[:, PROBES] @ np.linalg.inv(kernel[np.ix_(PROBES, PROBES)] + np.diag(errors))
        prior = posterior.means[model.mean]
        means.append(prior.all + gain @ (relative - prior.probes))
        spreads.append(kernel - gain @ kernel[PROBES])
        noises.append(model.noise**2 * np.maximum(means[-1][rows], 0.05))
    shares, means = np.array([model.weight for model in posterior.models]), np.array(means)
    covariance = np.tensordot(shares, spreads, 1) + np.cov(means.T, aweights=shares, ddof=0)
    found = posterior.moments(rows, others)
    np.testing.assert_allclose(found.mean, (shares @ means)[rows], rtol=1e-9)
    np.testing.assert_allclose(found.variance, np.diag(covariance)[rows], rtol=1e-6)
    np.testing.assert_allclose(found.covariance, covariance[np.ix_(rows, others)], rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(found.noise, shares @ noises, rtol=1e-9)


def test_rows_can_be_asked_for_singly():
    posterior = adapt(BLOCKS, PROBES, noisy(0.05)[PROBES])
    mean, deviation = posterior.predict()
    some = posterior.predict(np.array([5, 90]))
    np.testing.assert_allclose(some[0], mean[[5, 90]])
    np.testing.assert_allclose(some[1], deviation[[5, 90]])


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_probes_are_enough_to_answer(count):
    actual = law()
    mean, deviation = adapt(BLOCKS, PROBES[:count], actual[PROBES[:count]]).predict()
    assert np.isfinite(mean).all()
    assert (deviation > 0).all()
    assert 0.5 < (mean / actual).mean() < 2


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_impossible_latencies_are_refused(bad):
    probe_ms = law()[PROBES]
    probe_ms[3] = bad
    with pytest.raises(WorkbenchError, match="Adaptation expects positive probe latencies in ms, got"):
        adapt(BLOCKS, PROBES, probe_ms)


def test_no_probes_are_refused():
    with pytest.raises(WorkbenchError, match="Adaptation expects"):
        adapt(BLOCKS, PROBES[:0], np.array([]))


def test_a_suspected_outlier_widens_every_interval():
    generator = np.random.default_rng(3)
    blocks = tuple(generator.standard_normal((60, width)) for width in (2, 3, 4))
    latency = 10 + blocks[0] @ np.array([1.0, 0.5])
    probes = np.arange(12)
    probe_ms = latency[probes].copy()
    probe_ms[4] *= 3
    posterior = adapt(blocks, probes, probe_ms)
    assert posterior.outlier[4] > 0.9
    unsuspecting = replace(posterior, outlier=np.zeros(len(probes)))
    assert (posterior.predict()[1] > 1.5 * unsuspecting.predict()[1]).all()
