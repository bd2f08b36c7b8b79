"""The database of jobs: one row each, written by the job's own process, read by whoever looks."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from workbench.config import WorkbenchError, project_home

VERSION = 1
PATIENCE_S = 30.0  # how long a writer waits for another one
WAITING, RUNNING, FINISHED, FAILED, STOPPED = "waiting", "running", "finished", "failed", "stopped"
ACTIVE = f"state IN ('{WAITING}', '{RUNNING}')"

SCHEMA = (
    """CREATE TABLE job (
        number INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        work TEXT NOT NULL,       -- module:function
        folder TEXT NOT NULL,     -- absolute
        arguments TEXT NOT NULL,  -- JSON
        log TEXT NOT NULL,        -- file name, beside the database
        state TEXT NOT NULL,
        pid INTEGER,
        started_at REAL NOT NULL,
        heartbeat_at REAL NOT NULL,
        ended_at REAL,
        done INTEGER NOT NULL DEFAULT 0,
        total INTEGER NOT NULL DEFAULT 0,
        label TEXT NOT NULL DEFAULT '',
        payload TEXT NOT NULL DEFAULT '{}',  -- JSON
        message TEXT NOT NULL DEFAULT ''
    )""",
    f"CREATE UNIQUE INDEX one_at_a_time ON job (kind, folder) WHERE {ACTIVE}",
    f"PRAGMA user_version = {VERSION}",
)


def jobs_database() -> Path:
    """Where jobs are kept: ``reports/jobs/jobs.db`` in the project's home, which need not be there yet."""
    return project_home() / "reports" / "jobs" / "jobs.db"


def prepare(database: Path) -> None:
    """Make ``database`` if there is none, once: it grows under another name and is renamed when complete."""
    if database.exists():
        return
    from filelock import FileLock

    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{database}.lock"):
            if not database.exists():
                unfinished = database.with_name(f".{database.name}.unfinished")
                for left in database.parent.glob(f"{unfinished.name}*"):
                    left.unlink()
                with closing(sqlite3.connect(unfinished, isolation_level=None)) as connection:
                    connection.execute("PRAGMA journal_mode = WAL")  # readers and the writer do not wait for each other
                    for statement in SCHEMA:
                        connection.execute(statement)
                unfinished.replace(database)
    except (OSError, sqlite3.Error) as error:
        raise WorkbenchError(
            f"Cannot make the database of jobs {database} ({error}); make its folder writable or set WORKBENCH_HOME."
        ) from error


@contextmanager
def opened(database: Path) -> Iterator[sqlite3.Connection]:
    """A connection to ``database``, which is there; every statement is a transaction of its own, unless one is begun.

    Raises:
        WorkbenchError: it cannot be read or written, or another version of the workbench wrote it.
    """
    address = f"{database.as_uri()}?mode=rw"  # which makes none
    try:
        with closing(sqlite3.connect(address, timeout=PATIENCE_S, isolation_level=None, uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version != VERSION:
                raise WorkbenchError(
                    f"The database of jobs {database} has format {version}, this version of the workbench reads "
                    f"{VERSION}; move it away, then a new one is begun."
                )
            connection.execute("PRAGMA synchronous = NORMAL")  # with WAL, a power cut costs the last words only
            yield connection
    except sqlite3.Error as error:
        raise WorkbenchError(
            f"The database of jobs {database} cannot be used ({error}); try again, or move it away: then a new one is "
            f"begun, and jobs that run go on."
        ) from error


def read(database: Path, number: int) -> sqlite3.Row:
    """The row of job ``number``."""
    with opened(database) as connection:
        row = connection.execute("SELECT * FROM job WHERE number = ?", (number,)).fetchone()
    if row is None:
        raise WorkbenchError(f"There is no job {number} in {database}; start it anew.")
    return row


def write(database: Path, number: int, **values: Any) -> None:
    """Set ``values`` of job ``number``, by column; nothing happens once it has ended."""
    columns = ", ".join(f"{name} = ?" for name in values)
    with opened(database) as connection:
        connection.execute(f"UPDATE job SET {columns} WHERE number = ? AND {ACTIVE}", (*values.values(), number))
