"""Whole studies as tasks: every device left out once, every family, every space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from workbench.config import WorkbenchError
from workbench.data.sources import devices_of, load_table
from workbench.data.table import LatencyTable
from workbench.data.tasks import Task


class Study(NamedTuple):
    """Tasks, and a sentence about every device that is in none."""

    tasks: tuple[Task, ...]
    notes: tuple[str, ...] = ()


def devices_table(space: str, folders: Sequence[str | Path] = ()) -> LatencyTable:
    """The table of the devices of ``space`` in the data folders, those without any measurement left out."""
    table = load_table(space, devices_of(space, folders), folders)
    return table.select([name for name in table.devices if table.frame[name].notna().sum() > 1])


def leave_one_device_out(table: LatencyTable, source_samples: int = 900) -> Study:
    """Per piece of hardware a task whose targets are the devices on it and whose sources are those on any other.

    A device of unknown hardware is taken for hardware of its own.
    """
    groups = _groups(table.devices, lambda device: table.hardware(device) or device)
    return Study(_each_left_out(table, groups, source_samples, "pieces of hardware"))


def leave_one_family_out(table: LatencyTable, source_samples: int = 900) -> Study:
    """Per family (of the device cards) a task whose targets are its devices and whose sources are all others.

    A device of unknown family may belong to the one that must not be seen, so it is in no task.
    """
    families = {device: card.family for device in table.devices if (card := table.cards.get(device)) and card.family}
    notes = [
        f"{device} is in no task: its family is not known; name it in devices.yaml."
        for device in table.devices
        if device not in families
    ]
    groups = _groups(list(families), families.__getitem__)
    return Study(_each_left_out(table, groups, source_samples, "families"), tuple(notes))


def cross_space(table: LatencyTable, elsewhere: Sequence[LatencyTable], source_samples: int = 900) -> Study:
    """As `leave_one_device_out`, with sources that were measured in all of the spaces ``elsewhere`` and not here."""
    spaces = tuple(other.space for other in elsewhere)
    if table.space in spaces:
        raise WorkbenchError(f"A study across spaces expects other spaces than {table.space} as sources; leave it out.")
    known = [device for device in elsewhere[0].devices if all(device in other.devices for other in elsewhere)]
    hardware = {device: elsewhere[0].hardware(device) or device for device in known}
    tasks, notes = [], []
    for name, targets in _groups(table.devices, lambda device: table.hardware(device) or device).items():
        sources = tuple(device for device in known if hardware[device] != name)
        if not sources:
            notes.append(f"{', '.join(targets)}: in no task, since {', '.join(spaces)} know no other hardware.")
            continue
        title = f"{table.space}-without-{name}-from-{'-and-'.join(spaces)}"
        tasks.append(Task(title, table.space, sources, targets, source_samples, spaces))
    if not tasks:
        raise WorkbenchError(
            f"A study across spaces expects devices on other hardware in all of {', '.join(spaces)}, got none; choose "
            f"other spaces, or give more folders with --data."
        )
    return Study(tuple(tasks), tuple(notes))


def _groups(devices: Sequence[str], key: Callable[[str], str]) -> dict[str, tuple[str, ...]]:
    groups: dict[str, tuple[str, ...]] = {}
    for device in devices:
        groups[key(device)] = (*groups.get(key(device), ()), device)
    return groups


def _each_left_out(
    table: LatencyTable, groups: dict[str, tuple[str, ...]], source_samples: int, kinds: str
) -> tuple[Task, ...]:
    if len(groups) < 2:
        raise WorkbenchError(
            f"Leaving one out expects devices of at least 2 {kinds} in {table.space}, got {len(groups)} "
            f"({', '.join(groups) or 'no device'}); give more folders with --data."
        )
    devices = [device for members in groups.values() for device in members]
    tasks = []
    for name, targets in groups.items():
        sources = tuple(device for device in devices if device not in targets)
        tasks.append(Task(f"{table.space}-without-{name}", table.space, sources, targets, source_samples))
    return tuple(tasks)
