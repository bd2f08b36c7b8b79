"""How well Gaussian models explain a few numbers, and all but one or two of them, from one decomposition."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np


class Evidence:
    """Log marginal likelihood, without constants, of numbers under Gaussians of every
    ``spread[i]**2 * covariance[c] + noise[j]**2 * diag(shape)``: `m x t` with ``m = (c i j)``.

    One decomposition of each of the `c` matrices serves all spreads, all noises, and every number that is left out:
    what the others say of it is a Gaussian whose mean and variance stand in the inverse of the whole matrix
    (Rasmussen and Williams 2006, equation 5.12), and dividing its density out leaves the evidence of the others.

    Args:
        covariance: `c x p x p`.
        shape: `p` positive.
        residuals: `p x t` numbers that are to be explained, `t` times.
        spread, noise: scales to try.
    """

    def __init__(
        self,
        covariance: np.ndarray,
        shape: np.ndarray,
        residuals: np.ndarray,
        spread: Sequence[float],
        noise: Sequence[float],
    ) -> None:
        white = 1.0 / np.sqrt(shape)
        values, self._vectors = np.linalg.eigh(covariance * white[:, None] * white)
        grid = np.array(list(itertools.product(spread, noise))) ** 2
        self._precision = 1.0 / (grid[:, :1] * np.maximum(values, 0.0)[:, None] + grid[:, 1:])  # c x (i j) x p
        self._rotated = np.swapaxes(self._vectors, 1, 2) @ (white[:, None] * residuals)  # c x p x t
        self._log_shape = np.log(shape)
        whole = 0.5 * np.log(self._precision).sum(axis=2)[..., None] - 0.5 * self._precision @ self._rotated**2
        self._whole = whole - 0.5 * self._log_shape.sum()

    def whole(self) -> np.ndarray:
        """`m x t` of all numbers."""
        return _flat(self._whole)

    def without_one(self) -> np.ndarray:
        """`p x m x t` of all numbers but each."""
        return np.stack([_flat(one.left) for one in self._ones])

    def without_two(self, first: int, second: int) -> np.ndarray:
        """`m x t` of all numbers but ``first`` and ``second``."""
        one, other, between = self._ones[first], self._ones[second], self._inverse(first, second)
        cross = between / one.inverse  # what leaving out the first changes
        solved = other.solved - cross[..., None] * one.solved
        divided = _divided_out(other.inverse - cross * between, solved)
        return _flat(one.left + 0.5 * self._log_shape[second] + divided)

    @cached_property
    def _ones(self) -> list[_One]:
        return [self._one(k) for k in range(len(self._log_shape))]

    def _one(self, k: int) -> _One:
        inverse, solved = self._inverse(k, k), self._precision @ (self._vectors[:, k, :, None] * self._rotated)
        return _One(inverse, solved, self._whole + 0.5 * self._log_shape[k] + _divided_out(inverse, solved))

    def _inverse(self, k: int, j: int) -> np.ndarray:
        """`c x (i j)` entries of the inverse matrices, of numbers divided by the root of ``shape``."""
        return (self._precision @ (self._vectors[:, k] * self._vectors[:, j])[..., None])[..., 0]


class _One(NamedTuple):
    """Of one number: the diagonal of the inverse `c x (i j)`, the inverse times the numbers there `c x (i j) x t`, and
    the evidence of the others, of the same shape."""

    inverse: np.ndarray
    solved: np.ndarray
    left: np.ndarray


def _divided_out(inverse: np.ndarray, solved: np.ndarray) -> np.ndarray:
    """Minus the log density of a number given the others."""
    return 0.5 * solved**2 / inverse[..., None] - 0.5 * np.log(inverse)[..., None]


def _flat(found: np.ndarray) -> np.ndarray:
    return found.reshape(-1, found.shape[-1])
