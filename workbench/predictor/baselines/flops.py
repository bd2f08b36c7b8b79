"""Floor: latency is a straight line in FLOPs, fitted to the probes."""

from __future__ import annotations

import numpy as np

from workbench.describe.design import Design
from workbench.devices.device import DeviceCard
from workbench.predictor.method import Adapt, Estimate, Predict, Probed, Sources, gaussian_estimate, some_probes


def pretrain(sources: Sources, design: Design, probes: np.ndarray, generator: np.random.Generator) -> Adapt:
    """Learns nothing from the source devices."""
    flops = sources.networks.flops

    def adapt(probed: Probed, card: DeviceCard | None) -> Predict:
        rows, probe_ms = some_probes("flops", probed)
        terms = np.stack([np.ones(len(rows)), flops[rows]], axis=1)
        (constant, slope), *_ = np.linalg.lstsq(terms / flops.mean(), probe_ms, rcond=None)
        line = (constant + slope * flops) / flops.mean()
        deviation = np.sqrt(((line[rows] - probe_ms) ** 2).sum() / max(len(rows) - 2, 1))

        def predict() -> Estimate:
            return gaussian_estimate(line, deviation, probed.mean_ms)

        return predict

    return adapt
