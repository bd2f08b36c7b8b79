"""Which of many configurations are really apart: average ranks and their critical difference.

Demšar 2006, "Statistical comparisons of classifiers over multiple data sets", JMLR 7:1-30, section 3.2: configurations
are ranked within each block (a data set there; here a task and device), Friedman's test in the form of Iman and
Davenport says whether they differ at all, and by Nemenyi's test two differ if their average ranks are further apart
than the critical difference.

Shapes: `b` blocks, `k` configurations.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from workbench.config import WorkbenchError

ALPHA = 0.05


class Ranking(NamedTuple):
    """Configurations in the order of their average rank, 1 being the best.

    Args:
        table: columns ``configuration``, ``rank`` and ``group``: configurations that share a letter are not told apart.
        critical_difference: of two average ranks.
        p_value: of Friedman's test: how often equal configurations would give ranks as different as these.
        blocks: in which all configurations were ranked.
    """

    table: pd.DataFrame
    critical_difference: float
    p_value: float
    blocks: int


def rank(scores: pd.DataFrame, sign: int) -> Ranking:
    """Rank configurations.

    Args:
        scores: `b x k`, one row per block and one column per configuration; rows with a gap are left out.
        sign: 1 if more is better, -1 if less is.

    Raises:
        WorkbenchError: fewer than two configurations, or fewer than two blocks that all of them have.
    """
    whole = scores.dropna()
    blocks, count = whole.shape
    if count < 2 or blocks < 2:
        raise WorkbenchError(
            f"A ranking expects two configurations and two tasks, devices or seeds that all of them have, got {count} "
            f"and {blocks}; run more of the sweep."
        )
    ranks = (-sign * whole).rank(axis=1)
    mean = ranks.mean().sort_values(kind="stable")
    least = critical_difference(count, blocks)
    table = pd.DataFrame(
        {"configuration": mean.index, "rank": mean.to_numpy(), "group": letters(mean.to_numpy(), least)}
    )
    return Ranking(table, least, friedman(ranks.to_numpy()), blocks)


def critical_difference(configurations: int, blocks: int) -> float:
    """By how much two average ranks must differ to be apart at the 5 % level, by Nemenyi's test."""
    from scipy.stats import studentized_range

    quantile = studentized_range.ppf(1 - ALPHA, configurations, np.inf) / np.sqrt(2)
    return float(quantile * np.sqrt(configurations * (configurations + 1) / (6 * blocks)))


def friedman(ranks: np.ndarray) -> float:
    """The p-value of `b x k` ``ranks``, tied ones being means, in the form of Iman and Davenport."""
    from scipy.special import fdtrc

    blocks, count = ranks.shape
    means = ranks.mean(axis=0)
    spread = ((ranks - (count + 1) / 2) ** 2).sum()
    if spread == 0:
        return 1.0  # all are tied everywhere
    between = blocks * ((means - (count + 1) / 2) ** 2).sum()
    chi2 = (count - 1) * blocks * between / spread
    rest = blocks * (count - 1) - chi2
    if rest <= 1e-12 * chi2:
        return 0.0  # the same order in every block
    return float(fdtrc(count - 1, (count - 1) * (blocks - 1), (blocks - 1) * chi2 / rest))


def letters(means: np.ndarray, least: float) -> list[str]:
    """Letters such that two of the rising ``means`` share one if they are less than ``least`` apart."""
    told = [""] * len(means)
    reached, name = -1, 0
    for first, low in enumerate(means):
        last = int(np.searchsorted(means, low + least, side="left")) - 1
        if last <= reached:
            continue  # within the group before
        reached = last
        for place in range(first, last + 1):
            told[place] += _letter(name)
        name += 1
    return told


def _letter(number: int) -> str:
    """a, b, ..., z, a1, b1, ..."""
    return chr(ord("a") + number % 26) + (str(number // 26) if number >= 26 else "")
