"""Where a panel has its latencies from: a table that it was given, or those of the folders, one per search space."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from workbench.config import WorkbenchError, lookup
from workbench.data.sources import load_table
from workbench.data.table import LatencyTable
from workbench.spaces import SPACES


class Tables:
    """Latency tables by search space, each read once.

    Args:
        table: the only one, if there is one.
        folders: of latency tables, see `load_table`.
    """

    def __init__(self, table: LatencyTable | None = None, folders: Sequence[str | Path] = ()) -> None:
        self.folders = [str(folder) for folder in folders]
        self.spaces = list(SPACES) if table is None else [table.space]
        self._given, self._read = table is not None, {} if table is None else {table.space: table}

    def __call__(self, space: str) -> LatencyTable:
        """The table of ``space``; a `WorkbenchError` says what is wrong with it."""
        lookup("space of this panel", dict.fromkeys(self.spaces), space)
        if space not in self._read:
            self._read[space] = load_table(space, None, self.folders)
        return self._read[space]

    def devices(self, space: str) -> list[str]:
        """The devices measured in ``space``; none where there is no table, which the panel says when it is drawn."""
        try:
            return self(space).devices
        except WorkbenchError:
            return []

    def code(self, space: str) -> str:
        """Python that stands for the table of ``space``."""
        if self._given:
            return "table"
        return f"load_table({space!r}, folders={self.folders!r})" if self.folders else f"load_table({space!r})"
