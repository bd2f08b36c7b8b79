"""Plain tables: a column ``arch`` and one column of latencies per device, as CSV or Parquet.

Nothing in such a file says its unit, so it must be stated. An empty cell (Parquet: null or NaN) is not measured.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from workbench.config import WorkbenchError
from workbench.data.published.reader import Options, Progress, canonical, watched
from workbench.data.table import LatencyTable, read_frame, reason
from workbench.spaces import SPACES


def read_parquet(path: Path, options: Options, progress: Progress | None = None) -> list[LatencyTable]:
    """The table of a Parquet file; its name may say the space, as ``<space>.parquet``."""
    return _read(path, options, progress, read_frame)


def read_csv(path: Path, options: Options, progress: Progress | None = None) -> list[LatencyTable]:
    """The table of a CSV file with a line of names; its name may say the space, as ``<space>.csv``."""
    return _read(path, options, progress, _csv_frame)


def _read(
    path: Path, options: Options, progress: Progress | None, read: Callable[[Path], pd.DataFrame]
) -> list[LatencyTable]:
    ms_per_unit = options.stated_unit(path)
    options.without_archs(path)
    space = options.space or path.stem
    if space not in SPACES:
        raise WorkbenchError(
            f"{path} does not say its search space; state it with --space, one of {', '.join(SPACES)}."
        )
    (file,) = watched([path], progress)
    frame = read(file)
    wanted = options.wanted(map(str, frame.columns), path)
    for device in wanted:
        if frame[device].isna().all():
            raise WorkbenchError(
                f"{path}: column '{device}' holds no latency; name the other devices with --device to leave it out."
            )
    index = pd.Index(canonical(space, frame.index), name="arch")
    numeric = [device for device in wanted if pd.api.types.is_numeric_dtype(frame[device])]
    columns = {name: frame[name] * ms_per_unit if name in numeric else frame[name] for name in wanted}
    return [LatencyTable(space, pd.DataFrame(columns).set_axis(index))]


def _csv_frame(path: Path) -> pd.DataFrame:
    """The numbers of a CSV file, indexed by ``arch``.

    Read by Python's own module: pandas renames a repeated column and takes words for missing numbers, in silence.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:  # spreadsheets begin a file with a byte order mark
            lines = csv.reader(file, strict=True)
            numbered = [(lines.line_num, cells) for cells in lines if cells]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise WorkbenchError(f"Cannot read {path} as CSV ({reason(error)}); save it as CSV in UTF-8.") from error
    names = [name.strip() for name in numbered[0][1]] if numbered else []
    if names.count("arch") != 1:
        raise WorkbenchError(
            f"{path} expects a first line of names separated by commas, one of them 'arch', got "
            f"{', '.join(names)[:60]!a}; add it."
        )
    if "" in names or len(set(names)) < len(names):
        raise WorkbenchError(
            f"{path} expects a name of its own for each column, got {', '.join(names)[:90]!a}; name them."
        )
    columns: dict[str, list] = {name: [] for name in names}
    for line, cells in numbered[1:]:
        if len(cells) != len(names):
            raise WorkbenchError(
                f"{path}, line {line} expects {len(names)} cells, got {len(cells)}; quote a cell that holds commas."
            )
        for name, cell in zip(names, cells, strict=True):
            columns[name].append(cell if name == "arch" else _number(cell, f"{path}, line {line}, {name}"))
    return pd.DataFrame(columns).set_index("arch")


def _number(cell: str, where: str) -> float:
    text = cell.strip()
    try:
        return float(text or "nan")
    except ValueError as error:
        raise WorkbenchError(
            f"{where} expects a number, got {text[:40]!a}; leave empty what was not measured."
        ) from error
