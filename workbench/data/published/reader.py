"""What the readers of published formats share: options, units, columns of latencies, cards of known hardware.

Shapes: `a` networks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from workbench.config import WorkbenchError, lookup
from workbench.data.table import LatencyTable
from workbench.devices.device import DeviceCard, catalog
from workbench.spaces import get_space

T = TypeVar("T")

#: Milliseconds in one of each unit.
MS_PER = {"ms": 1.0, "s": 1000.0, "us": 0.001}

#: Called with the number of steps done and that of all.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Options:
    """What a person says about the files.

    Args:
        space: search space, where the files do not say it, or the only one wanted of several.
        unit: key of `MS_PER`.
        archs: the networks, where the files do not name them.
        devices: only these; all if empty.

    Raises:
        WorkbenchError: an unknown space or unit.
    """

    space: str | None = None
    unit: str | None = None
    archs: tuple[str, ...] | None = None
    devices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.space is not None:
            get_space(self.space)
        if self.unit is not None:
            lookup("unit", MS_PER, self.unit)

    def wanted(self, found: Iterable[str], where: str | Path) -> list[str]:
        """The devices to read out of those ``found``; none at all, or an unknown one, raises."""
        names = dict.fromkeys(found)
        if not names:
            raise WorkbenchError(f"{where} expects latencies of at least one device, got none; check the path.")
        for name in names:
            if not name.isprintable() or not name.strip() or name == "arch":
                raise WorkbenchError(f"{where} expects printable names of devices, got {name[:60]!a}; rename it.")
        for device in self.devices:
            lookup("device", names, device)
        return [name for name in names if not self.devices or name in self.devices]

    def without_archs(self, where: str | Path) -> None:
        """Raise if networks were given to a format that names them itself."""
        if self.archs is not None:
            raise WorkbenchError(f"{where} names its networks itself; leave --archs out.")

    def fixed_unit(self, unit: str, source: str) -> float:
        """Milliseconds per ``unit``, which the format's ``source`` states; another one that was given raises."""
        if self.unit not in (None, unit):
            raise WorkbenchError(f"{source} states latencies in {unit}, got the unit {self.unit}; leave --unit out.")
        return MS_PER[unit]

    def stated_unit(self, where: str | Path) -> float:
        """Milliseconds per unit that was given; none raises, since a guess would be wrong by a factor of 1,000."""
        if self.unit is None:
            raise WorkbenchError(f"{where} does not say the unit of its latencies; state it with --unit ms, s or us.")
        return MS_PER[self.unit]


class Reader(Protocol):
    """Reads one published format: files at ``path`` -> one table per search space.

    A device's card in the tables is what the format says of it beyond the catalog.

    Raises:
        WorkbenchError: whatever is wrong with the files or the options, in one sentence.
    """

    def __call__(self, path: Path, options: Options, progress: Progress | None = None) -> list[LatencyTable]: ...


def watched(items: Sequence[T], progress: Progress | None) -> Iterator[T]:
    """``items``, saying after each one how many are done."""
    for done, item in enumerate(items, start=1):
        yield item
        if progress:
            progress(done, len(items))


def canonical(space: str, archs: Iterable[Any]) -> list[str]:
    """``archs`` as `Space.format` writes them, so that tables join; a malformed one raises."""
    family = get_space(space)
    return [family.format(family.parse(arch)) for arch in archs]


def milliseconds(values: object, archs: Sequence[str], ms_per_unit: float, where: str | Path) -> np.ndarray:
    """`a` float64 milliseconds of a device that was measured on all ``archs``.

    Raises:
        WorkbenchError: not one number per network, or a number that is no latency.
    """
    try:
        raw = np.asarray(values)
    except ValueError:  # lists of unequal lengths
        raw = np.empty((), dtype=object)
    if raw.ndim != 1 or raw.dtype.kind not in "iuf":
        raise WorkbenchError(f"{where} expects a list of numbers, got something else; check which file this is.")
    if len(raw) != len(archs):
        raise WorkbenchError(
            f"{where} expects {len(archs)} latencies, one per network, got {len(raw)}; name the other devices with "
            f"--device to leave this one out."
        )
    latency_ms = raw.astype(np.float64) * ms_per_unit
    wrong = ~(np.isfinite(latency_ms) & (latency_ms > 0))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise WorkbenchError(
            f"{where}: the latency of '{archs[row]}' expects a positive number, got {raw[row]}; a failed measurement "
            f"is no latency: name the other devices with --device to leave this one out."
        )
    return latency_ms


def card_like(name: str, hardware: str, **how_it_ran: Any) -> DeviceCard:
    """A card with the catalog's figures of ``hardware`` for the device ``name``, as it was run."""
    same = next(card for card in catalog().values() if card.hardware == hardware)
    unknown = dict.fromkeys(("batch_size", "precision", "runtime", "threads"))
    return replace(same, name=name, **{**unknown, **how_it_ran})
