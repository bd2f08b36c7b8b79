"""Few-shot adaptation in closed form: a robust Bayesian linear head, averaged over what the probes leave open.

Relative latency of a network is its prior mean plus a linear function of feature blocks plus noise,

    y / mean(y) = prior + sum_b phi_b w_b + intercept + noise,   w_b ~ N(0, (tau s_b)^2),

with noise whose standard deviation grows with the square root of the latency, and with a small probability that a
probe is an outlier (phones have them). Nobody knows the block scales s_b, the overall scale tau, the noise sigma, how
far to trust the prior mean, or which probes are outliers: every combination on a grid is a model, its marginal
likelihood has a closed form, and the prediction is the average over all of them (Bayesian model averaging; Hoeting et
al. 1999). Nothing is iterated, so ten probes cannot be overfitted.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from workbench.config import WorkbenchError


@dataclass(frozen=True)
class HeadConfig:
    """The grid of models that is averaged over.

    Args:
        principal, physics, census: scales s_b of the blocks.
        spread: overall scale tau of what the head may add, relative latency.
        noise: standard deviation sigma of the measurement noise, relative latency.
        trust: weight of the prior mean given by HODM; the rest is a constant.
        outlier: prior probability that a probe is an outlier, whose noise is ``outlier_noise``.
        noise_power: noise grows with relative latency to this power.
        pairs: this many of the likeliest single outliers are also tried in pairs.
    """

    principal: tuple[float, ...] = (0.25, 0.5, 1.0)
    physics: tuple[float, ...] = (0.1, 0.4, 1.6)
    census: tuple[float, ...] = (0.01, 0.05, 0.2)
    spread: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4)
    noise: tuple[float, ...] = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
    trust: tuple[float, ...] = (0.0, 0.5, 1.0)
    outlier: float = 0.05
    outlier_noise: float = 1.0
    noise_power: float = 0.5
    pairs: int = 6


class PriorMean(NamedTuple):
    """HODM's own prediction, the mean that the head corrects.

    Args:
        ms: `a` milliseconds.
        probe_ms: `p` milliseconds of each probe, predicted from the *other* probes, so that its fit can be judged.
    """

    ms: np.ndarray
    probe_ms: np.ndarray


class Model(NamedTuple):
    """One member of the average: block scales `3`, spread, noise, trust, outlier probes, and its weight."""

    scales: np.ndarray
    spread: float
    noise: float
    trust: float
    outliers: tuple[int, ...]
    weight: float


@dataclass(frozen=True)
class Posterior:
    """What the probes say; see `adapt`.

    Args:
        models: the likeliest members: those that carry 99 % of the weight, at most 60.
        trust: mean weight of the prior mean.
        outlier: `p` probability that each probe is an outlier.
    """

    blocks: tuple[np.ndarray, ...]
    probes: np.ndarray
    probe_ms: np.ndarray
    prior: PriorMean | None
    config: HeadConfig
    models: tuple[Model, ...]
    trust: float
    outlier: np.ndarray

    def predict(self, rows: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation in ms of a new measurement of each of ``rows`` (all `a` if None)."""
        rows = np.arange(len(self.blocks[0])) if rows is None else rows
        scale = self.probe_ms.mean()
        mean, variance = self._moments(rows)
        suspects = self.outlier * (self.probe_ms / scale - self._moments(self.probes)[0]) ** 2
        variance += suspects.mean()  # what happened to a probe can happen to any other measurement
        return mean * scale, np.sqrt(variance) * scale

    def _moments(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of the relative latency of ``rows``, outliers left out."""
        scale = self.probe_ms.mean()
        relative = self.probe_ms / scale
        own = [block[self.probes] for block in self.blocks]
        cross = np.stack([block[rows] @ mine.T for block, mine in zip(self.blocks, own, strict=True)])  # 3 x a x p
        among = np.stack([mine @ mine.T for mine in own])
        energy = np.stack([(block[rows] ** 2).sum(axis=1) for block in self.blocks])  # 3 x a
        first, second = np.zeros(len(rows)), np.zeros(len(rows))
        for model in self.models:
            weights = (model.spread * model.scales) ** 2
            constant = model.spread**2
            noise = _noise(relative, model.noise, self.config)
            noise[list(model.outliers)] += self.config.outlier_noise**2
            factor = np.linalg.cholesky(np.tensordot(weights, among, 1) + constant + np.diag(noise))
            halves = np.linalg.solve(factor, (np.tensordot(weights, cross, 1) + constant).T)  # p x a
            residual = relative - _prior(self.prior, model.trust, scale, self.probes)
            mean = _prior(self.prior, model.trust, scale, rows) + halves.T @ np.linalg.solve(factor, residual)
            variance = np.maximum(weights @ energy + constant - (halves**2).sum(axis=0), 0.0)
            variance += _noise(mean, model.noise, self.config)
            first += model.weight * mean
            second += model.weight * (variance + mean**2)
        return first, np.maximum(second - first**2, 1e-12)


def adapt(
    blocks: Sequence[np.ndarray],
    probes: np.ndarray,
    probe_ms: np.ndarray,
    prior: PriorMean | None = None,
    config: HeadConfig = HeadConfig(),
) -> Posterior:
    """Weigh every model on the grid by its evidence on the probes.

    Args:
        blocks: `a x f_b` features: principal components, physical sums, operator counts. Not changed.
        probes: `p` rows that were measured.
        probe_ms: `p` milliseconds.
        prior: HODM's prediction; None trusts a constant.

    Raises:
        WorkbenchError: no probes, or a latency that is not positive and finite.
    """
    probe_ms = np.asarray(probe_ms, dtype=np.float64)
    if len(probe_ms) == 0 or not (np.isfinite(probe_ms) & (probe_ms > 0)).all():
        raise WorkbenchError(
            f"Adaptation expects positive probe latencies in ms, got {probe_ms.tolist()}; measure them again."
        )
    scale, count = probe_ms.mean(), len(probe_ms)
    relative = probe_ms / scale
    grid = np.array(
        list(itertools.product(config.principal, config.physics, config.census, config.spread, config.noise))
    )
    scales, spread, noise = grid[:, :3], grid[:, 3], grid[:, 4]
    among = np.stack([block[probes] @ block[probes].T for block in blocks])
    covariance = spread[:, None, None] ** 2 * (np.tensordot(scales**2, among, 1) + 1.0)  # m x p x p
    variances = np.stack([_noise(relative, sigma, config) for sigma in noise])  # m x p
    trusts = (0.0,) if prior is None else config.trust
    residuals = np.stack([relative - _prior_probes(prior, trust, scale, count) for trust in trusts], axis=1)  # p x t

    def evidence(outliers: tuple[int, ...]) -> np.ndarray:
        inflated = variances.copy()
        inflated[:, list(outliers)] += config.outlier_noise**2
        odds = (count - len(outliers)) * np.log1p(-config.outlier)
        odds += len(outliers) * np.log(config.outlier) if outliers else 0.0
        return log_evidence(covariance + inflated[:, :, None] * np.eye(count), residuals) + odds

    single = [(index,) for index in range(count)] if config.outlier > 0 else []
    hypotheses: list[tuple[int, ...]] = [(), *single]
    scores = [evidence(outliers) for outliers in hypotheses]
    likeliest = sorted(range(len(single)), key=lambda index: -scores[index + 1].max())[: config.pairs]
    pairs = list(itertools.combinations(sorted(likeliest), 2))
    scores += [evidence(outliers) for outliers in pairs]
    hypotheses += pairs
    weights = np.exp(np.array(scores) - np.max(scores))  # hypotheses x m x t
    weights /= weights.sum()
    suspicion = weights.sum(axis=(1, 2))
    outlier = np.array([sum(s for h, s in zip(hypotheses, suspicion, strict=True) if i in h) for i in range(count)])
    models = _heaviest(weights, hypotheses, grid, trusts)
    trust = float(weights.sum(axis=(0, 1)) @ np.array(trusts))
    return Posterior(tuple(blocks), np.asarray(probes), probe_ms, prior, config, models, trust, outlier)


def log_evidence(covariance: np.ndarray, residuals: np.ndarray) -> np.ndarray:
    """Log marginal likelihood (without constants) of ``residuals`` `p x t` under `m` Gaussians `m x p x p`: `m x t`."""
    factor = np.linalg.cholesky(covariance)
    white = np.linalg.solve(factor, np.broadcast_to(residuals, (len(covariance), *residuals.shape)))
    determinant = np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(axis=1)
    return -0.5 * (white**2).sum(axis=1) - determinant[:, None]


def _heaviest(
    weights: np.ndarray, hypotheses: list[tuple[int, ...]], grid: np.ndarray, trusts: Sequence[float], most: int = 60
) -> tuple[Model, ...]:
    order = np.argsort(-weights, axis=None)[:most]
    mass = np.cumsum(weights.ravel()[order])
    order = order[: int(np.searchsorted(mass, 0.99)) + 1]
    total = weights.ravel()[order].sum()
    models = []
    for flat in order:
        hypothesis, row, trust = np.unravel_index(flat, weights.shape)
        share = float(weights.ravel()[flat] / total)
        models.append(Model(grid[row, :3], grid[row, 3], grid[row, 4], trusts[trust], hypotheses[hypothesis], share))
    return tuple(models)


def _noise(relative: np.ndarray, sigma: float, config: HeadConfig) -> np.ndarray:
    """Noise variance of measurements around ``relative`` latency."""
    return (sigma * np.maximum(relative, 0.05) ** config.noise_power) ** 2


def _prior(prior: PriorMean | None, trust: float, scale: float, rows: np.ndarray) -> np.ndarray:
    if prior is None or trust == 0:
        return np.ones(len(rows))
    return 1.0 - trust + trust * prior.ms[rows] / scale


def _prior_probes(prior: PriorMean | None, trust: float, scale: float, count: int) -> np.ndarray:
    if prior is None or trust == 0:
        return np.ones(count)
    return 1.0 - trust + trust * prior.probe_ms / scale
