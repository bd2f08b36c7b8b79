"""Few-shot adaptation in closed form: a robust Bayesian linear head, averaged over what the probes leave open.

Relative latency of a network is its prior mean plus a linear function of feature blocks plus noise,

    y / mean(y) = prior + sum_b phi_b w_b + intercept + noise,   w_b ~ N(0, (tau s_b)^2),

with noise whose standard deviation grows with the square root of the latency, and with a small probability that a
probe is an outlier (phones have them); with a coarse clock, also with one that the readings are of several states
(`states`). Nobody knows the block scales s_b, the overall scale tau, the noise sigma, which of several prior means is
right and how far, or which probes are outliers: every combination on a grid is a model, its marginal likelihood has a
closed form, and the prediction is the average over all of them (Bayesian model averaging; Hoeting et al. 1999). Nothing
is iterated, so ten probes cannot be overfitted.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from workbench.config import WorkbenchError
from workbench.predictor.evidence import Evidence
from workbench.predictor.member import FAINT, Model
from workbench.predictor.opinions import PriorMean
from workbench.predictor.states import find_states

#: Members of the average that are kept at most, and the share of the largest weight that a million models are sifted by
#: before the heaviest of them are sought.
MEMBERS, HEAVY = 60, 1e-2


@dataclass(frozen=True)
class HeadConfig:
    """The grid of models that is averaged over.

    Args:
        principal, physics, deviations: scales s_b of the blocks.
        spread: overall scale tau of what the head may add, relative latency.
        noise: standard deviation sigma of the measurement noise, relative latency.
        trust: weights of a prior mean that are tried; the rest is a constant.
        outlier: prior probability that a probe is an outlier, whose noise is ``outlier_noise``.
        noise_power: noise grows with relative latency to this power.
        pairs: this many of the likeliest single outliers are also tried in pairs.
        noisiness: prior odds of a noise are proportional to this power of it.
        wary: whether readings in whole milliseconds are taken for those of a coarse clock.
        states: probability that a device with a coarse clock was read in several states; see `states`.
    """

    principal: tuple[float, ...] = (0.25, 0.5, 1.0)
    physics: tuple[float, ...] = (0.1, 0.4, 1.6)
    deviations: tuple[float, ...] = (0.1, 0.5, 2.0)
    spread: tuple[float, ...] = (0.025, 0.05, 0.1, 0.2, 0.4)
    noise: tuple[float, ...] = (0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
    trust: tuple[float, ...] = (0.0, 0.5, 1.0)
    outlier: float = 0.1
    outlier_noise: float = 1.0
    noise_power: float = 0.5
    pairs: int = 6
    noisiness: float = 0.0
    wary: bool = True
    states: float = 0.7

    def seeing(self, probe_ms: np.ndarray) -> HeadConfig:
        """As these readings suggest: whole milliseconds are those of a coarse clock that was read once. Such readings
        scatter more than medians of many, are wild twice as often, and may be of several states."""
        coarse = self.wary and (probe_ms == np.round(probe_ms)).all()
        return replace(self, noisiness=1.0, outlier=2 * self.outlier) if coarse else replace(self, states=0.0)


class _Mean(NamedTuple):
    """A prior mean mixed with a constant: relative latency of all networks and of the probes."""

    name: str
    odds: float
    trust: float
    all: np.ndarray
    probes: np.ndarray


class Moments(NamedTuple):
    """What a posterior says of `r` networks, latency relative to its scale.

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


@dataclass(frozen=True)
class Posterior:
    """What the probes say; see `adapt`.

    Args:
        models: the likeliest members: those that carry 99 % of the weight, at most `MEMBERS`, and as many again that
            take the readings for those of several states.
        trust: mean weight of each prior mean, by name.
        outlier: `p` probability that each probe is an outlier.
    """

    blocks: tuple[np.ndarray, ...]
    probes: np.ndarray
    probe_ms: np.ndarray
    scale: float
    means: tuple[_Mean, ...]
    config: HeadConfig
    models: tuple[Model, ...]
    trust: Mapping[str, float]
    outlier: np.ndarray

    @property
    def several_states(self) -> tuple[float, float]:
        """Probability that the readings are of several states, and how far the fastest and the slowest are apart."""
        found = [model for model in self.models if np.ndim(model.factors)]
        sure = sum(model.weight for model in found)
        apart = sum(model.weight * (np.max(model.factors) / np.min(model.factors) - 1) for model in found)
        return float(sure), float(apart / sure) if sure else 0.0

    def predict(self, rows: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation in ms of a new measurement of each of ``rows`` (all `a` if None)."""
        said = self.moments(np.arange(len(self.blocks[0])) if rows is None else rows)
        suspects = self.outlier * (self.probe_ms / self.scale - self.moments(self.probes).mean) ** 2
        variance = said.variance + said.noise + suspects.mean()  # what befell a probe can befall any measurement
        return said.mean * self.scale, np.sqrt(variance) * self.scale

    def moments(self, rows: np.ndarray, others: np.ndarray | None = None) -> Moments:
        """`Moments` of ``rows``, averaged over the models, with their covariance with ``others``; outliers left out."""
        others = rows[:0] if others is None else others
        both, count = np.concatenate([rows, others]), len(rows)
        relative = self.probe_ms / self.scale
        own = [block[self.probes] for block in self.blocks]
        among = np.stack([mine @ mine.T for mine in own])  # 3 x p x p
        cross = np.stack(
            [block[both] @ mine.T for block, mine in zip(self.blocks, own, strict=True)]
        )  # 3 x (r + q) x p
        joint = np.stack([block[rows] @ block[others].T for block in self.blocks])  # 3 x r x q
        energy = np.stack([(block[rows] ** 2).sum(axis=1) for block in self.blocks])  # 3 x r
        shares = np.array([model.weight for model in self.models])
        means = np.stack([self.means[model.mean].all[both] for model in self.models], axis=1)  # (r + q) x m
        variance, covariance = np.zeros(count), np.zeros((count, len(others)))
        for scales, members in _by_scales(self.models).items():
            # Members with the same block scales share all large arrays, and what their posteriors know adds up.
            squares = np.square(scales)
            kernel = np.tensordot(squares, cross, 1) + 1.0  # (r + q) x p, for a spread of 1
            known, spreads, pulls = np.zeros((len(relative), len(relative))), 0.0, []
            for model in (self.models[index] for index in members):
                spread = model.spread**2
                errors = _noise(relative, model.noise, self.config)
                errors[list(model.outliers)] += self.config.outlier_noise**2
                inverse = np.linalg.inv(spread * (np.tensordot(squares, among, 1) + 1.0) + np.diag(errors))
                pulls.append(spread * inverse @ (relative / model.factors - self.means[model.mean].probes))
                known += model.weight * (model.level * spread) ** 2 * inverse
                spreads += model.weight * model.level**2 * spread
            means[:, members] += kernel @ np.stack(pulls, axis=1)
            explained = kernel[:count] @ known  # r x p
            variance += np.maximum(spreads * (squares @ energy + 1.0) - (explained * kernel[:count]).sum(axis=1), 0.0)
            if len(others):
                covariance += spreads * (np.tensordot(squares, joint, 1) + 1.0) - explained @ kernel[count:].T
        noises, levels, jitters = np.array([(model.noise, model.level, model.jitter) for model in self.models]).T
        noise = (_noise(means[:count], noises, self.config) * levels**2 + means[:count] ** 2 * jitters) @ shares
        means *= levels
        mean = means @ shares
        apart = means - mean[:, None]
        variance += apart[:count] ** 2 @ shares
        covariance += (shares * apart[:count]) @ apart[count:].T
        return Moments(mean[:count], np.maximum(variance, 1e-12), noise, covariance)


def _by_scales(models: Sequence[Model]) -> dict[tuple[float, ...], list[int]]:
    """Places of the ``models`` that have the same block scales."""
    found: dict[tuple[float, ...], list[int]] = {}
    for place, model in enumerate(models):
        found.setdefault(tuple(model.scales), []).append(place)
    return found


def adapt(
    blocks: Sequence[np.ndarray],
    probes: np.ndarray,
    probe_ms: np.ndarray,
    priors: Sequence[PriorMean] = (),
    config: HeadConfig = HeadConfig(),
) -> Posterior:
    """Weigh every model on the grid by its evidence on the probes.

    Args:
        blocks: `a x f_b` features: principal components, physical sums, deviations of operators. Not changed.
        probes: `p` rows that were measured.
        probe_ms: `p` milliseconds.
        priors: opinions about the device; a constant is always among them.

    Raises:
        WorkbenchError: no probes, or a latency that is not positive and finite.
    """
    probe_ms = np.asarray(probe_ms, dtype=np.float64)
    if len(probe_ms) == 0 or not (np.isfinite(probe_ms) & (probe_ms > 0)).all():
        raise WorkbenchError(
            f"Adaptation expects positive probe latencies in ms, got {probe_ms.tolist()}; measure them again."
        )
    config = config.seeing(probe_ms)
    scale, count = _scale(priors, probe_ms), len(probe_ms)
    relative = probe_ms / scale
    grid = np.array(
        list(itertools.product(config.principal, config.physics, config.deviations, config.spread, config.noise))
    )
    scales = np.array(list(itertools.product(config.principal, config.physics, config.deviations)))
    among = np.stack([block[probes] @ block[probes].T for block in blocks])
    covariance = np.tensordot(scales**2, among, 1) + 1.0  # c x p x p, for a spread of 1
    means = _means(priors, len(blocks[0]), count, scale, config)
    residuals = np.stack([relative - mean.probes for mean in means], axis=1)  # p x t

    shape = _noise(relative, 1.0, config)
    evidence = Evidence(covariance, shape, residuals, config.spread, config.noise)
    hypotheses, scores = _outliers(evidence, residuals, config)
    odds = np.log([mean.odds for mean in means]) + config.noisiness * np.log(grid[:, 4:])  # m x t
    scores = scores + odds  # hypotheses x m x t
    weights = np.exp(scores - scores.max())
    weights /= weights.sum()
    suspicion = weights.sum(axis=(1, 2))
    outlier = np.array([sum(s for h, s in zip(hypotheses, suspicion, strict=True) if i in h) for i in range(count)])
    models, believed = _heaviest(weights, hypotheses, grid), weights.sum(axis=(0, 1))
    if config.states:
        steady, found = _in_states(among, relative, shape, means, config)
        models = (*(model._replace(weight=steady * model.weight) for model in models), *found)
        outlier, believed = steady * outlier, steady * believed
        for model in found:
            outlier[list(model.outliers)] += model.weight
            believed[model.mean] += model.weight
    trust = dict.fromkeys((prior.name for prior in priors), 0.0)
    for mean, share in zip(means, believed, strict=True):
        if mean.name in trust:
            trust[mean.name] += float(share) * mean.trust
    return Posterior(tuple(blocks), np.asarray(probes), probe_ms, scale, means, config, models, trust, outlier)


def _outliers(
    evidence: Evidence, residuals: np.ndarray, config: HeadConfig
) -> tuple[list[tuple[int, ...]], np.ndarray]:
    """Which probes may be outliers together, and log evidence `hypotheses x m x t`; ``residuals`` are `p x t`."""
    hypotheses: list[tuple[int, ...]] = [()]
    scores = [evidence.whole()]
    if config.outlier > 0:
        told = np.log(config.outlier / config.outlier_noise) - np.log1p(-config.outlier)  # against a tame one
        wild = told - 0.5 * (residuals / config.outlier_noise) ** 2  # p x t; by nothing else
        count = len(residuals)
        hypotheses += [(index,) for index in range(count)]
        scores += list(evidence.without_one() + wild[:, None])
        likeliest = sorted(range(count), key=lambda index: -scores[index + 1].max())[: config.pairs]
        pairs = list(itertools.combinations(sorted(likeliest), 2))
        hypotheses += pairs
        scores += [evidence.without_two(*pair) + wild[list(pair)].sum(axis=0) for pair in pairs]
    return hypotheses, np.array(scores)


def _in_states(
    among: np.ndarray, relative: np.ndarray, shape: np.ndarray, means: Sequence[_Mean], config: HeadConfig
) -> tuple[float, list[Model]]:
    """The probability that all readings are of one state, and models for the rest of it; see `find_states`."""
    odds = np.array([np.log(mean.odds) if mean.trust == 1.0 else -np.inf for mean in means])
    prior = np.stack([mean.probes for mean in means])
    steady, found = find_states(among, relative, shape, prior, odds, config.states, MEMBERS)
    return steady, [model._replace(weight=(1.0 - steady) * model.weight) for model in found]


def _scale(priors: Sequence[PriorMean], probe_ms: np.ndarray) -> float:
    """What relative latency is relative to, ms: near the probes' mean, but as robust as the prior means' scales are."""
    if not priors:
        return float(probe_ms.mean())
    return float(np.average([prior.probe_ms.mean() for prior in priors], weights=[prior.odds for prior in priors]))


def _means(
    priors: Sequence[PriorMean], networks: int, count: int, scale: float, config: HeadConfig
) -> tuple[_Mean, ...]:
    found = [_Mean("constant", 1.0, 1.0, np.ones(networks), np.ones(count))]
    for prior, trust in itertools.product(priors, [trust for trust in config.trust if trust > 0]):
        parts = (1.0 - trust + trust * part / scale for part in (prior.ms, prior.probe_ms))
        found.append(_Mean(prior.name, prior.odds, trust, *parts))
    return tuple(found)


def _heaviest(
    weights: np.ndarray, hypotheses: list[tuple[int, ...]], grid: np.ndarray, most: int = MEMBERS
) -> tuple[Model, ...]:
    likely = np.flatnonzero(weights > HEAVY * weights.max())
    if len(likely) < most:
        likely = np.argpartition(-weights, min(most, weights.size) - 1, axis=None)[:most]
    order = likely[np.argsort(-weights.ravel()[likely])][:most]
    mass = np.cumsum(weights.ravel()[order])
    order = order[: int(np.searchsorted(mass, 0.99)) + 1]
    total = weights.ravel()[order].sum()
    models = []
    for flat in order:
        hypothesis, row, mean = np.unravel_index(flat, weights.shape)
        share = float(weights.ravel()[flat] / total)
        models.append(Model(grid[row, :3], grid[row, 3], grid[row, 4], int(mean), hypotheses[hypothesis], share))
    return tuple(models)


def _noise(relative: np.ndarray, sigma: float | np.ndarray, config: HeadConfig) -> np.ndarray:
    """Noise variance of measurements around ``relative`` latency."""
    return (sigma * np.maximum(relative, FAINT) ** config.noise_power) ** 2
