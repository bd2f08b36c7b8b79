"""Where latency tables are found: folders given by the user, then the workbench's own measurements."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from workbench.config import WorkbenchError, lookup
from workbench.data.table import LatencyTable, read_table
from workbench.devices.device import DeviceCard, catalog, read_cards
from workbench.spaces import get_space

BUNDLED = Path(__file__).parent / "bundled"


def data_folders(folders: Sequence[str | Path] = ()) -> list[Path]:
    """The folders to search: ``folders``, else ``WORKBENCH_DATA`` (separated by ``:``); the bundled one comes last."""
    given = list(folders) or [part for part in os.environ.get("WORKBENCH_DATA", "").split(os.pathsep) if part]
    found = [Path(folder) for folder in given]
    for folder in found:
        if not folder.is_dir():
            raise WorkbenchError(
                f"Data folder {folder} expects a directory, found none; correct --data or WORKBENCH_DATA."
            )
    return list(dict.fromkeys([*found, BUNDLED]))


def load_table(space: str, devices: Sequence[str] | None = None, folders: Sequence[str | Path] = ()) -> LatencyTable:
    """The latencies of ``space`` on ``devices``, each column from the first folder that has it.

    Args:
        space: search space; the file read is ``<space>.parquet``.
        devices: device names; all that are found if None.
        folders: see `data_folders`.

    Raises:
        WorkbenchError: no table, an unreadable one, no ``arch`` column, or an unknown device.
    """
    get_space(space)
    searched = data_folders(folders)
    files = [folder / f"{space}.parquet" for folder in searched if (folder / f"{space}.parquet").is_file()]
    if not files:
        places = ", ".join(map(str, searched))
        raise WorkbenchError(
            f"No latency table {space}.parquet in {places}; name its folder with --data or WORKBENCH_DATA."
        )
    where: dict[str, Path] = {}
    for file in files:
        for device in _columns(file):
            where.setdefault(device, file)
    wanted = list(where) if devices is None else list(dict.fromkeys(devices))
    if not wanted:
        raise WorkbenchError(f"{files[0]} expects a column per device besides 'arch', got none; measure one.")
    for device in wanted:
        lookup("device", where, device)
    parts = []
    for file in files:
        chosen = [device for device in wanted if where[device] == file]
        if chosen:
            parts.append(read_table(file, space, _cards(file.parent), chosen))
    cards = {name: card for part in reversed(parts) for name, card in part.cards.items()}
    cards |= {name: part.cards[name] for part in parts for name in part.devices if name in part.cards}
    if len(parts) == 1:
        return LatencyTable(space, parts[0].frame[wanted], cards)
    return LatencyTable(space, pd.concat([part.frame for part in parts], axis=1)[wanted], cards)


def _columns(file: Path) -> list[str]:
    try:
        names = pq.read_schema(file).names
    except Exception as error:  # pyarrow raises many types for a damaged file, and all of them mean the same here
        raise WorkbenchError(f"Cannot read {file} as a Parquet latency table; make the file anew.") from error
    if "arch" not in names:
        raise WorkbenchError(f"{file} expects a string column 'arch', got {', '.join(names[:5])}; add it.")
    return [name for name in names if name not in ("arch", "__index_level_0__")]


def _cards(folder: Path) -> dict[str, DeviceCard]:
    own = folder / "devices.yaml"
    return {**catalog(), **(read_cards(own) if own.is_file() else {})}
