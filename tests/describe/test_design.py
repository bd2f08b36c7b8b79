"""The linear view of a space: ridge regression, principal components, devices that are partly measured."""

from __future__ import annotations

import numpy as np
import pytest

from tests.toy import SOURCES, TARGETS, toy_networks, toy_sources
from workbench.config import WorkbenchError
from workbench.describe.design import ROUNDS, build_design, principal_components, ridge, standardise

NETWORKS = toy_networks()
ROWS = np.arange(0, 200, 2)


@pytest.fixture(scope="module")
def sources():
    return toy_sources(NETWORKS, ROWS)


@pytest.fixture(scope="module")
def design(sources):
    return build_design(NETWORKS, ROWS, sources.latency_ms)


def test_ridge_recovers_an_exact_linear_law():
    draw = np.random.default_rng(0)
    scales = 10.0 ** np.arange(-3, 3)
    x, queries = (draw.standard_normal((count, 6)) * scales + 5 for count in (80, 30))
    weights, constant = draw.standard_normal((6, 3)) / scales[:, None], np.array([1.0, -2.0, 30.0])
    actual = queries @ weights + constant
    predicted = ridge(x, x @ weights + constant, queries)
    np.testing.assert_allclose(predicted, actual, atol=1e-3 * actual.std())


def test_ridge_of_a_constant_is_the_constant():
    x = np.random.default_rng(0).standard_normal((20, 3))
    np.testing.assert_allclose(ridge(x, np.full((20, 1), 7.0), 100 * x), 7)


def test_ridge_does_not_believe_noise():
    """With more features than samples and nothing to learn, the prediction stays near the mean."""
    draw = np.random.default_rng(1)
    x, y = draw.standard_normal((40, 100)), draw.standard_normal((40, 1))
    predicted = ridge(x, y, draw.standard_normal((500, 100)))
    assert predicted.std() < 0.6 * y.std()


def test_wild_targets_decide_nothing_if_they_are_drawn_in():
    draw = np.random.default_rng(3)
    x, queries = draw.standard_normal((200, 5)), draw.standard_normal((100, 5))
    weights = draw.standard_normal((5, 2))
    clean, actual = 10 + x @ weights, 10 + queries @ weights
    wild = clean + 0.05 * draw.standard_normal(clean.shape)
    wild[::10, 0] *= 2  # one device has them, the other has none
    plain, robust = ridge(x, wild, queries) - actual, ridge(x, wild, queries, ROUNDS) - actual
    assert np.abs(robust[:, 0]).mean() < 0.3 * np.abs(plain[:, 0]).mean()
    assert np.abs(robust[:, 1]).mean() < 1.2 * np.abs(plain[:, 1]).mean()


def test_ridge_shrugs_off_a_feature_that_never_varied():
    draw = np.random.default_rng(2)
    x = np.concatenate([draw.standard_normal((50, 2)), np.full((50, 1), 0.1)], axis=1)
    queries = x[:5].copy()
    queries[:, 2] = 40
    y = x[:, :1] * 2 + 1
    np.testing.assert_allclose(ridge(x, y, queries), y[:5], atol=1e-2)


def test_principal_components_are_orthogonal_and_scaled_to_the_first():
    source = np.random.default_rng(0).standard_normal((50, 4)) @ np.diag([5.0, 2, 1, 0.1]) + 9
    components = principal_components(source)
    assert components.shape == (50, 4)
    np.testing.assert_allclose(components.mean(axis=0), 0, atol=1e-12)
    assert components[:, 0].std() == pytest.approx(1)
    assert (np.diff(components.std(axis=0)) < 0).all()
    off_diagonal = components.T @ components - np.diag((components**2).sum(axis=0))
    np.testing.assert_allclose(off_diagonal, 0, atol=1e-9)
    np.testing.assert_allclose(np.abs(principal_components(10 * source + 3)), np.abs(components), atol=1e-9)


def test_standardise():
    table = standardise(np.random.default_rng(0).uniform(5, 9, (40, 3)))
    np.testing.assert_allclose(table.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(table.std(axis=0), 1)


def test_design_describes_every_source_on_networks_it_was_not_measured_on(design):
    others = np.setdiff1d(np.arange(len(NETWORKS)), ROWS)
    for index, device in enumerate(SOURCES.values()):
        actual = device.latency_ms(NETWORKS)
        np.testing.assert_allclose(design.source[others, index], actual[others] / actual[ROWS].mean(), rtol=0.15)
        assert np.corrcoef(design.source[others, index], actual[others])[0, 1] > 0.99


def test_design_has_one_row_per_network_and_three_blocks(design):
    assert design.source.shape == (len(NETWORKS), len(SOURCES))
    assert [len(block) for block in design.blocks] == [len(NETWORKS)] * 3
    assert all(np.isfinite(block).all() for block in design.blocks)
    width = sum(block.shape[1] for block in design.blocks)
    weighted = design.weighted((2.0, 0.5, 0.0))
    assert weighted.shape == (len(NETWORKS), width)
    np.testing.assert_array_equal(weighted[:, : design.principal.shape[1]], 2 * design.principal)
    assert not weighted[:, -design.deviations.shape[1] :].any()


def test_design_knows_no_scale(sources, design):
    scaled = build_design(NETWORKS, ROWS, sources.latency_ms * np.array([1, 10, 1e-3, 1e4, 2]))
    np.testing.assert_allclose(scaled.source, design.source, rtol=1e-6)


def test_leaving_a_device_out_is_as_if_it_had_not_been_there(sources, design):
    without = design.without([1])
    rebuilt = build_design(NETWORKS, ROWS, np.delete(sources.latency_ms, 1, axis=1))
    np.testing.assert_allclose(without.source, rebuilt.source, rtol=1e-8)
    np.testing.assert_allclose(np.abs(without.principal), np.abs(rebuilt.principal), atol=1e-6)
    assert design.source.shape[1] == len(SOURCES), "the design itself is left alone"


def test_devices_measured_on_different_networks(sources, design):
    """What is missing on one device changes nothing for the others."""
    latency_ms = sources.latency_ms.copy()
    latency_ms[::3, 1] = np.nan
    latency_ms[1::3, 3] = np.nan
    partial = build_design(NETWORKS, ROWS, latency_ms)
    for index in (0, 2, 4):
        np.testing.assert_allclose(partial.source[:, index], design.source[:, index], rtol=1e-8)
    for index in (1, 3):
        assert np.corrcoef(partial.source[:, index], design.source[:, index])[0, 1] > 0.98


def test_latencies_of_rows_that_are_not_sources_are_not_asked_for(sources, design):
    """The design is a function of the source rows: shuffled together with their rows, they give the same."""
    order = np.random.default_rng(0).permutation(len(ROWS))
    shuffled = build_design(NETWORKS, ROWS[order], sources.latency_ms[order])
    np.testing.assert_allclose(shuffled.source, design.source, rtol=1e-6)


def test_a_source_with_too_few_measurements_is_refused(sources):
    latency_ms = sources.latency_ms.copy()
    latency_ms[1:, 0] = np.nan
    with pytest.raises(WorkbenchError, match="at least two measured architectures"):
        build_design(NETWORKS, ROWS, latency_ms)


def test_one_source_device_is_enough(sources):
    design = build_design(NETWORKS, ROWS, sources.latency_ms[:, :1])
    assert design.principal.shape == (len(NETWORKS), 1)


def test_new_devices_lie_near_the_design(design):
    """A toy device that is no source is nearly linear in the blocks: that is what makes few probes enough."""
    blocks = np.concatenate([design.principal, design.physics], axis=1)
    terms = np.concatenate([blocks, np.ones((len(blocks), 1))], axis=1)
    for device in TARGETS.values():
        actual = device.latency_ms(NETWORKS)
        fitted = terms @ np.linalg.lstsq(terms, actual, rcond=None)[0]
        assert np.abs(fitted - actual).sum() < 0.1 * np.abs(actual - actual.mean()).sum()
