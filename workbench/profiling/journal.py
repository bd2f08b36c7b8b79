"""The durable record of a campaign: append-only Parquet segments of raw rows, each written whole or not at
all.

A campaign that is killed loses at most the rows since the last flush; what the segments hold is never
measured again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from workbench.config import WorkbenchError, write_atomically
from workbench.devices.backends import Platform
from workbench.profiling.calm import Watched

#: One row per timed run, or one per failure (then ``latency_ns`` is null and ``failure`` says why).
SCHEMA = pa.schema(
    [
        ("campaign", pa.string()),
        ("platform", pa.string()),
        ("arch", pa.string()),
        ("role", pa.string()),  # "network" or "reference"
        ("attempt", pa.int32()),  # of a network: which measurement of it; of a reference: which pass
        ("batch", pa.int32()),
        ("precision", pa.string()),
        ("threads", pa.int32()),
        ("repeat", pa.int32()),
        ("latency_ns", pa.int64()),
        ("started_at", pa.float64()),  # of the burst, seconds since the epoch
        ("pulse_ns", pa.float64()),  # of the burst, see calm.py
        ("foreign_load", pa.float64()),  # of the burst, in processors
        ("failure", pa.string()),
    ]
)

NETWORK, REFERENCE = "network", "reference"


class Journal:
    """The raw rows of one campaign in ``folder``; a context manager that writes what is pending at its end.

    Args:
        folder: made if it is not there; one process at a time may write to it.
        about: what must be the same when the campaign continues (space, passport); differing content raises.
        flush_s: rows are written at latest this long after they came.

    Raises:
        WorkbenchError: ``folder`` cannot be written, is in use, or holds another campaign.
    """

    def __init__(self, folder: str | Path, about: Mapping[str, Any], flush_s: float = 5.0) -> None:
        self.folder = Path(folder)
        self.flush_s = flush_s
        self.campaign = str(about["campaign"])
        self._pending: list[dict[str, Any]] = []
        self._flushed_at = time.monotonic()
        self._begin(about)
        self._lock = self._locked()
        self._next = 1 + max((int(path.stem.split("-")[1]) for path in _segments(self.folder)), default=0)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what is pending and let others write."""
        try:
            self.flush()
        finally:
            self._lock.release()

    def _begin(self, about: Mapping[str, Any]) -> None:
        path = self.folder / "campaign.json"
        if not path.exists():
            text = json.dumps(about, indent=1)
            write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
            return
        try:
            before = dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise WorkbenchError(
                f"{path} cannot be read as the beginning of a campaign ({error}); use another output folder."
            ) from error
        for key, value in about.items():
            if before.get(key) != value:
                raise WorkbenchError(
                    f"The campaign in {self.folder} was begun with {key} {before.get(key)!r}, now it is "
                    f"{value!r}; use another output folder."
                )

    def _locked(self) -> FileLock:
        lock = FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise WorkbenchError(
                f"Another process is measuring into {self.folder}; wait for its end or use another output folder."
            ) from error
        except OSError as error:
            raise WorkbenchError(
                f"Cannot write {self.folder}: {error.strerror or error}; use another output folder."
            ) from error
        return lock

    def append(self, platform: Platform, arch: str, role: str, attempt: int, result: Watched | str) -> None:
        """Add one timing, or the reason why there is none."""
        shared = {
            "campaign": self.campaign,
            "platform": platform.name,
            "arch": arch,
            "role": role,
            "attempt": attempt,
            "batch": platform.batch,
            "precision": platform.precision,
            "threads": platform.threads,
        }
        if isinstance(result, str):
            self._pending.append({**shared, "repeat": 0, "started_at": time.time(), "failure": result})
        else:
            self._pending += [
                {
                    **shared,
                    "repeat": repeat,
                    "latency_ns": latency,
                    "started_at": result.timing.started_at,
                    "pulse_ns": result.pulse_ns,
                    "foreign_load": result.foreign_load,
                }
                for repeat, latency in enumerate(result.timing.samples_ns)
            ]
        if time.monotonic() - self._flushed_at >= self.flush_s:
            self.flush()

    def flush(self) -> None:
        """Write what is pending as the next segment."""
        self._flushed_at = time.monotonic()
        if not self._pending:
            return
        columns = {name: [row.get(name) for row in self._pending] for name in SCHEMA.names}
        table = pa.table(columns, schema=SCHEMA)
        path = self.folder / f"segment-{self._next:06d}.parquet"
        write_atomically(path, lambda temporary: pq.write_table(table, temporary, compression="zstd"))
        self._next += 1
        self._pending = []

    def read(self) -> pd.DataFrame:
        """All rows written so far."""
        return read_raw(self.folder)


def read_raw(folder: str | Path) -> pd.DataFrame:
    """The raw rows in ``folder``, as `SCHEMA` says; none at all give an empty frame.

    Raises:
        WorkbenchError: there is no such campaign, or a segment cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise WorkbenchError(
            f"No campaign in {folder}; give the folder that 'workbench profile' wrote its raw rows to."
        )
    return pa.concat_tables([SCHEMA.empty_table(), *_tables(_segments(folder))]).to_pandas()


def _segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("segment-*.parquet"))


def _tables(paths: Iterable[Path]) -> Iterable[pa.Table]:
    for path in paths:
        try:
            yield pq.read_table(path, schema=SCHEMA)
        except (pa.ArrowInvalid, OSError) as error:
            raise WorkbenchError(
                f"Segment {path} cannot be read ({error}); delete it, and its networks are measured again."
            ) from error
