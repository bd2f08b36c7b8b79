"""Floor: the source device that behaves most like the target on the probes, times a factor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from workbench.describe.design import Design
from workbench.devices.device import DeviceCard
from workbench.predictor.method import (
    Adapt,
    Estimate,
    Predict,
    Pretrain,
    Probed,
    Sources,
    gaussian_estimate,
    some_probes,
)

#: Sources and design -> `a x d` latencies of every network on every source device, each device in a unit of its own.
Describe = Callable[[Sources, Design], np.ndarray]


def nearest_of(name: str, describe: Describe) -> Pretrain:
    """The method called ``name``: the column of ``describe`` that misses the probes least, times a factor."""

    def pretrain(sources: Sources, design: Design, pool: np.ndarray, generator: np.random.Generator) -> Adapt:
        described = describe(sources, design)

        def adapt(probed: Probed, card: DeviceCard | None) -> Predict:
            rows, probe_ms = some_probes(name, probed)
            candidates = described[rows]  # p x d
            factors = (candidates * probe_ms[:, None]).sum(axis=0) / (candidates**2).sum(axis=0)
            misses = ((factors * candidates - probe_ms[:, None]) ** 2).sum(axis=0)
            best = int(misses.argmin())
            deviation = np.sqrt(misses[best] / max(len(rows) - 1, 1))

            def predict() -> Estimate:
                return gaussian_estimate(factors[best] * described[:, best], deviation, probed.mean_ms)

            return predict

        return adapt

    return pretrain


#: Uses the design's ridge description of every source device as its latencies.
pretrain = nearest_of("nearest", lambda sources, design: design.source)
