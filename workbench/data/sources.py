"""Where latency tables are found: folders given by the user, then the workbench's own measurements."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
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
        below = sorted({path.parent for path in folder.glob("*/*.parquet")})
        if below and not any(folder.glob("*.parquet")):
            raise WorkbenchError(
                f"Data folder {folder} expects latency tables, found them in {below[0]} instead; name that folder."
            )
    return list(dict.fromkeys([*found, BUNDLED]))


def load_table(space: str, devices: Sequence[str] | None = None, folders: Sequence[str | Path] = ()) -> LatencyTable:
    """The latencies of ``space`` on ``devices``, each column from the first folder that has it.

    Where further folders hold a device of the same name with the same passport, its rows are added. The bundled
    measurements only serve devices that no other folder has.

    Args:
        space: search space; the file read is ``<space>.parquet``.
        devices: device names; all that are found if None.
        folders: see `data_folders`.

    Raises:
        WorkbenchError: no table, an unreadable one, no ``arch`` column, an unknown device, or one device measured
            under different conditions in two folders.
    """
    get_space(space)
    searched = data_folders(folders)
    files = [folder / f"{space}.parquet" for folder in searched if (folder / f"{space}.parquet").is_file()]
    if not files:
        places = ", ".join(map(str, searched))
        raise WorkbenchError(
            f"No latency table {space}.parquet in {places}; name its folder with --data or WORKBENCH_DATA."
        )
    cards = {file: _cards(file.parent) for file in files}
    where: dict[str, list[Path]] = {}
    for file in files:
        for device in _columns(file):
            if device not in where or (file.parent != BUNDLED and _may_join(device, [*where[device], file], cards)):
                where.setdefault(device, []).append(file)
    wanted = list(where) if devices is None else list(dict.fromkeys(devices))
    if not wanted:
        raise WorkbenchError(f"{files[0]} expects a column per device besides 'arch', got none; measure one.")
    for device in wanted:
        lookup("device", where, device)
    parts = {}
    for file in files:
        chosen = [device for device in wanted if file in where[device]]
        if chosen:
            parts[file] = read_table(file, space, cards[file], chosen)
    known = {name: card for part in reversed(parts.values()) for name, card in part.cards.items()}
    known |= {name: cards[where[name][0]][name] for name in wanted if name in cards[where[name][0]]}
    if len(parts) == 1:
        (part,) = parts.values()
        return LatencyTable(space, part.frame[wanted], known)
    columns = {}
    for device in wanted:
        first, *others = (parts[file].frame[device] for file in where[device])
        for other in others:
            first = first.combine_first(other)
        columns[device] = first
    rows = list(dict.fromkeys(arch for part in parts.values() for arch in part.frame.index))
    return LatencyTable(space, pd.DataFrame(columns, index=pd.Index(rows, name="arch")), known)


def devices_of(space: str, folders: Sequence[str | Path] = ()) -> list[str]:
    """Devices of ``space`` in the folders given (see `data_folders`); the bundled ones where those have no table."""
    files = [folder / f"{space}.parquet" for folder in data_folders(folders)]
    own = [file for file in files if file.is_file() and file.parent != BUNDLED]
    if own:
        return list(dict.fromkeys(device for file in own for device in _columns(file)))
    return load_table(space, None, folders).devices


def _may_join(device: str, files: Sequence[Path], cards: Mapping[Path, Mapping[str, DeviceCard]]) -> bool:
    """Whether the rows of ``device`` in several files are of one kind: known passports, all the same."""
    found = {file: card.passport for file in files if (card := cards[file].get(device)) and card.passport}
    if len(set(found.values())) > 1:
        told = " and ".join(f"{passport} in {file.parent}" for file, passport in found.items())
        raise WorkbenchError(
            f"Device '{device}' was measured under different conditions (passports {told}); give one of these folders, "
            f"or measure again with another --device name."
        )
    return len(found) == len(files)


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
