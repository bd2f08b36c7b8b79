"""Whether a device still is as it was when it was measured."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.config import WorkbenchError
from workbench.devices.backends import BACKENDS, Platform
from workbench.devices.detect import Machine, detect, differing, platform_conditions
from workbench.devices.device import DeviceCard
from workbench.profiling.reduce import tables_in


def platform_of(card: DeviceCard) -> Platform | None:
    """The way to execute that a measured card describes; None if it was not measured by this workbench."""
    backend = (card.runtime or "").split(" ")[0]
    if backend not in BACKENDS or card.precision is None:
        return None
    return Platform(backend, card.precision, int(card.threads or 1), int(card.batch_size or 1))


def conditions_here(platform: Platform, machine: Machine | None = None) -> dict[str, Any]:
    """`platform_conditions` of this machine, now; a missing backend raises."""
    version = BACKENDS[platform.backend].require()
    return platform_conditions(machine or detect(), platform.backend, version, platform.precision, platform.threads)


def changed_conditions(card: DeviceCard, recorded: Mapping[str, Any] | None = None) -> str | None:
    """One sentence if this machine would run ``card``'s networks under other conditions than it was measured under;
    None if they are the same or cannot be compared.

    Args:
        recorded: what decided the numbers then, see `recorded_conditions`; without it the sentence gives no reason.
    """
    platform = platform_of(card)
    if card.passport is None or platform is None:
        return None
    try:
        here = conditions_here(platform)
    except WorkbenchError:
        return None  # this machine cannot run them at all, so it is another device
    if here["passport"] == card.passport:
        return None
    changes = differing(recorded, here) if recorded else {}
    why = "; ".join(f"{name}: {then!r}, now {now!r}" for name, (then, now) in list(changes.items())[:4])
    return (
        f"'{card.name}' was measured under other conditions (passport {card.passport}) than this machine has now "
        f"({here['passport']}{': ' + why if why else ''})."
    )


def recorded_conditions(space: str, card: DeviceCard, folders: Sequence[Path]) -> dict[str, Any] | None:
    """What was written beside the table that ``card`` belongs to, found by its passport."""
    for folder in folders:
        path = tables_in(folder, space).conditions
        try:
            devices = json.loads(path.read_text(encoding="utf-8"))["devices"]
        except (OSError, ValueError, KeyError, TypeError):
            continue  # measured elsewhere, by something else
        if devices.get(card.name, {}).get("passport") == card.passport:
            return devices[card.name]
    return None
