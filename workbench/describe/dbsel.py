"""DBSel: which few networks to measure on a new device so that everything else can be predicted.

A selector is a plain function of what the source side knows; no target latency is read.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from workbench.config import WorkbenchError, lookup

#: Standard deviation of the intercept (everyone's scale is unknown) and of the measurement noise, relative latency.
INTERCEPT, NOISE = 3.0, 0.1


class Selector(Protocol):
    """Chooses probes: ``features`` `a x f` -> ``count`` distinct rows."""

    def __call__(self, features: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray: ...


def random(features: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """``count`` rows, uniformly without replacement."""
    return generator.choice(len(features), size=count, replace=False)


def d_optimal(features: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Greedy D-optimal design for a Bayesian linear model: always the row whose latency is least certain so far.

    The determinant of the posterior covariance shrinks most by the row of largest posterior variance (Fedorov 1972);
    deterministic, so ``generator`` is not used. Cost: `count` passes over `a x f`.
    """
    rows = np.concatenate([np.full((len(features), 1), INTERCEPT), features], axis=1)
    variance = (rows**2).sum(axis=1)
    factors = np.zeros((0, len(rows)))
    chosen: list[int] = []
    for _ in range(count):
        open_variance = variance.copy()
        open_variance[chosen] = -1.0
        pick = int(open_variance.argmax())
        chosen.append(pick)
        factor = (rows @ rows[pick] - factors.T @ factors[:, pick]) / np.sqrt(variance[pick] + NOISE**2)
        factors = np.vstack([factors, factor])
        variance = np.maximum(variance - factor**2, 0.0)
    return np.array(chosen, dtype=np.int64)


SELECTORS: dict[str, Selector] = {"random": random, "d_optimal": d_optimal}


def select_probes(
    name: str, features: np.ndarray, count: int, generator: np.random.Generator, candidates: np.ndarray | None = None
) -> np.ndarray:
    """``count`` distinct rows of ``features``, chosen by the selector called ``name``.

    Args:
        name: key of `SELECTORS`.
        features: `a x f` design of all networks.
        count: number of probes.
        generator: randomness.
        candidates: rows that may be chosen; all if None.

    Raises:
        WorkbenchError: unknown selector, no probes wanted, or more probes than candidates.
    """
    selector = lookup("selector", SELECTORS, name)
    candidates = np.arange(len(features)) if candidates is None else np.asarray(candidates)
    if not 1 <= count <= len(candidates):
        raise WorkbenchError(
            f"Cannot select {count} probes from {len(candidates)} architectures; ask for 1 to {len(candidates)}."
        )
    return candidates[selector(features[candidates], count, generator)]
