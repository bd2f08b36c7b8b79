"""Whether one setting is better than another, from tables of results: a paired bootstrap over tasks, devices and seeds.

`workbench.evaluation.significance` draws test architectures, which it has the predictions of; a table of results has
only scores, so that here a score on one task, device and seed is one case. Cases are not independent: seeds of a device
are alike, and so are devices of a seed, which often share a training. Therefore whole devices (with all their seeds)
are drawn with replacement, then whole seeds (of a task, with all its devices), and the interval is the hull of both.
Each is the percentile interval, widened for small numbers of what is drawn (Hesterberg 2015, "What teachers should know
about the bootstrap"); of less than eight, percentiles would end at the extremes, and Student's t times the bootstrap's
standard error takes their place. Every task counts the same. Nothing is corrected for many comparisons: of twenty
between equal settings, one will look like a difference.

Shapes: `r` resamples, `n` things drawn, `c` cases.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtr, stdtrit

#: What a case is: scores with the same of these are compared.
CASE = ("task", "device", "seed")
RESAMPLES = 2000
CONFIDENCE = 0.95
FEW = 8  # things drawn, below which percentiles of their means say too little

#: Marks of a difference. Which way is better is not known of every metric; an interval needs two devices or seeds.
BETTER, WORSE, HIGHER, LOWER, NOISE, UNTESTED = "better", "worse", "higher", "lower", "noise", "untested"

#: The label that tells what was evaluated from the floors beside it.
METHOD = "method"

#: Metric -> 1 where more is better, -1 where less is.
SIGNS = {
    "spearman": 1, "kendall": 1, "acc5": 1, "acc10": 1, "accuracy": 1, "r2": 1,
    "rae": -1, "mape": -1, "mdape": -1, "rmse": -1, "mae": -1, "seconds": -1,
}  # fmt: skip
COSTLY = ("loss", "error", "_s", "_ms", "_bytes", "_mib")


class Interval(NamedTuple):
    """A mean over ``cases`` cases and the ends of its 95 % interval, NaN if there is only one of everything."""

    value: float
    low: float
    high: float
    cases: int


def sign_of(metric: str) -> int:
    """1 if more of ``metric`` is better, -1 if less is, 0 if that is not known."""
    name = metric.rsplit(".", 1)[-1].lower()
    return SIGNS.get(name, -1 if name.endswith(COSTLY) else 0)


def of_main_method(table: pd.DataFrame, run: str | None = None) -> pd.DataFrame:
    """``table`` without the floors beside the method: of each run (a column), the first method's rows only.

    Where a run has only one method, or there is no such column, that is all of it.
    """
    if METHOD not in table.columns or table.empty:
        return table
    first = table[METHOD].iloc[0] if run is None else table.groupby(run, sort=False)[METHOD].transform("first")
    return table[table[METHOD] == first]


def cases(table: pd.DataFrame, metric: str, keys: tuple[str, ...] = CASE) -> pd.Series:
    """``metric`` per case: means over the rows that agree in ``keys``, which need not all be columns of ``table``.

    Returns:
        Scores indexed by ``keys``, as text ("" for a column that is missing), without those that are not finite.
    """
    values = pd.to_numeric(table[metric], errors="coerce").astype("float64")
    index = [table[key].map(level) if key in table.columns else pd.Series("", table.index) for key in keys]
    values = values[np.isfinite(values)]
    return values.groupby([part.loc[values.index].rename(key) for part, key in zip(index, keys, strict=True)]).mean()


def level(value: object) -> str:
    """A level of a factor as text, the same for JSON and for a column of a table: 5 and 5.0 are one level."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    if isinstance(value, int | float | np.integer | np.floating):
        return "none" if value != value else f"{value:.12g}"
    if value is None or value is pd.NA:
        return "none"
    return json.dumps(value)


def interval(scores: pd.Series) -> Interval:
    """The mean of `c` ``scores`` (see `cases`), every task counting the same, and its 95 % interval."""
    if scores.empty:
        return Interval(np.nan, np.nan, np.nan, 0)
    values, count = scores.to_numpy(np.float64), len(scores)
    task, device, seed = (_codes(scores, name) for name in CASE)
    weights = 1 / np.bincount(task)[task]
    mean = float(np.average(values, weights=weights))
    ways = [_drawn(values, weights, task * count + device)]
    if len(np.unique(task * count + seed)) > task.max() + 1:  # some task has several seeds
        ways.append(_drawn(values, weights, task * count + seed))
    ends = [way for way in ways if way is not None]
    if not ends:
        return Interval(mean, np.nan, np.nan, count)
    return Interval(mean, min(low for low, _ in ends), max(high for _, high in ends), count)


def difference(scores: pd.Series, other: pd.Series) -> Interval:
    """The mean of ``scores`` minus ``other`` over the cases that both have, with its interval."""
    paired = scores.sub(other.reindex(scores.index)).dropna()
    return interval(paired)


def mark(told: Interval, sign: int) -> str:
    """What a difference is: noise if its interval spans zero."""
    if not np.isfinite(told.low):
        return UNTESTED
    if told.low <= 0 <= told.high:
        return NOISE
    if sign == 0:
        return HIGHER if told.value > 0 else LOWER
    return BETTER if told.value * sign > 0 else WORSE


def _codes(scores: pd.Series, name: str) -> np.ndarray:
    """A number from 0 on for each task, device or seed of ``scores``."""
    if name not in scores.index.names:
        return np.zeros(len(scores), dtype=np.int64)
    return pd.factorize(scores.index.get_level_values(name))[0]


def _drawn(values: np.ndarray, weights: np.ndarray, groups: np.ndarray) -> tuple[float, float] | None:
    """Ends of the interval of the weighted mean when whole ``groups`` are drawn; None if there is only one."""
    found, codes = np.unique(groups, return_inverse=True)
    n = len(found)
    if n < 2:
        return None
    sums, masses = np.bincount(codes, weights * values), np.bincount(codes, weights)
    counts = _counts(n)
    means = (counts @ sums) / (counts @ masses)
    score = -stdtrit(n - 1, (1 - CONFIDENCE) / 2) * np.sqrt(n / (n - 1))
    if n < FEW:
        middle, half = sums.sum() / masses.sum(), score * means.std()
        return float(middle - half), float(middle + half)
    low, high = np.quantile(means, [ndtr(-score), ndtr(score)])
    return float(low), float(high)


@lru_cache(maxsize=16)
def _counts(n: int) -> np.ndarray:
    """`r x n`: how often each of `n` things is drawn; the same for all comparisons, so that they agree."""
    drawn = np.random.default_rng(n).multinomial(n, np.full(n, 1 / n), RESAMPLES).astype(np.float64)
    drawn.setflags(write=False)
    return drawn
