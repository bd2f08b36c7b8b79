"""The contract of every probe selector, and what D-optimal design promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.config import WorkbenchError
from workbench.describe.dbsel import CENTRAL, INTERCEPT, NOISE, SELECTORS, Candidates, select_probes

FEATURES = np.random.default_rng(7).standard_normal((60, 5))


def pool(features: np.ndarray) -> Candidates:
    """Networks whose FLOPs are their first feature, on three source devices that weigh features differently."""
    source = np.abs(features @ np.random.default_rng(1).standard_normal((features.shape[1], 3))) + 1
    return Candidates(features, features[:, 0] - features[:, 0].min(), source)


def select(name: str, count: int, features: np.ndarray = FEATURES, candidates=None, seed: int = 0) -> np.ndarray:
    return select_probes(name, pool(features), count, np.random.default_rng(seed), candidates)


@pytest.mark.parametrize("name", SELECTORS)
@given(count=st.integers(1, 25), rows=st.integers(25, 60), seed=st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_probes_are_distinct_rows(name, count, rows, seed):
    probes = select(name, count, FEATURES[:rows], seed=seed)
    assert probes.shape == (count,)
    assert len(set(probes.tolist())) == count
    assert probes.min() >= 0
    assert probes.max() < rows


@pytest.mark.parametrize("name", SELECTORS)
def test_same_seed_same_probes_and_features_unchanged(name):
    before = FEATURES.copy()
    np.testing.assert_array_equal(select(name, 8, seed=3), select(name, 8, seed=3))
    np.testing.assert_array_equal(FEATURES, before)


@pytest.mark.parametrize("name", SELECTORS)
def test_candidates_are_respected(name):
    candidates = np.array([50, 3, 17, 44, 8, 21])
    assert set(select(name, 4, candidates=candidates)) <= set(candidates)
    assert set(select(name, 6, candidates=candidates)) == set(candidates)


@pytest.mark.parametrize("name", SELECTORS)
def test_all_rows_can_be_probes(name):
    assert sorted(select(name, len(FEATURES))) == list(range(len(FEATURES)))


@pytest.mark.parametrize("name", SELECTORS)
@pytest.mark.parametrize("count", [0, -1, 61])
def test_impossible_numbers_of_probes(name, count):
    with pytest.raises(WorkbenchError, match=f"Cannot select {count} probes from 60 architectures; ask for 1 to 60"):
        select(name, count)


@pytest.mark.parametrize("name", SELECTORS)
def test_more_probes_than_candidates(name):
    with pytest.raises(WorkbenchError, match="Cannot select 3 probes from 2 architectures"):
        select(name, 3, candidates=np.array([1, 2]))


@pytest.mark.parametrize("name", SELECTORS)
def test_selectors_leave_the_global_stream_alone(name):
    before = np.random.get_state()  # noqa: NPY002
    select(name, 5)
    assert before[2:] == np.random.get_state()[2:]  # noqa: NPY002
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


def test_unknown_selector():
    with pytest.raises(WorkbenchError, match="Unknown selector 'd_optimall'; did you mean 'd_optimal'"):
        select("d_optimall", 3)


def test_random_follows_its_seed():
    assert set(select("random", 8, seed=1)) != set(select("random", 8, seed=2))


def posterior_variance(features: np.ndarray, probes: np.ndarray) -> np.ndarray:
    """Variance of every row's latency under the Bayesian linear model, from the textbook formula."""
    rows = np.concatenate([np.full((len(features), 1), INTERCEPT), features], axis=1)
    precision = np.eye(rows.shape[1]) + rows[probes].T @ rows[probes] / NOISE**2
    return np.einsum("af,fg,ag->a", rows, np.linalg.inv(precision), rows)


def test_d_optimal_always_takes_the_row_that_is_least_certain():
    probes = select("d_optimal", 12)
    for taken in range(len(probes)):
        variance = posterior_variance(FEATURES, probes[:taken])
        variance[probes[:taken]] = -1
        assert probes[taken] == variance.argmax()


def test_d_optimal_takes_the_extreme_first_and_then_another_direction():
    features = np.zeros((20, 2))
    features[:, 0] = np.linspace(0, 1, 20)
    features[4] = [10, 0]
    features[5] = [9.9, 0]
    features[6] = [0, 5]
    assert select("d_optimal", 3).tolist() == select("d_optimal", 3, seed=9).tolist()
    assert select("d_optimal", 2, features).tolist() == [4, 6]


def test_d_optimal_leaves_less_uncertainty_than_chance():
    optimal = posterior_variance(FEATURES, select("d_optimal", 6)).mean()
    chance = [posterior_variance(FEATURES, select("random", 6, seed=seed)).mean() for seed in range(20)]
    assert optimal < np.mean(chance)


def test_a_optimal_always_lowers_the_mean_variance_most():
    probes = select("a_optimal", 6)
    for taken in range(len(probes)):
        left = [
            posterior_variance(FEATURES, np.append(probes[:taken], row)).mean() if row not in probes[:taken] else np.inf
            for row in range(len(FEATURES))
        ]
        assert probes[taken] == np.argmin(left)


def test_central_passes_over_extremes_and_else_chooses_like_a_optimal():
    away = ((FEATURES - FEATURES.mean(axis=0)) ** 2).sum(axis=1)
    extremes = np.argsort(away)[int(np.ceil(CENTRAL * len(away))) :]
    assert len(extremes)
    probes = select("central", 6)
    assert not set(probes) & set(extremes)
    for taken in range(len(probes)):
        gone = {*probes[:taken], *extremes}
        left = [
            posterior_variance(FEATURES, np.append(probes[:taken], row)).mean() if row not in gone else np.inf
            for row in range(len(FEATURES))
        ]
        assert probes[taken] == np.argmin(left)


@pytest.mark.parametrize("name", ["flops_stratified", "latency_quantile"])
def test_strata_hold_one_probe_each(name):
    known = pool(FEATURES)
    key = known.flops if name == "flops_stratified" else known.source.mean(axis=1)
    strata = [set(part) for part in np.array_split(np.argsort(key), 6)]
    assert sorted(next(i for i, part in enumerate(strata) if row in part) for row in select(name, 6)) == list(range(6))


@pytest.mark.parametrize("name", ["k_means", "k_medoids"])
def test_clusters_get_one_probe_each(name):
    draw = np.random.default_rng(3)
    centres = 20 * draw.standard_normal((5, 5))
    features = np.concatenate([centre + 0.1 * draw.standard_normal((20, 5)) for centre in centres])
    assert sorted(row // 20 for row in select(name, 5, features)) == list(range(5))


def test_disagreement_begins_where_sources_rank_most_differently():
    source = np.tile(np.arange(1.0, 31.0)[:, None], (1, 3))
    source[[4, 25], 0] = source[[25, 4], 0]
    known = Candidates(np.zeros((30, 2)), np.ones(30), source)
    assert set(select_probes("disagreement", known, 2, np.random.default_rng(0))) == {4, 25}


@pytest.mark.slow
@pytest.mark.parametrize("name", SELECTORS)
def test_probes_from_the_whole_of_nasbench201(name):
    known = pool(np.random.default_rng(0).standard_normal((15625, 50)))
    assert len(set(select_probes(name, known, 20, np.random.default_rng(0)))) == 20
