"""What the peers share about scales: source latencies made comparable, and a score turned into milliseconds.

Most papers report rank correlations and scale their labels by the minimum and maximum of *all* latencies of a device,
the target's included. Here a source device is scaled by its own measured networks and the target by its probes alone.

Shapes: `a` networks, `s` source rows, `d` source devices, `p` probes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from workbench.describe.design import Design
from workbench.predictor.method import Estimate, Predict, Probed, Sources, gaussian_estimate

#: Rows of the networks -> one score each; more is slower.
Scorer = Callable[[np.ndarray], np.ndarray]
#: What was measured -> a scorer that was taught nothing else about the target.
Learn = Callable[[Probed], Scorer]

FLATTEST = 0.1  # of the slope expected beforehand: probes that suggest a negative slope are not believed


class Labels(NamedTuple):
    """Source latencies in standard deviations around each device's mean.

    Args:
        values: `s x d`, 0 where not measured.
        measured: `s x d` bool.
        described: `a x d`, the design's smooth view of every network in the same unit.
        spread: standard deviation over mean, averaged over devices.
    """

    values: np.ndarray
    measured: np.ndarray
    described: np.ndarray
    spread: float


def source_labels(sources: Sources, design: Design) -> Labels:
    """The `Labels` of ``sources``."""
    relative = sources.latency_ms / sources.mean_ms
    measured = ~np.isnan(relative)
    deviation = np.maximum(np.nanstd(relative, axis=0), 1e-6)
    values = np.where(measured, (relative - 1) / deviation, 0.0)
    return Labels(values, measured, (design.source - 1) / deviation, float(deviation.mean()))


class Scale(NamedTuple):
    """Mean and standard deviation of a device, in ms."""

    mean: float
    deviation: float

    def standardise(self, ms: np.ndarray) -> np.ndarray:
        """Latencies in standard deviations around the mean."""
        return (ms - self.mean) / self.deviation


def scale_of(ms: np.ndarray, spread: float) -> Scale:
    """The scale that the latencies ``ms`` suggest, the expected relative ``spread`` counting as one more of them."""
    mean = ms.mean()
    return Scale(mean, float(np.sqrt((((ms - mean) ** 2).sum() + (spread * mean) ** 2) / len(ms))))


def line(scores: np.ndarray, ms: np.ndarray, slope: float, variance: float) -> tuple[float, float]:
    """Least squares line ``ms = constant + slope * scores``, drawn a little towards the expected ``slope``.

    Args:
        scores, ms: of `p` probes, at least one.
        slope: expected beforehand, positive.
        variance: weight of what is expected; the scores' variance over all networks makes it worth one probe.

    Returns:
        slope, constant. With one probe the slope is the expected one; with many it is least squares.
    """
    centred = scores - scores.mean()
    fitted = (centred @ ms + variance * slope) / (centred @ centred + variance)
    fitted = max(fitted, FLATTEST * slope)
    return fitted, ms.mean() - fitted * scores.mean()


def calibrated(learn: Learn, probed: Probed, sources: Sources, spread: float, folds: int) -> Predict:
    """Learn from the probes, put a line through their scores, and take the interval from probes left out.

    Args:
        learn: teaches a scorer; called once with all probes and once per fold with the others.
        probed: `p` probes.
        sources: whose rows show how widely scores spread.
        spread: relative standard deviation expected of a device; the error expected where one probe says nothing.
        folds: at most this many parts of the probes are left out in turn.
    """

    def to_ms(part: Probed) -> Scorer:
        scorer = learn(part)
        variance = float(scorer(sources.rows).var()) + 1e-12
        expected = scale_of(part.ms, spread).deviation / np.sqrt(variance)
        slope, constant = line(scorer(part.rows), part.ms, expected, variance)
        return lambda rows: constant + slope * scorer(rows)

    count = len(probed.ms)
    misses = []
    for held_out in np.array_split(np.arange(count), min(folds, count)) if count > 1 else []:
        rest = np.setdiff1d(np.arange(count), held_out)
        predicted = to_ms(Probed(probed.rows[rest], probed.ms[rest]))(probed.rows[held_out])
        misses.append(predicted - probed.ms[held_out])
    error = np.concatenate(misses) if misses else np.array([spread * probed.mean_ms])
    deviation = float(np.sqrt((error**2).sum() / max(count - 1, 1)))
    predict_ms = to_ms(probed)

    def predict() -> Estimate:
        return gaussian_estimate(predict_ms(np.arange(len(sources.networks))), deviation, probed.mean_ms)

    return predict
