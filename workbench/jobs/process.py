"""Processes that outlive the one that started them, and whether they are still there.

A process holds a lock on its own log as long as it lives. The system lets go of it however the process ends; process
numbers are used again, and clocks are set.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

TAIL = 4096  # bytes in which the last line of a log is looked for


def launch(argv: Sequence[str], log: Path) -> int:
    """Start ``argv``, with the number of the lock's file as one more argument, in a session of its own.

    Args:
        argv: the command.
        log: a new file, for all that it prints.

    Returns:
        Number of the process, and of its group.
    """
    with log.open("ab") as output, log.open("rb") as lock:  # a lock belongs to one opening of a file
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        process = subprocess.Popen(
            [*argv, str(lock.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # what ends this process and its group, a kernel's restart say, leaves it alone
            pass_fds=[lock.fileno()],
        )
    threading.Thread(target=process.wait, daemon=True).start()  # otherwise it would stay as a zombie
    return process.pid


def is_alive(log: Path) -> bool:
    """Whether the process that was launched with ``log`` is still there."""
    try:
        with log.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def interrupt(pid: int) -> None:
    """What Ctrl-C in a terminal does, to the process and all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGINT)


def kill(pid: int) -> None:
    """End the process and all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def last_line(log: Path) -> str:
    """The last line of ``log`` that says anything; empty if there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
