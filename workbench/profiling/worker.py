"""Timing in a process of its own: a network that crashes, hangs or eats the memory takes nothing along but that.

The processes are forked from one server process that has imported the backends and done nothing else (Python's
``forkserver``), so that a fresh one costs some 20 ms where a new interpreter with torch costs seconds.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from workbench.config import WorkbenchError
from workbench.devices.backends import BACKENDS, Network, Platform
from workbench.profiling.calm import CalmConfig, Watch, Watched, keep_freed_memory, pulse_kind
from workbench.profiling.conditions import pinned
from workbench.profiling.timing import Run, TimingConfig, time_runs

if TYPE_CHECKING:
    from workbench.spaces import Space

SECONDS_TO_START = 120.0  # the first process imports torch, from a cold disk
# Nothing that starts a thread when it is imported: a fork copies its locks, and not the thread that would open them.
_PRELOADED = ("workbench.profiling.worker", "workbench.spaces.modules", "torch", "torch.onnx", "onnx")


@dataclass(frozen=True)
class WorkerConfig:
    """How networks are kept apart.

    Args:
        limit_s: a network that is not timed on one platform after this, preparation included, has failed.
        tries: a network that fails on a platform is tried this often, each time in a fresh process.
        isolate: every network gets a process of its own; otherwise a process ends only with a failure.
    """

    limit_s: float = 120.0
    tries: int = 2
    isolate: bool = False

    def __post_init__(self) -> None:
        if not self.limit_s > 0 or self.tries < 1:
            raise WorkbenchError(
                f"WorkerConfig expects a limit above 0 s and at least one try, got {self.limit_s} s and "
                f"{self.tries}; correct it."
            )


class Worker:
    """Times networks of ``space`` in another process; a context manager that ends it.

    Args:
        space: can be pickled; the other process builds the networks.
        timing, calm: of each burst.
        config: see `WorkerConfig`.
        quiet_s: how long the first process looks for the quiet pulse, see `Watch`; the others are told.
    """

    def __init__(
        self,
        space: Space,
        timing: TimingConfig,
        calm: CalmConfig | None = None,
        config: WorkerConfig | None = None,
        quiet_s: float = 1.0,
    ) -> None:
        self.config = config or WorkerConfig()
        self._job = (space, timing, calm or CalmConfig(), quiet_s)
        self._quiet_ns: float | None = None
        self._context = multiprocessing.get_context("forkserver" if hasattr(os, "fork") else "spawn")
        if hasattr(self._context, "set_forkserver_preload"):
            self._context.set_forkserver_preload(list(_PRELOADED))
        self._process, self._connection = None, None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def time(self, arch: str, platforms: Iterable[Platform]) -> Iterator[tuple[Platform, Watched | str]]:
        """Time one network on each of ``platforms``; yields each with its timing or the reason why there is none."""
        if self.config.isolate:
            self.stop()
        for platform in platforms:
            for _ in range(self.config.tries):
                result = self._ask(arch, platform)
                if not isinstance(result, str):
                    break
                self.stop()
            yield platform, result

    def start(self) -> None:
        """Start the process now instead of with the first network."""
        if self._process is None:
            self._start()

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._connection.close()
        self._process, self._connection = None, None

    def _ask(self, arch: str, platform: Platform) -> Watched | str:
        self.start()
        try:
            self._connection.send((arch, platform))
            if not self._connection.poll(self.config.limit_s):
                return f"It was not timed within {self.config.limit_s:g} s."
            return self._connection.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            return f"Its process died ({_end_of(self._process.exitcode)})."

    def _start(self) -> None:
        self._connection, theirs = self._context.Pipe()
        self._process = self._context.Process(
            target=_serve, args=(theirs, *self._job, self._quiet_ns), name="workbench-timing", daemon=True
        )
        self._process.start()
        theirs.close()
        try:
            if not self._connection.poll(SECONDS_TO_START):
                raise WorkbenchError(
                    f"The process that times networks did not start within {SECONDS_TO_START:g} s; free some memory "
                    f"and run the same command again."
                )
            self._quiet_ns = self._connection.recv()
        except EOFError as error:
            self._process.join()
            raise WorkbenchError(
                f"The process that times networks died at its start ({_end_of(self._process.exitcode)}); define the "
                f"search space in a module that can be imported, and check the memory."
            ) from error


def _end_of(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit status {code}"
    return signal.Signals(-code).name


def _serve(
    connection: Connection,
    space: Space,
    timing: TimingConfig,
    calm: CalmConfig,
    quiet_s: float,
    quiet_ns: float | None,
) -> None:
    """The other process: answers ``(arch, platform)`` with a timing or a reason until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; who asks decides what it means
    threading.Thread(target=_follow_parent, daemon=True).start()
    keep_freed_memory()
    watch = Watch(calm, quiet_s, quiet_ns)
    connection.send(watch.quiet_ns)
    timer: _Timer | None = None
    while True:
        try:
            arch, platform = connection.recv()
        except EOFError:
            return
        if timer is None or timer.arch != arch:
            timer = _Timer(space, arch)
        try:
            result: Watched | str = timer.time(platform, timing, watch)
        except Exception as error:  # noqa: BLE001 - it is this network's recorded result, not the end
            result = _reason(error)
        connection.send(result)


def _follow_parent() -> None:
    """End with the process that asked: one that was killed cannot say so, and a hanging network never listens."""
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


class _Timer:
    """One network, built when it is first needed; what platforms share is made once."""

    def __init__(self, space: Space, arch: str) -> None:
        self.space, self.arch = space, arch
        self._network: Network | None = None
        self._loaders: dict[str, Callable[[Platform], Run]] = {}

    def time(self, platform: Platform, timing: TimingConfig, watch: Watch) -> Watched:
        backend = BACKENDS[platform.backend]
        if self._network is None:
            self._network = Network(self.space.module(self.arch), self.space.input_shape(self.arch))
        if platform.backend not in self._loaders:
            self._loaders[platform.backend] = backend.loader(self._network)
        run = self._loaders[platform.backend](platform)
        with pinned(platform.threads), backend.threads(platform.threads):
            kind = pulse_kind(platform.name) if backend.dispatches else None
            return watch.burst(lambda: time_runs(run, timing, stopwatch=backend.stopwatch), kind, backend.device)


def _reason(error: Exception) -> str:
    """One line, as a sentence needs it; torch explains itself in many."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text if len(text) <= 300 else text[:297] + '...'}"
