"""The loop of a campaign: passes over the networks with references between them, then repetitions of what
cannot be trusted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from workbench.devices.backends import Platform
from workbench.profiling.journal import NETWORK, REFERENCE, Journal
from workbench.profiling.quality import QualityConfig, choose_references, to_repeat
from workbench.profiling.reduce import reduce_attempts
from workbench.profiling.timing import TimingConfig
from workbench.profiling.worker import Worker, WorkerConfig

if TYPE_CHECKING:
    from workbench.spaces import Space

Task = tuple[str, int, list[Platform]]  # a network, the number of the attempt, where it is still wanted


@dataclass(frozen=True)
class CampaignConfig:
    """How a campaign is run.

    Args:
        timing: of each network on each platform, per pass.
        passes: every network is measured this often, at separate times and in another order, so that a
            disturbance shows.
        reference_every: networks between two passes over the reference networks.
        quality: when a measurement is repeated.
        worker: how networks are kept apart, and when one has failed.
        gate_s, bench_s, quiet_s: how long the stability gate, the micro-benchmark and the search for the
            quiet pulse take before the first network; without ``bench_s`` cards hold no measured rates.
    """

    timing: TimingConfig = field(default_factory=lambda: TimingConfig(min_runs=6, min_s=0.2, budget_s=0.5))
    passes: int = 2
    reference_every: int = 40
    quality: QualityConfig = field(default_factory=QualityConfig)
    worker: WorkerConfig = field(default_factory=WorkerConfig)
    gate_s: float = 1.0
    bench_s: float = 8.0
    quiet_s: float = 1.0


class Progress(NamedTuple):
    """How far a campaign is; ``done`` and ``total`` count timings of one network on one platform, both are 0 while
    it prepares."""

    done: int
    total: int
    elapsed_s: float
    remaining_s: float | None
    label: str


ReportProgress = Callable[[Progress], None]


class Passes:
    """Measures what the journal of a campaign lacks.

    Args:
        space, archs: the networks.
        devices: where each is measured, and what the latency table calls it.
        journal: what was measured before, and where new rows go.
        config: see `CampaignConfig`.
        deadline: monotonic time after which no further network is begun.
        seed: decides the order, and the reference networks.
        progress: called after each timing.

    Attributes:
        measured, repeated: timings of networks, and how many of them were repetitions.
        busy_s, wall_s: seconds in warm-ups and timed runs, references included, and from the first to the last.
    """

    def __init__(
        self,
        space: Space,
        archs: list[str],
        devices: Mapping[Platform, str],
        journal: Journal,
        config: CampaignConfig,
        deadline: float = np.inf,
        seed: int = 0,
        progress: ReportProgress | None = None,
    ) -> None:
        self.archs, self.devices, self.journal = archs, devices, journal
        self.platforms = list(devices)
        self.config, self.deadline, self.seed, self.progress = config, deadline, seed, progress
        self.references = choose_references(space, archs, seed)
        self.worker = Worker(space, config.timing, config.quality.calm, config.worker, config.quiet_s)
        self.broken: set[tuple[Platform, str]] = set()
        self.measured = self.repeated = self.done = self.total = 0
        self.busy_s = self.wall_s = 0.0

    def run(self) -> None:
        """Measure everything that is lacking; what was measured is kept however this ends.

        A network that failed before is tried again: the reason may have been removed.
        """
        raw = self.journal.read()
        timed = raw[raw["failure"].isna()]
        self.finished = set(zip(timed["platform"], timed["arch"], timed["role"], timed["attempt"], strict=True))
        passed = raw.loc[raw["role"] == REFERENCE, "attempt"]
        self.next_pass = int(passed.max()) + 1 if len(passed) else 0
        with self.worker:
            try:
                self._sweep(list(self._first_passes()))
                for _ in range(self.config.quality.max_attempts):
                    again = list(self._repetitions()) if time.monotonic() < self.deadline else []
                    self.repeated += self._sweep(again)
                    if not again:
                        break
            finally:
                self.journal.flush()

    def _first_passes(self) -> Iterator[Task]:
        for attempt in range(self.config.passes):
            order = np.random.default_rng([self.seed, 2, attempt]).permutation(len(self.archs))
            for arch in (self.archs[index] for index in order):
                missing = [p for p in self.platforms if (p.name, arch, NETWORK, attempt) not in self.finished]
                if missing:
                    yield arch, attempt, missing

    def _repetitions(self) -> Iterator[Task]:
        self.journal.flush()
        wanted = to_repeat(reduce_attempts(self.journal.read()), self.config.passes, self.config.quality)
        by_name = {platform.name: platform for platform in self.platforms}
        wanted = wanted[wanted["arch"].isin(self.archs) & wanted["platform"].isin(list(by_name))]
        shuffled = wanted.sample(frac=1, random_state=self.seed)
        for (arch, attempt), rows in shuffled.groupby(["arch", "attempt"], sort=False):
            yield arch, int(attempt), [by_name[name] for name in rows["platform"]]

    def _sweep(self, tasks: list[Task]) -> int:
        """Measure ``tasks`` with the references before, between and behind them; returns the number of
        timings."""
        before, self.total = self.measured, self.total + sum(len(platforms) for _, _, platforms in tasks)
        if tasks and time.monotonic() < self.deadline:
            self.worker.start()
        self.started = time.monotonic()
        for index, (arch, attempt, platforms) in enumerate(tasks):
            if time.monotonic() >= self.deadline:
                break
            if index % self.config.reference_every == 0:
                self._measure_references()
            self._measure_network(arch, attempt, platforms)
        if self.measured > before:
            self._measure_references()
        self.wall_s += time.monotonic() - self.started
        return self.measured - before

    def _measure_references(self) -> None:
        for arch in self.references:
            for _ in self._measure(arch, REFERENCE, self.next_pass, self.platforms):
                pass
        self.next_pass += 1

    def _measure_network(self, arch: str, attempt: int, platforms: list[Platform]) -> None:
        finished = self.done + len(platforms)
        for platform in self._measure(arch, NETWORK, attempt, platforms):
            self.measured += 1
            self.done += 1
            if self.progress:
                elapsed = self.wall_s + time.monotonic() - self.started
                remaining = elapsed / self.done * (self.total - self.done)
                self.progress(Progress(self.done, self.total, elapsed, remaining, f"{platform.name} {arch}"))
        self.done = finished  # where it failed before it is not tried once more

    def _measure(self, arch: str, role: str, attempt: int, platforms: list[Platform]) -> Iterator[Platform]:
        """Measure one network and write it down at once; yields each platform on which it was tried."""
        wanted = [platform for platform in platforms if (platform, arch) not in self.broken]
        for platform, result in self.worker.time(arch, wanted):
            self.journal.append(platform, self.devices[platform], arch, role, attempt, result)
            if isinstance(result, str):
                self.broken.add((platform, arch))
            else:
                self.busy_s += result.busy_s
            yield platform
        self.journal.flush()
