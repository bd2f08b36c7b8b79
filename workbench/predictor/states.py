"""Devices that run in one of a few states: readings that are a whole factor apart, not a little noise.

A phone that is read once is at one clock or at another, on its fast cores or on its slow ones. On one network after the
other, what is read is then the latency times one of two or three factors, some ten per cent apart, and within a state
readings scatter by little. Noise of one width cannot say so: it takes the distance between the states for noise, and
learns next to nothing from ten readings. Here every reading may belong to any state, under several guesses of how far
these are apart, or be wild; which assignments explain the readings is sought reading by reading, and only the best are
kept (a beam search; Lowerre 1976). A Gaussian model says how likely each is: one more triangular solve per reading.

Shapes: `p` readings, `t` prior means, `m` models, `h` assignments, `r` regimes of `s` states.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from workbench.predictor.member import FAINT, Model
from workbench.predictor.method import Z90

#: How far the slower state is from the usual one, and the slower and the faster from it where there are both.
TWO, THREE = (0.06, 0.1, 0.15, 0.2, 0.27), (0.1, 0.15, 0.2)

#: Share of the readings in each state, and of wild ones, of which nothing is learnt.
SHARES_OF_TWO, SHARES_OF_THREE, WILD = (0.7, 0.3, 0.0), (0.6, 0.2, 0.2), 0.05

#: Models of the latency itself, a few of those that a `HeadConfig` averages over, and the likeliest prior means.
SCALES, SPREADS, NOISES, MEANS = ((0.5, 0.1, 0.1), (0.5, 0.4, 0.5)), (0.05, 0.15), (0.02, 0.05, 0.12), 6

#: Assignments that are kept from reading to reading, the best of every regime among them.
BEAM, OF_EACH = 80, 6


class _Regimes(NamedTuple):
    """`r x s` factors and log shares of the states of each regime, and `r` log odds; the first has one state."""

    factors: np.ndarray
    shares: np.ndarray
    odds: np.ndarray


def find_states(
    among: np.ndarray,
    relative: np.ndarray,
    shape: np.ndarray,
    means: np.ndarray,
    odds: np.ndarray,
    states: float,
    most: int,
) -> tuple[float, list[Model]]:
    """The probability that all readings are of one state, and the best explanations if they are not, whose weights
    sum to 1.

    Args:
        among: `3 x p x p` covariance of the readings by block of features, for scales of 1.
        relative: `p` readings, relative to their scale.
        shape: `p` variance of their noise, for a noise of 1.
        means: `t x p` prior means of them.
        odds: `t` logarithms of the odds of the prior means.
        states: probability that there is more than one state.
        most: explanations wanted at most.
    """
    likely = _likely_means(among, relative, shape, means, odds)
    grid = list(itertools.product(SCALES, SPREADS, NOISES))
    latent = np.stack([_covariance(among, scales, spread) for scales, spread, _ in grid])
    noises = np.stack([noise**2 * np.diag(shape) for *_, noise in grid])
    roots = np.repeat(np.linalg.cholesky(latent + noises), len(likely), axis=0)  # m x p x p
    prior, of_mean = np.tile(means[likely], (len(grid), 1)), np.tile(likely, len(grid))
    regimes = _regimes(states)
    regime, state, scores = _search(regimes, relative, roots, prior, np.tile(odds[likely], len(grid)))
    weights = np.exp(scores - scores.max())
    steady = min(float(weights[regime == 0].sum() / weights.sum()), 1.0)
    several = np.where(regime[:, None] == 0, -np.inf, scores)
    weights = np.exp(several - several.max())  # again, since next to one state they may all have been too small
    best = np.argsort(-weights, axis=None)[:most]
    row, model = np.unravel_index(best, weights.shape)
    shares = weights[row, model] / weights[row, model].sum()
    wild = state[row] == regimes.factors.shape[1]  # n x p, of the n best
    factors = regimes.factors[regime[row, None], np.where(wild, 0, state[row])]
    place = model // len(likely)
    loose = latent[place] + noises[place] + wild[:, None] * np.eye(len(relative))
    pull = np.linalg.solve(loose, (relative / factors - prior[model])[..., None])
    usual = np.maximum(prior[model] + (latent[place] @ pull)[..., 0], FAINT)
    level = np.median(relative / usual, axis=1)
    jitter = (_most_of(np.abs(factors - level[:, None]), ~wild) / Z90) ** 2
    found = []
    for i in range(len(best)):
        scales, spread, noise = grid[place[i]]
        tuned = np.array(scales), spread, noise, int(of_mean[model[i]]), tuple(np.flatnonzero(wild[i]).tolist())
        found.append(Model(*tuned, float(shares[i]), factors[i], float(level[i]), float(jitter[i])))
    return steady, found


def _most_of(distances: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """`n` distances that nine in ten of those ``counted`` `n x p` stay within; 0 where there are none."""
    found = np.zeros(len(distances))
    for count in np.unique(counted.sum(axis=1)):
        rows = counted.sum(axis=1) == count
        if count:
            found[rows] = np.quantile(distances[rows][counted[rows]].reshape(-1, count), 0.9, axis=1)
    return found


def _covariance(among: np.ndarray, scales: Sequence[float], spread: float) -> np.ndarray:
    return spread**2 * (np.tensordot(np.square(scales), among, 1) + 1.0)


def _likely_means(
    among: np.ndarray, relative: np.ndarray, shape: np.ndarray, means: np.ndarray, odds: np.ndarray
) -> np.ndarray:
    """Places of the `MEANS` best prior means, states taken for noise."""
    broad = _covariance(among, np.mean(SCALES, axis=0), np.mean(SPREADS)) + max(NOISES) ** 2 * np.diag(shape)
    misses = relative - means
    return np.argsort(0.5 * (misses * np.linalg.solve(broad, misses.T).T).sum(axis=1) - odds, kind="stable")[:MEANS]


def _regimes(states: float) -> _Regimes:
    factors = [(1.0, 1.0, 1.0)] + [(1.0, 1 + d, 1.0) for d in TWO] + [(1.0, 1 + d, 1 / (1 + d)) for d in THREE]
    shares = [(1.0, 0.0, 0.0)] + [SHARES_OF_TWO] * len(TWO) + [SHARES_OF_THREE] * len(THREE)
    odds = [1 - states] + [0.6 * states / len(TWO)] * len(TWO) + [0.4 * states / len(THREE)] * len(THREE)
    with np.errstate(divide="ignore"):  # a state that there is not has no share
        return _Regimes(np.array(factors), np.log(shares), np.log(odds))


def _search(
    regimes: _Regimes, relative: np.ndarray, roots: np.ndarray, prior: np.ndarray, odds: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best assignments: `h` regimes, `h x p` states (one more than there are: wild), `h x m` log evidence."""
    regime = np.flatnonzero(np.isfinite(regimes.odds))
    state = np.zeros((len(regime), 0), dtype=np.int64)
    white = np.zeros((len(regime), len(prior), len(relative)))  # what each reading adds to those before it
    scores = regimes.odds[regime][:, None] + odds
    for place, reading in enumerate(relative):
        root = roots[:, place, place]
        foreseen = prior[:, place] + np.einsum("hmj,mj->hm", white[..., :place], roots[:, place, :place])
        factors = regimes.factors[regime]  # h x s
        news = ((reading / factors)[..., None] - foreseen[:, None]) / root  # h x s x m
        tame = (regimes.shares[regime] - np.log(factors))[..., None] - 0.5 * news**2 - np.log(root) + np.log1p(-WILD)
        wild = np.log(WILD) - 0.5 * (reading - foreseen) ** 2
        options = np.concatenate([tame, wild[:, None]], axis=1) + scores[:, None]  # h x (s + 1) x m
        top = options.max(axis=2)
        with np.errstate(invalid="ignore"):
            total = top + np.log(np.exp(options - top[..., None]).sum(axis=2))
        kept = _best(np.nan_to_num(total, nan=-np.inf), regime)
        row, choice = np.divmod(kept, options.shape[1])
        added = np.concatenate([news, np.zeros_like(wild)[:, None]], axis=1)[row, choice]
        white, scores = white[row], options[row, choice]
        white[..., place] = added
        regime, state = regime[row], np.concatenate([state[row], choice[:, None]], axis=1)
    return regime, state, scores


def _best(total: np.ndarray, regime: np.ndarray) -> np.ndarray:
    """Flat places of the best of ``total`` `h x o` that are possible at all."""
    flat, of = total.ravel(), np.repeat(regime, total.shape[1])
    order = np.argsort(-flat, kind="stable")
    order = order[np.isfinite(flat[order])]
    by_regime = order[np.argsort(of[order], kind="stable")]
    rank = np.arange(len(by_regime)) - np.searchsorted(of[by_regime], of[by_regime])
    return np.union1d(order[:BEAM], by_regime[rank < OF_EACH])
