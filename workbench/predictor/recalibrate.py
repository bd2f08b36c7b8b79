"""A prediction made for other conditions, set right by a few measurements: one factor, and wider intervals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from workbench.config import WorkbenchError
from workbench.predictor.method import Z90, Estimate

PROBES = 5


class Recalibration(NamedTuple):
    """What the measurements say of the prediction.

    Args:
        factor: by which it is multiplied: the median of measured over predicted.
        factor_error: half of the factor's 90 % interval, on the logarithmic scale.
        spread: standard deviation of the logarithmic misses beyond what the prediction's own intervals admit.
        probes: number of measurements.
    """

    factor: float
    factor_error: float
    spread: float
    probes: int

    def apply(self, estimate: Estimate) -> Estimate:
        """``estimate`` under the new conditions; its intervals never become narrower."""
        more = self.factor_error**2 + (Z90 * self.spread) ** 2
        below = np.sqrt(np.log(estimate.ms / estimate.low_ms) ** 2 + more)
        above = np.sqrt(np.log(estimate.high_ms / estimate.ms) ** 2 + more)
        ms = self.factor * estimate.ms
        return Estimate(ms, ms * np.exp(-below), ms * np.exp(above))


def recalibrate(predicted: Estimate, measured_ms: np.ndarray) -> Recalibration:
    """How the conditions changed, from networks that were predicted and are now measured.

    The same device under other conditions (a driver, a clock, a version of the runtime) is mostly slower or faster by
    one factor; what a factor does not explain widens the intervals. The factor's interval is Student's, for the mean of
    as many logarithmic ratios.

    Args:
        predicted: of the `p` measured networks.
        measured_ms: `p` milliseconds.

    Raises:
        WorkbenchError: fewer than two measurements, or one that is not a finite number above zero.
    """
    from scipy.stats import t

    measured_ms = np.asarray(measured_ms, dtype=np.float64)
    count = len(measured_ms)
    if count < 2 or not (np.isfinite(measured_ms).all() and (measured_ms > 0).all()):
        raise WorkbenchError(
            f"A recalibration expects at least 2 latencies above zero, got {measured_ms.tolist()}; measure again."
        )
    ratios = np.log(measured_ms / predicted.ms)
    variance = float(ratios.var(ddof=1))
    own = float(np.mean((np.log(predicted.high_ms / predicted.low_ms) / (2 * Z90)) ** 2))
    error = float(t.ppf(0.95, count - 1)) * np.sqrt(variance / count)
    return Recalibration(float(np.exp(np.median(ratios))), float(error), float(np.sqrt(max(variance - own, 0))), count)
