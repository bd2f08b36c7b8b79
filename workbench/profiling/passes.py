"""The loop of a campaign: passes over the networks with references between them, then repetitions of what
cannot be trusted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from workbench.devices.backends import BACKENDS, Platform
from workbench.profiling.calm import Watch, Watched
from workbench.profiling.journal import NETWORK, REFERENCE, Journal
from workbench.profiling.quality import QualityConfig, choose_references, to_repeat
from workbench.profiling.reduce import reduce_attempts
from workbench.profiling.timing import TimingConfig, time_runs

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
        gate_s, bench_s, quiet_s: how long the stability gate, the micro-benchmark and the search for the
            quiet pulse take before the first network.
        flush_s: what was measured is on disk at latest this long afterwards.
    """

    timing: TimingConfig = field(
        default_factory=lambda: TimingConfig(min_runs=6, budget_s=0.15, min_s=0.04, warmup_max_s=0.1)
    )
    passes: int = 2
    reference_every: int = 40
    quality: QualityConfig = field(default_factory=QualityConfig)
    gate_s: float = 1.0
    bench_s: float = 8.0
    quiet_s: float = 1.0
    flush_s: float = 5.0


class Progress(NamedTuple):
    """How far a campaign is; ``done`` and ``total`` count timings of one network on one platform."""

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
        platforms: where each is measured.
        journal: what was measured before, and where new rows go.
        config: see `CampaignConfig`.
        budget_s: wall time after which no further network is begun; None is no limit.
        seed: decides the order, and the reference networks.
        progress: called after each timing.
    """

    def __init__(
        self,
        space: Space,
        archs: list[str],
        platforms: list[Platform],
        journal: Journal,
        config: CampaignConfig,
        budget_s: float | None = None,
        seed: int = 0,
        progress: ReportProgress | None = None,
    ) -> None:
        self.space, self.archs, self.platforms, self.journal = space, archs, platforms, journal
        self.config, self.seed, self.progress = config, seed, progress
        self.started = time.monotonic()
        self.deadline = self.started + budget_s if budget_s is not None else np.inf
        self.references = choose_references(space, archs, seed)
        self.watch = Watch(config.quality.calm, config.quiet_s)
        self.measured = self.repeated = self.done = self.total = 0

    def run(self) -> None:
        """Measure everything that is lacking; what was measured is kept however this ends.

        A network that failed before is tried again: the reason may have been removed.
        """
        raw = self.journal.read()
        timed = raw[raw["failure"].isna()]
        self.finished = set(zip(timed["platform"], timed["arch"], timed["role"], timed["attempt"], strict=True))
        passed = raw.loc[raw["role"] == REFERENCE, "attempt"]
        self.next_pass = int(passed.max()) + 1 if len(passed) else 0
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
        before = self.measured
        self.total += sum(len(platforms) for _, _, platforms in tasks)
        for index, (arch, attempt, platforms) in enumerate(tasks):
            if time.monotonic() >= self.deadline:
                break
            if index % self.config.reference_every == 0:
                self._measure_references()
            self._measure(arch, attempt, platforms)
        if self.measured > before:
            self._measure_references()
        return self.measured - before

    def _measure_references(self) -> None:
        for arch in self.references:
            for platform, result in time_network(self.space, arch, self.platforms, self.config.timing, self.watch):
                self.journal.append(platform, arch, REFERENCE, self.next_pass, result)
        self.next_pass += 1

    def _measure(self, arch: str, attempt: int, platforms: list[Platform]) -> None:
        for platform, result in time_network(self.space, arch, platforms, self.config.timing, self.watch):
            self.journal.append(platform, arch, NETWORK, attempt, result)
            self.measured += 1
            self.done += 1
            if self.progress:
                elapsed = time.monotonic() - self.started
                remaining = elapsed / self.done * (self.total - self.done)
                self.progress(Progress(self.done, self.total, elapsed, remaining, f"{platform.name} {arch}"))


def time_network(
    space: Space, arch: str, platforms: Iterable[Platform], config: TimingConfig, watch: Watch
) -> Iterator[tuple[Platform, Watched | str]]:
    """Time one network on each of ``platforms``; yields each with its timing or the reason why there is
    none."""
    module, loaders = None, {}
    for platform in platforms:
        backend = BACKENDS[platform.backend]
        try:
            module = module or space.module(arch)
            if platform.backend not in loaders:
                loaders[platform.backend] = backend.loader(module, space.input_shape(arch))
            run = loaders[platform.backend](platform)
            with backend.threads(platform.threads):
                result: Watched | str = watch.burst(lambda run=run: time_runs(run, config))
        except Exception as error:  # noqa: BLE001 - it is this network's recorded result, not the end
            result = _reason(error)
        yield platform, result


def _reason(error: Exception) -> str:
    """One line, as a sentence needs it; torch explains itself in many."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text if len(text) <= 300 else text[:297] + '...'}"
