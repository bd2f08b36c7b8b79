"""Floor: latency is a straight line in FLOPs, fitted to the probes."""

from __future__ import annotations

import numpy as np

from workbench.describe.design import Design
from workbench.devices.device import DeviceCard
from workbench.predictor.method import Adapt, Estimate, Predict, Sources, gaussian_estimate


def pretrain(sources: Sources, design: Design, probes: np.ndarray, generator: np.random.Generator) -> Adapt:
    """Learns nothing from the source devices."""
    flops = sources.networks.flops

    def adapt(probe_ms: np.ndarray, card: DeviceCard | None) -> Predict:
        terms = np.stack([np.ones(len(probes)), flops[probes]], axis=1)
        (constant, slope), *_ = np.linalg.lstsq(terms / flops.mean(), probe_ms, rcond=None)
        line = (constant + slope * flops) / flops.mean()
        deviation = np.sqrt(((line[probes] - probe_ms) ** 2).sum() / max(len(probes) - 2, 1))

        def predict() -> Estimate:
            return gaussian_estimate(line, deviation, probe_ms.mean())

        return predict

    return adapt
