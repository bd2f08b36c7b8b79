"""Physical features of operators: what a device has to compute, move and launch.

Counts are for batch 1 and 4-byte numbers and for *one* copy of a token; `TokenTable` keeps ``repeat`` beside them.
One multiply-add counts as two FLOPs, as in `torch.utils.flop_counter`, which counts the same convolutions and
linear layers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from workbench.graphs.graph import KINDS, Graph, Op

BYTES = 4

#: Additive quantities, in the order of the columns of `op_physics`.
PHYSICS = (
    "dense_flops",
    "depthwise_flops",
    "grouped_flops",
    "elementwise_flops",
    "bytes_read",
    "bytes_written",
    "weight_bytes",
    "launches",
)

#: Columns of `op_features`: log-scaled physics, shape, then one column per operator kind.
FEATURES = (
    *(f"log_{name}" for name in PHYSICS),
    "log_intensity",
    "log_in_channels",
    "log_out_channels",
    "log_in_size",
    "log_out_size",
    "kernel",
    "stride",
    "log_groups",
    "is_depthwise",
    *(f"kind_{kind}" for kind in KINDS),
)


class Physics(NamedTuple):
    """What one copy of an operator costs in work and traffic (FLOPs, bytes, kernel launches)."""

    dense_flops: float = 0.0
    depthwise_flops: float = 0.0
    grouped_flops: float = 0.0
    elementwise_flops: float = 0.0
    bytes_read: float = 0.0
    bytes_written: float = 0.0
    weight_bytes: float = 0.0
    launches: float = 0.0

    @property
    def flops(self) -> float:
        """Multiply-adds of convolutions and linear layers, times two."""
        return self.dense_flops + self.depthwise_flops + self.grouped_flops


def is_depthwise(op: Op) -> bool:
    """Whether every channel is convolved on its own."""
    return op.kind == "conv" and op.groups > 1 and op.groups == op.in_channels


def physics(op: Op) -> Physics:
    """The `Physics` of one copy of ``op`` at batch 1 in fp32."""
    inputs = op.in_channels * op.in_size**2
    outputs = op.out_channels * op.out_size**2
    passes = op.elementwise
    extra_read = extra_written = float(passes * outputs * BYTES)
    work = {"elementwise_flops": float(passes * outputs), "launches": float(passes)}
    if op.kind == "identity":
        return Physics(**work)
    if op.kind in ("conv", "linear"):
        weights = op.out_channels * (op.in_channels // op.groups) * op.kernel**2
        flops = 2.0 * weights * op.out_size**2
        key = "depthwise_flops" if is_depthwise(op) else "grouped_flops" if op.groups > 1 else "dense_flops"
        work[key] = flops
        work["weight_bytes"] = float((weights + op.bias * op.out_channels) * BYTES)
        work["launches"] += 1
    elif op.kind == "squeeze_excite":  # pool, two 1x1 convolutions, two activations, one product
        weights = 2 * op.in_channels * op.hidden
        work["dense_flops"] = 2.0 * weights
        work["weight_bytes"] = float((weights + op.hidden + op.in_channels) * BYTES)
        work["elementwise_flops"] += 2.0 * inputs
        work["launches"] += 6
        extra_read += inputs * BYTES
    elif op.kind == "add":
        summands = max(op.hidden, 2)
        work["elementwise_flops"] += float((summands - 1) * outputs)
        work["launches"] += summands - 1
        inputs *= 2 * (summands - 1)
        extra_written += (summands - 2) * outputs * BYTES
    else:  # pool, global_pool, zero, shuffle, elementwise: one pass over the data
        work["elementwise_flops"] += float(outputs * op.kernel**2 if op.kind == "pool" else inputs)
        work["launches"] += 1
    return Physics(
        bytes_read=inputs * BYTES + work.get("weight_bytes", 0.0) + extra_read,
        bytes_written=outputs * BYTES + extra_written,
        **work,
    )


def _feature_row(op: Op) -> np.ndarray:
    cost = physics(op)
    intensity = (cost.flops + cost.elementwise_flops) / max(cost.bytes_read + cost.bytes_written, 1.0)
    kinds = np.zeros(len(KINDS))
    kinds[KINDS[op.kind]] = 1.0
    shape = (op.in_channels, op.out_channels, op.in_size, op.out_size)
    head = [*np.log1p(cost), np.log1p(intensity), *np.log(shape), op.kernel, op.stride, np.log(op.groups)]
    return np.concatenate([head, [float(is_depthwise(op))], kinds])


def op_physics(ops: Sequence[Op]) -> np.ndarray:
    """`n x len(PHYSICS)` raw physical counts, one copy per token."""
    return np.array([physics(op) for op in ops], dtype=np.float64).reshape(-1, len(PHYSICS))


def op_features(ops: Sequence[Op]) -> np.ndarray:
    """`n x len(FEATURES)` float32 features for a model; log-scaled so that a 1x1 and a 7x7 are comparable."""
    return np.array([_feature_row(op) for op in ops], dtype=np.float32).reshape(-1, len(FEATURES))


class TokenTable(NamedTuple):
    """Many graphs as arrays over a vocabulary of distinct operators (a search space has few).

    Args:
        vocabulary: `v` distinct operators (names and repeats removed: what is left decides the cost).
        tokens: `a x n` int32 indices into the vocabulary, -1 where padded.
        repeat: `a x n` int16 copies per token, 0 where padded.
        live: `a x n` bool, False for dead operators and padding.
    """

    vocabulary: tuple[Op, ...]
    tokens: np.ndarray
    repeat: np.ndarray
    live: np.ndarray

    def take(self, rows: np.ndarray) -> TokenTable:
        """The same table for the given rows."""
        return TokenTable(self.vocabulary, self.tokens[rows], self.repeat[rows], self.live[rows])

    def counts(self, live_only: bool = False) -> np.ndarray:
        """`a x v` float64 copies of every distinct operator in each network."""
        weight = self.repeat * self.live if live_only else self.repeat
        counts = np.zeros((len(self.tokens), len(self.vocabulary)))
        rows, columns = np.nonzero(self.tokens >= 0)
        np.add.at(counts, (rows, self.tokens[rows, columns]), weight[rows, columns])
        return counts


def tokenize(graphs: Iterable[Graph]) -> TokenTable:
    """`TokenTable` of ``graphs``; a distinct operator is featurised once however often it occurs."""
    vocabulary: dict[tuple, int] = {}
    ops: list[Op] = []
    known: dict[Op, tuple[int, int]] = {}  # operators are shared between graphs, so hashing them again is the cost
    rows: list[list[int]] = []
    repeats: list[list[int]] = []
    lives: list[tuple[bool, ...]] = []
    for graph in graphs:
        row, repeat = [], []
        for op in graph.ops:
            if op not in known:
                key = cost_key(op)
                if key not in vocabulary:
                    vocabulary[key] = len(ops)
                    ops.append(_anonymous(op))
                known[op] = vocabulary[key], op.repeat
            index, copies = known[op]
            row.append(index)
            repeat.append(copies)
        rows.append(row)
        repeats.append(repeat)
        lives.append(graph.live)
    return TokenTable(tuple(ops), _pad(rows, -1, np.int32), _pad(repeats, 0, np.int16), _pad(lives, False, np.bool_))


def _anonymous(op: Op) -> Op:
    return replace(op, name=op.kind, repeat=1)


@lru_cache(maxsize=2**16)  # a space has some hundred operators, a stream of its networks millions of copies
def cost_key(op: Op) -> tuple:
    """What decides the cost of one copy of ``op``: everything but its name and its repeat."""
    return astuple(_anonymous(op))


def _pad(rows: Sequence[Sequence], fill: object, dtype: type) -> np.ndarray:
    width = max((len(row) for row in rows), default=0)
    table = np.full((len(rows), width), fill, dtype=dtype)
    for index, row in enumerate(rows):
        table[index, : len(row)] = row
    return table
