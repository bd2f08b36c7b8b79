"""Operators and operator graphs.

An `Op` is a token: one operator with its shapes (and the batch norm and activation that travel with it), standing for
``repeat`` identical copies in series. A `Graph` orders the tokens topologically and knows which of them are dead: what
the output does not need cannot change what the network computes, and a runtime is free to fold it away.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING

from workbench.config import WorkbenchError, lookup

if TYPE_CHECKING:
    from torch_geometric.data import Data

KINDS = {
    kind: index
    for index, kind in enumerate(
        ("conv", "linear", "pool", "global_pool", "add", "identity", "zero", "shuffle", "squeeze_excite", "elementwise")
    )
}


@dataclass(frozen=True)
class Op:
    """One operator token.

    Args:
        name: where it stands, for people (``"stage 2 cell 0>1 nor_conv_3x3"``); not part of what it costs.
        kind: one of `KINDS`.
        in_channels, out_channels: channel counts (features for ``linear``).
        in_size, out_size: height = width of the input and output, in pixels.
        kernel, stride, groups: of a convolution or pooling; ``groups == in_channels`` is depthwise.
        elementwise: element-wise launches that travel with it (batch norm, activation, residual add).
        hidden: inner channels of a squeeze-and-excite; inputs of an ``add``.
        bias: whether a convolution or linear layer has one.
        repeat: number of identical copies, in series, that this token stands for.
    """

    name: str
    kind: str
    in_channels: int
    out_channels: int
    in_size: int
    out_size: int
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    elementwise: int = 0
    hidden: int = 0
    bias: bool = False
    repeat: int = 1

    def __post_init__(self) -> None:
        lookup("operator", KINDS, self.kind)
        for field in fields(self)[2:]:
            value = getattr(self, field.name)
            least = 0 if field.name in ("elementwise", "hidden", "bias") else 1
            if not isinstance(value, int) or value < least:
                raise WorkbenchError(
                    f"Operator '{self.name}': {field.name} expects a whole number of at least {least}, got {value!r}; "
                    "check the shapes it was built from."
                )
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise WorkbenchError(
                f"Operator '{self.name}': {self.in_channels} -> {self.out_channels} channels cannot be split into "
                f"{self.groups} groups; choose a number of groups that divides both."
            )


@dataclass(frozen=True)
class Graph:
    """Operators in topological order, and the edges (producer, consumer) between them.

    Args:
        ops: the tokens; ``ops[0]`` reads the network's input and the last one writes its output.
        edges: index pairs with producer < consumer, so that the order given is topological by construction.

    Raises:
        WorkbenchError: no operators, an edge out of range, or one that points backwards.
    """

    ops: tuple[Op, ...]
    edges: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        if not self.ops:
            raise WorkbenchError(
                "A graph expects at least one operator, got none; check the network it was built from."
            )
        for producer, consumer in self.edges:
            if not 0 <= producer < consumer < len(self.ops):
                raise WorkbenchError(
                    f"Graph edge ({producer}, {consumer}) expects 0 <= producer < consumer < {len(self.ops)}; "
                    "list the operators in topological order."
                )

    @cached_property
    def live(self) -> tuple[bool, ...]:
        """For each operator, whether a compiler keeps it: nothing where the output is a constant, else what the output
        needs (dead code elimination; Aho et al. 2006, section 9.1.6), also where only a ``zero`` feeds it."""
        last = len(self.ops) - 1
        needed = [False] * last + [self.depends_on_input]
        for index in range(last - 1, -1, -1):
            read = any(needed[consumer] for consumer in self._neighbours[1][index])
            needed[index] = read and self.ops[index].kind != "zero"
        return tuple(needed)

    @cached_property
    def depends_on_input(self) -> bool:
        """False where the network's output is a constant: nothing but a ``zero`` connects input and output."""
        reached: list[bool] = []
        for index, op in enumerate(self.ops):
            fed = index == 0 or any(reached[producer] for producer in self._neighbours[0][index])
            reached.append(fed and op.kind != "zero")
        return reached[-1]

    @cached_property
    def _neighbours(self) -> tuple[list[list[int]], list[list[int]]]:
        """Of each operator, who it reads from and who reads it."""
        producers: list[list[int]] = [[] for _ in self.ops]
        consumers: list[list[int]] = [[] for _ in self.ops]
        for producer, consumer in self.edges:
            producers[consumer].append(producer)
            consumers[producer].append(consumer)
        return producers, consumers

    def to_pyg(self) -> Data:
        """The graph as PyG `Data`: ``x`` (`n x f` physical features), ``edge_index`` (`2 x e`), ``live`` (`n`)."""
        import torch
        from torch_geometric.data import Data

        from workbench.graphs.features import op_features

        return Data(
            x=torch.as_tensor(op_features(self.ops)),
            edge_index=torch.tensor(self.edges, dtype=torch.long).reshape(-1, 2).T.contiguous(),
            live=torch.tensor(self.live),
        )


class GraphBuilder:
    """Collects operators and edges while a network is walked from input to output."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.edges: list[tuple[int, int]] = []

    def add(self, op: Op, *producers: int) -> int:
        """Append ``op`` fed by ``producers``; returns its index."""
        index = len(self.ops)
        self.ops.append(op)
        self.edges.extend((producer, index) for producer in producers)
        return index

    def build(self) -> Graph:
        """The finished graph."""
        return Graph(tuple(self.ops), tuple(self.edges))
