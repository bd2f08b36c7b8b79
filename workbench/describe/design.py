"""The linear view of a space that source devices give: the design matrix for probe selection and Bayesian heads.

Latency is nearly additive over operators in milliseconds, so a ridge regression on operator counts and physical sums
describes each source device well; what it misses, `interactions` learns where there is something to learn. The
principal components of those descriptions say how devices differ; the physical sums say what a device outside their
span may do, and plausible devices what is to be expected of one that nothing is known of.

Shapes: `a` networks, `v` distinct operators, `d` source devices, `p` physical sums, `q` sums of roots, `k` operator
counts, `g` kinds of operators, `r` components.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from workbench.config import WorkbenchError
from workbench.data.networks import Networks
from workbench.describe.dbsel import Candidates
from workbench.describe.deviations import deviations
from workbench.describe.interactions import Interactions, arch_choices, fit_interactions
from workbench.describe.plausible import plausible_cost

PENALTIES = (1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0)

#: Beyond how many standard deviations a source's reading is drawn in, how often, and the standard deviation of normal
#: numbers whose median distance from 0 is 1: phones have readings at twice the latency, and a state for every clock.
WINSORISED, ROUNDS, MAD = 2.0, 4, 1.4826

#: Least relative latency of the mean source: a ridge regression may say less than nothing.
LEAST = 1e-2


class Design(NamedTuple):
    """Feature blocks of `a` networks, each standardised.

    Args:
        source: `a x d` what each source device would take, relative to its mean.
        principal: `a x r` principal components of ``source``, scaled to the first one's spread.
        physics: `a x p` standardised physical sums.
        roots: `a x q` standardised sums of square roots of work; see `root_sums`.
        census: `a x k` standardised operator counts.
        deviations: `a x g` how operators may deviate from what they plausibly cost; see `deviations`.
        flops: `a` FLOPs.
        plausible: `a` mean latency of plausible devices, each relative to its own mean.
        interactions: the part of ``source`` that is not additive over operators; None where all is.
    """

    source: np.ndarray
    principal: np.ndarray
    physics: np.ndarray
    roots: np.ndarray
    census: np.ndarray
    deviations: np.ndarray
    flops: np.ndarray
    plausible: np.ndarray
    interactions: Interactions | None = None

    @property
    def blocks(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Principal components, physical sums and roots, deviations: what latency is linear in."""
        return self.principal, np.concatenate([self.physics, self.roots], axis=1), self.deviations

    def weighted(self, weights: tuple[float, float, float]) -> np.ndarray:
        """`a x (r + p + q + g)` blocks side by side, each times its weight."""
        return np.concatenate([weight * block for weight, block in zip(weights, self.blocks, strict=True)], axis=1)

    @property
    def shapes(self) -> dict[str, np.ndarray]:
        """Relative latency that may be expected of a device: `a` of the mean plausible device, `a` of the mean source,
        and `a x d` of each source."""
        mean = self.source.mean(axis=1)
        shapes = {"plausible": self.plausible, "mean source": mean, "nearest source": self.source}
        return {name: np.maximum(shape, LEAST) for name, shape in shapes.items()}

    def candidates(self, weights: tuple[float, float, float]) -> Candidates:
        """The networks as probe selectors see them."""
        return Candidates(self.weighted(weights), self.flops, self.source)

    def without(self, devices: Sequence[int]) -> Design:
        """The design as if these source devices (columns of ``source``) had not been there."""
        source = np.delete(self.source, list(devices), axis=1)
        interactions = self.interactions.without(devices) if self.interactions else None
        return self._replace(source=source, principal=principal_components(source), interactions=interactions)


def build_design(networks: Networks, rows: np.ndarray, latency_ms: np.ndarray) -> Design:
    """The design of ``networks`` from source devices measured on ``rows``.

    Args:
        networks: `a` networks.
        rows: `s` rows of ``networks`` that the source devices were measured on.
        latency_ms: `s x d` milliseconds, NaN where not measured.
    """
    features = np.concatenate([networks.census, networks.physics], axis=1)
    features = features[:, features[rows].std(axis=0) > 0]
    source = np.empty((len(networks), latency_ms.shape[1]))
    measured = ~np.isnan(latency_ms)
    patterns, group = np.unique(
        measured, axis=1, return_inverse=True
    )  # devices measured on the same rows share one SVD
    for index, pattern in enumerate(patterns.T):
        if pattern.sum() < 2:
            raise WorkbenchError("A source device expects at least two measured architectures, got fewer; remove it.")
        members = np.nonzero(group.ravel() == index)[0]
        relative = latency_ms[np.ix_(pattern, members)]
        relative = relative / relative.mean(axis=0)
        source[:, members] = ridge(features[rows[pattern]], relative, features, ROUNDS)
    interactions = None
    if (choices := arch_choices(networks.space, networks.archs)) is not None:
        residuals = latency_ms / np.nanmean(latency_ms, axis=0) - source[rows]
        found = fit_interactions(choices[rows], residuals)
        if found.weights.any():
            interactions, source = found, source + found(choices)
    cost = plausible_cost(networks)
    return Design(
        source=source,
        principal=principal_components(source),
        physics=standardise(networks.physics),
        roots=standardise(networks.roots),
        census=standardise(networks.census),
        deviations=deviations(networks, cost),
        flops=networks.flops,
        plausible=networks.counts.astype(np.float64) @ cost,
        interactions=interactions,
    )


def standardise(table: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and standard deviation 1."""
    return (table - table.mean(axis=0)) / (table.std(axis=0) + 1e-12)


def principal_components(source: np.ndarray) -> np.ndarray:
    """`a x min(a, d)` components of ``source``, divided by the spread of the first."""
    left, spread, _ = np.linalg.svd(source - source.mean(axis=0), full_matrices=False)
    components = left * spread
    return components / max(components[:, 0].std(), 1e-12)


def ridge(x: np.ndarray, y: np.ndarray, queries: np.ndarray, rounds: int = 0) -> np.ndarray:
    """Ridge regression with the penalty that leaves the least leave-one-out error, per column of ``y``.

    Args:
        x: `s x f` features.
        y: `s x d` targets.
        queries: `a x f`.
        rounds: times that targets beyond `WINSORISED` are drawn in to it and all is fitted again, so that wild ones
            decide nothing (Huber 1981, section 7.8).

    Returns:
        `a x d` predictions.
    """
    centre, scale = x.mean(axis=0), x.std(axis=0) + 1e-9
    parts = np.linalg.svd((x - centre) / scale, full_matrices=False)
    weights, fitted = _shrunk(*parts, y)
    tame = y
    for _ in range(rounds):
        missed = y - fitted
        width = WINSORISED * MAD * np.median(np.abs(missed), axis=0)
        tame = fitted + np.clip(missed, -width, width)
        weights, fitted = _shrunk(*parts, tame)
    return (queries - centre) / scale @ weights + tame.mean(axis=0)


def _shrunk(left: np.ndarray, spread: np.ndarray, right: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`f x d` weights of standardised features, and `s x d` what they say, from the features' decomposition."""
    mean = y.mean(axis=0)
    target = y - mean
    projected = left.T @ target
    best_error = np.full(y.shape[1], np.inf)
    best = np.zeros((len(spread), y.shape[1]))
    for penalty in PENALTIES:
        damped = penalty * len(y) / 100
        shrink = spread**2 / (spread**2 + damped)
        freedom = np.maximum(1 - 1 / len(y) - (left**2 * shrink).sum(axis=1), 1e-9)  # one minus leverage
        residual = target - left @ (shrink[:, None] * projected)
        error = ((residual / freedom[:, None]) ** 2).mean(axis=0)
        better = error < best_error
        best_error[better] = error[better]
        best[:, better] = (spread / (spread**2 + damped))[:, None] * projected[:, better]
    return right.T @ best, mean + left @ (spread[:, None] * best)
