"""Whether one method is better than another, or whether it is noise: a paired bootstrap over what was predicted.

Drawn with replacement are the cells of a task (a device with a seed) and, within each, its test architectures, the
same ones for every method (Efron & Tibshirani 1993, ch. 8 and 13). So an interval speaks about other devices of the
task's kind, other seeds and other architectures. Seeds of one device are cells of their own although they are alike,
so with few devices it is rather too narrow. Many comparisons are made at once and none is corrected for the others: of
twenty between equal methods, one will look like a difference.

Shapes: `r` resamples, `n` architectures of a cell, `c` cells.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from workbench.evaluation.unit import Cell

#: Metrics that are compared, and the sign of an improvement.
COMPARED = {"spearman": 1, "rae": -1}

#: The floor that every method is compared with.
FLOOR = "linear"

#: The task's name in the rows that are about the mean over all tasks.
ALL = "all tasks"

COLUMNS = ("task", "probes", "method", "other", "metric", "difference", "low", "high", "mark", "cells")


def pairs(methods: Sequence[str]) -> list[tuple[str, str]]:
    """Each method with the floor, then every two methods."""
    with_floor = [(method, FLOOR) for method in methods if method != FLOOR]
    return list(dict.fromkeys([*with_floor, *_ordered(methods)]))


def _ordered(methods: Sequence[str]) -> list[tuple[str, str]]:
    return [(b, a) if a == FLOOR else (a, b) for a, b in itertools.combinations(methods, 2)]


def differences(
    cells: Iterable[Cell], compared: Sequence[tuple[str, str]], resamples: int = 400, seed: int = 0
) -> pd.DataFrame:
    """Per task, number of probes, pair of methods and metric: the mean difference and whether it is more than noise.

    Args:
        cells: see `EvaluationResult`.
        compared: pairs of methods.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        Columns `COLUMNS`: ``difference`` is the mean over cells of the first method's metric minus the other's, on all
        test architectures; ``low`` and ``high`` bound its 95 % interval; ``mark`` says whether the first one is
        "better", "worse", or whether it is "noise". Where there are several tasks, `ALL` is the mean of them.
    """
    generator = np.random.default_rng(seed)
    groups: dict[tuple[str, int], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.task, cell.probes), []).append(cell)
    shifts: dict[tuple, _Shift] = {}
    for (task, probes), members in groups.items():
        drawn = [resample(cell, resamples, generator) for cell in members]
        for (method, other), metric in itertools.product(compared, COMPARED):
            shift = _shift(members, drawn, method, other, metric, generator)
            if shift is not None:
                shifts[task, probes, method, other, metric] = shift
    together: dict[tuple, list[_Shift]] = {}
    for (_, *what), shift in shifts.items():
        together.setdefault((ALL, *what), []).append(shift)
    shifts |= {what: _mean(parts) for what, parts in together.items() if len(parts) > 1}
    rows = [(*what, *_judged(what[-1], shift), shift.cells) for what, shift in shifts.items()]
    return pd.DataFrame(rows, columns=list(COLUMNS))


class _Shift(NamedTuple):
    """A mean difference, how far it strays from its mean in `r` resamples, and the number of cells behind it."""

    difference: float
    spread: np.ndarray
    cells: int


def _shift(
    members: Sequence[Cell],
    drawn: Sequence[dict[str, dict[str, np.ndarray]]],
    method: str,
    other: str,
    metric: str,
    generator: np.random.Generator,
) -> _Shift | None:
    """The difference between two methods on the cells where both have the metric; None if there are none."""
    exact, moved = [], []
    for cell, told in zip(members, drawn, strict=True):
        if method in told and other in told:
            difference = cell.exact[method][metric] - cell.exact[other][metric]
            resampled = told[method][metric] - told[other][metric]
            if np.isfinite(difference) and np.isfinite(resampled).all():
                exact.append(difference)
                moved.append(resampled)
    if not exact:
        return None
    picks = generator.integers(0, len(moved), (len(moved), len(moved[0])))
    means = np.take_along_axis(np.stack(moved), picks, axis=0).mean(axis=0)
    return _Shift(float(np.mean(exact)), means - means.mean(), len(exact))


def _mean(shifts: Sequence[_Shift]) -> _Shift:
    differences, spreads, cells = zip(*shifts, strict=True)
    return _Shift(float(np.mean(differences)), np.mean(spreads, axis=0), sum(cells))


def _judged(metric: str, shift: _Shift) -> tuple[float, float, float, str]:
    """The difference, its interval and its mark."""
    low, high = shift.difference + np.quantile(shift.spread, [0.025, 0.975])
    better = shift.difference * COMPARED[metric] > 0
    mark = "noise" if low <= 0 <= high else "better" if better else "worse"
    return shift.difference, float(low), float(high), mark


def resample(cell: Cell, resamples: int, generator: np.random.Generator) -> dict[str, dict[str, np.ndarray]]:
    """Method -> metric -> `r` values on architectures of ``cell`` drawn with replacement, the same for all methods."""
    actual = cell.actual_ms
    n = len(actual)
    picks = generator.integers(0, n, (resamples, n)) + n * np.arange(resamples)[:, None]
    counts = np.bincount(picks.ravel(), minlength=resamples * n).reshape(resamples, n).astype(np.float64)
    ranks = _centred_ranks(actual, counts)
    means = counts @ actual / n
    spread = (counts * np.abs(actual - means[:, None])).sum(axis=1)
    told = {}
    with np.errstate(invalid="ignore", divide="ignore"):
        for method, estimate in cell.estimates.items():
            own = _centred_ranks(estimate.ms, counts)
            product = np.sqrt((counts * ranks**2).sum(axis=1) * (counts * own**2).sum(axis=1))
            spearman = np.where(product > 0, (counts * ranks * own).sum(axis=1) / product, 0.0)
            told[method] = {"spearman": spearman, "rae": counts @ np.abs(actual - estimate.ms) / spread}
    return told


def _centred_ranks(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """`r x n` mid-ranks minus their mean of each of ``values`` in resamples that hold it ``counts`` `r x n` times.

    Ranks follow from cumulated counts in the order of the values, so that nothing is sorted again.
    """
    distinct, group = np.unique(values, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(len(distinct)))
    held = np.add.reduceat(counts[:, order], starts, axis=1)  # r x distinct values
    middle = np.cumsum(held, axis=1) - (held - 1) / 2
    return middle[:, group] - (len(values) + 1) / 2
