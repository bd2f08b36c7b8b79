"""From the readings of several rounds to one figure with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Figure(NamedTuple):
    """One measured figure with its 95 % interval.

    Args:
        name: the field of a card, whose name ends in the unit.
        threads: number of threads it was measured with, or, for what belongs to the whole machine, stands beside.
        value: mean of the better half of the rounds.
        low, high: what `half_interval` says of the rounds; of a cache's size the neighbouring sizes of the sweep,
            widened by what leaving out any one round changes.
        n_runs: number of runs in all rounds.
    """

    name: str
    threads: int
    value: float
    low: float
    high: float
    n_runs: int


class SweepPoint(NamedTuple):
    """Read bandwidth at one working-set size, with its 95 % interval."""

    threads: int
    working_set_kib: float
    bandwidth_gbps: float
    low_gbps: float
    high_gbps: float
    n_runs: int


def lower_is_better(name: str) -> bool:
    """Whether the figure ``name`` is a time, not a rate."""
    return name.endswith("_us")


def better_half(rounds: np.ndarray, lower: bool = False) -> float:
    """The mean of the better half of `r` rounds, larger or, if ``lower``, smaller values being better.

    What disturbs a measurement never makes it better, so the worse half is what a busy neighbour did; the best
    round alone would be the luckiest one.
    """
    return float(_better(rounds, lower).mean())


def half_interval(rounds: np.ndarray, lower: bool = False) -> float:
    """Half the 95 % interval of a reading like these: 1.96 times the root mean square distance of the better half of
    the rounds from their median.

    For a normal spread this is that of one round. It does not narrow with their number, because what disturbs a machine
    lasts for seconds to minutes: rounds of one measurement share much of what another one, later, does not.
    """
    beyond = _better(rounds, lower) - np.median(rounds)
    return float(1.96 * np.sqrt((beyond**2).mean()))


def _better(rounds: np.ndarray, lower: bool) -> np.ndarray:
    ordered = np.sort(rounds) if lower else -np.sort(-rounds)
    return ordered[: (len(ordered) + 1) // 2]


def figure(name: str, threads: int, rounds: Sequence[float], n_runs: int) -> Figure:
    """The `Figure` of one reading per round."""
    values, lower = np.asarray(rounds, dtype=np.float64), lower_is_better(name)
    value, half = better_half(values, lower), half_interval(values, lower)
    return Figure(name, threads, value, max(value - half, 0.0), value + half, n_runs)


def sweep_point(threads: int, working_set_kib: float, rounds: Sequence[float], n_runs: int) -> SweepPoint:
    """The `SweepPoint` of one bandwidth per round."""
    return SweepPoint(threads, working_set_kib, *figure("bandwidth_gbps", threads, rounds, n_runs)[2:])


def speed_up(one: Figure, all_cores: Figure) -> Figure:
    """Parallel efficiency: the rate on all cores over that on one, per core."""
    cores = all_cores.threads / one.threads
    value = all_cores.value / one.value / cores
    half = value * float(np.hypot(*((rate.high - rate.value) / rate.value for rate in (one, all_cores))))
    low, high = max(value - half, 0.0), value + half
    return Figure("parallel_efficiency", one.threads, value, low, high, one.n_runs + all_cores.n_runs)
