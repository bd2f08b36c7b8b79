"""Transfer to an unseen device: choose probes, pre-train on the sources, adapt in closed form."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from workbench.describe.dbsel import DEFAULT_SELECTOR, select_probes
from workbench.describe.design import Design
from workbench.devices.device import DeviceCard
from workbench.predictor import roofline
from workbench.predictor.adapt import HeadConfig, Posterior
from workbench.predictor.adapt import adapt as fit_head
from workbench.predictor.baselines import FLOORS, PEERS
from workbench.predictor.calibrate import SELECTION_WEIGHTS, interval_factor
from workbench.predictor.hodm import HODMConfig
from workbench.predictor.likely import Expected
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
from workbench.predictor.opinions import PriorMean, opinions
from workbench.predictor.roofline import ZeroShot
from workbench.training.fit import FitConfig, Pretrained, pretrain

#: Times that HODM is asked what it says of some probes without having heard them, and operators it is asked about at
#: most in all of these. Each takes as long as a prediction; asked once per probe, twenty probes would cost a space of
#: two thousand operators .4 s.
FOLDS, ASKED = 5, 6000


@dataclass(frozen=True)
class Transferred:
    """HODM adapted to one device.

    Args:
        estimate: milliseconds with calibrated 90 % intervals for all `a` networks.
        posterior: the Bayesian head (which probes look like outliers, whose opinion was trusted how far).
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


def own_opinion(pretrained: Pretrained, probed: Probed, card: DeviceCard | None) -> PriorMean:
    """HODM's prediction; each probe is predicted without itself and the others of its fold (of at most `FOLDS`, fewer
    where operators are many), so that the evidence judges HODM, not its memory (a single probe, which has no others,
    is remembered)."""
    place = {row: index for index, row in enumerate(pretrained.probes.tolist())}
    places = np.array([place[row] for row in probed.rows.tolist()])
    count, pool = len(places), len(pretrained.probes)
    readings, known = np.ones(pool), np.zeros(pool, dtype=bool)
    readings[places], known[places] = probed.ms, True
    own = pretrained.predict(readings[None], card, known[None])[:, 0]
    if count == 1:
        return PriorMean("hodm", own, own[probed.rows])
    folds = min(FOLDS, max(ASKED // pretrained.counts.shape[1], 2), count)
    fold = np.arange(count) % folds
    others = np.tile(known, (folds, 1))
    others[fold, places] = False
    judged = pretrained.predict(np.tile(readings, (folds, 1)), card, others, probed.rows)
    return PriorMean("hodm", own, judged[np.arange(count), fold])


def posterior_on(
    pretrained: Pretrained,
    design: Design,
    probed: Probed,
    card: DeviceCard | None,
    config: HeadConfig,
    expected: Expected | None,
) -> Posterior:
    """The Bayesian head around what HODM, the sources, the mean plausible device and the card say of a device."""
    priors = opinions(design.shapes, *probed, expected)
    if len(probed.ms) > 1:  # a single probe that is remembered would flatter HODM
        priors.append(own_opinion(pretrained, probed, card))
    return fit_head(design.blocks, *probed, priors, config)


def transfer(
    pretrained: Pretrained,
    design: Design,
    probed: Probed,
    card: DeviceCard | None,
    factor: float = 1.0,
    config: HeadConfig = HeadConfig(),
    expected: Expected | None = None,
) -> Transferred:
    """Adapt ``pretrained`` to a device from its probes; ``factor`` scales the intervals, ``expected`` is what its card
    lets expect (see `ZeroShot.expect`)."""
    posterior = posterior_on(pretrained, design, probed, card, config, expected)
    return Transferred(_estimate(posterior, factor), posterior, factor)


def calibrated_transfer(
    pretrained: Pretrained,
    sources: Sources,
    design: Design,
    probed: Probed,
    card: DeviceCard | None,
    generator: np.random.Generator,
) -> Transferred:
    """`transfer` to one device, with what its card lets expect and intervals stretched by `interval_factor`."""
    zero_shot = ZeroShot(sources, design)
    factor = interval_factor(sources, design, len(probed.ms), generator, zero_shot=zero_shot)
    return transfer(pretrained, design, probed, card, factor, expected=zero_shot.expect(card))


def _estimate(posterior: Posterior, factor: float) -> Estimate:
    mean, deviation = posterior.predict()
    return gaussian_estimate(mean, factor * deviation, posterior.probe_ms.mean())


def hodm(
    fit_config: FitConfig = FitConfig(), model_config: HODMConfig = HODMConfig(), head_config: HeadConfig = HeadConfig()
) -> Pretrain:
    """HODM as a method that `evaluation` can run; without a probe it says what the card says (zero-shot)."""

    def learn(sources: Sources, design: Design, probes: np.ndarray, generator: np.random.Generator) -> Adapt:
        pretrained = pretrain(sources, design, probes, generator, fit_config, model_config)
        zero_shot, sees = ZeroShot(sources, design), fit_config.capability
        factor = interval_factor(sources, design, len(probes), generator, head_config, zero_shot if sees else None)

        def adapt(probed: Probed, card: DeviceCard | None) -> Predict:
            card = card if sees else None
            if not len(probed.ms):
                return lambda: zero_shot.guess(card or DeviceCard("unknown")).estimate()
            known, expected = some_probes("hodm", probed), zero_shot.expect(card)
            posterior = posterior_on(pretrained, design, known, card, head_config, expected)
            return lambda: _estimate(posterior, factor)

        return adapt

    return learn


def without_dialogue(head_config: HeadConfig = HeadConfig()) -> Pretrain:
    """HODM without its dialogue: the Bayesian head around sources, plausible devices and cards, nothing is trained."""

    def learn(sources: Sources, design: Design, probes: np.ndarray, generator: np.random.Generator) -> Adapt:
        zero_shot = ZeroShot(sources, design)
        factor = interval_factor(sources, design, len(probes), generator, head_config, zero_shot)

        def adapt(probed: Probed, card: DeviceCard | None) -> Predict:
            known = some_probes("head", probed)
            priors = opinions(design.shapes, *known, zero_shot.expect(card))
            posterior = fit_head(design.blocks, *known, priors, head_config)
            return lambda: _estimate(posterior, factor)

        return adapt

    return learn


def without_head(fit_config: FitConfig = FitConfig(), model_config: HODMConfig = HODMConfig()) -> Pretrain:
    """HODM's dialogue alone: what it says of a device by itself.

    Its intervals are as wide as its misses on each probe predicted from the others. Nothing tells how far off it is
    with a single probe: its standard deviation is then taken to be as large as the prediction.
    """

    def learn(sources: Sources, design: Design, probes: np.ndarray, generator: np.random.Generator) -> Adapt:
        pretrained = pretrain(sources, design, probes, generator, fit_config, model_config)

        def adapt(probed: Probed, card: DeviceCard | None) -> Predict:
            known, card = some_probes("dialogue", probed), card if fit_config.capability else None
            own = own_opinion(pretrained, known, card)
            miss = np.sqrt(((own.probe_ms / known.ms - 1) ** 2).mean()) if len(known.ms) > 1 else 1.0
            return lambda: gaussian_estimate(own.ms, miss * np.abs(own.ms), known.mean_ms)

        return adapt

    return learn


def trained_methods(
    fit_config: FitConfig = FitConfig(), model_config: HODMConfig = HODMConfig()
) -> dict[str, Pretrain]:
    """HODM, and what is left of it without cards and without its head."""
    blind = replace(fit_config, capability=False)
    return {
        "hodm": hodm(fit_config, model_config),
        "signature": hodm(blind, model_config),
        "dialogue": without_head(fit_config, model_config),
    }


METHODS: dict[str, Pretrain] = {
    **trained_methods(),
    "head": without_dialogue(),
    "roofline": roofline.pretrain,
    **FLOORS,
    **PEERS,
}
