"""One explanation of a device's readings, of the many that the Bayesian head averages over."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

#: Relative latency below which the noise of a reading no longer becomes smaller.
FAINT = 0.05


class Model(NamedTuple):
    """A member of the average over models.

    Args:
        scales: `3` block scales.
        spread, noise: as in `HeadConfig`.
        mean: place of its prior mean.
        outliers: probes that nothing is learnt of.
        weight: share of the probability.
        factors: of the states that the `p` readings are of, if it takes them for those of several; see `states`.
        level: what a reading is expected to be, relative to the usual state's: half of the readings are above.
        jitter: variance of normal numbers of which nine in ten lie as near to it as nine in ten factors.
    """

    scales: np.ndarray
    spread: float
    noise: float
    mean: int
    outliers: tuple[int, ...]
    weight: float
    factors: np.ndarray | float = 1.0
    level: float = 1.0
    jitter: float = 0.0
