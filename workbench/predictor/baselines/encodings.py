"""Networks as the field's predictors see them: a small graph with one choice per node, or those choices one-hot.

A cell of NAS-Bench-201 has one node per operation of the cell (its edges become nodes, as in BRP-NAS); FBNet and
Once-for-All are chains with one node per block. All networks of a space share their edges: what differs is which kind
stands at which node. That is less than the operator graphs of `workbench.graphs` tell (no shapes, no physics), and it
is what those papers work with.

Shapes: `a` networks, `n` nodes, `v` kinds, `e` one-hot columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from workbench.config import lookup
from workbench.data.networks import Networks
from workbench.spaces import fbnet, get_space, nasbench201, ofa_mobilenetv3


class ArchGraphs:
    """Architecture-level graphs of the networks of one space.

    Args:
        choices: `a x n` whole numbers below `v`: which kind stands at each node. Node 0 is the input, node n-1 the
            output.
        kinds: `v`, how many kinds there are.
        edges: (producer, consumer) pairs, the same for all networks.
    """

    def __init__(self, choices: np.ndarray, kinds: int, edges: Sequence[tuple[int, int]]) -> None:
        self.choices, self.kinds, self.edges = choices, kinds, tuple(edges)

    @property
    def is_chain(self) -> bool:
        """Whether the nodes stand in a row: then their place in it is not told by the edges."""
        return set(self.edges) == set(pairwise(range(self.choices.shape[1])))

    @property
    def adjacency(self) -> np.ndarray:
        """`n x n` float32, 1 where row (consumer) reads column (producer)."""
        adjacency = np.zeros((self.choices.shape[1],) * 2, dtype=np.float32)
        producers, consumers = np.array(self.edges).T
        adjacency[consumers, producers] = 1.0
        return adjacency

    def one_hot(self) -> np.ndarray:
        """`a x e` float32: every node's kind one-hot, side by side, without the columns that never change.

        A kind is a whole block choice: HELP's own code splits FBNet's into kernel and expansion, which leaves source
        devices' unseen networks worse predicted (Spearman .84 instead of .89 on the sources of F1).
        """
        columns = np.eye(self.kinds, dtype=np.float32)[self.choices].reshape(len(self.choices), -1)
        return columns[:, np.ptp(columns, axis=0) > 0]

    def with_global_node(self) -> tuple[np.ndarray, np.ndarray]:
        """Node features `a x (n+1) x f` and the propagation matrix `(n+1) x (n+1)` of a GCN, 1 where row reads column.

        As in BRP-NAS, a last node reads all others and every node reads itself. What is read is summed, not averaged:
        latency adds up (unseen networks on the source devices of ND: Spearman .94 against .82). Features are the kind
        one-hot; in a chain, where equal blocks cost differently depending on where they stand, also the place one-hot.
        """
        count, nodes = self.choices.shape
        kind = np.eye(self.kinds + 1, dtype=np.float32)
        features = kind[np.pad(self.choices, ((0, 0), (0, 1)), constant_values=self.kinds)]
        if self.is_chain:
            place = np.broadcast_to(np.eye(nodes + 1, dtype=np.float32), (count, nodes + 1, nodes + 1))
            features = np.concatenate([features, place], axis=2)
        propagation = np.eye(nodes + 1, dtype=np.float32)
        propagation[:nodes, :nodes] += self.adjacency
        propagation[nodes] = 1.0
        return features, propagation


def arch_graphs(networks: Networks) -> ArchGraphs:
    """The `ArchGraphs` of ``networks``; a space without an encoder raises."""
    return lookup("architecture encoding", ENCODERS, networks.space)(networks.archs)


def _nasbench201(archs: Sequence[str]) -> ArchGraphs:
    space, operations = get_space("nasbench201"), {name: index for index, name in enumerate(nasbench201.OPERATIONS)}
    cells = np.array([[operations[name] for name in space.parse(arch)] for arch in archs])
    ends, last = nasbench201.EDGES, max(target for _, target in nasbench201.EDGES)
    edges = [(0, node) for node, (source, _) in enumerate(ends, start=1) if source == 0]
    edges += [
        (node, later)
        for node, (_, target) in enumerate(ends, start=1)
        for later, (source, _) in enumerate(ends, start=1)
        if source == target
    ]
    edges += [(node, len(ends) + 1) for node, (_, target) in enumerate(ends, start=1) if target == last]
    return ArchGraphs(_between_ends(cells, len(operations)), len(operations) + 2, edges)


def _fbnet(archs: Sequence[str]) -> ArchGraphs:
    space, blocks = get_space("fbnet"), {name: index for index, name in enumerate(fbnet.BLOCKS)}
    choices = np.array([[blocks[name] for name in space.parse(arch)] for arch in archs])
    return _chain(_between_ends(choices, len(blocks)), len(blocks) + 2)


def _ofa_mobilenetv3(archs: Sequence[str]) -> ArchGraphs:
    """The kind of a block is its kernel and expansion, or that it is absent; the kind of the input its resolution."""
    space, module = get_space("ofa_mobilenetv3"), ofa_mobilenetv3
    absent, resolutions = len(module.KERNELS) * len(module.EXPANSIONS), np.array(module.RESOLUTIONS)
    rows = []
    for arch in archs:
        choices = space.parse(arch)
        row = [
            module.KERNELS.index(kernel) * len(module.EXPANSIONS) + module.EXPANSIONS.index(expansion)
            if slot % module.SLOTS < choices.d[slot // module.SLOTS]
            else absent
            for slot, (kernel, expansion) in enumerate(zip(choices.ks, choices.e, strict=True))
        ]
        size = int(np.abs(resolutions - choices.r).argmin())
        rows.append([absent + 2 + size, *row, absent + 1])
    return _chain(np.array(rows), absent + 2 + len(resolutions))


def _between_ends(choices: np.ndarray, kinds: int) -> np.ndarray:
    """``choices`` `a x m` of ``kinds`` with an input node before and an output node after them: `a x (m+2)`."""
    ends = np.full((len(choices), 1), kinds)
    return np.concatenate([ends, choices, ends + 1], axis=1)


def _chain(choices: np.ndarray, kinds: int) -> ArchGraphs:
    return ArchGraphs(choices, kinds, list(pairwise(range(choices.shape[1]))))


ENCODERS: dict[str, Callable[[Sequence[str]], ArchGraphs]] = {
    "nasbench201": _nasbench201,
    "fbnet": _fbnet,
    "ofa_mobilenetv3": _ofa_mobilenetv3,
}
