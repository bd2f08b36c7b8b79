"""Operators and graphs refuse what cannot be, and know which operators matter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.config import WorkbenchError
from workbench.graphs.features import FEATURES, op_features
from workbench.graphs.graph import KINDS, Graph, GraphBuilder, Op

CONV = Op("conv", "conv", 16, 32, 8, 8, kernel=3)
PASS, BLOCK = Op("pass", "identity", 4, 4, 8, 8), Op("block", "zero", 4, 4, 8, 8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "convv"}, "Unknown operator 'convv'; did you mean 'conv'"),
        ({"in_channels": 0}, "in_channels expects a whole number of at least 1, got 0"),
        ({"out_size": -3}, "out_size expects a whole number of at least 1, got -3"),
        ({"stride": 1.5}, "stride expects a whole number"),
        ({"repeat": 0}, "repeat expects a whole number of at least 1"),
        ({"elementwise": -1}, "elementwise expects a whole number of at least 0"),
        ({"groups": 3}, "cannot be split into 3 groups"),
        ({"groups": 32}, "cannot be split into 32 groups"),
    ],
)
def test_operators_refuse_impossible_shapes(change, message):
    with pytest.raises(WorkbenchError, match=message):
        replace(CONV, **change)


@pytest.mark.parametrize(
    ("edge", "why"),
    [((1, 0), "backwards"), ((1, 1), "to itself"), ((0, 3), "out of range"), ((-1, 1), "negative")],
)
def test_graphs_refuse_edges_that_are_not_forward(edge, why):
    with pytest.raises(WorkbenchError, match="expects 0 <= producer < consumer < 3") as caught:
        Graph((PASS,) * 3, ((0, 1), edge))
    assert str(edge) in str(caught.value), why


def test_graphs_refuse_a_cycle():
    with pytest.raises(WorkbenchError, match="topological order"):
        Graph((PASS,) * 3, ((0, 1), (1, 2), (2, 1)))


def test_graphs_refuse_to_be_empty():
    with pytest.raises(WorkbenchError, match="at least one operator, got none"):
        Graph((), ())


def test_a_chain_is_live_and_a_zero_cuts_it():
    edges = ((0, 1), (1, 2))
    assert Graph((PASS, PASS, PASS), edges).live == (True, True, True)
    cut = Graph((PASS, BLOCK, PASS), edges)
    assert cut.live == (False, False, False)
    assert not cut.depends_on_input


def test_an_operator_that_nobody_reads_is_dead():
    graph = Graph((PASS, CONV, PASS, PASS), ((0, 1), (0, 2), (2, 3)))
    assert graph.live == (True, False, True, True)
    assert graph.depends_on_input


def test_an_operator_that_is_fed_by_nothing_but_a_zero_is_run_where_it_is_read():
    """A compiler does not look at values: a convolution of zeros takes as long as any other."""
    edges = ((0, 1), (1, 2), (0, 3), (2, 3))
    assert Graph((PASS, BLOCK, CONV, PASS), edges).live == (True, False, True, True)
    assert Graph((PASS, CONV, PASS), ((0, 2), (1, 2))).live == (True, True, True)


def test_nothing_is_run_for_a_constant():
    assert not any(Graph((PASS, BLOCK, CONV, PASS), ((0, 1), (1, 2), (2, 3))).live)


def test_a_graph_of_one_operator():
    assert Graph((CONV,), ()).depends_on_input
    assert not Graph((BLOCK,), ()).depends_on_input


@given(data=st.data(), count=st.integers(1, 9))
def test_live_is_every_operator_that_the_output_needs_if_it_depends_on_the_input(data, count):
    pairs = [(a, b) for b in range(count) for a in range(b)]
    edges = tuple(data.draw(st.lists(st.sampled_from(pairs), unique=True))) if pairs else ()
    zeros = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    graph = Graph(tuple(BLOCK if zero else PASS for zero in zeros), edges)
    step = np.zeros((count, count), dtype=int)
    for a, b in edges:
        step[a, b] = not zeros[a] and not zeros[b]
    reach = np.linalg.matrix_power(np.eye(count, dtype=int) + step, count) > 0
    varies = not zeros[0] and not zeros[-1] and bool(reach[0, -1])
    assert graph.depends_on_input == varies
    assert list(graph.live) == [varies and not zeros[i] and bool(reach[i, -1]) for i in range(count)]


def test_builder_numbers_operators_and_keeps_edges():
    builder = GraphBuilder()
    first = builder.add(PASS)
    left, right = builder.add(CONV, first), builder.add(PASS, first)
    assert builder.add(Op("sum", "add", 4, 4, 8, 8, hidden=2), left, right) == 3
    assert builder.build().edges == ((0, 1), (0, 2), (1, 3), (2, 3))


def test_to_pyg():
    graph = Graph((PASS, CONV, BLOCK, PASS), ((0, 1), (0, 2), (1, 3), (2, 3)))
    data = graph.to_pyg()
    assert tuple(data.x.shape) == (4, len(FEATURES))
    np.testing.assert_array_equal(data.x.numpy(), op_features(graph.ops))
    assert data.edge_index.tolist() == [[0, 0, 1, 2], [1, 2, 3, 3]]
    assert data.live.tolist() == [True, True, False, True]
    data.validate(raise_on_error=True)
    assert tuple(Graph((CONV,), ()).to_pyg().edge_index.shape) == (2, 0)


def test_kinds_are_numbered_without_gaps():
    assert sorted(KINDS.values()) == list(range(len(KINDS)))
