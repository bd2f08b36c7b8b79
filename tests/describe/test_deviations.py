"""Deviations: a Gaussian process over operators, written as features of networks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.toy import toy_networks
from workbench.data.networks import census_groups, encode
from workbench.describe.deviations import deviations
from workbench.describe.plausible import plausible_cost
from workbench.spaces import get_space

NETWORKS = toy_networks()
COST = plausible_cost(NETWORKS)


def groups() -> np.ndarray:
    return census_groups(NETWORKS.operators, NETWORKS.live)


def test_a_row_per_network_and_a_column_per_kind_of_operator_with_unit_mean_energy():
    block = deviations(NETWORKS, COST)
    assert block.shape == (len(NETWORKS), groups().max() + 1)
    assert (block**2).sum(axis=1).mean() == pytest.approx(1)
    np.testing.assert_allclose(block.mean(axis=0), 0, atol=1e-12)


def test_only_the_shape_of_the_cost_counts():
    np.testing.assert_allclose(deviations(NETWORKS, 7 * COST), deviations(NETWORKS, COST), atol=1e-12)


def test_it_is_additive_in_operator_counts_and_so_known_of_any_network():
    block = deviations(NETWORKS, COST)
    census = NETWORKS.census - NETWORKS.census.mean(axis=0)
    weights, *_ = np.linalg.lstsq(census, block, rcond=None)
    np.testing.assert_allclose(census @ weights, block, atol=1e-6)


def test_an_operator_that_costs_nothing_deviates_by_nothing():
    dear = int(np.argmax(COST * NETWORKS.counts.std(axis=0)))
    free = np.where(groups() == groups()[dear], 0.0, COST)
    without = replace(NETWORKS, counts=NETWORKS.counts * (groups() != groups()[dear]))
    before, after = deviations(NETWORKS, free), deviations(without, free)
    np.testing.assert_allclose(before @ before.T, after @ after.T, atol=1e-3)


def test_like_operators_deviate_alike():
    """What a kind of operator tells of another falls with the distance of their features."""
    space = get_space("fbnet")
    networks = encode("fbnet", space.sample(50, np.random.default_rng(0)))
    kinds = census_groups(networks.operators, networks.live)
    _, first = np.unique(kinds, return_index=True)
    single = replace(networks, counts=np.eye(len(kinds), dtype=np.float32)[first])  # a network of each kind alone
    block = deviations(single, np.ones(len(kinds)))
    covariance = block @ block.T
    features = networks.features[first]
    distance = ((features[:, None] - features[None]) ** 2).mean(axis=2)
    pairs = np.triu_indices(len(first), 1)
    nearest = np.argsort(distance[pairs])[: len(pairs[0]) // 50]
    assert covariance[pairs][nearest].mean() > covariance[pairs].mean() + 0.1 * covariance.diagonal().mean()
