"""The building blocks of runnable networks do what their names say."""

from __future__ import annotations

import torch
from torch import nn

from workbench.spaces.modules import Cell, ChannelShuffle, Residual, SqueezeExcite, Zero, build, inverted_residual


def test_zero_is_executed_and_gives_zeros():
    x = torch.randn(1, 2, 3, 3)
    assert torch.equal(Zero()(x), torch.zeros_like(x))


def test_shuffle_interleaves_groups():
    x = torch.arange(6.0).reshape(1, 6, 1, 1)
    assert ChannelShuffle(2)(x).flatten().tolist() == [0, 3, 1, 4, 2, 5]
    assert torch.equal(ChannelShuffle(3)(ChannelShuffle(2)(x)), x)


def test_squeeze_excite_scales_channels():
    block = SqueezeExcite(4, 2)
    x = torch.randn(2, 4, 5, 5)
    gate = block(x) / x
    torch.testing.assert_close(gate, gate[..., :1, :1].expand_as(gate))
    assert (gate >= 0).all()
    assert (gate <= 1).all()


def test_residual_adds_the_input_or_the_shortcut():
    x = torch.randn(1, 2, 3, 3)
    assert torch.equal(Residual(Zero())(x), x)
    assert torch.equal(Residual(nn.Identity(), Zero())(x), x)


def test_cell_sums_edges_at_each_node():
    edges = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
    x = torch.randn(1, 4, 6, 6)
    assert torch.equal(Cell(["skip_connect"] * 6, edges, 4)(x), 4 * x)
    only_last = ["none"] * 3 + ["skip_connect"] + ["none"] * 2
    assert torch.equal(Cell(only_last, edges, 4)(x), x)


def test_average_pooling_does_not_count_the_padding():
    cell = Cell(
        ["avg_pool_3x3"] + ["none"] * 3 + ["skip_connect", "none"], ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)), 1
    )
    torch.testing.assert_close(cell(torch.ones(1, 1, 4, 4)), torch.ones(1, 1, 4, 4))


def test_inverted_residual_has_a_shortcut_only_where_shapes_allow():
    assert isinstance(inverted_residual(8, 8, 16, 3, 1), Residual)
    assert not isinstance(inverted_residual(8, 8, 16, 3, 2), Residual)
    assert not isinstance(inverted_residual(8, 9, 16, 3, 1), Residual)


def test_build_is_repeatable_and_leaves_the_random_stream_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second = (build(lambda: [nn.Conv2d(3, 4, 3)]) for _ in range(2))
    assert torch.equal(first[0].weight, second[0].weight)
    assert torch.equal(torch.get_rng_state(), before)
    assert not first.training
