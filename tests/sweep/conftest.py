"""No data but what a test writes, and workers in this very process where the cluster itself is not what is tested."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from workbench.sweep import run as running
from workbench.sweep.cluster import ClusterConfig, Ended


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "WORKBENCH_DATA", "WORKBENCH_HOME", "WORKBENCH_SMOKE"):
        monkeypatch.delenv(name, raising=False)


class Here:
    """A cluster with workers that work when they are asked for what has ended, one after another."""

    def __init__(self, config: ClusterConfig) -> None:
        self._has = {f"worker-{n}": {} for n in range(config.workers)}
        for worker, names in zip(self._has, config.announced, strict=False):
            self._has[worker] = dict.fromkeys(names, 1.0)
        self._waiting: queue.Queue[tuple[str, Callable[[Any], Any], Any, str]] = queue.Queue()
        self.submitted: list[str] = []

    def workers(self) -> dict[str, dict[str, float]]:
        return self._has

    def submit(self, name: str, function: Callable[[Any], Any], argument: Any, resources: Mapping[str, float]) -> None:
        worker = next(w for w, has in self._has.items() if all(has.get(n, 0) >= a for n, a in resources.items()))
        self.submitted.append(name)
        self._waiting.put((name, function, argument, worker))

    def next(self, timeout_s: float) -> Ended | None:
        name, function, argument, worker = self._waiting.get_nowait()
        return Ended(name, worker, function(argument), None, killed=False)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[Here]:
    """Sweeps run in this process; what is given lists their clusters, one for each command."""
    opened: list[Here] = []

    @contextmanager
    def open_here(config: ClusterConfig) -> Iterator[Here]:
        opened.append(Here(config))
        yield opened[-1]

    monkeypatch.setattr(running, "open_cluster", open_here)
    return opened
