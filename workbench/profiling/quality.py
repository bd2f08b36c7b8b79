"""Whether measurements can be trusted: a stability gate, reference networks, drift, and what has to be
measured again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from workbench.devices.backends import eager_on
from workbench.devices.detect import detect
from workbench.profiling.calm import CalmConfig, ForeignLoad, pulse_kind, pulse_ns, quiet_level
from workbench.profiling.conditions import read_conditions
from workbench.profiling.journal import REFERENCE

if TYPE_CHECKING:
    from workbench.spaces import Space


#: Side of the gate's matrix product by the type of the device: some 2 ms on a processor, 1 ms on a fast GPU.
PRODUCT = {"cpu": 384, "cuda": 2560}


@dataclass(frozen=True)
class QualityConfig:
    """When a measurement is not accepted.

    Args:
        drift: references that deviate more than this from the usual put the networks around them in quarantine.
        disagreement: a network's two fastest attempts that differ more than this call for another one.
        half_width: so does a single attempt whose interval's half is wider than this share.
        max_attempts: a network is measured at most this often beyond the campaign's passes.
        calm: when a burst counts as disturbed.
        spread, slow: the gate opens below this inter-quartile range of equal runs, and this distance of their
            median from their minimum.
        restless: it also asks that no larger share of its pulses is disturbed.
    """

    drift: float = 0.10
    disagreement: float = 0.05
    half_width: float = 0.05
    max_attempts: int = 3
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
        stolen_load: processors that the hypervisor gave to other guests meanwhile; NaN where it does not say.
        throttled: how often a processor was slowed down for its heat meanwhile.
        governor: of the clock frequency; None where the system hides it.
        load_average: the system's, over the last minute; None where it has none.
    """

    stable: bool
    reason: str
    spread: float
    slowdown: float
    restless: float
    foreign_load: float
    stolen_load: float
    throttled: int
    governor: str | None
    load_average: float | None


class Signs(NamedTuple):
    """What the system said while the gate listened; see `Stability`."""

    foreign_load: float = np.nan
    stolen_load: float = np.nan
    throttled: int = 0
    governor: str | None = None
    load_average: float | None = None


def stability(seconds: float = 1.0, config: QualityConfig | None = None, device: str = "cpu") -> Stability:
    """Time a matrix product on ``device`` and the pulse in turn, single-threaded, for ``seconds``, and judge how
    both spread and what else used the processors."""
    import torch

    backend, a = eager_on(device), torch.ones(PRODUCT[device], PRODUCT[device], device=device)
    runs, pulses = [], []
    with backend.threads(1):
        before, load, started = read_conditions(), ForeignLoad(), time.perf_counter()
        while not runs or time.perf_counter() < started + seconds:
            runs.append(backend.stopwatch(lambda: torch.mm(a, a)))
            pulses.append(pulse_ns())
        foreign, after, elapsed = load.processors(), read_conditions(), time.perf_counter() - started
    stolen = (after.stolen_s - before.stolen_s) / elapsed if after.stolen_s is not None else np.nan
    average = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    signs = Signs(foreign, stolen, after.throttles - before.throttles, detect().governor, average)
    warm = len(runs) // 10
    return judge(np.array(runs[warm:]), np.array(pulses[warm:]), signs, config or QualityConfig())


def judge(runs_ns: np.ndarray, pulses_ns: np.ndarray, signs: Signs, config: QualityConfig) -> Stability:
    """`Stability` from the nanoseconds of equal runs and of pulses, and what the system said; apart from the
    clock so that it can be tested."""
    low, median, high = np.quantile(runs_ns, (0.25, 0.5, 0.75))
    spread, slowdown = float((high - low) / median), float(median / runs_ns.min() - 1)
    restless = float(np.mean(pulses_ns > config.calm.pulse * quiet_level(pulses_ns)))
    even = spread <= config.spread and slowdown <= config.slow and restless <= config.restless
    causes = list(_causes(signs, config.calm.foreign_load, even))
    facts = (
        f"equal runs spread {100 * spread:.0f} % (inter-quartile), their median is {100 * slowdown:.0f} % above the "
        f"fastest, {100 * restless:.0f} % of the pulses are slow"
    )
    verdict = f"Too noisy to trust timings, probably because {causes[0]}" if causes else "Quiet enough to time"
    return Stability(not causes, f"{verdict}: {facts}.", spread, slowdown, restless, *signs)


def _causes(signs: Signs, accepted_load: float, even: bool) -> Iterator[str]:
    """What may disturb, the surest first; nothing if all is well."""
    if signs.foreign_load > accepted_load:
        yield f"other processes use {signs.foreign_load:.1f} processors"
    if signs.stolen_load > accepted_load:
        yield f"the hypervisor gives {signs.stolen_load:.1f} processors to other guests"
    if signs.throttled:
        yield "the processor slows itself down for its heat"
    if even:
        return
    if signs.governor not in (None, "performance"):
        yield f"the clock frequency changes (governor '{signs.governor}'; 'performance' keeps it)"
    yield "the clock frequency changes or another guest shares the processor"


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
        the references of the latency divided by that reference's usual one, minus one. The usual one is the lower
        quartile over all passes: disturbances only slow a machine down, and may last for more than half of a campaign.
    """
    references = attempts[attempts["role"] == REFERENCE].reset_index(drop=True)
    groups = references.groupby(["platform", "arch"])["estimate_ms"]
    usual = groups.transform(lambda found: found.quantile(0.25, interpolation="lower"))
    ratios = references.assign(drift=references["estimate_ms"] / usual - 1)
    return ratios.groupby(["platform", "attempt"], as_index=False).agg({"started_at": "median", "drift": "median"})


def remaining_drift(attempts: pd.DataFrame, config: QualityConfig) -> float:
    """The largest drift of a reference pass next to an attempt that is not in quarantine; NaN without such an
    attempt."""
    trusted = attempts[~quarantine(attempts, config) & (attempts["role"] != REFERENCE)]
    worst = [np.nan]
    for platform, passes in reference_drift(attempts).groupby("platform"):
        passes = passes.sort_values("started_at")
        after = np.searchsorted(passes["started_at"], trusted.loc[trusted["platform"] == platform, "started_at"])
        beside = np.union1d(after - 1, after)
        drift = passes["drift"].abs().to_numpy()
        worst.append(drift[beside[(beside >= 0) & (beside < len(drift))]].max(initial=0) if len(after) else np.nan)
    return float(np.fmax.reduce(worst))


def quarantine(attempts: pd.DataFrame, config: QualityConfig) -> pd.Series:
    """`True` for each attempt (same index) that must not be trusted.

    That is: the machine was disturbed while it ran (pulse or foreign load), or a network stands between two
    passes over the references of which one drifted too far. The pulse is compared with the usual one beside
    bursts of the same kind (`pulse_kind`).
    """
    kinds = attempts["platform"].map(pulse_kind)
    usual = attempts.groupby(kinds)["pulse_ns"].transform(lambda found: quiet_level(found.to_numpy()))
    marked = attempts["pulse_ns"] > config.calm.pulse * usual
    marked |= attempts["foreign_load"] > config.calm.foreign_load
    return marked | _beside(attempts, lambda drift: np.abs(drift) > config.drift)


def boosted(attempts: pd.DataFrame, config: QualityConfig) -> pd.Series:
    """`True` for each attempt (same index) beside a pass in which the references were faster than usual by more than
    the accepted drift: what disturbs never makes faster, so the machine was another one then."""
    return _beside(attempts, lambda drift: drift < -config.drift)


def _beside(attempts: pd.DataFrame, bad: Callable[[np.ndarray], np.ndarray]) -> pd.Series:
    """`True` for each network's attempt next to a pass over the references whose drift is ``bad``."""
    marked = pd.Series(False, index=attempts.index)
    for platform, passes in reference_drift(attempts).groupby("platform"):
        passes = passes.sort_values("started_at")
        found = np.concatenate([[False], bad(passes["drift"].to_numpy()), [False]])
        mine = (attempts["platform"] == platform) & (attempts["role"] != REFERENCE)
        after = np.searchsorted(passes["started_at"].to_numpy(), attempts.loc[mine, "started_at"].to_numpy())
        marked[mine] = found[after] | found[after + 1]  # the pass before, the pass behind
    return marked


def to_repeat(attempts: pd.DataFrame, passes: int, config: QualityConfig) -> pd.DataFrame:
    """The ``platform, arch, attempt`` (the next one's number) that ought to be measured once more.

    That is: every attempt is in quarantine, or the two fastest disagree, or there is but one and its interval is
    wide.
    """
    networks = attempts[attempts["role"] != REFERENCE]
    half = (networks["high_ms"] - networks["low_ms"]) / 2 / networks["estimate_ms"]
    facts = networks.assign(half=half, spoilt=quarantine(attempts, config)[networks.index])
    table = facts.groupby(["platform", "arch"]).agg(
        last=("attempt", "max"),
        count=("attempt", "size"),
        spoilt=("spoilt", "all"),
        gap=("estimate_ms", fastest_gap),
        half=("half", "min"),
    )
    alone = table["count"] == 1
    wanted = (
        table["spoilt"]
        | (~alone & (table["gap"] > config.disagreement))
        | (alone & (table["half"] > config.half_width))
    )
    table = table[wanted & (table["last"] + 1 < passes + config.max_attempts)].reset_index()
    return table.assign(attempt=table["last"] + 1)[["platform", "arch", "attempt"]]


def fastest_gap(estimates: pd.Series) -> float:
    """Relative distance of the two smallest estimates; infinite if there is but one."""
    ordered = np.sort(estimates.to_numpy())
    return float(ordered[1] / ordered[0] - 1) if len(ordered) > 1 else np.inf
