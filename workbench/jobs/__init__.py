"""Work that outlives the notebook: a process of its own, whose progress is in a database that any notebook reads.

Closing the browser or ending the kernel loses nothing: `latest` finds the job again, running or ended.

Example::

    job = start("train", "reports/training", space="nasbench201", targets=["pixel3"])
    job.progress.label
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from workbench.config import WorkbenchError, lookup
from workbench.jobs import process
from workbench.jobs.store import (
    ACTIVE,
    FAILED,
    FINISHED,
    RUNNING,
    STOPPED,
    WAITING,
    jobs_database,
    opened,
    prepare,
    read,
)

__all__ = ["FAILED", "FINISHED", "JOBS", "RUNNING", "STOPPED", "WAITING", "Job", "Progress", "find", "latest", "start"]

#: Kind of job -> ``module:function``; the job's process imports it, nobody else does. It is called with a
#: `worker.Report`, the folder that it works in, and the arguments that `start` was given.
JOBS: dict[str, str] = {
    "train": "workbench.background.train:train",
    "profile": "workbench.background.profile:profile",
    "sweep": "workbench.background.sweep:sweep",
}

LOOK_S = 0.1  # between two looks at a job that is waited for
DYING_S = 5.0  # that the system may take to end what was killed


class Progress(NamedTuple):
    """How far a job is.

    Args:
        state: waiting, running, finished, failed or stopped.
        done, total: steps; both 0 while they are not known.
        label: what is being done, or was done last.
        payload: what its function shows besides, plain data.
        message: why it failed; empty otherwise.
        started_at, heartbeat_at, ended_at: seconds since the epoch; of its last sign of life, and None while it is
            active.
    """

    state: str
    done: int
    total: int
    label: str
    payload: dict[str, Any]
    message: str
    started_at: float
    heartbeat_at: float
    ended_at: float | None

    @property
    def active(self) -> bool:
        """Whether it has not ended yet."""
        return self.state in (WAITING, RUNNING)


@dataclass(frozen=True)
class Job:
    """Work that was started, now or by an earlier process.

    Args:
        number: its place in the database.
        kind: one of `JOBS`.
        folder: that it works in; of one kind only one works in a folder at a time.
        arguments: of its function.
        log: all that it prints.
        database: that its progress is in.
    """

    number: int
    kind: str
    folder: Path
    arguments: Mapping[str, Any] = field(hash=False)
    log: Path
    database: Path

    @property
    def progress(self) -> Progress:
        """How far it is, as its process wrote last; one that is gone without a word has failed."""
        row = read(self.database, self.number)
        if _active(row) and not process.is_alive(self.log):
            _bury(self)  # unless it has ended properly in this moment
            row = read(self.database, self.number)
        times = (row["started_at"], row["heartbeat_at"], row["ended_at"])
        payload = json.loads(row["payload"])
        return Progress(row["state"], row["done"], row["total"], row["label"], payload, row["message"], *times)

    def stop(self, grace_s: float = 10.0) -> Progress:
        """Interrupt it as Ctrl-C would, end it after ``grace_s`` if it does not follow; returns its last progress."""
        row = read(self.database, self.number)
        if _active(row) and process.is_alive(self.log):
            process.interrupt(row["pid"])
            if not self._gone(grace_s):
                process.kill(row["pid"])
                self._gone(DYING_S)
            _end(self, STOPPED, "It was stopped.")
        return self.progress

    def wait(self, limit_s: float | None = None) -> Progress:
        """Return its progress when it has ended, or after ``limit_s``."""
        deadline = time.monotonic() + (float("inf") if limit_s is None else limit_s)
        while (progress := self.progress).active and time.monotonic() < deadline:
            time.sleep(LOOK_S)
        return progress

    def _gone(self, limit_s: float) -> bool:
        deadline = time.monotonic() + limit_s
        while (alive := process.is_alive(self.log)) and time.monotonic() < deadline:
            time.sleep(LOOK_S)
        return not alive


def start(kind: str, folder: str | Path, **arguments: Any) -> Job:
    """Start a job, or return the one of this ``kind`` that is at work in ``folder``.

    Args:
        kind: one of `JOBS`.
        folder: that it works in, made by the job where it is not there.
        arguments: of its function, plain data; relative paths are those of this process's working folder.

    Raises:
        WorkbenchError: an unknown kind, arguments that JSON cannot hold, or a database that cannot be used.
    """
    work, database = lookup("kind of job", JOBS, kind), jobs_database()
    place, told = str(Path(folder).expanduser().resolve()), _told(kind, arguments)
    prepare(database)
    with opened(database) as connection, connection:  # commits, or takes everything back
        connection.execute("BEGIN IMMEDIATE")
        question = f"SELECT * FROM job WHERE kind = ? AND folder = ? AND {ACTIVE}"
        row = connection.execute(question, (kind, place)).fetchone()
        if row is not None:
            job = _job(database, row)
            if process.is_alive(job.log):
                return job
            _end_row(connection, job.number, FAILED, _last_words(job))
        now = time.time()
        names = "kind, work, folder, arguments, log, state, started_at, heartbeat_at"
        values = (kind, work, place, told, "", WAITING, now, now)
        number = connection.execute(f"INSERT INTO job ({names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values).lastrowid
        log = f"{kind}-{time.strftime('%Y%m%d-%H%M%S')}-{number}.log"
        argv = [sys.executable, "-m", "workbench.jobs.worker", str(database), str(number)]
        try:
            pid = process.launch(argv, database.parent / log)  # it waits for the end of this transaction
        except OSError as error:
            raise WorkbenchError(f"Cannot start a process for the job ({error}); free memory or processes.") from error
        connection.execute("UPDATE job SET pid = ?, log = ? WHERE number = ?", (pid, log, number))
        return _job(database, connection.execute("SELECT * FROM job WHERE number = ?", (number,)).fetchone())


def find(kind: str | None = None, folder: str | Path | None = None) -> list[Job]:
    """Jobs of ``kind`` (any if None) that work or worked in ``folder`` (anywhere if None), the newest first."""
    database = jobs_database()
    if kind is not None:
        lookup("kind of job", JOBS, kind)
    if not database.exists():
        return []
    place = None if folder is None else str(Path(folder).expanduser().resolve())
    question = "SELECT * FROM job WHERE kind = coalesce(?, kind) AND folder = coalesce(?, folder) ORDER BY number DESC"
    with opened(database) as connection:
        return [_job(database, row) for row in connection.execute(question, (kind, place))]


def latest(kind: str, folder: str | Path | None = None) -> Job | None:
    """The newest job of ``kind`` (in ``folder``, if given); None if there was none."""
    return next(iter(find(kind, folder)), None)


def _job(database: Path, row: sqlite3.Row) -> Job:
    arguments, log = json.loads(row["arguments"]), database.parent / row["log"]
    return Job(row["number"], row["kind"], Path(row["folder"]), arguments, log, database)


def _active(row: sqlite3.Row) -> bool:
    return row["state"] in (WAITING, RUNNING)


def _told(kind: str, arguments: Mapping[str, Any]) -> str:
    try:
        return json.dumps(arguments, default=os.fspath)
    except TypeError as error:
        raise WorkbenchError(
            f"A job of kind '{kind}' expects plain data, got {arguments!r} ({error}); give names and numbers."
        ) from error


def _last_words(job: Job) -> str:
    said = process.last_line(job.log)
    return f"Its process is gone without a word; its log {job.log} ends with: {said or 'nothing'}"


def _bury(job: Job) -> None:
    _end(job, FAILED, _last_words(job))


def _end(job: Job, state: str, message: str) -> None:
    with opened(job.database) as connection:
        _end_row(connection, job.number, state, message)


def _end_row(connection: sqlite3.Connection, number: int, state: str, message: str) -> None:
    statement = f"UPDATE job SET state = ?, message = ?, ended_at = ? WHERE number = ? AND {ACTIVE}"
    connection.execute(statement, (state, message, time.time(), number))
