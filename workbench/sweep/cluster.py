"""Workers, here or elsewhere; the only module that imports dask.

A local cluster is one process per worker with one thread each, on loopback and without a dashboard; any other cluster
is known by the address of its scheduler.
"""

from __future__ import annotations

import logging
import os
import queue
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from workbench.config import WorkbenchError

CONNECT_S = 8  # for a scheduler to answer, and for its first worker to be there
START_S = 90  # for local workers to start
FETCH_S = 30  # for what a run gave to arrive


@dataclass(frozen=True)
class ClusterConfig:
    """Where runs are executed.

    Args:
        workers: of a local cluster.
        scheduler: address of another one; None for a local one.
        announced: what each local worker has, resource names; workers beyond these have nothing in particular.
    """

    workers: int = 1
    scheduler: str | None = None
    announced: Sequence[Sequence[str]] = ()

    @property
    def threads(self) -> int:
        """Threads per run, so that the local workers do not fight for cores."""
        return max(1, cores() // self.workers) if self.scheduler is None else 1

    @property
    def memory_bytes(self) -> int | None:
        """A local worker's share of this machine's memory; another machine's is not known."""
        if self.scheduler is not None:
            return None
        from distributed.system import MEMORY_LIMIT

        return int(MEMORY_LIMIT // self.workers)


class Ended(NamedTuple):
    """A submission that ended.

    Args:
        name: under which it was submitted.
        worker: which had it; "" if that is not known.
        result: what the function returned; None if it did not.
        error: the exception, if it raised one.
        killed: whether its worker died.
    """

    name: str
    worker: str
    result: Any
    error: BaseException | None
    killed: bool


class Cluster:
    """Submits functions, and tells what has ended; made by `open_cluster`."""

    def __init__(self, client: Any, address: str) -> None:
        self._client = client
        self._address = address
        self._ended: queue.Queue[Any] = queue.Queue()
        self._futures: dict[str, Any] = {}

    def workers(self) -> dict[str, dict[str, float]]:
        """Name of every worker, and what it has: resource name to amount.

        Raises:
            WorkbenchError: the scheduler does not answer.
        """
        try:
            told = self._client.scheduler_info(n_workers=-1)["workers"]
        except (OSError, TimeoutError, RuntimeError) as error:
            raise self._lost() from error
        return {str(worker["name"]): dict(worker.get("resources") or {}) for worker in told.values()}

    def submit(self, name: str, function: Callable[[Any], Any], argument: Any, resources: Mapping[str, float]) -> None:
        """Call ``function(argument)`` on some worker that has the ``resources``; ``name`` is used once only."""
        options = {"key": name, "resources": dict(resources) or None, "pure": False, "retries": 0}
        future = self._client.submit(_signed, function, argument, **options)
        self._futures[name] = future
        future.add_done_callback(self._ended.put)

    def next(self, timeout_s: float) -> Ended | None:
        """The next submission that ended; None if none did within ``timeout_s``.

        Raises:
            WorkbenchError: the scheduler is gone.
        """
        from distributed import KilledWorker

        try:
            future = self._ended.get(timeout=timeout_s)
        except queue.Empty:
            return None
        worker, result, error = "", None, None
        if future.status == "finished":
            try:
                worker, result = future.result(timeout=FETCH_S)
            except (OSError, TimeoutError):  # its worker died before it was fetched, so it is done again
                future.add_done_callback(self._ended.put)
                return None
        elif future.status == "error":
            error = future.exception(timeout=FETCH_S)
        else:
            raise self._lost()
        del self._futures[future.key]
        future.release()
        return Ended(future.key, worker, result, error, isinstance(error, KilledWorker))

    def _lost(self) -> WorkbenchError:
        return WorkbenchError(
            f"The scheduler {self._address} is gone; what has finished is kept, so start it and run the same command "
            "again."
        )


def _signed(function: Callable[[Any], Any], argument: Any) -> tuple[str, Any]:
    """What ``function`` gives, with the name of the worker that called it."""
    from distributed import get_worker

    return str(get_worker().name), function(argument)


@contextmanager
def open_cluster(config: ClusterConfig) -> Iterator[Cluster]:
    """A cluster with at least one worker.

    Raises:
        WorkbenchError: the scheduler cannot be reached or has no worker, or local workers do not start.
    """
    for name in ("distributed", "tornado", "asyncio"):  # what it would say is said in one sentence elsewhere
        logging.getLogger(name).setLevel(logging.CRITICAL)
    opened = _local(config) if config.scheduler is None else _elsewhere(config.scheduler)
    with opened as cluster:
        yield cluster


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _local(config: ClusterConfig) -> Iterator[Cluster]:
    import dask
    from distributed import Client, Nanny, Scheduler, SpecCluster

    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(config.threads))
    here = {"host": "127.0.0.1", "dashboard": False, "dashboard_address": "127.0.0.1:0"}
    usual = {**here, "nthreads": 1, "memory_limit": config.memory_bytes, "env": threads}
    usual["silence_logs"] = logging.CRITICAL
    spec = {}
    for index in range(config.workers):
        has = config.announced[index] if index < len(config.announced) else ()
        spec[f"worker-{index}"] = {"cls": Nanny, "options": {**usual, "resources": dict.fromkeys(has, 1)}}
    scheduler = {"cls": Scheduler, "options": here}
    settings: dict[str, Any] = {
        "distributed.scheduler.allowed-failures": 0
    }  # how often is tried again is decided in `Work` alone
    settings |= {f"distributed.{kind}.http.routes": [] for kind in ("scheduler", "worker")}
    with (
        dask.config.set(settings),
        SpecCluster(workers=spec, scheduler=scheduler, silence_logs=logging.CRITICAL) as local,
        Client(local, set_as_default=False) as client,
    ):
        try:
            client.wait_for_workers(config.workers, timeout=START_S)
        except TimeoutError as error:
            raise WorkbenchError(
                f"{config.workers} workers expect to start within {START_S} s, and did not; ask for fewer (--workers)."
            ) from error
        yield Cluster(client, local.scheduler_address)


@contextmanager
def _elsewhere(address: str) -> Iterator[Cluster]:
    from distributed import Client

    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, TimeoutError, ValueError, RuntimeError) as error:
        raise WorkbenchError(
            f"No scheduler answers at {address} within {CONNECT_S} s; start one with 'dask scheduler', or correct "
            "--scheduler."
        ) from error
    with client:
        cluster, end = Cluster(client, address), time.monotonic() + CONNECT_S
        while not cluster.workers():
            if time.monotonic() > end:
                raise WorkbenchError(
                    f"The scheduler {address} has no workers; start some with 'dask worker {address} --nthreads 1'."
                )
            time.sleep(0.2)
        yield cluster
