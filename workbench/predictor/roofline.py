"""Zero-shot prediction: what a device's card alone says about its latencies, corrected by what source devices showed.

`plausible` draws rooflines that agree with the card; their logarithmic mean is the first guess, their spread its
uncertainty. Every source device with a telling card was guessed in the same way, with the same random numbers, and is
known to have missed by so much on every network. A miss speaks for the target as far as both devices are alike: simple
kriging of log residuals (Matheron 1963) over capability space, where likeness falls with every figure that both cards
know, and with the family. The mean of a device's misses (its software is slower than thought) is partly common to all
devices; the shape of its misses over networks tells nothing about devices of another kind.

Where a few networks were measured, the level is known and only the shape is asked for: `Expectation` is the same guess
without logarithms, so that it is additive over operators as latency is, and a prior mean for the Bayesian head.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from workbench.describe.capability import ENTRIES, capability_vector
from workbench.describe.design import LEAST, Design
from workbench.describe.plausible import Plausible, usual_cost
from workbench.devices.device import DeviceCard
from workbench.predictor.likely import Expected
from workbench.predictor.method import Z90, Adapt, Estimate, Predict, Probed, Sources

#: Plausible devices per card, and the seed that all cards share.
DRAWS, SEED = 200, 0
#: Plausible devices that are asked which of them agree with probes, and how peculiar they are: how operators deviate is
#: inferred apart from that.
LIKELY, QUIRKS = 150, 0.3
#: Standard deviation of the logarithm that the rooflines' spread does not show: what no card tells.
UNTOLD = 0.3
#: Entries that say how a device was run, not what it can do.
SETTINGS = ("batch_size", "threads")
#: Other entries that a source's card must give to speak for the target: one that gives next to none is like everything.
TELLING = 2


class Kinship(NamedTuple):
    """Correlation of the misses of devices with equal cards, by how they are related; ``own`` is the variance that
    belongs to one device alone, beside it."""

    same_family: float
    same_class: float  # CPU, GPU, or other
    others: float
    own: float


#: A device's mean miss: a third of it is common to all, another third to the family or half of that to the class.
LEVEL = Kinship(0.75, 0.5, 0.35, 0.25)
#: Its misses on single networks; set by letting each source device of the published tasks be predicted from the others.
SHAPE = Kinship(1.0, 0.6, 0.0, 0.3)


class Guess(NamedTuple):
    """Natural logarithm of milliseconds for `a` networks: mean and standard deviation."""

    log_ms: np.ndarray
    sd: np.ndarray

    def estimate(self) -> Estimate:
        """Median and 90 % interval in milliseconds."""
        return Estimate(*(np.exp(self.log_ms + step * Z90 * self.sd) for step in (0.0, -1.0, 1.0)))


class Expectation(NamedTuple):
    """What a card lets expect of any networks of the space.

    Args:
        cost: `v` relative latency of one copy of each operator.
        weights: `d` of what the source devices take; zero for those that do not speak.
        costs: `v x s` of one copy of each operator on plausible devices with this card.
    """

    cost: np.ndarray
    weights: np.ndarray
    costs: np.ndarray

    def __call__(self, counts: np.ndarray, source: np.ndarray, deviations: np.ndarray) -> Expected:
        """Of networks with ``counts`` `a x v` (operators beyond `v` cost nothing) that the source devices take
        ``source`` `a x d` for, and whose operators may deviate as ``deviations`` `a x k` says."""
        known = counts[:, : len(self.cost)]
        usual = np.maximum(known @ self.cost.astype(known.dtype) + source @ self.weights, LEAST)  # counts are many
        return Expected(usual, known, self.costs, deviations)


class ZeroShot:
    """Guesses latencies from cards; see the module's docstring.

    Args:
        sources, design: the source side.
    """

    def __init__(self, sources: Sources, design: Design) -> None:
        self.networks, self._mean_ms = sources.networks, sources.mean_ms
        self._source, self._deviations = design.source, design.deviations
        known = [(place, sources.cards.get(name)) for place, name in enumerate(sources.devices)]
        self._known = {place: card for place, card in known if card and telling(card)}

    @property
    def cards(self) -> list[DeviceCard]:
        """The source devices that speak for others."""
        return list(self._known.values())

    @cached_property
    def misses(self) -> np.ndarray:
        """`a x d'` how far they were missed, natural logarithms."""
        columns = list(self._known)
        least = 1e-3  # the design is linear and may fall below zero
        actual = np.log(np.maximum(self._source[:, columns], least) * self._mean_ms[columns])
        return actual - np.stack([self._rooflines(card).log_ms for card in self.cards], 1) if columns else actual

    def expectation(self, card: DeviceCard | None, without: Collection[int] = ()) -> Expectation | None:
        """What ``card`` lets expect, as if the source devices ``without`` (columns) were not there: its weights are of
        the others. None without a card."""
        if card is None:
            return None
        kept = [column for column in range(len(self._mean_ms)) if column not in without]
        speaking = [column for column in kept if column in self._known]
        weights, costs = np.zeros(len(kept)), self._peculiar.costs(card)
        cost = usual_cost(self.networks, costs)
        if speaking:
            shares, _ = kriging_weights([self._known[column] for column in speaking], card, SHAPE)
            weights[[kept.index(column) for column in speaking]] = shares
            cost = cost - np.stack([self._costs[column] for column in speaking], axis=1) @ shares
        return Expectation(cost, weights, costs)

    def expect(self, card: DeviceCard | None) -> Expected | None:
        """What ``card`` lets expect of all `a` networks; None without a card."""
        found = self.expectation(card)
        return found(self.networks.counts, self._source, self._deviations) if found else None

    @cached_property
    def _costs(self) -> dict[int, np.ndarray]:
        costs = {column: self._peculiar.costs(card) for column, card in self._known.items()}
        return {column: usual_cost(self.networks, drawn) for column, drawn in costs.items()}

    @cached_property
    def _peculiar(self) -> Plausible:
        return Plausible.draw(self.networks, LIKELY, np.random.default_rng(SEED), QUIRKS)

    @cached_property
    def _usual(self) -> Plausible:
        return Plausible.draw(self.networks, DRAWS, np.random.default_rng(SEED))

    def guess(self, card: DeviceCard) -> Guess:
        """What ``card`` says."""
        first = self._rooflines(card)
        if not self.cards:
            return first
        levels = self.misses.mean(axis=0)
        level, explained = kriging_weights(self.cards, card, LEVEL)
        shape, _ = kriging_weights(self.cards, card, SHAPE)
        log_ms = first.log_ms + levels @ level + (self.misses - levels) @ shape
        return Guess(log_ms, first.sd * np.sqrt(1 - explained))

    def _rooflines(self, card: DeviceCard) -> Guess:
        drawn = self.networks.counts.astype(np.float64) @ self._usual.costs(card)
        logs = np.log(np.maximum(drawn, 1e-3 * drawn.mean(axis=0)))
        return Guess(logs.mean(axis=1), np.sqrt(logs.var(axis=1) + UNTOLD**2))


def kriging_weights(cards: Sequence[DeviceCard], card: DeviceCard, kinship: Kinship) -> tuple[np.ndarray, float]:
    """How far each source's miss speaks for the target, and the share of its variance that is explained so."""
    among = np.array([[likeness(one, other, kinship) for other in cards] for one in cards])
    among += kinship.own * np.eye(len(cards))
    towards = np.array([likeness(one, card, kinship) for one in cards])
    weights = np.linalg.solve(among, towards)
    return weights, float(np.clip(weights @ towards, 0.0, 0.95))


def telling(card: DeviceCard) -> bool:
    """Whether ``card`` names its family and gives enough figures to be compared with others."""
    known = dict(zip(ENTRIES, capability_vector(card).known, strict=True))
    return bool(card.family) and sum(known[entry] for entry in ENTRIES if entry not in SETTINGS) >= TELLING


def likeness(one: DeviceCard, other: DeviceCard, kinship: Kinship) -> float:
    """Correlation of two devices' misses, between 0 and 1; falls to exp(-1/2) of their kinship where one figure differs
    by a power of ten."""
    first, second = capability_vector(one), capability_vector(other)
    both = first.known & second.known
    both[ENTRIES.index("threads")] = False  # part of how a CPU was run, told by few cards
    apart = np.abs(first.values - second.values)[both]
    related = (one.family == other.family, one.kind == other.kind, True).index(True)
    return kinship[related] * float(np.exp(-0.5 * (apart**2).sum() / max(np.sqrt(both.sum()), 1.0)))


def pretrain(sources: Sources, design: Design, probes: np.ndarray, generator: np.random.Generator) -> Adapt:
    """The zero-shot guess as a method; probes, if there are any, set its scale and its intervals."""
    zero_shot = ZeroShot(sources, design)

    def adapt(probed: Probed, card: DeviceCard | None) -> Predict:
        guess = zero_shot.guess(card or DeviceCard("unknown"))

        def predict() -> Estimate:
            if not len(probed.ms):
                return guess.estimate()
            ratios = np.log(probed.ms) - guess.log_ms[probed.rows]
            spread = ratios.std(ddof=1) if len(ratios) > 1 else float(guess.sd.mean())
            return Guess(guess.log_ms + np.median(ratios), np.full_like(guess.sd, max(spread, 1e-3))).estimate()

        return predict

    return adapt
