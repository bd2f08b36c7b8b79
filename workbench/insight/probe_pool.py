"""Probes as a person chooses them: a selector, a number, some that are kept and some that are not wanted.

The selector's order stands; probes that are locked come first, networks that were swapped out are passed over. So
locking a probe that was chosen anyway changes nothing else, and a swap brings the next best.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from workbench.config import WorkbenchError
from workbench.describe.dbsel import DEFAULT_SELECTOR, Candidates, select_probes

#: Selectors whose larger selections begin with the smaller ones, given the same seed.
NESTED = frozenset({"a_optimal", "balanced", "central", "d_optimal", "disagreement", "k_medoids"})

#: Networks that a nested selection is longer than what was asked for, so that a few swaps cost nothing.
SPARE = 10


class Choice(NamedTuple):
    """How probes are chosen.

    Args:
        selector: key of `SELECTORS`.
        count: number of probes.
        seed: of the selectors that draw.
        locked: archs that are probes whatever the selector says.
        swapped: archs that are no probes whatever it says.
    """

    selector: str = DEFAULT_SELECTOR
    count: int = 10
    seed: int = 0
    locked: tuple[str, ...] = ()
    swapped: tuple[str, ...] = ()


class Pool:
    """Networks that may become probes, and what was selected among them so far.

    Args:
        candidates: `m` networks as selectors see them.
        rows: `m` their rows among all networks.
    """

    def __init__(self, candidates: Candidates, rows: np.ndarray) -> None:
        self.candidates, self.rows = candidates, rows
        self._orders: dict[tuple, np.ndarray] = {}

    def pick(self, choice: Choice, locked: np.ndarray, swapped: np.ndarray, ahead: int = 0) -> np.ndarray:
        """Rows of the probes: the locked ones, then those that the selector likes best.

        Args:
            choice: its ``locked`` and ``swapped`` are given as rows in the other arguments.
            locked: rows, not necessarily of the pool.
            swapped: rows.
            ahead: a number of probes that will be asked for next.

        Raises:
            WorkbenchError: an unknown selector, or more probes than there are networks.
        """
        order = self._order(choice, np.unique(swapped), ahead)
        free = order[~np.isin(order, np.concatenate([locked, swapped]))]
        picks = np.concatenate([locked, free])[: max(choice.count, len(locked))]
        if len(picks) < choice.count:
            raise WorkbenchError(
                f"Cannot select {choice.count} probes from {len(picks)} architectures; ask for fewer, or put those "
                f"back that were swapped out."
            )
        return picks

    def _order(self, choice: Choice, swapped: np.ndarray, ahead: int) -> np.ndarray:
        """Rows in the order in which the selector takes them, enough of them for ``choice``."""
        if choice.selector in NESTED:
            need = min(max(choice.count, ahead) + len(swapped), len(self.rows))
            key = (choice.selector, choice.seed)
            if len(self._orders.get(key, ())) < need:
                longer = min(need + SPARE, len(self.rows))
                self._orders[key] = self._select(choice, longer, np.arange(len(self.rows)))
            return self._orders[key]
        open_ = np.flatnonzero(~np.isin(self.rows, swapped))
        key = (choice.selector, choice.seed, choice.count, swapped.tobytes())
        if key not in self._orders:
            self._orders[key] = self._select(choice, min(choice.count, len(open_)), open_)
        return self._orders[key]

    def _select(self, choice: Choice, count: int, places: np.ndarray) -> np.ndarray:
        generator = np.random.default_rng(choice.seed)
        return self.rows[select_probes(choice.selector, self.candidates, count, generator, places)]
