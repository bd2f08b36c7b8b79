"""Whether measurements can be trusted: a stability gate, reference networks, drift, and what has to be
measured again."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from workbench.devices.backends import torch_threads
from workbench.profiling.calm import CalmConfig, ForeignLoad, pulse_ns, quiet_level
from workbench.profiling.journal import REFERENCE

if TYPE_CHECKING:
    from workbench.spaces import Space


@dataclass(frozen=True)
class QualityConfig:
    """When a measurement is not accepted.

    Args:
        drift: references that deviate more than this from their median put the networks around them in
            quarantine.
        disagreement: attempts at one network that differ more than this call for another one.
        half_width: so does a single attempt whose interval's half is wider than this share.
        max_attempts: a network is measured at most this often beyond the campaign's passes.
        calm: when a burst counts as disturbed.
        spread, slow: the gate opens below this inter-quartile range of equal runs, and this distance of their
            median from their minimum.
        restless: it also asks that no larger share of its pulses is disturbed.
    """

    drift: float = 0.10
    disagreement: float = 0.10
    half_width: float = 0.05
    max_attempts: int = 2
    calm: CalmConfig = field(default_factory=CalmConfig)
    spread: float = 0.10
    slow: float = 0.25
    restless: float = 0.25


class Stability(NamedTuple):
    """Whether this machine is quiet enough to time on, and one sentence that says why.

    Args:
        stable, reason: the judgement.
        spread: inter-quartile range of equal runs as a share of their median.
        slowdown: how far their median lies above their minimum, as a share of it.
        restless: share of the pulses that were disturbed, see `calm.py`.
        foreign_load: processors in use by others meanwhile; NaN if it was too short to tell.
        load_average: the system's, over the last minute; None where it has none.
    """

    stable: bool
    reason: str
    spread: float
    slowdown: float
    restless: float
    foreign_load: float
    load_average: float | None


def stability(seconds: float = 1.0, config: QualityConfig | None = None) -> Stability:
    """Time a matrix product and the pulse in turn, single-threaded, for ``seconds``, and judge how both
    spread and what else used the processors."""
    import torch

    a = torch.ones(384, 384)
    runs, pulses = [], []
    with torch_threads(1):
        load, stop = ForeignLoad(), time.perf_counter() + seconds
        while not runs or time.perf_counter() < stop:
            before = time.perf_counter_ns()
            torch.mm(a, a)
            runs.append(time.perf_counter_ns() - before)
            pulses.append(pulse_ns())
        foreign = load.processors()
    average = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    warm = len(runs) // 10
    return judge(np.array(runs[warm:]), np.array(pulses[warm:]), foreign, average, config or QualityConfig())


def judge(
    runs_ns: np.ndarray, pulses_ns: np.ndarray, foreign_load: float, load_average: float | None, config: QualityConfig
) -> Stability:
    """`Stability` from the nanoseconds of equal runs and of pulses, and the system's load; apart from the
    clock so that it can be tested."""
    low, median, high = np.quantile(runs_ns, (0.25, 0.5, 0.75))
    spread, slowdown = float((high - low) / median), float(median / runs_ns.min() - 1)
    restless = float(np.mean(pulses_ns > config.calm.pulse * quiet_level(pulses_ns)))
    shared = foreign_load > config.calm.foreign_load
    stable = not shared and spread <= config.spread and slowdown <= config.slow and restless <= config.restless
    facts = (
        f"equal runs spread {spread:.0%} (inter-quartile), their median is {slowdown:.0%} above the fastest, "
        f"{restless:.0%} of the pulses are slow"
    )
    if not np.isnan(foreign_load):
        facts += f", other processes use {foreign_load:.1f} processors"
    cause = (
        "other processes are running" if shared else "the clock frequency changes or another guest shares the processor"
    )
    verdict = "Quiet enough to time" if stable else f"Too noisy to trust timings, probably because {cause}"
    return Stability(stable, f"{verdict}: {facts}.", spread, slowdown, restless, foreign_load, load_average)


def choose_references(space: Space, archs: Collection[str], seed: int) -> list[str]:
    """A small, a medium and a large network (by FLOPs) of ``space``, not among ``archs`` where there
    are others."""
    from workbench.graphs.features import physics

    drawn, taken = space.sample(100, np.random.default_rng([seed, 1])), set(archs)
    others = [arch for arch in drawn if arch not in taken]
    candidates = others if len(others) >= 3 else drawn
    flops = [sum(op.repeat * physics(op).flops for op in space.graph(arch).ops) for arch in candidates]
    order = np.argsort(flops, kind="stable")
    return [candidates[order[int(share * (len(order) - 1))]] for share in (0.1, 0.5, 0.9)]


def reference_drift(attempts: pd.DataFrame) -> pd.DataFrame:
    """How far each pass over the reference networks lies from the usual.

    Args:
        attempts: as `reduce_attempts` gives them.

    Returns:
        One row per platform and pass: ``platform, attempt, started_at, drift``; the drift is the median over
        the references of the latency divided by that reference's median over all passes, minus one.
    """
    references = attempts[attempts["role"] == REFERENCE].reset_index(drop=True)
    usual = references.groupby(["platform", "arch"])["estimate_ms"].transform("median")
    ratios = references.assign(drift=references["estimate_ms"] / usual - 1)
    return ratios.groupby(["platform", "attempt"], as_index=False).agg({"started_at": "median", "drift": "median"})


def quarantine(attempts: pd.DataFrame, config: QualityConfig) -> pd.Series:
    """`True` for each attempt (same index) that must not be trusted.

    That is: the machine was disturbed while it ran (pulse or foreign load), or a network stands between two
    passes over the references of which one drifted too far.
    """
    usual = quiet_level(attempts["pulse_ns"].to_numpy()) if len(attempts) else 1.0
    marked = attempts["pulse_ns"] > config.calm.pulse * usual
    marked |= attempts["foreign_load"] > config.calm.foreign_load
    for platform, passes in reference_drift(attempts).groupby("platform"):
        passes = passes.sort_values("started_at")
        bad = np.concatenate([[False], passes["drift"].abs().to_numpy() > config.drift, [False]])
        mine = (attempts["platform"] == platform) & (attempts["role"] != REFERENCE)
        after = np.searchsorted(passes["started_at"].to_numpy(), attempts.loc[mine, "started_at"].to_numpy())
        marked[mine] |= bad[after] | bad[after + 1]  # the pass before, the pass behind
    return marked


def to_repeat(attempts: pd.DataFrame, passes: int, config: QualityConfig) -> pd.DataFrame:
    """The ``platform, arch, attempt`` (the next one's number) that ought to be measured once more.

    That is: every attempt is in quarantine, or those that are not disagree, or there is but one and its
    interval is wide.
    """
    networks = attempts[attempts["role"] != REFERENCE]
    kept = networks[~quarantine(attempts, config)[networks.index]]
    half = (kept["high_ms"] - kept["low_ms"]) / 2 / kept["estimate_ms"]
    groups = kept.assign(half=half).groupby(["platform", "arch"])
    found = groups.agg(count=("estimate_ms", "size"), gap=("estimate_ms", smallest_gap), half=("half", "min"))
    last = networks.groupby(["platform", "arch"])["attempt"].max().rename("last")
    table = last.to_frame().join(found)
    alone = table["count"] == 1
    wanted = (
        table["count"].isna()
        | (~alone & (table["gap"] > config.disagreement))
        | (alone & (table["half"] > config.half_width))
    )
    table = table[wanted & (table["last"] + 1 < passes + config.max_attempts)].reset_index()
    return table.assign(attempt=table["last"] + 1)[["platform", "arch", "attempt"]]


def smallest_gap(estimates: pd.Series) -> float:
    """Relative distance of the two estimates that agree best; infinite if there is but one."""
    ordered = np.sort(estimates.to_numpy())
    return float((ordered[1:] / ordered[:-1] - 1).min()) if len(ordered) > 1 else np.inf
