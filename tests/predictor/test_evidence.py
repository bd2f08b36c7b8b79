"""The evidence of numbers, and of all but some of them, against densities that are computed one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from workbench.predictor.evidence import Evidence

SPREAD, NOISE = (0.3, 2.0), (0.1, 0.5, 1.5)


def drawn(seed: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three covariances of low rank, noise shapes, and two columns of numbers."""
    draw = np.random.default_rng(seed)
    root = draw.standard_normal((3, count, 2))
    return root @ root.transpose(0, 2, 1), draw.uniform(0.5, 2, count), draw.standard_normal((count, 2))


def densities(
    covariance: np.ndarray, shape: np.ndarray, residuals: np.ndarray, left_out: tuple[int, ...]
) -> np.ndarray:
    """`m x t` log densities of what is not left out, without constants."""
    kept = np.delete(np.arange(len(shape)), left_out)
    found = []
    for matrix, spread, noise in itertools.product(covariance, SPREAD, NOISE):
        among = (spread**2 * matrix + noise**2 * np.diag(shape))[np.ix_(kept, kept)]
        found.append(stats.multivariate_normal(cov=among).logpdf(residuals[kept].T) if len(kept) else np.zeros(2))
    return np.array(found) + 0.5 * len(kept) * np.log(2 * np.pi)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 6))
def test_it_is_the_density_of_all_numbers_and_of_all_but_one(seed, count):
    parts = drawn(seed, count)
    evidence = Evidence(*parts, SPREAD, NOISE)
    np.testing.assert_allclose(evidence.whole(), densities(*parts, ()), atol=1e-7)
    each = [densities(*parts, (k,)) for k in range(count)]
    np.testing.assert_allclose(evidence.without_one(), each, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("pair", list(itertools.combinations(range(4), 2)))
def test_two_may_be_left_out_in_either_order(pair):
    parts = drawn(0, 4)
    evidence = Evidence(*parts, SPREAD, NOISE)
    np.testing.assert_allclose(evidence.without_two(*pair), densities(*parts, pair), rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(evidence.without_two(*pair[::-1]), evidence.without_two(*pair), rtol=1e-7, atol=1e-7)


def test_without_the_only_number_nothing_is_left_to_explain():
    np.testing.assert_allclose(Evidence(*drawn(0, 1), SPREAD, NOISE).without_one(), 0.0, atol=1e-9)
