"""One timing: warm-up until stable, raw samples kept, a robust estimate with an interval.

The estimate is the nested inter-quartile mean of eagle (BRP-NAS, Dudziak et al., NeurIPS 2020,
``tools/calc_stats.py``): the samples are cut into blocks, each block is reduced to the mean of its middle
half, and so are these block means. There the blocks are separate bursts; here they are consecutive stretches
of one burst, so that a disturbance, which is a stretch of time, spoils few of them.
"""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from workbench.config import WorkbenchError

Run = Callable[[], object]
Stopwatch = Callable[[Run], int]  # does one run, returns its nanoseconds

BLOCK = 4  # samples per block at least: fewer have no middle half
BLOCKS = 12  # blocks at most: more would cut long bursts into stretches that share one disturbance


@dataclass(frozen=True)
class TimingConfig:
    """How one network is timed.

    Args:
        warmup_min_s, warmup_max_s: warm-up lasts at least and (but for the run in progress) at most this
            long.
        warmup_tolerance: warm-up ends once the medians of its last two windows of `warmup_window` runs differ
            less than this.
        min_runs, max_runs: bounds on the number of timed runs.
        min_s: timed runs last at least this long together, so that a fast network is not judged by one
            millisecond.
        budget_s: timed runs end after this, whatever the interval.
        target: timed runs end when half the 95 % interval is below this share of the estimate.
    """

    warmup_min_s: float = 0.02
    warmup_max_s: float = 0.15
    warmup_tolerance: float = 0.02
    warmup_window: int = 3
    min_runs: int = 8
    max_runs: int = 1000
    min_s: float = 0.05
    budget_s: float = 0.3
    target: float = 0.02

    def __post_init__(self) -> None:
        for name in ("warmup_window", "min_runs", "max_runs"):
            if getattr(self, name) < 1:
                raise WorkbenchError(f"TimingConfig: {name} expects at least 1, got {getattr(self, name)}; correct it.")

    @classmethod
    def hasty(cls) -> TimingConfig:
        """A twentieth of a second, to see that everything works; the latency is only roughly right."""
        return cls(warmup_max_s=0.02, min_runs=3, min_s=0.0, budget_s=0.02)


class Estimate(NamedTuple):
    """A latency in milliseconds with its 95 % interval, and how its samples spread."""

    estimate_ms: float
    low_ms: float
    high_ms: float
    n_runs: int
    iqr_ms: float
    min_ms: float

    @property
    def relative_half_width(self) -> float:
        """Half the interval as a share of the estimate."""
        return (self.high_ms - self.low_ms) / 2 / self.estimate_ms


class Timing(NamedTuple):
    """The raw samples of one timing, in nanoseconds and in the order in which they were taken.

    Example: ``time_runs(lambda: module(x), TimingConfig()).estimate.estimate_ms``.

    Args:
        samples_ns: one per timed run.
        offsets_ns: when each of them began, counted from the first one.
        warmup_runs, warmup_ns: how many runs went before, and how long they took together.
        started_at: of the first timed run, seconds since the epoch, UTC.
    """

    samples_ns: tuple[int, ...]
    offsets_ns: tuple[int, ...]
    warmup_runs: int
    warmup_ns: int
    started_at: float

    @property
    def busy_s(self) -> float:
        """Seconds in warm-up and timed runs."""
        return (self.warmup_ns + sum(self.samples_ns)) * 1e-9

    @property
    def estimate(self) -> Estimate:
        """`reduce_samples` of the samples."""
        return reduce_samples(self.samples_ns)


def time_runs(
    run: Run,
    config: TimingConfig | None = None,
    clock: Callable[[], int] = time.perf_counter_ns,
    stopwatch: Stopwatch | None = None,
) -> Timing:
    """Time ``run()`` again and again, one sample per call.

    Args:
        run: does one inference, and returns only when it is done.
        config: see `TimingConfig`.
        clock: monotonic nanoseconds; for tests.
        stopwatch: how one run is timed; by ``clock`` if None.
    """
    config = config or TimingConfig()
    stopwatch = stopwatch or stopwatch_of(clock)
    with garbage_collector_off():
        began = clock()
        warmup_runs = _warm_up(run, config, clock, stopwatch)
        started_at, first = time.time(), clock()
        samples, starts = _timed(run, config, clock, stopwatch)
    return Timing(tuple(samples), tuple(start - first for start in starts), warmup_runs, first - began, started_at)


def stopwatch_of(clock: Callable[[], int] = time.perf_counter_ns) -> Stopwatch:
    """The stopwatch that reads ``clock`` before and after a run."""

    def stopwatch(run: Run) -> int:
        before = clock()
        run()
        return clock() - before

    return stopwatch


@contextmanager
def garbage_collector_off() -> Iterator[None]:
    """Collect now, then keep the garbage collector off for the duration."""
    enabled = gc.isenabled()
    gc.collect(0)  # the young generation only: a full collection costs more than many a network
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _warm_up(run: Run, config: TimingConfig, clock: Callable[[], int], stopwatch: Stopwatch) -> int:
    window = config.warmup_window
    samples: list[int] = []
    started = clock()
    while True:
        samples.append(stopwatch(run))
        elapsed = (clock() - started) * 1e-9
        if elapsed >= config.warmup_max_s:
            return len(samples)
        if elapsed >= config.warmup_min_s and len(samples) >= 2 * window:
            last = statistics.median(samples[-window:])
            previous = statistics.median(samples[-2 * window : -window])
            if abs(last - previous) <= config.warmup_tolerance * previous:
                return len(samples)


def _timed(
    run: Run, config: TimingConfig, clock: Callable[[], int], stopwatch: Stopwatch
) -> tuple[list[int], list[int]]:
    samples: list[int] = []
    starts: list[int] = []
    spent = 0
    check_at = config.min_runs
    while len(samples) < config.max_runs:
        starts.append(clock())
        sample = stopwatch(run)
        samples.append(sample)
        spent += sample
        if len(samples) >= config.min_runs and spent >= config.budget_s * 1e9:
            break
        if len(samples) < check_at or spent < config.min_s * 1e9:
            continue
        if reduce_samples(samples).relative_half_width <= config.target:
            break
        # Not after every run: the check costs about as much as a small operator.
        check_at = len(samples) + max(2, len(samples) // 4)
    return samples, starts


def nested_interquartile_mean(samples: Sequence[float]) -> float:
    """The inter-quartile mean of the inter-quartile means of consecutive blocks; same unit as ``samples``.

    Blocks: as many as leave at least `BLOCK` samples in each, at most `BLOCKS`. Inter-quartile mean of ``n``
    values: sorted, the lowest and highest ``n // 4`` dropped, the mean of the rest. A stretch of up to a tenth
    of the samples can be arbitrarily slow without moving it beyond the range of the others.

    Raises:
        WorkbenchError: no samples, or one that is not a finite number above zero.
    """
    return _interquartile_mean(_block_means(_checked(samples)))


def reduce_samples(samples_ns: Sequence[float]) -> Estimate:
    """`Estimate` of ``samples_ns`` (nanoseconds, in the order in which they were taken).

    The interval is that of Tukey and McLaughlin (1963) for a trimmed mean, over block means if there are at
    least six blocks (neighbouring runs are alike, so that runs would promise too much), else over the runs
    themselves.
    """
    values = _checked(samples_ns)
    means = _block_means(values)
    estimate = _interquartile_mean(means)
    half = _half_interval(means if len(means) >= 6 else values)
    low_quarter, high_quarter = np.quantile(values, (0.25, 0.75))
    return Estimate(
        estimate_ms=estimate * 1e-6,
        low_ms=max(estimate - half, 0.0) * 1e-6,
        high_ms=(estimate + half) * 1e-6,
        n_runs=len(values),
        iqr_ms=float(high_quarter - low_quarter) * 1e-6,
        min_ms=float(values.min()) * 1e-6,
    )


def _checked(samples: Sequence[float]) -> np.ndarray:
    values = np.asarray(samples, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise WorkbenchError("A timing needs at least one sample, got none; time at least one run.")
    if not np.isfinite(values).all() or values.min() <= 0:
        bad = values[~(np.isfinite(values) & (values > 0))][0]
        raise WorkbenchError(f"A timing expects finite samples above zero, got {bad}; discard this measurement.")
    return values


def _block_means(values: np.ndarray) -> np.ndarray:
    blocks = max(1, min(BLOCKS, len(values) // BLOCK))
    return np.array([_interquartile_mean(block) for block in np.array_split(values, blocks)])


def _interquartile_mean(values: np.ndarray) -> float:
    cut = len(values) // 4
    middle = np.sort(values)[cut : len(values) - cut]
    # Rounding must not carry the mean outside its values.
    return float(np.clip(middle.mean(), middle[0], middle[-1]))


def _half_interval(values: np.ndarray) -> float:
    count = len(values)
    cut = count // 4
    kept = count - 2 * cut
    if kept < 2:
        return math.inf
    ordered = np.sort(values)
    winsorised = np.clip(values, ordered[cut], ordered[count - cut - 1])
    error = winsorised.std(ddof=1) / (kept / count * math.sqrt(count))
    return _student(kept - 1) * float(error)


def _student(freedom: int) -> float:
    """The 97.5 % quantile of Student's t, by Cornish and Fisher's expansion above 2 degrees of freedom (error
    below 1 %)."""
    if freedom <= 2:
        return (12.706, 4.303)[freedom - 1]
    z = 1.959964
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / freedom ** (power + 1) for power, term in enumerate(terms))
