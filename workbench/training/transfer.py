"""Transfer to an unseen device: choose probes, pre-train on the sources, adapt in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.describe.dbsel import select_probes
from workbench.describe.design import Design
from workbench.devices.device import DeviceCard
from workbench.predictor.adapt import HeadConfig, Posterior, PriorMean
from workbench.predictor.adapt import adapt as fit_head
from workbench.predictor.baselines import FLOORS
from workbench.predictor.calibrate import SELECTION_WEIGHTS, interval_factor
from workbench.predictor.hodm import HODMConfig
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
from workbench.training.fit import FitConfig, Pretrained, pretrain

DEFAULT_SELECTOR = "d_optimal"


@dataclass(frozen=True)
class Transferred:
    """HODM adapted to one device.

    Args:
        estimate: milliseconds with calibrated 90 % intervals for all `a` networks.
        posterior: the Bayesian head (which probes look like outliers, how far HODM's own prediction was trusted).
        factor: how much the intervals were widened by calibration.
    """

    estimate: Estimate
    posterior: Posterior
    factor: float


def choose_probes(
    design: Design,
    count: int,
    generator: np.random.Generator,
    selector: str | None,
    candidates: np.ndarray | None = None,
) -> np.ndarray:
    """``count`` probe rows; see `select_probes`."""
    pool = design.candidates(SELECTION_WEIGHTS)
    return select_probes(selector or DEFAULT_SELECTOR, pool, count, generator, candidates)


def posterior_on(
    pretrained: Pretrained, design: Design, probe_ms: np.ndarray, card: DeviceCard | None, config: HeadConfig
) -> Posterior:
    """The Bayesian head around HODM's prediction for a device with these probe latencies (`p` ms)."""
    count = len(probe_ms)
    prior = None
    if count > 1:  # each probe is predicted from the others, so that the evidence judges HODM, not its memory
        own = pretrained.predict(probe_ms[None], card)[:, 0]
        repeated, hidden = np.tile(probe_ms, (count, 1)), ~np.eye(count, dtype=bool)
        others = pretrained.predict(repeated, card, hidden, pretrained.probes)
        prior = PriorMean(own, np.diagonal(others).copy())
    return fit_head(design.blocks, pretrained.probes, probe_ms, prior, config)


def transfer(
    pretrained: Pretrained,
    design: Design,
    probe_ms: np.ndarray,
    card: DeviceCard | None,
    factor: float = 1.0,
    config: HeadConfig = HeadConfig(),
) -> Transferred:
    """Adapt ``pretrained`` to a device from its probe latencies; ``factor`` scales the intervals."""
    posterior = posterior_on(pretrained, design, probe_ms, card, config)
    return Transferred(_estimate(posterior, factor), posterior, factor)


def _estimate(posterior: Posterior, factor: float) -> Estimate:
    mean, deviation = posterior.predict()
    return gaussian_estimate(mean, factor * deviation, posterior.probe_ms.mean())


def hodm(
    fit_config: FitConfig = FitConfig(), model_config: HODMConfig = HODMConfig(), head_config: HeadConfig = HeadConfig()
) -> Pretrain:
    """HODM as a method that `evaluation` can run."""

    def learn(sources: Sources, design: Design, probes: np.ndarray, generator: np.random.Generator) -> Adapt:
        pretrained = pretrain(sources, design, probes, generator, fit_config, model_config)
        factor = interval_factor(sources, design, len(probes), generator, head_config)

        def adapt(probed: Probed, card: DeviceCard | None) -> Predict:
            posterior = posterior_on(pretrained, design, some_probes("hodm", probed).ms, card, head_config)
            return lambda: _estimate(posterior, factor)

        return adapt

    return learn


METHODS: dict[str, Pretrain] = {"hodm": hodm(), **FLOORS}
