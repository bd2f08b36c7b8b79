"""The process that runs a notebook's cells: which interpreter, with what environment, and how much it may use."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

LOOK_S = 0.5  # between two looks at a kernel's memory


@dataclass(frozen=True)
class KernelConfig:
    """What a kernel is given.

    Args:
        env: environment variables beside those of this process.
        timeout_s: seconds for all cells together; None is no bound.
        memory_bytes: resident memory of the kernel and what it starts; None is no bound.
        hasty: whether the kernel is killed once the last cell has run, instead of being asked to go: it saves half a
            second, and its ``atexit`` functions do not run.
    """

    env: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float | None = None
    memory_bytes: int | None = None
    hasty: bool = False


def kernel_manager(env: Mapping[str, str], started: Callable[[int], None]) -> type:
    """A kernel manager that starts this very interpreter, whatever kernels the machine has registered.

    ``started`` is called with the kernel's process id.
    """
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    class ThisInterpreter(AsyncKernelManager):
        @property
        def kernel_spec(self) -> KernelSpec:
            command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
            command += ["--log-level=ERROR"]  # it would warn, every time, that what it says on loopback can be read
            return KernelSpec(argv=command, display_name="Python 3", language="python", env=dict(env))

        async def start_kernel(self, **kwargs: Any) -> None:
            await super().start_kernel(**kwargs)
            started(self.provisioner.pid)

    return ThisInterpreter


class Watch:
    """Kills a kernel that uses more memory than it may; a context manager around its life.

    Args:
        memory_bytes: the bound; None watches nothing.
    """

    def __init__(self, memory_bytes: int | None) -> None:
        self._most = memory_bytes
        self._over = threading.Event()
        self._end = threading.Event()

    @property
    def reason(self) -> str | None:
        """Why the kernel was killed; None if it was not."""
        return f"it used more than {self._most / 2**30:.3g} GiB of memory" if self._over.is_set() else None

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *exception: object) -> None:
        self._end.set()

    def follow(self, pid: int) -> None:
        """Watch the process ``pid`` from now on."""
        if self._most is not None:
            threading.Thread(target=self._look, args=(pid,), daemon=True).start()

    def _look(self, pid: int) -> None:
        import psutil

        while not self._end.wait(LOOK_S):
            try:
                process = psutil.Process(pid)
                family = [process, *process.children(recursive=True)]
            except psutil.NoSuchProcess:
                return
            if sum(map(_resident, family)) > self._most:
                self._over.set()
                for each in family:
                    _kill(each)
                return


class Deadline:
    """How many seconds are left of ``timeout_s``, counted from the first cell; for all cells together."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._end: float | None = None

    def __call__(self, cell: object) -> float:
        """Seconds that ``cell`` may take; never 0, which would be no bound."""
        if self._end is None:
            self._end = time.monotonic() + self._timeout_s
        return max(self._end - time.monotonic(), 0.01)


def _resident(process: Any) -> int:
    import psutil

    try:
        return process.memory_info().rss
    except psutil.Error:
        return 0


def _kill(process: Any) -> None:
    import psutil

    with suppress(psutil.NoSuchProcess):
        process.kill()
