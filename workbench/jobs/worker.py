"""The process of one job: ``python -m workbench.jobs.worker DATABASE NUMBER LOCK``; started by `jobs.start` only."""

from __future__ import annotations

import importlib
import json
import logging
import os
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench.config import WorkbenchError
from workbench.jobs.store import FAILED, FINISHED, RUNNING, STOPPED, opened, read, write

EVERY_S = 0.5  # between two entries that say no more than how far it is
BEAT_S = 5.0  # between two signs of life
LOG = logging.getLogger("workbench.jobs")


class Report:
    """What a job's function calls to say how far it is.

    Example::

        def count(report: Report, folder: str, upto: int) -> None:
            for number in range(upto):
                report(number, upto, "counting", last=number)

    Args:
        database, number: the job's row.
    """

    def __init__(self, database: Path, number: int) -> None:
        self._database, self._number = database, number
        self._payload: dict[str, Any] = {}
        self._label, self._next = "", 0.0

    def __call__(self, done: int, total: int, label: str, **payload: Any) -> None:
        """Say that ``done`` of ``total`` steps are done (both 0: not known), and what is being done.

        Args:
            done, total, label: what a progress bar shows.
            payload: what else is to be seen, plain data; it stays until it is said anew.
        """
        last = bool(total) and done >= total
        if not payload and not last and label == self._label and time.monotonic() < self._next:
            return
        self._label, self._next = label, time.monotonic() + EVERY_S
        self._payload |= payload
        values = {"done": done, "total": total, "label": label, "payload": json.dumps(self._payload)}
        note(self._database, self._number, **values)


def note(database: Path, number: int, **values: Any) -> None:
    """Write ``values`` and a sign of life; what cannot be written is lost, the work goes on."""
    try:
        write(database, number, heartbeat_at=time.time(), **values)
    except WorkbenchError as error:
        LOG.warning("%s", error)


@contextmanager
def heartbeat(database: Path, number: int) -> Iterator[None]:
    """Signs of life from a thread of its own, whatever the work is busy with."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT_S):
            note(database, number)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def work(row: sqlite3.Row, report: Report) -> tuple[str, str]:
    """Do what ``row`` describes; the state in which it ends, and why."""
    try:
        module, _, name = row["work"].partition(":")
        function = getattr(importlib.import_module(module), name)
        function(report, folder=row["folder"], **json.loads(row["arguments"]))
    except KeyboardInterrupt:
        return STOPPED, "It was stopped."
    except WorkbenchError as error:
        LOG.exception("The work failed")
        return FAILED, str(error)
    except Exception as error:
        LOG.exception("The work failed")
        return FAILED, f"{type(error).__name__}: {error}"
    return FINISHED, ""


def main(database: Path, number: int) -> None:
    """Run job ``number`` and write down how it ended."""
    with opened(database) as connection:  # waits for the end of the transaction that started it
        mine = (RUNNING, number, os.getpid())
        claimed = connection.execute("UPDATE job SET state = ? WHERE number = ? AND pid = ?", mine).rowcount
    if not claimed:
        LOG.warning("The process that started this one was ended before it wrote that down: nothing to do")
        return
    row = read(database, number)
    LOG.info("%s in %s with %s", row["work"], row["folder"], row["arguments"])
    with heartbeat(database, number):
        state, message = work(row, Report(database, number))
    LOG.info("%s %s", state, message)
    note(database, number, state=state, message=message, ended_at=time.time())


if __name__ == "__main__":
    os.set_inheritable(int(sys.argv[3]), False)  # the lock is this process's, not that of those which it starts
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a kernel between two cells ignores it: inherited
    logging.basicConfig(format="%(asctime)s %(message)s")
    LOG.setLevel(logging.INFO)
    main(Path(sys.argv[1]), int(sys.argv[2]))
