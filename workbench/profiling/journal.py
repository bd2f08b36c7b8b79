"""The durable record of a campaign: append-only Parquet segments of raw rows, each written whole or not at
all.

A campaign that is killed loses at most the network it was timing; what the segments hold is never measured again.
Small segments are merged when the campaign ends: ``segment-000001-000900`` holds what 900 of them held, and takes
their place from the moment it is there.
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
        ("device", pa.string()),  # the column of the latency table
        ("platform", pa.string()),
        ("arch", pa.string()),
        ("role", pa.string()),  # "network" or "reference"
        ("attempt", pa.int32()),  # of a network: which measurement of it; of a reference: which pass
        ("batch", pa.int32()),
        ("precision", pa.string()),
        ("threads", pa.int32()),
        ("repeat", pa.int32()),
        ("latency_ns", pa.int64()),
        ("started_at", pa.float64()),  # of this run, seconds since the epoch
        ("pulse_ns", pa.float64()),  # of the burst, see calm.py
        ("foreign_load", pa.float64()),  # of the burst, in processors
        ("temperature_c", pa.float64()),  # after the burst, null where it cannot be read
        ("frequency_mhz", pa.float64()),  # likewise
        ("failure", pa.string()),
    ]
)

NETWORK, REFERENCE = "network", "reference"
LOOSE_SEGMENTS = 20  # so many small files are left as they are when a campaign ends


class Journal:
    """The raw rows of one campaign in ``folder``; a context manager that writes what is pending at its end.

    Args:
        folder: made if it is not there; one process at a time may write to it.
        about: what must be the same when the campaign continues (space, passport); differing content raises.

    Attributes:
        damaged: names of segments that could not be read and were set aside; what they held is measured again.

    Raises:
        WorkbenchError: ``folder`` cannot be written, is in use, or holds another campaign.
    """

    def __init__(self, folder: str | Path, about: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        self.campaign = str(about["campaign"])
        self._pending: list[dict[str, Any]] = []
        self._begin(about)
        self._lock = self._locked()
        try:
            self.damaged = self._set_damaged_aside()
        except BaseException:
            self._lock.release()
            raise
        self._next = 1 + max((_numbers(path)[1] for path in self.folder.glob("segment-*")), default=0)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what is pending, merge small segments, and let others write."""
        try:
            self.flush()
            self._merge()
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

    def _set_damaged_aside(self) -> list[str]:
        found = []
        for path in _segments(self.folder):
            try:
                pq.read_table(path, schema=SCHEMA)
            except (pa.ArrowException, OSError):
                path.rename(path.with_name(path.name + ".damaged"))
                found.append(path.name)
        return found

    def _merge(self) -> None:
        paths = _segments(self.folder)
        if len(paths) > LOOSE_SEGMENTS:
            first, last = _numbers(paths[0])[0], _numbers(paths[-1])[1]
            table = pa.concat_tables(_tables(paths))
            self._write(table, self.folder / f"segment-{first:06d}-{last:06d}.parquet")
        for path in set(self.folder.glob("segment-*.parquet")) - set(_segments(self.folder)):
            path.unlink()

    def append(
        self, platform: Platform, device: str, arch: str, role: str, attempt: int, result: Watched | str
    ) -> None:
        """Add one timing, or the reason why there is none; it is on disk after the next `flush`."""
        shared = {
            "campaign": self.campaign,
            "device": device,
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
            return
        timing = result.timing
        for repeat, (latency, offset) in enumerate(zip(timing.samples_ns, timing.offsets_ns, strict=True)):
            row = {
                "repeat": repeat,
                "latency_ns": latency,
                "started_at": timing.started_at + offset * 1e-9,
                "pulse_ns": result.pulse_ns,
                "foreign_load": result.foreign_load,
                "temperature_c": result.temperature_c,
                "frequency_mhz": result.frequency_mhz,
            }
            self._pending.append({**shared, **row})

    def flush(self) -> None:
        """Write what is pending as the next segment."""
        if not self._pending:
            return
        columns = {name: [row.get(name) for row in self._pending] for name in SCHEMA.names}
        self._write(pa.table(columns, schema=SCHEMA), self.folder / f"segment-{self._next:06d}.parquet")
        self._next += 1
        self._pending = []

    @staticmethod
    def _write(table: pa.Table, path: Path) -> None:
        write_atomically(path, lambda temporary: pq.write_table(table, temporary, compression="zstd"))

    def read(self) -> pd.DataFrame:
        """All rows written so far."""
        return read_raw(self.folder)


def read_raw(folder: str | Path) -> pd.DataFrame:
    """The raw rows in ``folder``, as `SCHEMA` says; none at all give an empty frame. Others may be writing to it.

    Raises:
        WorkbenchError: there is no such campaign, or a segment cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise WorkbenchError(
            f"No campaign in {folder}; give the folder that 'workbench profile' wrote its raw rows to."
        )
    try:
        tables = list(_tables(_segments(folder)))
    except FileNotFoundError:  # merged by the one who writes, just now
        tables = list(_tables(_segments(folder)))
    return pa.concat_tables([SCHEMA.empty_table(), *tables]).to_pandas()


def _numbers(path: Path) -> tuple[int, int]:
    """Numbers of the first and the last segment that ``path`` stands for."""
    numbers = [int(part) for part in path.name.split(".")[0].split("-")[1:]]
    return numbers[0], numbers[-1]


def _segments(folder: Path) -> list[Path]:
    """The segments that count, in their order: not those that a merged one has taken the place of."""
    ordered = sorted(folder.glob("segment-*.parquet"), key=lambda path: (_numbers(path)[0], -_numbers(path)[1]))
    kept: list[Path] = []
    for path in ordered:
        if not kept or _numbers(path)[0] > _numbers(kept[-1])[1]:
            kept.append(path)
    return kept


def _tables(paths: Iterable[Path]) -> Iterable[pa.Table]:
    for path in paths:
        try:
            yield pq.read_table(path, schema=SCHEMA)
        except FileNotFoundError:
            raise
        except (pa.ArrowException, OSError) as error:
            raise WorkbenchError(
                f"Segment {path} cannot be read ({error}); run 'workbench profile' on its folder again, which sets it "
                f"aside and measures its networks anew."
            ) from error
