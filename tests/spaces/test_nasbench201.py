"""NAS-Bench-201: the whole space, and the cells in which something is dead."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from workbench.spaces.nasbench201 import EDGES, OPERATIONS, NASBench201

SPACE = NASBench201()
FULL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
EMPTY = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
#: Convolutions lead into node 1 and out of node 2, and nothing joins the two.
CUT = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|nor_conv_3x3~2|"
#: Nobody reads node 1; the rest is one convolution.
UNUSED = "|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"


def test_all_networks_are_there_once():
    archs = SPACE.all()
    assert len(archs) == len(set(archs)) == SPACE.size == 5**6 == 15_625
    assert archs[0] == EMPTY
    assert all(SPACE.format(SPACE.parse(arch)) == arch for arch in archs)


def test_samples_are_members_and_uniform_enough():
    archs = SPACE.sample(2000, np.random.default_rng(0))
    assert set(archs) <= set(SPACE.all())
    counts = np.array([[SPACE.parse(arch)[edge] == op for op in OPERATIONS] for arch in archs for edge in (0, 5)]).sum(
        axis=0
    )
    np.testing.assert_allclose(counts / 4000, 0.2, atol=0.03)


def test_published_skeleton():
    """FLOPs and parameters of the largest and smallest cell as NAS-Bench-201 gives them (MACs 220.12 M and 7.78 M)."""
    from workbench.graphs.features import physics

    def total(arch: str, quantity: str) -> float:
        return sum(op.repeat * getattr(physics(op), quantity) for op in SPACE.graph(arch).ops)

    assert total(FULL, "flops") / 2e6 == pytest.approx(220.12, rel=0.005)
    assert total(EMPTY, "flops") / 2e6 == pytest.approx(7.78, rel=0.02)
    assert total(FULL, "weight_bytes") / 4e6 == pytest.approx(1.53, rel=0.01)
    assert total(EMPTY, "weight_bytes") / 4e6 == pytest.approx(0.073, rel=0.03)


@pytest.mark.parametrize("arch", [EMPTY, CUT])
def test_a_disconnected_cell_kills_everything(arch):
    graph = SPACE.graph(arch)
    assert not graph.depends_on_input
    assert not any(graph.live)


def dead(arch: str) -> set[str]:
    graph = SPACE.graph(arch)
    return {op.name for op, live in zip(graph.ops, graph.live, strict=True) if not live}


def test_a_convolution_that_nobody_reads_is_dead():
    graph = SPACE.graph(UNUSED)
    assert graph.depends_on_input
    names = {name for name in dead(UNUSED) if "conv" in name}
    assert names == {f"stage {stage} edge 0>1 nor_conv_3x3" for stage in (1, 2, 3)}
    assert {"stage 1 sum at node 2", "stage 1 edge 1>2 none"} <= dead(UNUSED)


def test_nothing_is_dead_in_a_full_cell():
    assert dead(FULL) == set()


def test_none_is_always_dead():
    for arch in SPACE.sample(50, np.random.default_rng(1)):
        graph = SPACE.graph(arch)
        assert not any(live for op, live in zip(graph.ops, graph.live, strict=True) if op.kind == "zero")


def output(module: nn.Module, seed: int) -> torch.Tensor:
    images = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    with torch.no_grad():
        return module(images)


def test_liveness_is_what_the_network_does():
    """Two inputs give two outputs exactly where the graph says that the output depends on the input."""
    archs = [FULL, EMPTY, CUT, UNUSED, *SPACE.sample(16, np.random.default_rng(4))]
    said = [SPACE.graph(arch).depends_on_input for arch in archs]
    modules = [SPACE.module(arch).double() for arch in archs]
    done = [not torch.equal(output(module, 0), output(module, 1)) for module in modules]
    assert said == done
    assert 0 < sum(said) < len(said)


@pytest.mark.parametrize(("edge", "matters"), [((0, 1), False), ((0, 3), True)])
def test_only_live_weights_matter(edge, matters):
    module = SPACE.module(UNUSED).double()
    before = output(module, 0)
    cells = [layer for layer in module if hasattr(layer, "operations")]
    assert len(cells) == 15
    with torch.no_grad():
        for cell in cells:
            for weights in cell.operations[EDGES.index(edge)].parameters():
                weights.mul_(1.5)
    assert torch.equal(output(module, 0), before) != matters


@pytest.mark.parametrize(
    "arch",
    [
        FULL.replace("~2|", "~1|"),
        FULL.replace("nor_conv_3x3~2", "nor_conv_5x5~2"),
        FULL + "|",
        FULL[1:],
        FULL.replace("+", "-"),
        FULL + "+|none~0|none~1|none~2|none~3|",
        FULL.replace("|+|", "||+|", 1),
    ],
)
def test_nearly_right_strings_are_refused(arch):
    with pytest.raises(ValueError, match=r"Malformed nasbench201 arch '.*': expected \|op~0\|"):
        SPACE.parse(arch)


def test_repeated_cells_are_one_token_each():
    graph = SPACE.graph(FULL)
    repeats = [op.repeat for op in graph.ops if op.name.startswith("stage")]
    assert set(repeats) == {5}
    assert len(repeats) == 3 * (6 + 2), "six edges and two sums per stage"
    assert {op.repeat for op in graph.ops if not op.name.startswith("stage")} == {1}
