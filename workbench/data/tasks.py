"""Transfer tasks, and the bookkeeping that keeps them honest.

A `Task` names source and target devices. A `Split` refuses hardware that stands on both sides. A `Ledger` is the only
way to a target device's latency: it counts what is read, and hands over the truth for scoring only once, at the end.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from workbench.config import WorkbenchError, lookup, write_atomically
from workbench.data.table import LatencyTable


@dataclass(frozen=True)
class Task:
    """Predict ``target`` devices from ``source`` devices, of which ``source_samples`` architectures are known.

    Where there are ``source_spaces``, the source devices were measured on networks of those spaces (that many of each)
    and on none of ``space``; a target may then be known from there.
    """

    name: str
    space: str
    source: tuple[str, ...]
    target: tuple[str, ...]
    source_samples: int = 900
    source_spaces: tuple[str, ...] = ()


def read_tasks(path: str | Path, only: Sequence[str] | None = None) -> list[Task]:
    """The tasks of a JSON file, or ``only`` those named.

    A task's name maps to {space, source, target}, with source_samples and source_spaces where they differ from `Task`.
    """
    path = Path(path)
    try:
        raw = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise WorkbenchError(f"Task file {path} expects a JSON file, found none; correct the path.") from error
    except (OSError, ValueError) as error:
        raise WorkbenchError(f"Task file {path} expects JSON, got {error}; correct the file.") from error
    if not isinstance(raw, dict) or not raw:
        raise WorkbenchError(
            f"Task file {path} expects a mapping from task name to task, got {type(raw).__name__}; correct it."
        )
    tasks = {name: _task(name, fields) for name, fields in raw.items()}
    if only is not None and not only:
        raise WorkbenchError(f"At least one task is expected, got none; choose from {', '.join(tasks)}.")
    return [lookup("task", tasks, name) for name in dict.fromkeys(tasks if only is None else only)]


def write_tasks(path: str | Path, tasks: Iterable[Task]) -> Path:
    """Write ``tasks`` as JSON that `read_tasks` reads, atomically."""
    content = {}
    for task in tasks:
        fields = asdict(task)
        del fields["name"]
        if not task.source_spaces:
            del fields["source_spaces"]
        content[task.name] = fields
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    return write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _task(name: str, fields: object) -> Task:
    expected = {"space": str, "source": list, "target": list, "source_samples": int, "source_spaces": list}
    if not isinstance(fields, dict):
        raise WorkbenchError(
            f"Task '{name}' expects the fields {', '.join(expected)}, got {fields!r}; correct the file."
        )
    for key in fields:
        lookup(f"field of task '{name}'", expected, key)
    for key, kind in expected.items():
        if key not in fields and key in ("source_samples", "source_spaces"):
            continue
        value = fields.get(key)
        if (
            not isinstance(value, kind)
            or not value
            or (kind is list and not all(isinstance(item, str) for item in value))
        ):
            raise WorkbenchError(
                f"Task '{name}': {key} expects a non-empty {kind.__name__}, got {value!r}; correct the file."
            )
        if kind is list and len(set(value)) < len(value):
            twice = next(item for item in value if value.count(item) > 1)
            raise WorkbenchError(f"Task '{name}': {key} names '{twice}' more than once; correct the file.")
    if fields.get("source_samples", 2) < 2:
        raise WorkbenchError(
            f"Task '{name}': source_samples expects at least 2, got {fields['source_samples']}; correct the file."
        )
    if fields["space"] in fields.get("source_spaces", ()):
        raise WorkbenchError(
            f"Task '{name}': source_spaces expects other spaces than {fields['space']}, got it too; take it out, or "
            f"leave source_spaces out to learn from the same space."
        )
    lists = {key: tuple(fields[key]) for key in ("source", "target", "source_spaces") if key in fields}
    return Task(name, fields["space"], source_samples=fields.get("source_samples", 900), **lists)


@dataclass(frozen=True)
class Split:
    """Source devices and one target device of a table.

    Args:
        table: latencies of all of them.
        source: source devices.
        target: the target device.
        named: whether a task names these devices one by one and so accepts shared hardware (published tasks do).

    Raises:
        WorkbenchError: the target is among the sources, or shares hardware with one and is not ``named``.
    """

    table: LatencyTable
    source: tuple[str, ...]
    target: str
    named: bool = False

    def __post_init__(self) -> None:
        if self.target in self.source:
            raise WorkbenchError(f"Split: target {self.target} is also a source device; remove it from one side.")
        if self.shared and not self.named:
            raise WorkbenchError(
                f"Split: target {self.target} runs on the same hardware as source {', '.join(self.shared)}; "
                "remove them, or name the devices in a task."
            )

    @property
    def shared(self) -> tuple[str, ...]:
        """Source devices with the target's hardware."""
        hardware = self.table.hardware(self.target)
        return tuple(name for name in self.source if hardware and self.table.hardware(name) == hardware)

    def ledger(self) -> Ledger:
        """A fresh ledger over the target's latencies."""
        return Ledger(self.table.column(self.target))


class Ledger:
    """Counts every latency that is read from a target device.

    Example: ``ledger.measure(arch)`` returns milliseconds and counts; ``ledger.reveal()`` ends measuring and returns
    the truth about all others, for scoring.
    """

    def __init__(self, latencies: pd.Series) -> None:
        self._latencies = latencies.dropna()
        self._read: dict[str, float] = {}
        self._closed = False
        if self._latencies.empty:
            raise WorkbenchError(
                f"Device {latencies.name} expects at least one measured architecture, got none; choose another."
            )

    @property
    def device(self) -> str:
        """Name of the target device."""
        return str(self._latencies.name)

    @property
    def reads(self) -> int:
        """How many architectures have been measured."""
        return len(self._read)

    @property
    def measured(self) -> dict[str, float]:
        """What has been measured, arch to milliseconds."""
        return dict(self._read)

    @property
    def measurable(self) -> list[str]:
        """The architectures that can be measured (which ones, not how long they take)."""
        return list(self._latencies.index)

    def measure(self, arch: str) -> float:
        """Milliseconds of ``arch`` on the target; counted once per architecture."""
        if self._closed:
            raise WorkbenchError(f"Ledger of {self.device} is closed: its latencies were revealed; make a new split.")
        if arch not in self._latencies.index:
            raise WorkbenchError(f"Architecture '{arch}' was not measured on {self.device}; choose a measured one.")
        return self._read.setdefault(arch, float(self._latencies[arch]))

    def measure_all(self, archs: Iterable[str]) -> list[float]:
        """`measure` for each of ``archs``."""
        return [self.measure(arch) for arch in archs]

    def reveal(self) -> pd.Series:
        """Close the ledger and return the latencies of all architectures that were not measured, for scoring."""
        self._closed = True
        return self._latencies.drop(list(self._read))
