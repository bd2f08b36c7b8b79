"""Plausible devices that agree with the probes: what a card lets expect, after a few measurements.

A roofline is not linear in what it is made of: where an operator's work hides behind its launch depends on both, and no
sum of features says so. So devices are drawn that agree with the card (`describe.plausible`), each is asked how well it
explains the probes, up to a scale and to operators that deviate as in `describe.deviations`, and their mean, weighted
by that evidence, is an opinion for the Bayesian head (importance sampling from the prior; Owen 2013, chapter 9). What
it says of a probe is what it would say had it not seen that one, so that the head judges foresight.

Shapes: `a` networks, `v` distinct operators, `s` drawn devices, `p` probes, `k` deviations.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from workbench.describe.design import LEAST
from workbench.predictor.evidence import Evidence
from workbench.predictor.member import FAINT

#: How far operators may deviate from a drawn device, and standard deviations of the noise; relative latency.
SPREAD, NOISE = (0.03, 0.1, 0.3), (0.01, 0.03, 0.1)


class Expected(NamedTuple):
    """What a card lets expect of `a` networks.

    Args:
        usual: `a` relative latency before anything is measured.
        counts: `a x v` copies of each operator.
        costs: `v x s` of one copy of each operator on plausible devices with this card, each in a unit of its own.
        deviations: `a x k`, see `Design`.
    """

    usual: np.ndarray
    counts: np.ndarray
    costs: np.ndarray
    deviations: np.ndarray

    def take(self, rows: np.ndarray) -> Expected:
        """Only these networks."""
        return self._replace(usual=self.usual[rows], counts=self.counts[rows], deviations=self.deviations[rows])

    def given(self, probes: np.ndarray, probe_ms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Milliseconds of all `a` networks given that the rows ``probes`` took ``probe_ms``, and `p` milliseconds of
        each probe given the others."""
        known = self.counts[probes]
        usual = known.sum(axis=1).mean() * self.costs.mean(axis=0)  # s; of as many usual operators
        drawn = np.maximum(known @ self.costs, LEAST * usual)  # p x s; some devices fold whole networks away
        scale = np.median(probe_ms[:, None] / drawn, axis=0)  # a few probes may be wild
        unit = np.median(probe_ms)
        relative, said = probe_ms / unit, drawn * scale / unit
        alike = self.deviations[probes] @ self.deviations[probes].T
        evidence = Evidence(alike[None], np.maximum(relative, FAINT), relative[:, None] - said, SPREAD, NOISE)
        weights = _shares(evidence.whole()).sum(axis=0)  # s
        unseen = np.stack([_shares(scores).sum(axis=0) for scores in evidence.without_one()])  # p x s
        ms = self.counts @ (self.costs @ (weights * scale)).astype(self.counts.dtype)
        return np.maximum(ms, LEAST * unit), (unseen * said).sum(axis=1) * unit


def _shares(scores: np.ndarray) -> np.ndarray:
    """Weights that sum to 1 from their logarithms."""
    weights = np.exp(scores - scores.max())
    return weights / weights.sum()
