"""Measuring many networks on many platforms of this machine: journalled, resumable, watched by reference
networks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from workbench.config import WorkbenchError
from workbench.devices.backends import BACKENDS, Platform
from workbench.devices.detect import detect, fingerprint
from workbench.devices.microbench import microbench
from workbench.profiling.calm import Watch, Watched, keep_freed_memory
from workbench.profiling.journal import NETWORK, REFERENCE, Journal
from workbench.profiling.machine import this_machine
from workbench.profiling.quality import (
    QualityConfig,
    Stability,
    choose_references,
    reference_drift,
    stability,
    to_repeat,
)
from workbench.profiling.reduce import Reduced, reduce_attempts, reduce_raw, write_tables
from workbench.profiling.timing import TimingConfig, time_runs

if TYPE_CHECKING:
    from workbench.spaces import Space


@dataclass(frozen=True)
class CampaignConfig:
    """How a campaign is run.

    Args:
        timing: of each network on each platform, per pass.
        passes: every network is measured this often, at separate times and in another order, so that a
            disturbance shows.
        reference_every: networks between two passes over the reference networks.
        quality: when a measurement is repeated.
    """

    timing: TimingConfig = field(
        default_factory=lambda: TimingConfig(min_runs=6, budget_s=0.15, min_s=0.04, warmup_max_s=0.1)
    )
    passes: int = 2
    reference_every: int = 40
    quality: QualityConfig = field(default_factory=QualityConfig)


class Progress(NamedTuple):
    """How far a campaign is; ``done`` and ``total`` count timings of one network on one platform."""

    done: int
    total: int
    elapsed_s: float
    remaining_s: float | None
    label: str


class CampaignSummary(NamedTuple):
    """What a campaign did.

    Args:
        table_path: the latency table that was written.
        reduced: its content.
        measured, repeated: timings of networks in this run, and how many of them were repetitions.
        failures: ``platform, arch, failure`` of everything that could not be measured.
        missing: timings that the budget left undone.
        drift: of the references, as `reference_drift` gives it.
        stability: the gate's word at the start.
        seconds: wall time.
    """

    table_path: Path
    reduced: Reduced
    measured: int
    repeated: int
    failures: pd.DataFrame
    missing: int
    drift: pd.DataFrame
    stability: Stability
    seconds: float


ReportProgress = Callable[[Progress], None]


def profile(
    space: Space,
    archs: Sequence[str],
    platforms: Sequence[Platform],
    out: str | Path,
    budget_s: float | None = None,
    progress: ReportProgress | None = None,
    seed: int = 0,
    device: str | None = None,
    config: CampaignConfig | None = None,
) -> CampaignSummary:
    """Measure ``archs`` of ``space`` on ``platforms`` of this machine and write the tables to ``out``.

    Raw rows go to ``out/raw`` as they come. Calling again with the same ``out`` continues where an
    interrupted campaign ended.

    Args:
        space, archs: the networks; checked before anything is timed.
        platforms: each becomes one column.
        out: folder of the tables.
        budget_s: wall time after which no further network is begun; the tables then hold what there is.
        progress: called after each timing.
        seed: decides the order, and the reference networks.
        device: name of this machine; columns are then ``<device>`` (one platform) or ``<device>_<platform>``.
        config: see `CampaignConfig`.

    Raises:
        WorkbenchError: a malformed arch, a missing backend, an ``out`` of another campaign, nothing that
        could be measured.
    """
    config = config or CampaignConfig()
    archs = _checked_archs(space, archs)
    for platform in platforms:
        BACKENDS[platform.backend].require()
    machine, kept = detect(), keep_freed_memory()
    about = fingerprint(machine)
    journal = Journal(
        Path(out) / "raw",
        {"campaign": f"{space.name}-{about['passport']}", "space": space.name, "passport": about["passport"]},
    )
    gate = stability()
    bench = microbench({platform.threads for platform in platforms}, machine)
    campaign = _Campaign(space, archs, list(platforms), journal, config, budget_s, progress, seed)
    campaign.run()
    reduced = reduce_raw(journal.folder, config.quality)
    attempts, failures = reduce_attempts(journal.read()), failed(journal.read())
    if reduced.table.empty:
        reason = failures["failure"].iloc[0] if len(failures) else "the budget ended before the first network"
        raise WorkbenchError(f"No network could be measured: {reason}; correct this and run the same command again.")
    names = _device_names(platforms, device)
    ordered = [platform.name for platform in platforms if platform.name in reduced.table]
    table = reduced.table.reindex(index=[arch for arch in archs if arch in reduced.table.index], columns=ordered)
    cards = {names[p.name]: replace(this_machine(p, machine, bench), name=names[p.name]) for p in platforms}
    final = Reduced(
        table.rename(columns=names),
        reduced.summary.assign(platform=reduced.summary["platform"].map(lambda n: names.get(n, n))),
    )
    path = write_tables(
        out,
        space.name,
        final,
        cards,
        {**about, "keeps_freed_memory": kept, "microbench": [f._asdict() for f in bench.figures]},
    )
    return CampaignSummary(
        path,
        final,
        campaign.measured,
        campaign.repeated,
        failures,
        len(archs) * len(platforms) - int(table.notna().sum().sum()) - len(failures),
        reference_drift(attempts),
        gate,
        time.monotonic() - campaign.started,
    )


class _Campaign:
    """The loop of `profile`: passes over the networks, then repetitions of what cannot be trusted."""

    def __init__(
        self,
        space: Space,
        archs: list[str],
        platforms: list[Platform],
        journal: Journal,
        config: CampaignConfig,
        budget_s: float | None,
        progress: ReportProgress | None,
        seed: int,
    ) -> None:
        self.space, self.archs, self.platforms, self.journal = space, archs, platforms, journal
        self.config, self.progress, self.seed = config, progress, seed
        self.started = time.monotonic()
        self.deadline = self.started + budget_s if budget_s is not None else np.inf
        self.references = choose_references(space, archs, seed)
        self.watch = Watch(config.quality.calm)
        self.measured = self.repeated = self.done = self.total = 0

    def run(self) -> None:
        """Measure everything that the journal lacks; what was measured is kept however this ends."""
        raw = self.journal.read()
        self.finished = set(zip(raw["platform"], raw["arch"], raw["role"], raw["attempt"], strict=True))
        passed = raw.loc[raw["role"] == REFERENCE, "attempt"]
        self.next_pass = int(passed.max()) + 1 if len(passed) else 0
        try:
            self._sweep(list(self._first_passes()))
            for _ in range(self.config.quality.max_attempts):
                again = list(self._repetitions())
                self.repeated += self._sweep(again)
                if not again:
                    break
        finally:
            self.journal.flush()

    def _first_passes(self) -> Iterator[tuple[str, int, list[Platform]]]:
        for attempt in range(self.config.passes):
            order = np.random.default_rng([self.seed, 2, attempt]).permutation(len(self.archs))
            for arch in (self.archs[index] for index in order):
                missing = [p for p in self.platforms if (p.name, arch, NETWORK, attempt) not in self.finished]
                if missing:
                    yield arch, attempt, missing

    def _repetitions(self) -> Iterator[tuple[str, int, list[Platform]]]:
        self.journal.flush()
        wanted = to_repeat(reduce_attempts(self.journal.read()), self.config.passes, self.config.quality)
        wanted = wanted[wanted["arch"].isin(self.archs)]
        by_name = {platform.name: platform for platform in self.platforms}
        for (arch, attempt), rows in wanted.sample(frac=1, random_state=self.seed).groupby(
            ["arch", "attempt"], sort=False
        ):
            yield arch, int(attempt), [by_name[name] for name in rows["platform"] if name in by_name]

    def _sweep(self, tasks: list[tuple[str, int, list[Platform]]]) -> int:
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
    loaders = {}
    module = space.module(arch)
    for platform in platforms:
        backend = BACKENDS[platform.backend]
        try:
            if platform.backend not in loaders:
                loaders[platform.backend] = backend.loader(module, space.input_shape(arch))
            run = loaders[platform.backend](platform)
            with backend.threads(platform.threads):
                result: Watched | str = watch.burst(lambda run=run: time_runs(run, config))
        except Exception as error:  # noqa: BLE001 - it is this network's recorded result, not the end
            result = f"{type(error).__name__}: {error}"
        yield platform, result


def measure_archs(
    space: Space,
    archs: Sequence[str],
    platform: Platform,
    config: TimingConfig | None = None,
    progress: ReportProgress | None = None,
) -> pd.DataFrame:
    """Time ``archs`` on ``platform``, here and now, without a journal.

    Returns:
        One row per arch, in the given order: ``arch, latency_ms, low_ms, high_ms, n_runs``.

    Raises:
        WorkbenchError: a network that cannot be measured, with the reason.
    """
    archs = _checked_archs(space, archs)
    BACKENDS[platform.backend].require()
    config = config or TimingConfig()
    keep_freed_memory()
    watch = Watch()
    started = time.monotonic()
    rows = []
    for index, arch in enumerate(archs, start=1):
        ((_, result),) = time_network(space, arch, [platform], config, watch)
        if isinstance(result, str):
            raise WorkbenchError(f"Network '{arch}' cannot be measured on {platform.name}: {result}")
        estimate = result.timing.estimate
        rows.append((arch, estimate.estimate_ms, estimate.low_ms, estimate.high_ms, estimate.n_runs))
        if progress:
            elapsed = time.monotonic() - started
            progress(Progress(index, len(archs), elapsed, elapsed / index * (len(archs) - index), arch))
    return pd.DataFrame(rows, columns=["arch", "latency_ms", "low_ms", "high_ms", "n_runs"])


def failed(raw: pd.DataFrame) -> pd.DataFrame:
    """``platform, arch, failure`` of the networks that were never measured."""
    broken = raw[raw["failure"].notna()].drop_duplicates(["platform", "arch"], keep="last")
    good = raw[raw["failure"].isna()]
    measured = pd.MultiIndex.from_frame(good[["platform", "arch"]].drop_duplicates())
    keep = ~pd.MultiIndex.from_frame(broken[["platform", "arch"]]).isin(measured)
    return broken.loc[keep, ["platform", "arch", "failure"]].reset_index(drop=True)


def _checked_archs(space: Space, archs: Sequence[str]) -> list[str]:
    if not len(archs):
        raise WorkbenchError("There is nothing to measure: expected at least one network, got none; ask for more.")
    for arch in archs:
        space.parse(arch)
    return list(dict.fromkeys(archs))


def _device_names(platforms: Sequence[Platform], device: str | None) -> dict[str, str]:
    if device is None:
        return {platform.name: platform.name for platform in platforms}
    alone = len(platforms) == 1
    return {platform.name: device if alone else f"{device}_{platform.name}" for platform in platforms}
