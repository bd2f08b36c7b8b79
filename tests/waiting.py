"""Waiting for what another process does."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(true: Callable[[], object], limit_s: float = 120) -> None:
    """Return when ``true`` is; fail after ``limit_s``."""
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, f"it did not happen in {limit_s} s"
        time.sleep(0.05)
