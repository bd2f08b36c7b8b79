"""Adaptive probing: one network after another is measured on the target, each chosen in the light of those before it.

A fixed selection asks what the source devices leave open; this one also asks what the target has said so far. The
Bayesian head is fitted to the probes at hand, which shows what binds this device (which feature blocks, how much
noise), and the next probe is the network whose measurement would lower the mean variance over the space most
(A-optimal, as in MacKay 1992). It can stop as soon as the intervals are narrow enough.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from workbench.config import WorkbenchError
from workbench.describe.design import Design
from workbench.predictor.adapt import HeadConfig, adapt, opinions
from workbench.predictor.method import Z90, Probed

#: The name by which an evaluation asks for it, beside those of `SELECTORS`.
ADAPTIVE = "adaptive"

#: Rows that probes are chosen from: the first of the default selector's order, which a model can be pre-trained on.
POOL = 60

#: The first probes are taken in the pool's order: less says nothing about the device.
START = 4

#: Networks that stand for the whole space.
CROWD = 500

#: The head as it is used here; pairs of outliers cost half the time and change no choice.
SEARCH_HEAD = HeadConfig(pairs=0)


class Outlook(NamedTuple):
    """What the probes at hand say.

    Args:
        row: the most informative network of the pool that was not measured; None if there is none left.
        width: median width of the 90 % intervals over the space, relative to the prediction; infinite before `START`
            probes.
    """

    row: int | None
    width: float


class Search(NamedTuple):
    """What was measured, in this order, and the width after each probe."""

    probed: Probed
    widths: tuple[float, ...]


def search(
    design: Design,
    pool: np.ndarray,
    measure: Callable[[int], float],
    budget: int,
    width: float | None = None,
    expected: np.ndarray | None = None,
    config: HeadConfig = SEARCH_HEAD,
) -> Search:
    """Measure until the intervals are narrow enough or the budget is spent.

    Args:
        design: of the space, from the source devices.
        pool: rows that may be measured, in the order in which the first ones are taken.
        measure: row -> milliseconds on the target; called once per probe, and all that is seen of the target.
        budget: number of probes that is not exceeded.
        width: stops at this `Outlook.width`; None spends the budget (or the pool).
        expected: what the target's card lets expect, see `ZeroShot.expect`.
        config: grid of the Bayesian head.

    Raises:
        WorkbenchError: a budget below 0, a width that is not above 0, or a latency that is not positive.
    """
    if budget < 0 or (width is not None and not width > 0):
        raise WorkbenchError(
            f"Adaptive probing expects a budget of at least 0 and a width above 0, got {budget} and {width}; correct "
            f"them."
        )
    probed, widths = Probed(np.zeros(0, dtype=np.int64), np.zeros(0)), []
    view = outlook(design, probed, pool, expected, config)
    while len(probed.rows) < budget and view.row is not None and (width is None or view.width > width):
        probed = Probed(np.append(probed.rows, view.row), np.append(probed.ms, measure(view.row)))
        view = outlook(design, probed, pool, expected, config)
        widths.append(view.width)
    return Search(probed, tuple(widths))


def outlook(
    design: Design,
    probed: Probed,
    pool: np.ndarray,
    expected: np.ndarray | None = None,
    config: HeadConfig = SEARCH_HEAD,
) -> Outlook:
    """What to measure next after ``probed`` (rows of ``pool``), and how sure the predictions are by now."""
    left = pool[~np.isin(pool, probed.rows)]
    if len(probed.rows) < min(START, len(pool)):
        return Outlook(int(left[0]), np.inf)
    posterior = adapt(design.blocks, *probed, opinions(design.shapes, *probed, expected), config)
    space = np.unique(np.linspace(0, len(design.flops) - 1, CROWD).astype(np.int64))
    among = posterior.moments(space, left)
    width = float(np.median(2 * Z90 * np.sqrt(among.variance + among.noise) / np.maximum(among.mean, 1e-3)))
    if not len(left):
        return Outlook(None, width)
    candidates = posterior.moments(left)
    gain = (among.covariance**2).mean(axis=0) / (candidates.variance + candidates.noise)
    return Outlook(int(left[gain.argmax()]), width)
