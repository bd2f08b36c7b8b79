"""The caches behind a sweep of working sets: where the bandwidth drops, found without asking the system.

The logarithm of the bandwidth over the logarithm of the working set is fitted by plateaus and falls between them. A
fall is a cache, and the cache's size is where half of it is done: a set that is read again and again loses a cache
which evicts the least recently used line all at once, and one that evicts any line, or is shared, little by little.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

STRAIGHT = (0.25, 1.0)  # octaves over which a straight fall stretches
FADING = (0.5, 1.0)  # octaves in which half of what is left of a fading fall is done
APART = 1.5  # octaves between two falls at least: a level of memory is much larger than the one before
LEAST_DROP = 0.08  # of the logarithm: smaller falls are noise
PLATEAU = 3  # sizes at either end that must belong to a plateau
REFINEMENTS = 20  # rounds of moving falls at most; two or three are usual
FLOOR = 1e-6  # squared error per size that counts as none, about (0.1 %)^2


class Cache(NamedTuple):
    """The size of one cache in KiB, with bounds."""

    size_kib: float
    low_kib: float
    high_kib: float


def find_caches(sizes_kib: np.ndarray, rounds: Sequence[np.ndarray], most: int) -> list[Cache]:
    """The caches that a sweep shows, the smallest first.

    Falls are added one by one, each time moving the earlier ones to where they fit best, as long as Bayes's information
    criterion (Schwarz 1978) finds that a further one is worth its three parameters. The bounds on a size are the sizes
    of the sweep beside it, widened by what is found without any one of the rounds.

    Args:
        sizes_kib: `s` working sets, equally spaced on the logarithmic scale.
        rounds: `r` arrays of `s` positive bandwidths.
        most: caches at most.
    """
    logs = np.log(np.array(rounds))
    found = _falls(sizes_kib, _profile(logs), most)
    others = [_falls(sizes_kib, _profile(np.delete(logs, i, axis=0)), most) for i in range(len(logs)) if len(logs) > 1]
    seen = np.array([found, *(other for other in others if len(other) == len(found))])
    half_step = np.sqrt(sizes_kib[1] / sizes_kib[0])
    low, high = 2 ** seen.min(0) / half_step, 2 ** seen.max(0) * half_step
    return [Cache(*map(float, cache)) for cache in zip(2 ** seen[0], low, high, strict=True)]


def _profile(logs: np.ndarray) -> np.ndarray:
    """`s` from `r x s`: the median round, after each round's own level is taken away (a slow one is slow at all
    sizes), and then medians of three neighbours, because one outlier is no step."""
    level = np.median(logs - np.median(logs, axis=0), axis=1, keepdims=True)
    padded = np.pad(np.median(logs - level, axis=0), 1, mode="edge")
    return np.median([padded[:-2], padded[1:-1], padded[2:]], axis=0)


def _falls(sizes_kib: np.ndarray, profile: np.ndarray, most: int) -> list[float]:
    """Where half of each fall is done, in octaves."""
    x = np.log2(sizes_kib)
    middles = (x[PLATEAU : -PLATEAU - 1] + x[PLATEAU + 1 : -PLATEAU]) / 2
    beyond = x[:, None] - middles
    done = [beyond / width + 0.5 for width in STRAIGHT] + [1 - 0.5 ** (beyond / half + 1) for half in FADING]
    fit = _Fit(profile, -np.clip(np.hstack(done), 0, 1), np.tile(middles, len(done)))
    chosen: list[int] = []
    while len(chosen) < most:
        more = fit.refined(chosen)
        if more is None or len(x) * np.log(fit.error(chosen) / fit.error(more)) < 3 * np.log(len(x)):
            break
        chosen = more
    return sorted(float(fit.middle[j]) for j in chosen)


class _Fit(NamedTuple):
    """Least squares of `s` values ``y`` by a constant and some of the `s x m` ``curves``, which fall from 0 to -1."""

    y: np.ndarray
    curves: np.ndarray
    middle: np.ndarray

    def error(self, chosen: Sequence[int]) -> float:
        """Sum of squares that ``chosen`` leaves."""
        design = self._design(chosen)
        rest = self.y - design @ np.linalg.lstsq(design, self.y, rcond=None)[0]
        return float(rest @ rest) + FLOOR * len(self.y)

    def refined(self, chosen: list[int]) -> list[int] | None:
        """``chosen`` and one more, each where it fits best given the others; None if no further one fits."""
        new = self._added(chosen)
        for _ in range(REFINEMENTS if new else 0):
            before = sorted(new)
            for _ in before:
                new = self._added(new[1:]) or new
            if sorted(new) == before:
                break
        return new

    def _added(self, others: list[int]) -> list[int] | None:
        """``others`` and the fall that helps most, if every fall then is a drop that counts."""
        base = np.linalg.qr(self._design(others))[0]
        rest = self.y - base @ (base.T @ self.y)
        new = self.curves - base @ (base.T @ self.curves)
        gain = (new.T @ rest) ** 2 / np.maximum((new**2).sum(0), 1e-9)
        near = np.abs(self.middle[:, None] - self.middle[others]) < APART
        for j in np.argsort(-np.where(near.any(1), 0.0, gain)):
            if near[j].any() or gain[j] <= 0:
                break
            drops = np.linalg.lstsq(self._design([*others, j]), self.y, rcond=None)[0][1:]
            if (drops >= LEAST_DROP).all():
                return [*others, int(j)]
        return None

    def _design(self, chosen: Sequence[int]) -> np.ndarray:
        return np.column_stack([np.ones(len(self.y)), self.curves[:, list(chosen)]])
