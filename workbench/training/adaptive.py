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
from workbench.predictor.adapt import HeadConfig, Posterior, adapt, opinions
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
    config: HeadConfig = SEARCH_HEAD,
) -> Search:
    """Measure until the intervals are narrow enough or the budget is spent.

    Args:
        design: of the space, from the source devices.
        pool: rows that may be measured, in the order in which the first ones are taken.
        measure: row -> milliseconds on the target; called once per probe, and all that is seen of the target.
        budget: number of probes that is not exceeded.
        width: stops at this `Outlook.width`; None spends the budget (or the pool).
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
    view = outlook(design, probed, pool, config)
    while len(probed.rows) < budget and view.row is not None and (width is None or view.width > width):
        probed = Probed(np.append(probed.rows, view.row), np.append(probed.ms, measure(view.row)))
        view = outlook(design, probed, pool, config)
        widths.append(view.width)
    return Search(probed, tuple(widths))


def outlook(design: Design, probed: Probed, pool: np.ndarray, config: HeadConfig = SEARCH_HEAD) -> Outlook:
    """What to measure next after ``probed`` (rows of ``pool``), and how sure the predictions are by now."""
    left = pool[~np.isin(pool, probed.rows)]
    if len(probed.rows) < min(START, len(pool)):
        return Outlook(int(left[0]), np.inf)
    posterior = adapt(design.blocks, *probed, opinions(design.shapes, *probed), config)
    space = np.unique(np.linspace(0, len(design.flops) - 1, CROWD).astype(np.int64))
    among = mixture(posterior, space, left)
    width = float(np.median(2 * Z90 * np.sqrt(among.variance + among.noise) / np.maximum(among.mean, 1e-3)))
    if not len(left):
        return Outlook(None, width)
    candidates = mixture(posterior, left, left[:0])
    gain = (among.covariance**2).mean(axis=0) / (candidates.variance + candidates.noise)
    return Outlook(int(left[gain.argmax()]), width)


class Mixture(NamedTuple):
    """Moments of the head's average over models, latency relative to the posterior's scale.

    Args:
        mean: `r` relative latency.
        variance: `r` of the latency itself.
        noise: `r` variance of a measurement around it.
        covariance: `r x q` between the latencies of `r` and of `q` other networks: what models say, and what they
            disagree in.
    """

    mean: np.ndarray
    variance: np.ndarray
    noise: np.ndarray
    covariance: np.ndarray


def mixture(posterior: Posterior, rows: np.ndarray, others: np.ndarray) -> Mixture:
    """The `Mixture` of ``rows``, with its covariance with ``others``."""
    config, blocks, probes = posterior.config, posterior.blocks, posterior.probes
    both = np.concatenate([rows, others])
    relative = posterior.probe_ms / posterior.scale
    own = [block[probes] for block in blocks]
    among = np.stack([mine @ mine.T for mine in own])  # 3 x p x p
    cross = np.stack([block[both] @ mine.T for block, mine in zip(blocks, own, strict=True)])  # 3 x (r + q) x p
    joint = np.stack([block[rows] @ block[others].T for block in blocks])  # 3 x r x q
    energy = np.stack([(block[rows] ** 2).sum(axis=1) for block in blocks])  # 3 x r
    shares = np.array([model.weight for model in posterior.models])
    means = np.empty((len(shares), len(both)))
    variance, noise, covariance = np.zeros(len(rows)), np.zeros(len(rows)), np.zeros((len(rows), len(others)))
    for index, model in enumerate(posterior.models):
        weights, constant = (model.spread * model.scales) ** 2, model.spread**2
        errors = (model.noise * np.maximum(relative, 0.05) ** config.noise_power) ** 2
        errors[list(model.outliers)] += config.outlier_noise**2
        factor = np.linalg.cholesky(np.tensordot(weights, among, 1) + constant + np.diag(errors))
        halves = np.linalg.solve(factor, (np.tensordot(weights, cross, 1) + constant).T)  # p x (r + q)
        prior = posterior.means[model.mean]
        means[index] = prior.all[both] + halves.T @ np.linalg.solve(factor, relative - prior.all[probes])
        here, there = halves[:, : len(rows)], halves[:, len(rows) :]
        variance += model.weight * (weights @ energy + constant - (here**2).sum(axis=0))
        covariance += model.weight * (np.tensordot(weights, joint, 1) + constant - here.T @ there)
        level = np.maximum(means[index, : len(rows)], 0.05)
        noise += model.weight * (model.noise * level**config.noise_power) ** 2
    mean = shares @ means
    apart = means - mean
    covariance += np.einsum("m,mr,mq->rq", shares, apart[:, : len(rows)], apart[:, len(rows) :])
    variance += shares @ apart[:, : len(rows)] ** 2
    return Mixture(mean[: len(rows)], np.maximum(variance, 1e-12), noise, covariance)
