"""FBNet: skips, groups and residuals."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from workbench.spaces.fbnet import BLOCKS, POSITIONS, STAGES, FBNet

SPACE = FBNet()


def uniform(block: str) -> str:
    return SPACE.format((block,) * len(POSITIONS))


def test_positions_follow_the_stages():
    assert len(POSITIONS) == sum(blocks for _, blocks, _ in STAGES) == 22
    assert POSITIONS[-1].size == 4
    for before, after in pairwise(POSITIONS):
        assert (after.inputs, after.size) == (before.outputs, before.size // before.stride)


def test_skip_is_free_where_shapes_allow_and_a_convolution_elsewhere():
    graph = SPACE.graph(uniform("skip"))
    kinds = {op.name: op.kind for op in graph.ops if op.name.startswith("block")}
    changes = [position.inputs != position.outputs or position.stride > 1 for position in POSITIONS]
    assert [kind == "conv" for kind in kinds.values()] == changes
    assert all(graph.live)


@pytest.mark.parametrize("block", BLOCKS)
def test_every_block_runs_at_every_position(block):
    with torch.no_grad():
        assert SPACE.module(uniform(block))(torch.zeros(1, 3, 32, 32)).shape == (1, 100)


def test_group_convolutions_shuffle():
    kinds = [op.kind for op in SPACE.graph(uniform("k3_e1_g2")).ops]
    assert kinds.count("shuffle") == 22
    assert "shuffle" not in [op.kind for op in SPACE.graph(uniform("k3_e1")).ops]


def test_residuals_close_around_blocks_that_keep_their_shape():
    graph = SPACE.graph(uniform("k5_e6"))
    around = {(producer, consumer) for producer, consumer in graph.edges if consumer - producer > 1}
    keep = sum(position.inputs == position.outputs and position.stride == 1 for position in POSITIONS)
    assert len(around) == keep == 16
    assert all(graph.ops[consumer].name.endswith("project 1x1") for _, consumer in around)
    assert all(graph.ops[consumer].elementwise == 2 for _, consumer in around)


@pytest.mark.parametrize(
    "arch",
    [
        uniform("skip") + "|skip",
        uniform("skip")[5:],
        uniform("skip").replace("skip", "k7_e1", 1),
        uniform("k3_e3") + "|",
    ],
)
def test_nearly_right_strings_are_refused(arch):
    with pytest.raises(ValueError, match=r"Malformed fbnet arch '.*': expected 22 block names"):
        SPACE.parse(arch)


def test_every_block_is_drawn():
    archs = SPACE.sample(200, np.random.default_rng(0))
    assert {block for arch in archs for block in SPACE.parse(arch)} == set(BLOCKS)
