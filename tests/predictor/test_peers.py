"""The contract of every method, peers and floors and HODM alike; and peers are right where their assumption holds."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
import torch

from tests.peers import small_peers
from tests.toy import SOURCES, TARGETS, one_thread, rae, toy_networks, toy_sources
from workbench.config import WorkbenchError
from workbench.data.networks import encode
from workbench.describe.design import Design, build_design
from workbench.predictor.baselines import FLOORS, PEERS
from workbench.predictor.baselines.encodings import ENCODERS, arch_graphs
from workbench.predictor.baselines.finetune import absolute, closest, squared
from workbench.predictor.baselines.layerwise import table_sums
from workbench.predictor.baselines.nasflat import MARGIN, GraphAttention, pairwise_hinge
from workbench.predictor.baselines.scores import line, scale_of, source_labels
from workbench.predictor.baselines.torch_fit import minimise, seeded
from workbench.predictor.hodm import HODMConfig
from workbench.predictor.method import Estimate, Probed, Sources
from workbench.spaces import SPACES
from workbench.training.fit import FitConfig
from workbench.training.transfer import METHODS, trained_methods

NETWORKS = toy_networks()
ROWS = np.arange(0, 200, 2)
#: Twelve networks, some of them source rows.
POOL = np.arange(3, 200, 17)
QUICK = {**METHODS, **small_peers(), **trained_methods(FitConfig(steps=4, devices=6), HODMConfig(width=12, heads=2))}
OTHERS = [*FLOORS, *PEERS]


@pytest.fixture(scope="module", autouse=True)
def single_thread() -> Iterator[None]:
    with one_thread():
        yield


@cache
def known(space: str = "nasbench201") -> tuple[Sources, Design, np.ndarray]:
    sources = toy_sources(toy_networks(space=space), ROWS)
    return sources, build_design(sources.networks, ROWS, sources.latency_ms), POOL


def probed(device: str = "phone", rows: np.ndarray = POOL, space: str = "nasbench201") -> Probed:
    return Probed(rows, TARGETS[device].latency_ms(toy_networks(space=space))[rows])


def learnt(name: str, given: tuple[Sources, Design, np.ndarray] | None = None, seed: int = 0):
    return QUICK[name](*(given or known()), np.random.default_rng(seed))


def sound(estimate: Estimate, count: int = len(NETWORKS)) -> None:
    """Finite, positive, ordered, one row per network."""
    for part in estimate:
        assert part.shape == (count,)
        assert part.dtype == np.float64
        assert np.isfinite(part).all()
    assert (estimate.low_ms > 0).all()
    assert (estimate.low_ms <= estimate.ms).all()
    assert (estimate.ms <= estimate.high_ms).all()


def same(one: Estimate, other: Estimate) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


# The contract


def test_every_peer_is_a_method_and_no_floor():
    assert set(PEERS) <= set(METHODS)
    assert set(PEERS).isdisjoint(FLOORS)
    assert {"parameters", "layerwise", "layerwise_bias"} == set(PEERS) - set(small_peers())


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("name", METHODS)
def test_estimates_are_sound_in_every_space(name, space):
    estimate = learnt(name, known(space))(probed(space=space), None)()
    sound(estimate, len(known(space)[0].networks))


@pytest.mark.parametrize("name", METHODS)
def test_one_seed_gives_one_answer_and_targets_do_not_meet(name):
    """Adapting leaves what was learnt as it was, whatever came before."""
    adapt = learnt(name)
    first = adapt(probed(), None)()
    other = adapt(probed("accelerator"), None)()
    assert not same(first, other)
    assert same(first, adapt(probed(), None)())
    assert same(first, learnt(name)(probed(), None)())


@pytest.mark.parametrize("name", METHODS)
def test_nothing_given_is_changed_and_no_global_randomness_used(name):
    sources, design, pool = known()
    target = probed()
    given = (sources.latency_ms, sources.rows, *design[:-1], pool, *target, NETWORKS.counts)
    before, torch_state = [array.copy() for array in given], torch.random.get_rng_state()
    numpy_state = np.random.get_state()[1].copy()  # noqa: NPY002  (the state that must not move)
    learnt(name)(target, None)()
    for array, kept in zip(given, before, strict=True):
        np.testing.assert_array_equal(array, kept)
    assert torch.equal(torch_state, torch.random.get_rng_state())
    np.testing.assert_array_equal(numpy_state, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("name", OTHERS)
def test_fewer_probes_than_the_pool_still_give_an_answer(name, count):
    estimate = learnt(name)(probed(rows=POOL[:count]), None)()
    sound(estimate)
    actual = TARGETS["phone"].latency_ms(NETWORKS)
    assert 0.1 < np.median(estimate.ms / actual) < 10


@pytest.mark.parametrize("name", OTHERS)
def test_no_probes_are_refused(name):
    with pytest.raises(WorkbenchError, match=rf"Method '{name}' expects at least 1 probe .* got 0"):
        learnt(name)(probed(rows=POOL[:0]), None)


@pytest.mark.parametrize("name", OTHERS)
def test_equal_probes_and_unmeasured_sources_are_no_trouble(name):
    """Phones give whole milliseconds, and a source device need not have been measured everywhere."""
    sources, _, pool = known()
    latency_ms = sources.latency_ms.copy()
    latency_ms[::3, 0] = np.nan
    latency_ms[5:, 1] = np.nan
    partial = Sources(NETWORKS, ROWS, latency_ms, sources.devices)
    adapt = learnt(name, (partial, build_design(NETWORKS, ROWS, latency_ms), pool))
    sound(adapt(probed(), None)())
    sound(adapt(Probed(POOL[:4], np.full(4, 7.0)), None)())


@pytest.mark.parametrize("name", METHODS)
def test_milliseconds_have_no_favourite_unit(name):
    adapt = learnt(name)
    small, large = (adapt(Probed(POOL, factor * probed().ms), None)() for factor in (1.0, 1000.0))
    for one, other in zip(small, large, strict=True):
        np.testing.assert_allclose(1000 * one, other, rtol=1e-3)


@pytest.mark.parametrize("name", METHODS)
def test_order_of_the_other_networks_does_not_matter(name, tmp_path, monkeypatch):
    """Networks that are neither sources nor probes, in another order."""
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))
    others = np.setdiff1d(np.arange(len(NETWORKS)), [*ROWS, *POOL])
    order = np.arange(len(NETWORKS))
    order[others] = others[::-1]
    sources, _, pool = known()
    turned = Sources(
        encode("nasbench201", [NETWORKS.archs[row] for row in order]), ROWS, sources.latency_ms, sources.devices
    )
    first = learnt(name)(probed(), None)()
    again = learnt(name, (turned, build_design(turned.networks, ROWS, turned.latency_ms), pool))(probed(), None)()
    for one, other in zip(first, again, strict=True):
        np.testing.assert_allclose(one[order], other, rtol=0.01)


@pytest.mark.parametrize("device", TARGETS)
@pytest.mark.parametrize("name", PEERS)
def test_a_peer_beats_the_mean_of_the_probes(name, device):
    """On devices it has not seen, after a short training."""
    method = {**PEERS, **small_peers(effort=25)}[name]
    sources, design, _ = known()
    rows = np.random.default_rng(1).choice(len(NETWORKS), 20, replace=False)
    actual = TARGETS[device].latency_ms(NETWORKS)
    ms = method(sources, design, rows, np.random.default_rng(0))(Probed(rows, actual[rows]), None)().ms
    constant = np.full(len(actual), actual[rows].mean())
    assert rae(actual, ms, rows) < 0.8 * rae(actual, constant, rows)


def test_help_refuses_probes_from_outside_its_pool():
    with pytest.raises(WorkbenchError, match="expects probes from the pool"):
        learnt("help")(probed(rows=np.array([0, 1])), None)


# Encodings


def test_every_space_has_an_encoding():
    assert set(ENCODERS) == set(SPACES)


@pytest.mark.parametrize("space", SPACES)
def test_an_encoding_tells_networks_apart_and_its_graph_is_connected(space):
    networks = toy_networks(space=space)
    graphs = arch_graphs(networks)
    assert len(np.unique(graphs.one_hot(), axis=0)) == len(networks)
    reach = np.linalg.matrix_power(graphs.adjacency + np.eye(graphs.choices.shape[1]), graphs.choices.shape[1])
    assert (reach[:, 0] > 0).all(), "everything hears of the input"
    assert (reach[-1] > 0).all(), "the output hears of everything"
    assert graphs.is_chain == (space != "nasbench201")


def test_a_cell_becomes_a_graph_of_its_operations():
    """Operation 1>3 reads what 0>1 wrote; the output reads what enters node 3."""
    adjacency = arch_graphs(NETWORKS).adjacency
    assert adjacency.shape == (8, 8)
    assert adjacency[5].nonzero()[0].tolist() == [1]
    assert adjacency[6].nonzero()[0].tolist() == [2, 3]
    assert adjacency[7].nonzero()[0].tolist() == [4, 5, 6]


def test_one_hot_has_one_choice_per_node():
    one_hot = arch_graphs(NETWORKS).one_hot()
    assert one_hot.shape == (len(NETWORKS), 30)
    np.testing.assert_array_equal(one_hot.reshape(-1, 6, 5).sum(axis=2), 1)


def test_the_global_node_hears_everyone():
    features, propagation = arch_graphs(toy_networks(space="fbnet")).with_global_node()
    assert (propagation[-1] == 1).all()
    assert (np.diagonal(propagation) == 1).all()
    assert (propagation[:-1, -1] == 0).all()
    assert (features.sum(axis=2) == 2).all(), "a kind and a place"


# Scales, lines, losses, layers


def test_labels_are_standardised_by_what_was_measured():
    sources, design, _ = known()
    latency_ms = sources.latency_ms.copy()
    latency_ms[:50, 2] = np.nan
    labels = source_labels(Sources(NETWORKS, ROWS, latency_ms, sources.devices), design)
    assert (labels.values[:50, 2] == 0).all()
    assert not labels.measured[:50, 2].any()
    np.testing.assert_allclose(labels.values[50:, 2].mean(), 0, atol=1e-9)
    np.testing.assert_allclose(labels.values[50:, 2].std(), 1)


def test_scale_of_one_probe_is_what_is_expected():
    assert scale_of(np.array([8.0]), 0.25) == pytest.approx((8.0, 2.0))
    many = np.tile([6.0, 10.0], 500)
    assert scale_of(many, 0.25) == pytest.approx((8.0, 2.0), rel=1e-3)


def test_line_is_the_expected_one_for_one_probe_and_least_squares_for_many():
    assert line(np.array([2.0]), np.array([10.0]), 3.0, 1.0) == (3.0, 4.0)
    scores = np.linspace(-50, 50, 40)
    slope, constant = line(scores, 5 + 2 * scores, 3.0, 1.0)
    assert (slope, constant) == pytest.approx((2, 5), rel=1e-3)
    assert line(scores, -scores, 3.0, 1.0)[0] == pytest.approx(0.3), "a negative slope is not believed"


def test_layerwise_tables_are_exact_on_additive_devices():
    sources, design, _ = known()
    for column, device in zip(table_sums(sources, design).T, SOURCES.values(), strict=True):
        actual = device.latency_ms(NETWORKS)
        np.testing.assert_allclose(column[ROWS], actual[ROWS] / actual[ROWS].mean(), rtol=1e-3)


def test_bias_corrects_an_overhead_that_no_operator_has():
    actual = 3 * SOURCES["edge"].latency_ms(NETWORKS)
    actual += 5 * actual.mean()
    error = {
        name: rae(actual, PEERS[name](*known(), np.random.default_rng(0))(Probed(POOL, actual[POOL]), None)().ms, POOL)
        for name in ("layerwise", "layerwise_bias")
    }
    assert error["layerwise_bias"] < 0.2 < error["layerwise"]


def test_closest_is_the_device_that_ranks_the_probes_alike():
    described = known()[1].source
    for index in range(described.shape[1]):
        assert closest(Probed(POOL, 3 * described[POOL, index] ** 2), described) == index


def test_losses_leave_out_what_was_not_measured():
    scores = torch.tensor([[1.0, 9.0], [3.0, 9.0]])
    labels, measured = torch.zeros(2, 2), torch.tensor([[True, False], [True, False]])
    assert absolute(scores, labels, measured) == 2
    assert squared(scores, labels, measured) == 5
    order, all_known = torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.ones(2, 2, dtype=torch.bool)
    assert pairwise_hinge(scores, order, measured) == 0, "the slower one is ahead by two"
    assert pairwise_hinge(scores, 1 - order, measured) == pytest.approx(2 + MARGIN)
    assert pairwise_hinge(scores, order, all_known) == pytest.approx(MARGIN / 2), "a tie lacks the margin"
    assert pairwise_hinge(scores[:1], order[:1], all_known[:1]) == 0, "one network has no pair"


def test_attention_hears_only_what_a_node_reads():
    with seeded(np.random.default_rng(0)):
        layer = GraphAttention(4, 4, 2)
    adjacency = torch.zeros(3, 3)
    adjacency[2, 1] = 1
    nodes, operations = torch.arange(12.0).reshape(1, 1, 3, 4), torch.zeros(1, 1, 3, 2)
    disturbed = nodes.clone()
    disturbed[..., 0, :] += 5
    before, after = layer(nodes, adjacency, operations), layer(disturbed, adjacency, operations)
    assert torch.equal(before[..., 1:, :], after[..., 1:, :])
    assert not torch.equal(before[..., 0, :], after[..., 0, :])


def test_minimise_finds_a_minimum():
    value = torch.zeros(3, requires_grad=True)
    minimise([value], lambda: ((value - torch.tensor([1.0, -2.0, 0.5])) ** 2).sum(), 300, 0.05, 0.0)
    np.testing.assert_allclose(value.detach().numpy(), [1, -2, 0.5], atol=0.01)
