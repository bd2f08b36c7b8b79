"""A sweep on disk: one small file per run that ended, written and then renamed, so that nothing is ever half there."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from workbench.config import WorkbenchError, write_atomically

FINISHED, FAILED = "finished", "failed"
MANIFEST, RESULTS, LOCK = "sweep.json", "results", "sweep.lock"
#: What a process that was killed may leave half written, in the folder and in two folders of it.
LEFT = ((".", ".sweep.*"), (".", ".results.*"), ("runs", ".*.ipynb"), ("runs", ".*.unfinished"), ("records", ".*.json"))


@dataclass(frozen=True)
class Record:
    """How a run ended.

    Args:
        key, number, factors, seed, parameters, resources: of the run, see `PlannedRun`.
        status: `FINISHED` or `FAILED`.
        attempts: how often it was tried, by the command that ended it.
        worker: which worker had it.
        seconds: that its cells took together.
        overhead_s: that it took beyond its cells: the start of the kernel and its end.
        started, ended: seconds since 1970.
        error: why it failed; "" if it did not.
        metrics: the last value of each.
        rows: of the table called ``results`` that the notebook logged, if it did.
    """

    key: str
    number: int
    factors: Mapping[str, Any]
    seed: int | None
    parameters: Mapping[str, Any]
    resources: Mapping[str, float]
    status: str
    attempts: int
    worker: str
    seconds: float
    overhead_s: float
    started: float
    ended: float
    error: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def stamp(self) -> str:
        """Tells this ending of the run from another one."""
        return f"{self.status} {self.ended:.6f}"


class Store:
    """The folder of a sweep; the layout is described in ``docs/ablations.md``."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Only one command at a time; the system takes the lock from a process that dies, however it dies."""
        from filelock import FileLock, Timeout

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WorkbenchError(
                f"Cannot make the folder {self.folder} ({error.strerror or error}); choose another one with --out."
            ) from error
        lock, owner = FileLock(self.folder / LOCK), self.folder / f"{LOCK}.owner"
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise WorkbenchError(
                f"This sweep is already running ({_owner(owner)}) in {self.folder}; wait for it, end it, or choose "
                f"another folder with --out."
            ) from error
        except OSError as error:
            raise WorkbenchError(
                f"Cannot write into {self.folder} ({error.strerror or error}); choose another one with --out."
            ) from error
        try:
            write_atomically(owner, lambda path: path.write_text(f"process {os.getpid()} on {socket.gethostname()}"))
            self._tidy()
            yield
        finally:
            owner.unlink(missing_ok=True)
            lock.release()

    def notebook(self, key: str) -> Path:
        """Where the executed notebook of a run lies."""
        return self.folder / "runs" / f"{key}.ipynb"

    def logged(self, key: str) -> Path:
        """Where what the notebook of a run logged lies."""
        return self.folder / "runs" / key

    def records(self) -> dict[str, Record]:
        """How every run ended that did, by key; a file that cannot be read counts as a run that did not end."""
        found = {}
        for path in sorted((self.folder / "records").glob("*.json")):
            record = _read(path)
            if record is not None:
                found[record.key] = record
        return found

    def keep(self, record: Record, notebook: str, files: Mapping[str, bytes]) -> None:
        """Keep all of a run; the record comes last and says that the rest is there.

        Raises:
            WorkbenchError: the disk is full, or the folder is gone.
        """
        write_atomically(self.notebook(record.key), lambda path: path.write_text(notebook, encoding="utf-8"))
        place = self.logged(record.key)
        unfinished = place.with_name(f".{record.key}.unfinished")
        try:
            shutil.rmtree(unfinished, ignore_errors=True)
            for name, content in files.items():
                (unfinished / name).parent.mkdir(parents=True, exist_ok=True)
                (unfinished / name).write_bytes(content)
            shutil.rmtree(place, ignore_errors=True)
            if files:
                unfinished.rename(place)
        except OSError as error:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise WorkbenchError(
                f"Cannot write {place}: {error.strerror or error}; free some space or choose another folder."
            ) from error
        text = json.dumps(asdict(record), default=str)
        write_atomically(self.folder / "records" / f"{record.key}.json", lambda path: path.write_text(text))

    def write_manifest(self, told: Mapping[str, Any]) -> None:
        """Write what is known of the sweep as a whole."""
        text = json.dumps(told, indent=1, default=str, ensure_ascii=False) + "\n"
        write_atomically(self.folder / MANIFEST, lambda path: path.write_text(text, encoding="utf-8"))

    def _tidy(self) -> None:
        """Remove what a killed process left half written."""
        for place, pattern in LEFT:
            for left in (self.folder / place).glob(pattern):
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink(missing_ok=True)


def iso(seconds: float | None = None) -> str:
    """A moment (now, if None) as ``2026-01-31T12:00:00Z``."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _read(path: Path) -> Record | None:
    try:
        return Record(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _owner(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return "another process"
