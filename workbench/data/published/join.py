"""Joining what is imported with what a folder already holds, so that no measurement is lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from workbench.config import WorkbenchError
from workbench.data.table import LatencyTable, read_table
from workbench.devices.device import DeviceCard, catalog, read_cards, write_cards
from workbench.profiling.reduce import tables_in

#: Seconds to wait for another import into the same folder.
PATIENCE = 60.0


class Joined(NamedTuple):
    """A table together with what was there.

    Args:
        table: all of it.
        added: how many latencies were not there before.
    """

    table: LatencyTable
    added: int


def join(table: LatencyTable, folder: Path) -> Joined:
    """``table`` and what ``folder`` holds of its space; rows and columns of both are kept.

    Raises:
        WorkbenchError: the folder belongs to a measuring campaign, its table cannot be read, or it holds another
            latency for the same network and device.
    """
    count = int(table.frame.notna().to_numpy().sum())
    files = tables_in(folder, table.space)
    if files.raw.exists() or files.conditions.exists():
        raise WorkbenchError(
            f"{folder} holds {table.space} as it was measured here, which is written anew from raw timings; choose "
            f"another folder with --out (several may be given as --data)."
        )
    if not files.latencies.exists():
        return Joined(table, count)
    before = read_table(files.latencies, table.space, {})
    for device in filter(before.devices.__contains__, table.devices):
        _refuse_other_latencies(before, table, device, files.latencies)
    rows = list(dict.fromkeys([*before.archs, *table.archs]))
    columns = list(dict.fromkeys([*before.devices, *table.devices]))
    frame = before.frame.reindex(index=rows, columns=columns)
    for device in table.devices:
        frame[device] = frame[device].fillna(table.frame[device].reindex(rows))
    added = int(frame.notna().to_numpy().sum() - before.frame.notna().to_numpy().sum())
    return Joined(LatencyTable(table.space, frame, table.cards), added)


def _refuse_other_latencies(before: LatencyTable, table: LatencyTable, device: str, file: Path) -> None:
    here = table.frame[device]
    there = before.frame[device].reindex(here.index)
    differs = there.notna() & here.notna() & (there != here)
    if differs.any():
        arch = differs.idxmax()
        raise WorkbenchError(
            f"{file} holds '{device}' already, with other latencies ({there[arch]:g} ms for '{arch}', now "
            f"{here[arch]:g} ms); choose another folder with --out."
        )


def add_cards(cards: Mapping[str, DeviceCard], folder: Path) -> Path | None:
    """Write to ``folder`` the ``cards`` of devices that neither it nor the catalog knows; None if there is none."""
    path = tables_in(folder, "").cards
    beside = read_cards(path) if path.is_file() else {}
    unknown = {name: card for name, card in cards.items() if name not in beside and name not in catalog()}
    return write_cards(path, {**beside, **unknown}) if unknown else None


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """One import at a time: each reads the table that it then writes."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        lock.acquire(timeout=PATIENCE)
    except Timeout as error:
        raise WorkbenchError(f"{folder} is in use by another import; wait until it has ended.") from error
    except OSError as error:
        raise WorkbenchError(
            f"Cannot write {folder}: {error.strerror or error}; choose a folder that is writable with --out."
        ) from error
    try:
        yield
    finally:
        lock.release()
