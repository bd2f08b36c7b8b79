"""Physical quantities against hand-made numbers, and their additivity over operators."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.graphs.features import (
    FEATURES,
    PHYSICS,
    cost_key,
    is_depthwise,
    op_features,
    op_physics,
    physics,
    tokenize,
)
from workbench.graphs.graph import KINDS, Graph, Op
from workbench.spaces import SPACES

CONV = Op("conv", "conv", 16, 32, 8, 8, kernel=3)
DEPTHWISE = Op("depthwise", "conv", 32, 32, 8, 4, kernel=5, stride=2, groups=32)
LINEAR = Op("linear", "linear", 64, 10, 1, 1, bias=True)
ZERO = Op("zero", "zero", 4, 4, 8, 8)


def test_dense_convolution():
    cost = physics(CONV)
    assert cost.dense_flops == cost.flops == 2 * 16 * 32 * 9 * 64
    assert cost.weight_bytes == 16 * 32 * 9 * 4
    assert cost.bytes_read == 16 * 64 * 4 + cost.weight_bytes
    assert cost.bytes_written == 32 * 64 * 4
    assert (cost.launches, cost.elementwise_flops) == (1, 0)


def test_what_travels_with_a_convolution_reads_and_writes_its_output_again():
    plain, fused = physics(CONV), physics(replace(CONV, elementwise=2))
    outputs = 32 * 64
    assert fused.elementwise_flops == 2 * outputs
    assert fused.launches - plain.launches == 2
    assert fused.bytes_read - plain.bytes_read == fused.bytes_written - plain.bytes_written == 2 * outputs * 4
    assert fused.flops == plain.flops


def test_groups_decide_where_flops_are_counted():
    cost = physics(DEPTHWISE)
    assert is_depthwise(DEPTHWISE)
    assert cost.depthwise_flops == cost.flops == 2 * 32 * 25 * 16
    assert cost.weight_bytes == 32 * 25 * 4
    grouped = replace(CONV, groups=2)
    assert not is_depthwise(grouped)
    assert physics(grouped).grouped_flops == physics(grouped).flops == physics(CONV).flops / 2
    assert not is_depthwise(replace(CONV, in_channels=1, groups=1))


def test_linear_layer():
    cost = physics(LINEAR)
    assert cost.dense_flops == 2 * 64 * 10
    assert cost.weight_bytes == (64 * 10 + 10) * 4


def test_squeeze_excite_is_two_convolutions_on_one_pixel():
    cost = physics(Op("se", "squeeze_excite", 24, 24, 7, 7, hidden=8))
    assert cost.dense_flops == 2 * (2 * 24 * 8)
    assert cost.weight_bytes == (2 * 24 * 8 + 8 + 24) * 4


def test_a_sum_of_three_is_two_sums_of_two():
    two, three = (np.array(physics(Op("sum", "add", 4, 4, 8, 8, hidden=n))) for n in (2, 3))
    np.testing.assert_allclose(three, 2 * two)


def test_an_identity_costs_nothing():
    assert not any(physics(Op("skip", "identity", 4, 4, 8, 8)))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "identity"])
def test_everything_else_launches_and_moves_something(kind):
    cost = physics(Op(kind, kind, 8, 8, 4, 4, hidden=2))
    assert cost.launches >= 1
    assert cost.bytes_read > 0
    assert cost.bytes_written > 0
    assert min(cost) >= 0


@given(
    channels=st.integers(1, 64),
    size=st.integers(1, 32),
    kernel=st.sampled_from([1, 3, 5]),
    kind=st.sampled_from(list(KINDS)),
)
def test_features_are_finite_and_say_the_kind(channels, size, kernel, kind):
    op = Op("any", kind, channels, channels, size, size, kernel=kernel, hidden=2)
    row = dict(zip(FEATURES, op_features([op])[0], strict=True))
    assert np.isfinite(list(row.values())).all()
    assert [name for name in FEATURES if name.startswith("kind_") and row[name]] == [f"kind_{kind}"]
    assert row["log_in_channels"] == pytest.approx(np.log(channels), abs=1e-6)


def test_features_have_one_row_per_operator_even_for_none():
    assert op_features([]).shape == (0, len(FEATURES))
    assert op_physics([]).shape == (0, len(PHYSICS))
    assert op_features([CONV, LINEAR]).dtype == np.float32


def test_features_do_not_depend_on_name_or_repeat():
    other = replace(CONV, name="elsewhere", repeat=5)
    np.testing.assert_array_equal(op_features([CONV]), op_features([other]))
    assert cost_key(CONV) == cost_key(other)
    assert cost_key(CONV) != cost_key(replace(CONV, bias=True))


def test_a_repeat_counts_as_much_as_copies_in_series():
    end = replace(LINEAR, name="end")
    repeated = Graph((replace(CONV, repeat=3), end), ((0, 1),))
    series = Graph((CONV, replace(CONV, name="second"), replace(CONV, name="third"), end), ((0, 1), (1, 2), (2, 3)))
    table = tokenize([repeated, series])
    assert len(table.vocabulary) == 2
    np.testing.assert_array_equal(table.counts(), [[3, 1], [3, 1]])
    assert table.tokens.shape == (2, 4)
    assert table.tokens[0].tolist() == [0, 1, -1, -1]
    assert table.repeat[0].tolist() == [3, 1, 0, 0]
    assert not table.live[0, 2:].any()


def test_dead_operators_are_left_out_of_live_counts_only():
    graph = Graph((CONV, ZERO, LINEAR), ((0, 1), (0, 2), (1, 2)))
    table = tokenize([graph])
    np.testing.assert_array_equal(table.counts(), [[1, 1, 1]])
    np.testing.assert_array_equal(table.counts(live_only=True), [[1, 0, 1]])


def test_take_keeps_the_vocabulary():
    table = tokenize([Graph((CONV,), ()), Graph((LINEAR,), ())])
    np.testing.assert_array_equal(table.take(np.array([1])).counts(), table.counts()[[1]])


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_counts_times_physics_is_the_sum_over_the_graph(space):
    archs = space.sample(4, np.random.default_rng(3))
    graphs = [space.graph(arch) for arch in archs]
    table = tokenize(graphs)
    summed = [sum(op.repeat * np.array(physics(op)) for op in graph.ops) for graph in graphs]
    np.testing.assert_allclose(table.counts() @ op_physics(table.vocabulary), summed)
    lived = [
        sum(op.repeat * np.array(physics(op)) for op, live in zip(graph.ops, graph.live, strict=True) if live)
        for graph in graphs
    ]
    np.testing.assert_allclose(table.counts(live_only=True) @ op_physics(table.vocabulary), lived)
