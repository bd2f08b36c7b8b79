"""Every source device plays the target once: what a number of probes would have been worth on it.

The design is built without the device and its siblings (devices on the same hardware; where all are siblings, they
stay), probes are chosen in that design, and a Bayesian ridge regression in closed form predicts the device's other
networks from its latencies on the probes. That takes a millisecond, so a curve over numbers of probes and devices can
be had while one looks. It is a floor: nothing is learnt, and one model stands in the place of an average over many.

Shapes: `a` networks, `d` source devices, `f` features, `p` probes, `m` networks measured on the device.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from workbench.describe.dbsel import Candidates
from workbench.describe.design import Design
from workbench.insight.probe_pool import Choice, Pool
from workbench.predictor.calibrate import SELECTION_WEIGHTS
from workbench.predictor.method import Sources

#: Standard deviation of what the features may add to relative latency, before the probes have spoken, and how many
#: observations that opinion weighs.
SPREAD, OPINION = 0.1, 2.0

#: Standard deviations of the noise that are tried, in units of the spread.
RATIOS = (0.1, 0.3, 1.0, 3.0)

#: A device measured on fewer networks tells nothing about a choice of probes.
FEWEST = 20

#: Relative latency below which no prediction goes.
LEAST = 1e-3


class Fit(NamedTuple):
    """A Bayesian ridge regression.

    Args:
        ms: `m` predicted milliseconds.
        spread: standard deviation of a unit feature's weight, relative latency.
        ratio: of the noise's standard deviation to it, the likeliest of `RATIOS`.
    """

    ms: np.ndarray
    spread: float
    ratio: float


class Played(NamedTuple):
    """One device that played the target with some probes.

    Args:
        probes: `p` rows of the networks that were probes.
        rows: `m` rows of its other networks.
        measured_ms, fit: their latencies, and what was predicted for them.
    """

    probes: np.ndarray
    rows: np.ndarray
    measured_ms: np.ndarray
    fit: Fit

    @property
    def spearman(self) -> float:
        """Rank correlation of predicted and measured latencies; 0 where one of them is constant."""
        return rank_correlation(self.measured_ms, self.fit.ms)

    @property
    def rae(self) -> float:
        """Sum of absolute errors over that of always predicting the mean; NaN where all latencies are the same."""
        spread = np.abs(self.measured_ms - self.measured_ms.mean()).sum()
        return float(np.abs(self.measured_ms - self.fit.ms).sum() / spread) if spread > 0 else float("nan")


class Understudy:
    """A source device that plays the target.

    Args:
        sources: all source devices.
        ms: `a x d` milliseconds of all networks on them, NaN where not measured.
        design: of all sources.
        column: which of them plays.
    """

    def __init__(self, sources: Sources, ms: np.ndarray, design: Design, column: int) -> None:
        siblings = sources.siblings(column)
        gone = siblings if len(siblings) < len(sources.devices) else [column]
        self.device, self._ms = sources.devices[column], ms[:, column]
        self._design = design.without(gone)
        rows = sources.rows[~np.isnan(self._ms[sources.rows])]
        features = weighted(self._design, rows)
        self.pool = Pool(Candidates(features, self._design.flops[rows], self._design.source[rows]), rows)

    def play(self, choice: Choice, locked: np.ndarray, swapped: np.ndarray, ahead: int = 0) -> Played:
        """Choose probes in the design that does not know the device, measure them, predict the rest.

        Args:
            choice: how probes are chosen.
            locked: rows that are probes where they were measured on the device.
            swapped: rows that are none.
            ahead: a number of probes that will be asked for next.
        """
        there = locked[~np.isnan(self._ms[locked])]
        probes = self.pool.pick(choice, there, swapped, ahead)
        others = ~np.isin(self.pool.rows, probes)
        fit = bayesian_ridge(weighted(self._design, probes), self._ms[probes], self.pool.candidates.features[others])
        rows = self.pool.rows[others]
        return Played(probes, rows, self._ms[rows], fit)


def understudies(sources: Sources, ms: np.ndarray, design: Design) -> list[Understudy]:
    """Every source device that was measured on `FEWEST` of the networks learnt from; none where it would be alone."""
    counts = (~np.isnan(sources.latency_ms)).sum(axis=0)
    if len(sources.devices) < 2:
        return []
    return [Understudy(sources, ms, design, column) for column in np.flatnonzero(counts >= FEWEST)]


def weighted(design: Design, rows: np.ndarray) -> np.ndarray:
    """`m x f` features of ``rows``, as probes are chosen by them."""
    blocks = zip(SELECTION_WEIGHTS, design.blocks, strict=True)
    return np.concatenate([weight * block[rows] for weight, block in blocks], axis=1)


def bayesian_ridge(features: np.ndarray, probe_ms: np.ndarray, queries: np.ndarray) -> Fit:
    """Predict the networks ``queries`` `m x f` from probes with ``features`` `p x f` and milliseconds `p`.

    Latency relative to the probes' mean is one plus a linear function of the features plus a constant plus noise. The
    spread of weights and constant is integrated out under a scaled inverse chi-squared prior, the ratio of noise to
    spread is the likeliest one, and both see the probes only.
    """
    scale, count = probe_ms.mean(), len(probe_ms)
    residual = probe_ms / scale - 1.0
    values, vectors = np.linalg.eigh(features @ features.T + 1.0)  # the constant has the variance of a unit feature
    values, projected = np.maximum(values, 0.0), vectors.T @ residual
    fits = []
    for ratio in RATIOS:
        variances = values + ratio**2
        energy = (projected**2 / variances).sum() + OPINION * SPREAD**2
        evidence = -0.5 * (count + OPINION) * np.log(energy) - 0.5 * np.log(variances).sum()
        fits.append((evidence, ratio, energy / (count + OPINION), vectors @ (projected / variances)))
    _, ratio, variance, dual = max(fits, key=lambda fit: fit[0])
    mean = 1.0 + queries @ (features.T @ dual) + dual.sum()
    return Fit(np.maximum(mean, LEAST) * scale, float(np.sqrt(variance)), ratio)


def deviation(features: np.ndarray, queries: np.ndarray, spread: float, ratio: float) -> np.ndarray:
    """`m` standard deviations, relative to the device's mean latency, of a measurement of each of ``queries`` `m x f`
    once probes with ``features`` `p x f` are known; what was measured does not matter."""
    among = features @ features.T + 1.0 + ratio**2 * np.eye(len(features))
    halves = np.linalg.solve(np.linalg.cholesky(among), features @ queries.T + 1.0)  # p x m
    left = (queries**2).sum(axis=1) + 1.0 - (halves**2).sum(axis=0)
    return spread * np.sqrt(np.maximum(left, 0.0) + ratio**2)


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's, tied values sharing their mean rank; 0 where one side is constant."""
    first, second = (ranks(values) for values in (one, other))
    first, second = first - first.mean(), second - second.mean()
    norm = np.sqrt((first**2).sum() * (second**2).sum())
    return float(first @ second / norm) if norm > 0 else 0.0


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0 on, tied values sharing their mean rank."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - 0.5 * (counts + 1))[place]
