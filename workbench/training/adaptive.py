"""Adaptive probing: one network after another is measured on the target, each chosen in the light of those before it.

A fixed selection asks what the source devices leave open; this one also asks what the target has said so far. The
Bayesian head is fitted to the probes at hand, which shows what binds this device (which feature blocks, how much
noise), and the next probe is the network whose measurement would lower the mean variance over the space most
(A-optimal, as in MacKay 1992), among the next few of the default order. It can stop as soon as the intervals are narrow
enough, or as soon as a further probe is not worth its measurement: early where little is left open.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from workbench.config import WorkbenchError
from workbench.describe.design import Design
from workbench.predictor.adapt import HeadConfig, adapt
from workbench.predictor.likely import Expected
from workbench.predictor.method import Z90, Probed
from workbench.predictor.opinions import opinions

#: The name by which an evaluation asks for it, beside those of `SELECTORS`.
ADAPTIVE = "adaptive"

#: Rows that probes are chosen from: the first of the default selector's order, which a model can be pre-trained on.
POOL = 60

#: The first probes are taken in the pool's order: less says nothing about the device.
START = 4

#: Rows of the pool's order among which the next probe is chosen. Chosen among all of them, probes predict 2 % worse on
#: source devices: a few numbers say little about what binds a device, and the order covers what they leave open.
AHEAD = 4

#: Before so many probes, what a further one is worth is not known well enough to stop.
LEAST = 12

#: Networks that stand for the whole space.
CROWD = 500

#: The head as it is used here; pairs of outliers cost half the time and change no choice, and states are not asked for.
SEARCH_HEAD = HeadConfig(pairs=0, states=0.0)


class Outlook(NamedTuple):
    """What the probes at hand say.

    Args:
        row: the most informative network of the pool that was not measured; None if there is none left.
        width: median width of the 90 % intervals over the space, relative to the prediction; infinite before `START`
            probes.
        gain: by how much a measurement of each of the next `AHEAD` would lower the root of the mean predictive
            variance, relative to how much latencies differ over the space.
    """

    row: int | None
    width: float
    gain: float


class Enough(NamedTuple):
    """When a search ends before its budget is spent; with neither wish it does not.

    Args:
        width: at this `Outlook.width`.
        gain: at this `Outlook.gain`, after `LEAST` probes.
    """

    width: float | None = None
    gain: float | None = None

    def reached(self, view: Outlook, probes: int) -> bool:
        """Whether ``view``, after so many ``probes``, is what was wished for."""
        narrow = self.width is not None and view.width <= self.width
        return narrow or (self.gain is not None and probes >= LEAST and view.gain <= self.gain)

    def check(self) -> None:
        """Raise a `WorkbenchError` if a wish is not above 0."""
        for name, wish in self._asdict().items():
            if wish is not None and not wish > 0:
                raise WorkbenchError(f"A {name} to stop at expects a number above 0, got {wish}; correct it.")


#: No wish: the whole budget.
SPEND = Enough()


class Search(NamedTuple):
    """What was measured, in this order, and the width after each probe."""

    probed: Probed
    widths: tuple[float, ...]


def search(
    design: Design,
    pool: np.ndarray,
    measure: Callable[[int], float],
    budget: int,
    enough: Enough = SPEND,
    expected: Expected | None = None,
    config: HeadConfig = SEARCH_HEAD,
) -> Search:
    """Measure until the intervals are narrow enough or the budget is spent.

    Args:
        design: of the space, from the source devices.
        pool: rows that may be measured, in the order in which the first ones are taken.
        measure: row -> milliseconds on the target; called once per probe, and all that is seen of the target.
        budget: number of probes that is not exceeded.
        enough: when to stop before the budget (or the pool) is spent.
        expected: what the target's card lets expect, see `ZeroShot.expect`.
        config: grid of the Bayesian head.

    Raises:
        WorkbenchError: a budget below 0, a wish that is not above 0, or a latency that is not positive.
    """
    if budget < 0:
        raise WorkbenchError(f"Adaptive probing expects a budget of at least 0, got {budget}; correct it.")
    enough.check()
    probed, widths = Probed(np.zeros(0, dtype=np.int64), np.zeros(0)), []
    view = outlook(design, probed, pool, expected, config)
    while len(probed.rows) < budget and view.row is not None and not enough.reached(view, len(probed.rows)):
        probed = Probed(np.append(probed.rows, view.row), np.append(probed.ms, measure(view.row)))
        view = outlook(design, probed, pool, expected, config)
        widths.append(view.width)
    return Search(probed, tuple(widths))


def outlook(
    design: Design,
    probed: Probed,
    pool: np.ndarray,
    expected: Expected | None = None,
    config: HeadConfig = SEARCH_HEAD,
) -> Outlook:
    """What to measure next after ``probed`` (rows of ``pool``), and how sure the predictions are by now."""
    left = pool[~np.isin(pool, probed.rows)][:AHEAD]
    if len(probed.rows) < min(START, len(pool)):
        return Outlook(int(left[0]), np.inf, 1.0)
    posterior = adapt(design.blocks, *probed, opinions(design.shapes, *probed, expected), config)
    space = np.unique(np.linspace(0, len(design.flops) - 1, CROWD).astype(np.int64))
    among = posterior.moments(space, left)
    width = float(np.median(2 * Z90 * np.sqrt(among.variance + among.noise) / np.maximum(among.mean, 1e-3)))
    if not len(left):
        return Outlook(None, width, 0.0)
    candidates = posterior.moments(left, left)
    lowered = (among.covariance**2).mean(axis=0) / (candidates.variance + candidates.noise)
    readings = candidates.covariance + np.diag(candidates.noise)
    together = (among.covariance @ np.linalg.inv(readings) * among.covariance).sum(axis=1).mean()
    total = float((among.variance + among.noise).mean())
    gain = (np.sqrt(total) - np.sqrt(max(total - float(together), 0.0))) / len(left) / max(among.mean.std(), 1e-6)
    return Outlook(int(left[lowered.argmax()]), width, float(gain))
