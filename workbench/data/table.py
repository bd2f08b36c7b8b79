"""Latency tables: one row per architecture, one column per device, milliseconds, NaN where not measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from workbench.config import WorkbenchError, lookup, write_atomically
from workbench.devices.device import DeviceCard
from workbench.spaces import get_space


@dataclass(frozen=True)
class LatencyTable:
    """Latencies of architectures of one space on several devices.

    Args:
        space: name of the search space.
        frame: float64 milliseconds, indexed by ``arch``, one column per device; NaN where not measured.
        cards: what is known of the devices; a device without a card is fine.

    Raises:
        WorkbenchError: repeated or malformed archs, a column that is not numeric, a latency that is not positive.
    """

    space: str
    frame: pd.DataFrame
    cards: Mapping[str, DeviceCard] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.frame.index.is_unique:
            repeated = self.frame.index[self.frame.index.duplicated()][0]
            raise WorkbenchError(
                f"Table {self.space}: arch '{repeated}' stands in several rows; keep one row per architecture."
            )
        space = get_space(self.space)
        for arch in self.frame.index:
            space.parse(arch)
        for device in self.frame.columns:
            _check_latencies(self.frame[device], self.space)

    @property
    def devices(self) -> list[str]:
        """Names of the columns."""
        return list(self.frame.columns)

    @property
    def archs(self) -> list[str]:
        """All arch strings, in the order of the rows."""
        return list(self.frame.index)

    def column(self, device: str) -> pd.Series:
        """Milliseconds on ``device`` by arch; an unknown device raises with the nearest name."""
        lookup("device", dict.fromkeys(self.devices), device)
        return self.frame[device]

    def select(self, devices: Sequence[str]) -> LatencyTable:
        """The table with these columns only."""
        columns = {device: self.column(device) for device in devices}
        return LatencyTable(self.space, pd.DataFrame(columns, index=self.frame.index), self.cards)

    def hardware(self, device: str) -> str | None:
        """The hardware a device runs on, None where no card says so."""
        card = self.cards.get(device)
        return card.hardware if card else None

    def write(self, folder: str | Path) -> Path:
        """Write ``<space>.parquet`` into ``folder``, atomically."""
        frame = self.frame.rename_axis("arch").reset_index()
        return write_atomically(
            Path(folder) / f"{self.space}.parquet", lambda path: frame.to_parquet(path, index=False)
        )


def _check_latencies(column: pd.Series, space: str) -> None:
    if not pd.api.types.is_float_dtype(column):
        raise WorkbenchError(
            f"Table {space}: column '{column.name}' expects milliseconds as numbers, got {column.dtype}; correct it."
        )
    values = column.to_numpy(dtype=np.float64)
    wrong = ~np.isnan(values) & ~((values > 0) & np.isfinite(values))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise WorkbenchError(
            f"Table {space}: latency of '{column.index[row]}' on {column.name} expects a positive number of "
            f"milliseconds, got {values[row]}; use NaN for what was not measured."
        )


def read_table(
    path: str | Path, space: str, cards: Mapping[str, DeviceCard], devices: Sequence[str] | None = None
) -> LatencyTable:
    """Read a Parquet latency table (DESIGN: string column ``arch``, one float column per device).

    Args:
        path: the file.
        space: the search space its arch strings belong to.
        cards: device cards by name.
        devices: only these columns; all if None.
    """
    return LatencyTable(space, read_frame(path, devices), cards)


def read_frame(path: str | Path, devices: Sequence[str] | None = None) -> pd.DataFrame:
    """The columns of a Parquet latency table as they stand, indexed by ``arch``; numbers as float64, not judged.

    Raises:
        WorkbenchError: the file cannot be read, or has no column ``arch``.
    """
    try:
        frame = pd.read_parquet(path, columns=None if devices is None else ["arch", *devices])
    except Exception as error:  # pyarrow raises many types for a damaged file, and all of them mean the same here
        raise WorkbenchError(
            f"Cannot read {path} as a Parquet latency table ({reason(error)}); make the file anew."
        ) from error
    if frame.index.name == "arch":  # pandas restores an index that it has written
        frame = frame.reset_index()
    if "arch" not in frame:
        raise WorkbenchError(
            f"{path} expects a string column 'arch', got {', '.join(map(str, frame.columns[:5]))}; add it."
        )
    frame = frame.set_index("arch")
    numeric = [name for name in frame if pd.api.types.is_numeric_dtype(frame[name])]
    return frame.astype(dict.fromkeys(numeric, np.float64))


def reason(error: Exception) -> str:
    """What went wrong, short and on one line, to stand in brackets."""
    lines = str(error).splitlines()
    return lines[0][:120] if lines else type(error).__name__
