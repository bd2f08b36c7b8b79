"""Floor: latency is a straight line in FLOPs, fitted to the probes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from workbench.data.networks import Networks
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


def line_in(name: str, quantity: Callable[[Networks], np.ndarray]) -> Pretrain:
    """The method called ``name``: latency is a straight line in one ``quantity`` of a network (networks -> `a`).

    It learns nothing from the source devices.
    """

    def pretrain(sources: Sources, design: Design, pool: np.ndarray, generator: np.random.Generator) -> Adapt:
        amount = quantity(sources.networks)

        def adapt(probed: Probed, card: DeviceCard | None) -> Predict:
            rows, probe_ms = some_probes(name, probed)
            terms = np.stack([np.ones(len(rows)), amount[rows]], axis=1)
            (constant, slope), *_ = np.linalg.lstsq(terms / amount.mean(), probe_ms, rcond=None)
            line = (constant + slope * amount) / amount.mean()
            deviation = np.sqrt(((line[rows] - probe_ms) ** 2).sum() / max(len(rows) - 2, 1))

            def predict() -> Estimate:
                return gaussian_estimate(line, deviation, probed.mean_ms)

            return predict

        return adapt

    return pretrain


pretrain = line_in("flops", lambda networks: networks.flops)
