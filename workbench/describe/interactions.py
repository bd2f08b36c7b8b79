"""What operators do together: the part of a source device's latency that no sum over operators explains.

Some runtimes fold operators away or fuse them, depending on what stands beside them. A Gaussian process over the
choices of an architecture learns such effects from the residuals of the additive description; its kernel multiplies
over the places of an architecture,

    k(x, y) = prod_i (1 + a [x_i = y_i]) / (1 + a),

and so knows effects of any order, low orders first (an ANOVA kernel; Stitson et al. 1999). It is kept only for devices
where it lowers the leave-one-out error clearly: most latencies are additive.

Shapes: `a` networks, `s` of them measured, `n` places, `d` source devices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from zlib import crc32

import numpy as np

from workbench.spaces import get_space

SHARPNESS = (0.5, 1.0, 3.0)
NOISE = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
#: Share of the additive description's squared error below which the process is kept, and the squared error (of relative
#: latency) below which nothing is missing.
CLEARLY, NOTHING = 0.9, 1e-5

#: Networks whose covariances with all measured ones are in memory at once: they fit a processor's cache.
CHUNK = 500


class Interactions(NamedTuple):
    """A Gaussian process per source device.

    Args:
        choices: `s x n` of the measured networks.
        weights: `s x d`; a column of zeros where all is additive.
        sharpness: `d` values of the kernel's a.
    """

    choices: np.ndarray
    weights: np.ndarray
    sharpness: np.ndarray

    def without(self, devices: Sequence[int]) -> Interactions:
        """The processes of the other source devices."""
        gone = list(devices)
        return Interactions(self.choices, np.delete(self.weights, gone, axis=1), np.delete(self.sharpness, gone))

    def __call__(self, choices: np.ndarray) -> np.ndarray:
        """`a x d` what is to be added to the additive relative latency of networks with ``choices`` `a x n`."""
        added = np.zeros((len(choices), self.weights.shape[1]))
        used = self.weights.any(axis=0)
        for sharpness in np.unique(self.sharpness[used]):
            mine = used & (self.sharpness == sharpness)
            for some in np.array_split(np.arange(len(choices)), len(choices) // CHUNK + 1):
                added[np.ix_(some, mine)] = kernel(choices[some], self.choices, sharpness) @ self.weights[:, mine]
        return added


def arch_choices(space: str, archs: Sequence[str]) -> np.ndarray | None:
    """`a x n` whole numbers: what stands at each place of each architecture; None where a space has no fixed places.

    The numbers depend on the names only, so that architectures of different calls can be compared.
    """
    parse = get_space(space).parse
    rows = [parse(arch) for arch in archs]
    if not all(isinstance(row, tuple) and all(isinstance(name, str) for name in row) for row in rows):
        return None
    names = {name: crc32(name.encode()) for name in set().union(*rows)}
    return np.array([[names[name] for name in row] for row in rows])


def kernel(one: np.ndarray, other: np.ndarray, sharpness: float) -> np.ndarray:
    """`a x s` covariance of networks with choices ``one`` `a x n` and ``other`` `s x n`."""
    return _of_matches(_matches(one, other), one.shape[1], sharpness)


def _matches(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """`a x s` places where two networks agree: all that the kernel depends on, counted by one matrix product."""
    columns = [mine[:, None] == np.unique(theirs) for mine, theirs in zip(one.T, other.T, strict=True)]
    others = [theirs[:, None] == np.unique(theirs) for theirs in other.T]
    mine, theirs = (np.concatenate(parts, axis=1).astype(np.float32) for parts in (columns, others))
    return (mine @ theirs.T).astype(np.int8)


def _of_matches(matches: np.ndarray, places: int, sharpness: float) -> np.ndarray:
    return ((1.0 + sharpness) ** np.arange(-places, 1.0))[matches]


def fit_interactions(choices: np.ndarray, residuals: np.ndarray) -> Interactions:
    """Learn ``residuals`` `s x d` (relative latency that the additive description misses, NaN where not measured)."""
    measured = ~np.isnan(residuals)
    weights, sharpness = np.zeros(residuals.shape), np.zeros(residuals.shape[1])
    missing = np.nanmean(residuals**2, axis=0)
    least = np.where(missing > NOTHING, CLEARLY * missing, 0.0)
    for pattern in np.unique(measured, axis=1).T:
        members = np.nonzero((measured == pattern[:, None]).all(axis=0))[0]
        if not least[members].any():
            continue
        target, matches = residuals[np.ix_(pattern, members)], _matches(choices[pattern], choices[pattern])
        for a in SHARPNESS:
            values, vectors = np.linalg.eigh(_of_matches(matches, choices.shape[1], a))
            rotated, squares = vectors.T @ target, vectors**2
            for noise in NOISE:
                precision = 1.0 / (np.maximum(values, 0.0) + noise)
                solution = vectors @ (precision[:, None] * rotated)
                diagonal = squares @ precision  # of the inverse
                error = ((solution / diagonal[:, None]) ** 2).mean(axis=0)  # leave-one-out, in closed form
                better = error < least[members]
                chosen = members[better]
                least[chosen], sharpness[chosen] = error[better], a
                weights[np.ix_(pattern, chosen)] = solution[:, better]
    return Interactions(choices, weights, sharpness)
