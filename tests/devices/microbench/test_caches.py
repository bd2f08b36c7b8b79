"""Caches found in sweeps whose law is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.devices.microbench.caches import find_caches
from workbench.devices.microbench.sweep import working_sets

SIZES = working_sets(4, 256, 4)
BANDWIDTHS = (200.0, 160.0, 90.0, 40.0)


def sweeps(caches_kib, sharp, bandwidths=BANDWIDTHS, noise=0.02, rounds=4, seed=0):
    """`r x s` bandwidths of a hierarchy that keeps all of a set or nothing (``sharp``), or the share that fits."""
    inverse = np.full(len(SIZES), 1 / bandwidths[0])
    for size, before, after in zip(caches_kib, bandwidths, bandwidths[1:], strict=False):
        lost = (size < SIZES).astype(float) if sharp else np.clip(1 - size / SIZES, 0, 1)
        inverse += lost * (1 / after - 1 / before)
    return (1 / inverse) * np.exp(np.random.default_rng(seed).normal(0, noise, (rounds, len(SIZES))))


@pytest.mark.parametrize(
    "caches", [(48.0,), (32.0, 1024.0), (48.0, 1024.0, 32768.0), (128.0, 4096.0), (32.0, 512.0, 8192.0)]
)
@pytest.mark.parametrize("sharp", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_the_caches_of_a_known_hierarchy_are_found(caches, sharp, seed):
    found = find_caches(SIZES, sweeps(caches, sharp, seed=seed), most=3)
    assert len(found) == len(caches)
    for cache, size in zip(found, caches, strict=True):
        assert size / 2 < cache.size_kib < 2.5 * size, "where only a share is lost, half the fall comes later"
        if sharp:
            assert cache.low_kib <= size <= cache.high_kib


@given(seed=st.integers(0, 999), level=st.floats(1, 1e4))
def test_a_flat_sweep_has_no_cache(seed, level):
    assert find_caches(SIZES, sweeps((), True, bandwidths=(level,), noise=0.03, seed=seed), most=3) == []


def test_a_sweep_that_rises_has_no_cache():
    """As on a device whose calls cost more than the smallest sets."""
    assert find_caches(SIZES, [SIZES**0.1, SIZES**0.1], most=3) == []


@given(seed=st.integers(0, 999), slow=st.floats(0.3, 1))
def test_a_slow_round_moves_nothing(seed, slow):
    rounds = sweeps((48.0, 1024.0, 32768.0), True, seed=seed)
    disturbed = rounds * np.array([[1.0], [slow], [1.0], [1.0]])
    expected, found = (find_caches(SIZES, each, most=3) for each in (rounds, disturbed))
    assert np.allclose(found, expected)


@given(seed=st.integers(0, 999), place=st.integers(1, len(SIZES) - 2), factor=st.sampled_from([0.5, 1.5]))
def test_an_outlier_is_no_cache(seed, place, factor):
    rounds = sweeps((), True, bandwidths=(50.0,), noise=0.01, seed=seed)
    rounds[:, place] *= factor
    assert find_caches(SIZES, rounds, most=3) == []


@given(seed=st.integers(0, 999))
def test_no_more_than_asked_for_and_outwards(seed):
    rounds = sweeps((48.0, 1024.0, 32768.0), False, seed=seed)
    for most in (0, 1, 2):
        assert len(find_caches(SIZES, rounds, most)) == most
    found = find_caches(SIZES, rounds, most=3)
    assert [cache.size_kib for cache in found] == sorted(cache.size_kib for cache in found)
    assert all(cache.low_kib < cache.size_kib < cache.high_kib for cache in found)


def test_disagreeing_rounds_widen_the_bounds():
    one, other = (sweeps((size,), True, rounds=3) for size in (1000.0, 2000.0))
    agreed, split = (find_caches(SIZES, rounds, most=1)[0] for rounds in (one, np.vstack([one, other])))
    assert split.high_kib / split.low_kib > agreed.high_kib / agreed.low_kib


def test_one_round_of_few_sizes_is_enough_to_find_nothing():
    assert find_caches(working_sets(4, 0.03, 1), [np.ones(3)], most=3) == []
