"""Floor: the source device that behaves most like the target on the probes, times a factor."""

from __future__ import annotations

import numpy as np

from workbench.describe.design import Design
from workbench.devices.device import DeviceCard
from workbench.predictor.method import Adapt, Estimate, Predict, Probed, Sources, gaussian_estimate, some_probes


def pretrain(sources: Sources, design: Design, probes: np.ndarray, generator: np.random.Generator) -> Adapt:
    """Uses the design's ridge description of every source device as its latencies."""

    def adapt(probed: Probed, card: DeviceCard | None) -> Predict:
        rows, probe_ms = some_probes("nearest", probed)
        candidates = design.source[rows]  # p x d
        factors = (candidates * probe_ms[:, None]).sum(axis=0) / (candidates**2).sum(axis=0)
        misses = ((factors * candidates - probe_ms[:, None]) ** 2).sum(axis=0)
        best = int(misses.argmin())
        deviation = np.sqrt(misses[best] / max(len(rows) - 1, 1))

        def predict() -> Estimate:
            return gaussian_estimate(factors[best] * design.source[:, best], deviation, probed.mean_ms)

        return predict

    return adapt
