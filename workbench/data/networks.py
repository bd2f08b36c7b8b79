"""Networks of one space as arrays over their distinct operators: what every model sees of the software side.

Shapes: `a` networks, `v` distinct operators, `f` operator features, `q` physical quantities.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from workbench.config import WorkbenchError, cache_folder, write_atomically
from workbench.graphs import features, graph
from workbench.graphs.features import FEATURES, PHYSICS, TokenTable, cost_key, op_features, op_physics, tokenize
from workbench.graphs.graph import Graph, Op
from workbench.spaces import blocks, get_space

#: The names of the columns of `Networks.features`.
OPERATOR_FEATURES = (*FEATURES, "live")


@dataclass(frozen=True, eq=False)  # equal is only the same: what is made of it can be kept
class Networks:
    """`a` networks of one space.

    A distinct operator is one with its own shapes and its own liveness: a dead convolution costs a runtime that folds
    it away nothing, so it is another operator than a live one.

    Args:
        space: name of the search space.
        archs: arch strings.
        operators: `v` distinct operators.
        live: `v` bool.
        features: `v x f` float32, standardised over the operators.
        quantities: `v x q` float32 physics of one copy, each column relative to the mean network's total.
        counts: `a x v` float32 copies of each operator.
        physics: `a x p` float64 physical sums, of the live operators and (where they differ) of the executed ones.
        roots: `a x r` float64 sums over the live operators of the square roots of their work; see `root_sums`.
        census: `a x k` float64 operator counts, operators that differ only in spatial size taken together.
    """

    space: str
    archs: tuple[str, ...]
    operators: tuple[Op, ...]
    live: np.ndarray
    features: np.ndarray
    quantities: np.ndarray
    counts: np.ndarray
    physics: np.ndarray
    roots: np.ndarray
    census: np.ndarray
    row: dict[str, int] = field(repr=False, default_factory=dict)

    def __len__(self) -> int:
        return len(self.archs)

    def rows(self, archs: Sequence[str]) -> np.ndarray:
        """Row numbers of ``archs``."""
        return np.array([self.row[arch] for arch in archs], dtype=np.int64)

    @property
    def flops(self) -> np.ndarray:
        """`a` FLOPs of convolutions and linear layers, as executed."""
        return self.counts @ op_physics(self.operators)[:, :3].sum(1)

    @property
    def parameters(self) -> np.ndarray:
        """`a` numbers of convolution and linear weights."""
        return self.counts @ op_physics(self.operators)[:, PHYSICS.index("weight_bytes")] / features.BYTES

    def tokens(self, network: Graph) -> np.ndarray:
        """For each operator of ``network`` (of this space), which distinct operator it is."""
        index = {
            (cost_key(op), bool(live)): i for i, (op, live) in enumerate(zip(self.operators, self.live, strict=True))
        }
        return np.array([index[cost_key(op), live] for op, live in zip(network.ops, network.live, strict=True)])


def encode(space: str, archs: Sequence[str]) -> Networks:
    """``archs`` of ``space`` as `Networks`; the tokens are cached on disk by content.

    Whole NAS-Bench-201 (15,625 networks) takes a few seconds the first time and well under one afterwards.
    """
    table = _tokens(space, archs)
    live_counts = table.counts(live_only=True)
    dead_counts = table.counts() - live_counts
    size = len(table.vocabulary)
    both = np.concatenate([live_counts, dead_counts], axis=1)
    used = np.nonzero(both.any(axis=0))[0]
    operators = tuple(table.vocabulary[index % size] for index in used)
    live, counts = used < size, both[:, used]
    raw = op_physics(operators)
    totals = (counts @ raw).mean(axis=0)
    present = totals > 0
    sums, groups = physical_sums(counts, raw, live), census(counts, operators, live)
    roots = root_sums(counts, raw, live)
    return Networks(
        space=space,
        archs=tuple(archs),
        operators=operators,
        live=live,
        features=standardised_features(operators, live, len(operators)),
        quantities=(raw[:, present] / totals[present]).astype(np.float32),
        counts=counts.astype(np.float32),
        physics=sums[:, varying(sums)],
        roots=roots[:, varying(roots)],
        census=groups[:, varying(groups)],
        row={arch: index for index, arch in enumerate(archs)},
    )


def standardised_features(operators: Sequence[Op], live: np.ndarray, known: int) -> np.ndarray:
    """`v x f` float32 features, on the scale of the first ``known`` operators."""
    table = np.concatenate([op_features(operators), live[:, None]], axis=1)
    return ((table - table[:known].mean(axis=0)) / (table[:known].std(axis=0) + 1e-3)).astype(np.float32)


def physical_sums(counts: np.ndarray, raw: np.ndarray, live: np.ndarray) -> np.ndarray:
    """Physics of `a` networks with ``counts`` `a x v`: of the live operators, then (where they differ) of all."""
    sums = counts[:, live] @ raw[live]
    return sums if live.all() else np.concatenate([sums, counts @ raw], axis=1)


def root_sums(counts: np.ndarray, raw: np.ndarray, live: np.ndarray) -> np.ndarray:
    """`a x 3` sums over the live operators of the square roots of FLOPs (depthwise apart) and of bytes moved.

    An operator too small to fill a device takes longer than in proportion to its work: between the launch, which is the
    same for all, and the work, which is proportional, lies such a sum.
    """
    told = dict(zip(PHYSICS, raw[live].T, strict=True))
    dense, moved = told["dense_flops"] + told["grouped_flops"], told["bytes_read"] + told["bytes_written"]
    return counts[:, live] @ np.sqrt(np.stack([dense, told["depthwise_flops"], moved], axis=1))


def census_groups(operators: Sequence[Op], live: np.ndarray) -> np.ndarray:
    """`v` numbers: operators with the same number differ in nothing but spatial size; in the order in which
    ``operators`` has them."""
    groups: dict[tuple, int] = {}
    keys = (
        (op.kind, op.in_channels, op.out_channels, op.kernel, op.stride, op.groups, op.hidden, bool(alive))
        for op, alive in zip(operators, live, strict=True)
    )
    return np.array([groups.setdefault(key, len(groups)) for key in keys], dtype=np.int64)


def census(counts: np.ndarray, operators: Sequence[Op], live: np.ndarray) -> np.ndarray:
    """Operator counts of `a` networks, by `census_groups`."""
    groups = census_groups(operators, live)
    return counts @ np.eye(len(np.unique(groups)))[groups]


def varying(table: np.ndarray) -> np.ndarray:
    """Which columns are not the same in every row."""
    return table.std(axis=0) > 0


def _tokens(space: str, archs: Sequence[str]) -> TokenTable:
    family = get_space(space)
    code = [inspect.getsource(module) for module in (graph, features, blocks, inspect.getmodule(type(family)))]
    key = hashlib.sha256("\n".join([space, *code, *archs]).encode()).hexdigest()[:24]
    path = cache_folder() / f"tokens-{space}-{key}.npz"
    if path.is_file():
        try:
            return _stored(path)
        except (OSError, EOFError, ValueError, KeyError, TypeError, zlib.error, zipfile.BadZipFile):
            path.unlink(missing_ok=True)  # damaged: it is made anew below
    table = tokenize(family.graph(arch) for arch in archs)
    with suppress(WorkbenchError):  # a full disk or a folder that is not ours: made anew the next time
        _store(path, table)
    return table


def _stored(path: Path) -> TokenTable:
    with np.load(path, allow_pickle=False) as stored:
        vocabulary = tuple(Op(**fields) for fields in json.loads(str(stored["vocabulary"])))
        return TokenTable(vocabulary, stored["tokens"], stored["repeat"], stored["live"])


def _store(path: Path, table: TokenTable) -> None:
    vocabulary = np.array(json.dumps([asdict(op) for op in table.vocabulary]))
    arrays = {"tokens": table.tokens, "repeat": table.repeat, "live": table.live, "vocabulary": vocabulary}
    write_atomically(path, lambda temporary: np.savez_compressed(temporary, **arrays))
