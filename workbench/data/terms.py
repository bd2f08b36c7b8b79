"""The terms in which networks were described, so that other networks of their space can be described in the same ones.

`Networks` are relative to each other: operators are standardised over the operators at hand, quantities are relative to
the mean network, columns without variation are dropped. A model trained on some networks speaks in these terms, and has
to be given any other network in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from workbench.data.networks import Networks, census, physical_sums, root_sums, standardised_features, varying
from workbench.graphs.features import cost_key, op_physics
from workbench.graphs.graph import Op
from workbench.spaces import get_space


@dataclass(frozen=True)
class Terms:
    """See the module's docstring.

    Args:
        space: name of the search space.
        operators: `v` distinct operators.
        live: `v` bool.
        totals: raw physics of the mean network, one per entry of `PHYSICS`.
        sums, roots, groups: which columns of `physical_sums`, `root_sums` and `census` are kept.
    """

    space: str
    operators: tuple[Op, ...]
    live: tuple[bool, ...]
    totals: tuple[float, ...]
    sums: tuple[int, ...]
    roots: tuple[int, ...]
    groups: tuple[int, ...]

    @classmethod
    def of(cls, networks: Networks) -> Terms:
        """The terms in which ``networks`` are described."""
        raw, counts = op_physics(networks.operators), networks.counts.astype(np.float64)
        sums = varying(physical_sums(counts, raw, networks.live))
        roots = varying(root_sums(counts, raw, networks.live))
        groups = varying(census(counts, networks.operators, networks.live))
        return cls(
            networks.space,
            networks.operators,
            tuple(networks.live.tolist()),
            tuple((counts @ raw).mean(axis=0).tolist()),
            tuple(np.flatnonzero(sums).tolist()),
            tuple(np.flatnonzero(roots).tolist()),
            tuple(np.flatnonzero(groups).tolist()),
        )

    def describe(self, archs: Sequence[str]) -> Networks:
        """``archs`` in these terms; operators that are new follow after the `v` known ones.

        Raises:
            WorkbenchError: a malformed arch.
        """
        family = get_space(self.space)
        operators, live = list(self.operators), list(self.live)
        index = {(cost_key(op), alive): i for i, (op, alive) in enumerate(zip(operators, live, strict=True))}
        copies: list[tuple[int, int, int]] = []  # network, operator, how often
        for row, arch in enumerate(archs):
            graph = family.graph(arch)
            for op, alive in zip(graph.ops, graph.live, strict=True):
                column = index.setdefault((cost_key(op), bool(alive)), len(operators))
                if column == len(operators):
                    operators.append(replace(op, name=op.kind, repeat=1))
                    live.append(bool(alive))
                copies.append((row, column, op.repeat))
        counts = np.zeros((len(archs), len(operators)))
        rows, columns, repeats = np.array(copies, dtype=np.int64).reshape(-1, 3).T
        np.add.at(counts, (rows, columns), repeats)
        return self._networks(archs, tuple(operators), np.array(live), counts)

    def _networks(
        self, archs: Sequence[str], operators: tuple[Op, ...], live: np.ndarray, counts: np.ndarray
    ) -> Networks:
        raw, totals = op_physics(operators), np.array(self.totals)
        present = totals > 0
        return Networks(
            space=self.space,
            archs=tuple(archs),
            operators=operators,
            live=live,
            features=standardised_features(operators, live, len(self.operators)),
            quantities=(raw[:, present] / totals[present]).astype(np.float32),
            counts=counts.astype(np.float32),
            physics=physical_sums(counts, raw, live)[:, list(self.sums)],
            roots=root_sums(counts, raw, live)[:, list(self.roots)],
            census=census(counts, operators, live)[:, list(self.groups)],
            row={arch: index for index, arch in enumerate(archs)},
        )
