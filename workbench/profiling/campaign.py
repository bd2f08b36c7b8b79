"""Measuring many networks on many platforms of this machine: journalled, resumable, watched by reference
networks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from workbench.config import WorkbenchError
from workbench.devices.backends import BACKENDS, Platform
from workbench.devices.detect import Machine, detect, fingerprint, platform_conditions
from workbench.devices.device import DeviceCard, check_device_name
from workbench.devices.microbench import MicroBench, microbench
from workbench.profiling.journal import NETWORK, Journal
from workbench.profiling.machine import this_machine
from workbench.profiling.passes import CampaignConfig, Passes, Progress, ReportProgress
from workbench.profiling.quality import QualityConfig, Stability, reference_drift, remaining_drift, stability
from workbench.profiling.reduce import (
    Reduced,
    Tables,
    reduce_attempts,
    reduce_rows,
    refuse_other_conditions,
    tables_in,
    write_tables,
)
from workbench.profiling.timing import Estimate, TimingConfig
from workbench.profiling.worker import Worker

if TYPE_CHECKING:
    from workbench.spaces import Space


class CampaignSummary(NamedTuple):
    """What a campaign did.

    Args:
        files: what was written, and where the raw rows are.
        reduced: its content.
        measured, repeated: timings of networks in this run, and how many of them were repetitions.
        failures: ``platform, arch, failure`` of everything that could not be measured.
        missing: timings that the budget left undone.
        drift: of the references, as `reference_drift` gives it.
        remaining_drift: the largest one next to a measurement that counts, see `remaining_drift`.
        stability: the gate's word at the start.
        seconds: wall time.
        overhead: share of the time from the first to the last timing that was spent neither in warm-ups nor in timed
            runs; NaN if nothing was timed.
        damaged: names of journal segments that could not be read; what they held was measured again.
        raw: the raw rows, as `journal.SCHEMA` says.
    """

    files: Tables
    reduced: Reduced
    measured: int
    repeated: int
    failures: pd.DataFrame
    missing: int
    drift: pd.DataFrame
    remaining_drift: float
    stability: Stability
    seconds: float
    overhead: float
    damaged: list[str]
    raw: pd.DataFrame


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

    Raw rows go to ``out/raw/<space>`` as they come. Calling again with the same ``out`` continues where an
    interrupted campaign ended.

    Args:
        space, archs: the networks; checked before anything is timed.
        platforms: each becomes one column.
        out: folder of the tables.
        budget_s: wall time after which no further network is begun; the tables then hold what there is.
        progress: called after each timing, and with what is being prepared.
        seed: decides the order, and the reference networks.
        device: name of this machine; columns are then ``<device>`` (one platform) or ``<device>_<platform>``.
        config: see `CampaignConfig`.

    Raises:
        WorkbenchError: a malformed arch, a missing backend, an ``out`` of another campaign, nothing that
        could be measured.
    """
    started, config = time.monotonic(), config or CampaignConfig()
    archs, platforms = _checked_archs(space, archs), _checked_platforms(platforms)
    names = _device_names(platforms, device)
    tell = _teller(progress)
    machine = detect()
    about, conditions = fingerprint(machine), _conditions(machine, platforms, names)
    refuse_other_conditions(out, {name: entry["passport"] for name, entry in conditions.items()})
    origin = {"space": space.name, "passport": about["passport"], "campaign": f"{space.name}-{about['passport']}"}
    with Journal(tables_in(out, space.name).raw, origin) as journal:
        tell("listening whether this machine is quiet")
        gate = quiet(platforms, config)
        tell("measuring what this machine can do")
        benches = _benches(platforms, machine, config.bench_s)
        tell("starting the process that times networks")
        devices = {platform: names[platform.name] for platform in platforms}
        deadline = started + budget_s if budget_s is not None else np.inf
        passes = Passes(space, archs, devices, journal, config, deadline, seed, progress)
        passes.run()
        raw = journal.read()
    reduced, failures = _requested(raw, archs, names, config.quality)
    cards = _cards(reduced, platforms, names, conditions, machine, benches)
    figures = {device: [figure._asdict() for figure in bench.figures] for device, bench in benches.items()}
    measured = {"microbench": figures, "stability": gate._asdict()}
    attempts = reduce_attempts(raw)
    return CampaignSummary(
        files=write_tables(out, space.name, reduced, cards, {**about, "devices": conditions, **measured}),
        reduced=reduced,
        measured=passes.measured,
        repeated=passes.repeated,
        failures=failures,
        missing=len(archs) * len(platforms) - int(reduced.table.notna().sum().sum()) - len(failures),
        drift=reference_drift(attempts),
        remaining_drift=remaining_drift(attempts, config.quality),
        stability=gate,
        seconds=time.monotonic() - started,
        overhead=1 - passes.busy_s / passes.wall_s if passes.busy_s else float("nan"),
        damaged=journal.damaged,
        raw=raw,
    )


def quiet(platforms: Sequence[Platform], config: CampaignConfig) -> Stability:
    """The gate's word on the devices that run ``platforms``; of several, on the first that is too noisy."""
    words = [stability(config.gate_s, config.quality, device) for device in _devices(platforms)]
    return min(words, key=lambda word: word.stable)


def _benches(platforms: Sequence[Platform], machine: Machine, seconds: float) -> dict[str, MicroBench]:
    """The micro-benchmark of each device that runs some of ``platforms``; empty ones if it may take no time."""
    found = {}
    for device in _devices(platforms):
        counts = {platform.threads for platform in platforms if platform.device == device}
        empty = MicroBench((), (), 0.0, device)
        found[device] = microbench(counts, machine, seconds, device=device) if seconds else empty
    return found


def _devices(platforms: Sequence[Platform]) -> list[str]:
    """``cpu``, ``cuda`` or both."""
    return sorted({platform.device for platform in platforms})


def _cards(
    reduced: Reduced,
    platforms: Sequence[Platform],
    names: Mapping[str, str],
    conditions: Mapping[str, Mapping[str, Any]],
    machine: Machine,
    benches: Mapping[str, MicroBench],
) -> dict[str, DeviceCard]:
    """The card of each column that was measured, by its name."""
    found = {}
    for platform in platforms:
        name = names[platform.name]
        if name in reduced.table:
            card = this_machine(platform, machine, benches[platform.device])
            found[name] = replace(card, name=name, passport=conditions[name]["passport"])
    return found


def _conditions(machine: Machine, platforms: Sequence[Platform], names: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """What decides the numbers of each device, by its name."""
    found = {}
    for platform in platforms:
        version = BACKENDS[platform.backend].require()
        run = (platform.backend, version, platform.precision, platform.threads)
        found[names[platform.name]] = platform_conditions(machine, *run)
    return found


def _teller(progress: ReportProgress | None) -> Callable[[str], None]:
    """Reports a stage in which nothing is counted."""
    started = time.monotonic()
    return lambda stage: progress(Progress(0, 0, time.monotonic() - started, None, stage)) if progress else None


def measure_archs(
    space: Space,
    archs: Sequence[str],
    platform: Platform,
    config: TimingConfig | None = None,
    progress: ReportProgress | None = None,
    rounds: int = 3,
    hasty: bool = False,
) -> pd.DataFrame:
    """Time ``archs`` on ``platform``, here and now, without a journal; ``hasty``: once, to see that everything works.

    Every network is timed once per round, in another random order each time, so that a slow minute of the machine
    falls on all of them alike. Its latency is that of its fastest round: what disturbs a machine makes it slower, never
    faster, and a spell in which another guest slows it by half can outlast a network's other rounds.

    Returns:
        One row per arch, in the given order: ``arch, latency_ms, low_ms, high_ms, n_runs``. The interval is that of
        the fastest round.

    Raises:
        WorkbenchError: a network that cannot be measured, with the reason.
    """
    archs = _checked_archs(space, archs)
    BACKENDS[platform.backend].require()
    if hasty:
        config, rounds = TimingConfig.hasty(), 1
    started, total = time.monotonic(), rounds * len(archs)
    order = [index for turn in range(rounds) for index in np.random.default_rng(turn).permutation(len(archs))]
    estimates: list[list[Estimate]] = [[] for _ in archs]
    with Worker(space, config or TimingConfig()) as worker:
        for done, index in enumerate(order, start=1):
            ((_, result),) = worker.time(archs[index], [platform])
            if isinstance(result, str):
                raise WorkbenchError(f"Network '{archs[index]}' cannot be measured on {platform.name}: {result}")
            estimates[index].append(result.timing.estimate)
            if progress:
                elapsed = time.monotonic() - started
                progress(Progress(done, total, elapsed, elapsed / done * (total - done), archs[index]))
    rows = []
    for arch, found in zip(archs, estimates, strict=True):
        fastest = min(found, key=lambda estimate: estimate.estimate_ms)
        runs = sum(estimate.n_runs for estimate in found)
        rows.append((arch, fastest.estimate_ms, fastest.low_ms, fastest.high_ms, runs))
    return pd.DataFrame(rows, columns=["arch", "latency_ms", "low_ms", "high_ms", "n_runs"])


def failed(raw: pd.DataFrame) -> pd.DataFrame:
    """``platform, arch, failure`` of the networks that were never measured."""
    networks = raw[raw["role"] == NETWORK]
    broken = networks[networks["failure"].notna()].drop_duplicates(["platform", "arch"], keep="last")
    good = networks.loc[networks["failure"].isna(), ["platform", "arch"]].drop_duplicates()
    measured = pd.MultiIndex.from_frame(good)
    keep = ~pd.MultiIndex.from_frame(broken[["platform", "arch"]]).isin(measured)
    return broken.loc[keep, ["platform", "arch", "failure"]].reset_index(drop=True)


def _requested(
    raw: pd.DataFrame, archs: Sequence[str], names: Mapping[str, str], config: QualityConfig
) -> tuple[Reduced, pd.DataFrame]:
    """What ``raw`` says of ``archs`` on the platforms in ``names`` (platform to column), in this order:
    measurements and failures. The folder may hold more, of an earlier call."""
    reduced, failures = reduce_rows(raw, config), failed(raw)
    failures = failures[failures["arch"].isin(archs) & failures["platform"].isin(list(names))]
    summary = reduced.summary
    summary = summary[summary["arch"].isin(archs) & summary["platform"].isin(list(names))]
    if summary.empty:
        reason = failures["failure"].iloc[0] if len(failures) else "the budget ended before the first network"
        raise WorkbenchError(f"No network could be measured: {reason}; correct this and run the same command again.")
    found, measured = set(summary["arch"]), set(summary["platform"])
    table = reduced.table.reindex(
        index=pd.Index([arch for arch in archs if arch in found], name="arch"),
        columns=[name for name in names if name in measured],
    )
    renamed = summary.assign(platform=summary["platform"].map(names)).reset_index(drop=True)
    return Reduced(table.rename(columns=names), renamed), failures.reset_index(drop=True)


def _checked_archs(space: Space, archs: Sequence[str]) -> list[str]:
    if not len(archs):
        raise WorkbenchError("There is nothing to measure: expected at least one network, got none; ask for more.")
    for arch in archs:
        space.parse(arch)
    return list(dict.fromkeys(archs))


def _checked_platforms(platforms: Sequence[Platform]) -> list[Platform]:
    if not len(platforms):
        raise WorkbenchError("There is nothing to measure on: expected at least one platform, got none; name one.")
    for platform in platforms:
        BACKENDS[platform.backend].require()
    return list(dict.fromkeys(platforms))


def _device_names(platforms: Sequence[Platform], device: str | None) -> dict[str, str]:
    if device is None:
        return {platform.name: platform.name for platform in platforms}
    check_device_name(device)
    alone = len(platforms) == 1
    return {platform.name: device if alone else f"{device}_{platform.name}" for platform in platforms}
