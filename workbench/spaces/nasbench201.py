"""NAS-Bench-201 (Dong & Yang, ICLR 2020): 5^6 = 15,625 cells in a fixed CIFAR skeleton.

A 3x3 stem to 16 channels on 32x32; three stages of five equal cells with 16, 32 and 64 channels; residual reduction
blocks of stride 2 between the stages; batch norm, global pooling and a classifier. Every edge is executed as it
stands, ``none`` included (a multiplication by zero), as in the reference implementation.
"""

from __future__ import annotations

import itertools
import re
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from workbench.graphs.graph import Graph, GraphBuilder, Op
from workbench.spaces.space import distinct, malformed

if TYPE_CHECKING:
    from torch import nn

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
STAGES = ((16, 32), (32, 16), (64, 8))  # channels, height = width
CELLS = 5
CLASSES = 10

Cell = tuple[str, ...]  # one operation per edge, in the order of EDGES
WRITTEN = re.compile(r"\|op~0\|\+\|op~0\|op~1\|\+\|op~0\|op~1\|op~2\|".replace("op", f"({'|'.join(OPERATIONS)})"))


class NASBench201:
    """The space; see the module's docstring."""

    name = "nasbench201"
    size = len(OPERATIONS) ** len(EDGES)

    def input_shape(self, arch: str) -> tuple[int, int, int]:
        """Always `3 x 32 x 32`."""
        return (3, 32, 32)

    def all(self) -> list[str]:
        """All 15,625 arch strings, in lexicographic order of `OPERATIONS`."""
        return [self.format(cell) for cell in itertools.product(OPERATIONS, repeat=len(EDGES))]

    def sample(self, count: int, generator: np.random.Generator) -> list[str]:
        """``count`` distinct cells, uniformly."""
        return distinct(count, lambda: self.format(generator.choice(OPERATIONS, size=len(EDGES))), self.size, self.name)

    def parse(self, arch: str) -> Cell:
        """The six operations of ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``."""
        found = WRITTEN.fullmatch(arch) if isinstance(arch, str) else None
        if not found:
            form = "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|"
            raise malformed(self.name, arch, f"{form} with op one of {', '.join(OPERATIONS)}")
        return found.groups()

    def format(self, choices: Cell | list[str] | np.ndarray) -> str:
        """The arch string of six operations."""
        a, b, c, d, e, f = choices
        return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"

    def graph(self, arch: str) -> Graph:
        """38 tokens: stem, three stages of one repeated cell, two reduction blocks, head."""
        cell = self.parse(arch)
        builder = GraphBuilder()
        last = builder.add(Op("stem conv 3x3", "conv", 3, 16, 32, 32, kernel=3, elementwise=1))
        for stage, (channels, size) in enumerate(STAGES):
            if stage:
                last = _reduction(builder, stage, last)
            last = _cell(builder, cell, stage, channels, size, last)
        last = builder.add(Op("head batch norm, relu", "elementwise", 64, 64, 8, 8, elementwise=1), last)
        last = builder.add(Op("head global pool", "global_pool", 64, 64, 8, 1), last)
        builder.add(Op("head classifier", "linear", 64, CLASSES, 1, 1, bias=True), last)
        return builder.build()

    def module(self, arch: str) -> nn.Module:
        """The network as a torch module; takes `b x 3 x 32 x 32`, returns `b x 10`."""
        from workbench.spaces.modules import build, nasbench201_layers

        cell, widths = self.parse(arch), [channels for channels, _ in STAGES]
        return build(lambda: nasbench201_layers(cell, EDGES, widths, CELLS, CLASSES))


@cache
def _edge_op(stage: int, edge: tuple[int, int], operation: str, channels: int, size: int) -> Op:
    name = f"stage {stage + 1} edge {edge[0]}>{edge[1]} {operation}"
    shape = (channels, channels, size, size)
    if operation == "none":
        return Op(name, "zero", *shape, repeat=CELLS)
    if operation == "skip_connect":
        return Op(name, "identity", *shape, repeat=CELLS)
    if operation == "avg_pool_3x3":
        return Op(name, "pool", *shape, kernel=3, repeat=CELLS)
    return Op(name, "conv", *shape, kernel=int(operation[-1]), elementwise=2, repeat=CELLS)


@cache
def _sum_op(stage: int, node: int, channels: int, size: int) -> Op:
    return Op(f"stage {stage + 1} sum at node {node}", "add", channels, channels, size, size, hidden=node, repeat=CELLS)


def _cell(builder: GraphBuilder, cell: Cell, stage: int, channels: int, size: int, entry: int) -> int:
    incoming: dict[int, list[int]] = {1: [], 2: [], 3: []}
    nodes = {0: entry}
    for edge, operation in zip(EDGES, cell, strict=True):
        source, target = edge
        incoming[target].append(builder.add(_edge_op(stage, edge, operation, channels, size), nodes[source]))
        if len(incoming[target]) == target:
            single = target == 1
            summed = incoming[target]
            nodes[target] = summed[0] if single else builder.add(_sum_op(stage, target, channels, size), *summed)
    return nodes[3]


def _reduction(builder: GraphBuilder, stage: int, entry: int) -> int:
    channels, size = STAGES[stage]
    before, larger = STAGES[stage - 1]
    name = f"reduction {stage}"
    first = builder.add(
        Op(f"{name} conv 3x3 /2", "conv", before, channels, larger, size, kernel=3, stride=2, elementwise=2), entry
    )
    second = builder.add(Op(f"{name} conv 3x3", "conv", channels, channels, size, size, kernel=3, elementwise=2), first)
    pooled = builder.add(Op(f"{name} shortcut pool", "pool", before, before, larger, size, kernel=2, stride=2), entry)
    shortcut = builder.add(Op(f"{name} shortcut conv 1x1", "conv", before, channels, size, size), pooled)
    return builder.add(Op(f"{name} sum", "add", channels, channels, size, size, hidden=2), second, shortcut)
