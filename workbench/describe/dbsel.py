"""DBSel: which few networks to measure on a new device so that everything else can be predicted.

A selector is a plain function of what the source side knows (`Candidates`); no target latency can be read by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from workbench.config import WorkbenchError, lookup

#: Standard deviation of the intercept (everyone's scale is unknown), and of what one reading may be wrong by, relative
#: latency: far more than the usual noise, since now and then a reading is wild, and one extreme network alone cannot
#: tell that from an extreme device.
INTERCEPT, NOISE = 3.0, 0.5

#: Networks that stand for the whole space where a selector compares all pairs.
CROWD = 1000

#: What is taken where no selector is named.
DEFAULT_SELECTOR = "central"

#: Share of the networks that `central` chooses from.
CENTRAL = 0.95

#: Rounds of k-means.
ROUNDS = 20


class Candidates(NamedTuple):
    """`a` networks that may become probes, as the source side knows them.

    Args:
        features: `a x f` design (see `Design.weighted`), latency is nearly linear in it.
        flops: `a` FLOPs.
        source: `a x d` latency on each source device, relative to the device's mean.
    """

    features: np.ndarray
    flops: np.ndarray
    source: np.ndarray

    def take(self, rows: np.ndarray) -> Candidates:
        """Only these rows."""
        return Candidates(*(part[rows] for part in self))


class Selector(Protocol):
    """Chooses probes: ``count`` distinct rows of the candidates, the most important first where there is an order."""

    def __call__(self, pool: Candidates, count: int, generator: np.random.Generator) -> np.ndarray: ...


def random(pool: Candidates, count: int, generator: np.random.Generator) -> np.ndarray:
    """``count`` rows, uniformly without replacement."""
    return generator.choice(len(pool.flops), size=count, replace=False)


def flops_stratified(pool: Candidates, count: int, generator: np.random.Generator) -> np.ndarray:
    """One random network from each of ``count`` equally large strata of FLOPs."""
    strata = np.array_split(np.argsort(pool.flops, kind="stable"), count)
    return np.array([generator.choice(stratum) for stratum in strata])


def latency_quantile(pool: Candidates, count: int, generator: np.random.Generator) -> np.ndarray:
    """The middle network of each of ``count`` equally large strata of the mean source latency."""
    strata = np.array_split(np.argsort(pool.source.mean(axis=1), kind="stable"), count)
    return np.array([stratum[len(stratum) // 2] for stratum in strata])


def k_means(pool: Candidates, count: int, generator: np.random.Generator) -> np.ndarray:
    """The networks nearest to the centres of ``count`` clusters of features (Lloyd's algorithm, k-means++ start)."""
    from scipy.cluster.vq import kmeans2

    features = pool.features + 1e-9 * generator.standard_normal(pool.features.shape)  # no two at the same place
    centres, _ = kmeans2(features, count, iter=ROUNDS, minit="++", rng=generator, missing="warn")
    chosen: list[int] = []
    for centre in centres:
        away = ((features - centre) ** 2).sum(axis=1)
        away[chosen] = np.inf
        chosen.append(int(away.argmin()))
    return np.array(chosen)


def k_medoids(pool: Candidates, count: int, generator: np.random.Generator) -> np.ndarray:
    """Greedy facility location: always the network that brings the whole space nearest to a probe.

    Within a factor 1 - 1/e of the best choice (Nemhauser et al. 1978). A random `CROWD` stands for the space.
    """
    crowd = pool.features
    if len(crowd) > CROWD:
        crowd = crowd[generator.choice(len(crowd), CROWD, replace=False)]
    norms = (pool.features**2).sum(axis=1)
    distance = np.sqrt(np.maximum(norms + (crowd**2).sum(axis=1)[:, None] - 2 * crowd @ pool.features.T, 0.0))
    nearest, chosen = np.full(len(crowd), distance.max() + 1.0), []
    for _ in range(count):
        left = np.minimum(distance, nearest[:, None]).sum(axis=0)
        left[chosen] = np.inf
        chosen.append(int(left.argmin()))
        nearest = np.minimum(nearest, distance[:, chosen[-1]])
    return np.array(chosen)


def d_optimal(pool: Candidates, count: int, generator: np.random.Generator) -> np.ndarray:
    """Greedy D-optimal design for a Bayesian linear model: always the row whose latency is least certain so far.

    The determinant of the posterior covariance shrinks most by the row of largest posterior variance (Fedorov 1972);
    deterministic, so ``generator`` is not used.
    """
    return _greedy_design(pool.features, [_variance] * count)


def a_optimal(pool: Candidates, count: int, generator: np.random.Generator) -> np.ndarray:
    """Greedy A-optimal design: always the row that lowers the mean posterior variance over the space most.

    In the same model as `d_optimal` (Chaloner & Verdinelli 1995); deterministic.
    """
    return _greedy_design(pool.features, [_mean_gain] * count)


def balanced(pool: Candidates, count: int, generator: np.random.Generator) -> np.ndarray:
    """D-optimal and A-optimal steps in turn.

    The first alone runs after corners of the space that matter to few networks, the second alone trusts that the model
    is right everywhere; deterministic.
    """
    return _greedy_design(pool.features, [(_variance, _mean_gain)[step % 2] for step in range(count)])


def central(pool: Candidates, count: int, generator: np.random.Generator) -> np.ndarray:
    """`a_optimal` among the `CENTRAL` share of the networks that are nearest to their mean.

    In a linear model the most extreme networks say most. But no device is exactly linear, and what bends at the
    extremes, or one wild reading there, tilts all that lies between: a design that is safe against bias is narrower
    than the optimal one (Box & Draper 1959); deterministic.
    """
    away = ((pool.features - pool.features.mean(axis=0)) ** 2).sum(axis=1)
    extreme = np.argsort(away, kind="stable")[max(int(np.ceil(CENTRAL * len(away))), count) :]
    return _greedy_design(pool.features, [_mean_gain] * count, extreme)


Criterion = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _greedy_design(
    features: np.ndarray, criteria: Sequence[Criterion], without: np.ndarray | None = None
) -> np.ndarray:
    """The row that each criterion likes best, given the rows before it: `(variance, explained) -> a`, of the posterior
    variance `a` of each row, and of the mean squared covariance `a` of each row with all rows; those ``without`` are
    not chosen.

    What one more reading does to both is of rank one, so that no step costs more than two products of a matrix and a
    vector.
    """
    rows = np.concatenate([np.full((len(features), 1), INTERCEPT), features], axis=1)
    covariance, spread = np.eye(rows.shape[1]), rows.T @ rows / len(rows)
    variance, explained = (rows**2).sum(axis=1), ((rows @ spread) * rows).sum(axis=1)
    chosen: list[int] = []
    for criterion in criteria:
        gain = criterion(variance, explained)
        if without is not None:
            gain[without] = -1.0
        gain[chosen] = -1.0
        pick = int(gain.argmax())
        chosen.append(pick)
        pull = covariance @ rows[pick]
        certain = pull @ rows[pick] + NOISE**2
        along = rows @ pull / certain
        explained += along * (along * (pull @ spread @ pull) - 2 * (rows @ (covariance @ (spread @ pull))))
        variance = np.maximum(variance - along**2 * certain, 0.0)
        covariance -= np.outer(pull, pull) / certain
    return np.array(chosen, dtype=np.int64)


def _variance(variance: np.ndarray, explained: np.ndarray) -> np.ndarray:
    return variance.copy()


def _mean_gain(variance: np.ndarray, explained: np.ndarray) -> np.ndarray:
    return explained / (variance + NOISE**2)


def disagreement(pool: Candidates, count: int, generator: np.random.Generator) -> np.ndarray:
    """Networks that the source devices rank most differently, each time in a way not yet among the probes.

    The first has the largest variance of its ranks over source devices; every further one has the largest product of
    that spread and its distance to the probes in rank space.
    """
    ranks = pool.source.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable") / len(pool.source)
    spread = ranks.std(axis=1) + 1e-6
    distance, chosen = np.ones(len(ranks)), []
    for _ in range(count):
        score = spread * distance
        score[chosen] = -1.0
        chosen.append(int(score.argmax()))
        distance = np.minimum(distance, np.sqrt(((ranks - ranks[chosen[-1]]) ** 2).mean(axis=1)))
    return np.array(chosen)


SELECTORS: dict[str, Selector] = {
    "random": random,
    "flops_stratified": flops_stratified,
    "latency_quantile": latency_quantile,
    "k_means": k_means,
    "k_medoids": k_medoids,
    "d_optimal": d_optimal,
    "a_optimal": a_optimal,
    "balanced": balanced,
    "central": central,
    "disagreement": disagreement,
}


def select_probes(
    name: str, pool: Candidates, count: int, generator: np.random.Generator, rows: np.ndarray | None = None
) -> np.ndarray:
    """``count`` distinct rows of ``pool``, chosen by the selector called ``name``.

    Args:
        name: key of `SELECTORS`.
        pool: `a` networks.
        count: number of probes.
        generator: randomness.
        rows: of the networks that may be chosen; all if None.

    Raises:
        WorkbenchError: unknown selector, no probes wanted, or more probes than candidates.
    """
    selector = lookup("selector", SELECTORS, name)
    rows = np.arange(len(pool.flops)) if rows is None else np.asarray(rows)
    if not 1 <= count <= len(rows):
        raise WorkbenchError(f"Cannot select {count} probes from {len(rows)} architectures; ask for 1 to {len(rows)}.")
    return rows[selector(pool.take(rows), count, generator)]
