"""What would a device with other capabilities take? Nobody has measured it, so the answer is an extrapolation.

It starts from a device as it is (`Base`): adapted to a few of its measurements, or guessed from its card alone.
Plausible devices (random rooflines, see `describe.plausible`) are then drawn twice with the same random numbers, once
with its card and once with the changed card. The base prediction times the mean ratio of their latencies is the answer.
So the hardware changes and the software stays what it is: what the device took beyond its rooflines, it takes
afterwards. More of a capability never makes a network slower. Rooflines know of no caches: their sizes widen the
interval, no more.

The interval adds three things up: that of the base; what plausible devices disagree in about the change (their standard
deviation over each doubling on the way, added up); and what a device may miss of its rooflines the more, the less it is
like the base (`predictor.roofline`). Each grows with the change, so the interval does.

Shapes: `a` networks, `s` plausible devices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from workbench.config import WorkbenchError, lookup
from workbench.data.networks import Networks
from workbench.data.table import LatencyTable
from workbench.describe.capability import ENTRIES, capability_vector
from workbench.describe.plausible import BANDWIDTH, CORES, FAMILIES, UNKNOWN_FAMILY, plausible_latencies
from workbench.devices.device import CAPABILITY_FIELDS, DeviceCard, catalog
from workbench.insight.labels import plural
from workbench.insight.left_out import rank_correlation
from workbench.insight.source_side import networks_at, source_side
from workbench.insight.transfer_study import TransferStudy
from workbench.predictor.method import Z90, Estimate
from workbench.predictor.roofline import SEED, UNTOLD, Kinship, ZeroShot, likeness, telling
from workbench.training.lesson import choose_sources

PEAKS = ("peak_fp32_gflops", "peak_fp16_gflops", "peak_bf16_gflops", "peak_int8_gops")
#: What can be turned -> the fields of a card that turn with it. A peak is cores times clock times what a core can do.
KNOBS: dict[str, tuple[str, ...]] = {
    "bandwidth": ("memory_bandwidth_gbps",),
    "peak": PEAKS,
    "cores": ("cores", *PEAKS),
    "clock": ("clock_ghz", *PEAKS),
    "caches": ("l1_kib", "l2_kib", "l3_mib"),
    "launch": ("launch_overhead_us",),
}
TURNED = tuple(dict.fromkeys(name for names in KNOBS.values() for name in names))
DOUBLINGS = 3  # up and down, at most
DRAWS = 100  # plausible devices
RANKED, SHOWN = 200, 14  # networks that are ranked, and of those that figures show
PROBES = 20  # measurements that a measured base is adapted to
MEASURED = 30  # networks measured on a device from which on it is adapted to them
CROWD = 1500  # networks that speak for a table where the base is guessed
KEPT = 64  # changes, the last ones

#: How far two devices' misses go along, by their figures alone.
FIGURES = Kinship(1.0, 1.0, 1.0, 0.0)


class Base(NamedTuple):
    """A device as it is.

    Args:
        card: what is known of it.
        networks: `a` networks.
        estimate: `a` milliseconds with 90 % intervals.
        how: one sentence on where they are from.
        known: the cards of measured devices, as far as they are `telling`.
    """

    card: DeviceCard
    networks: Networks
    estimate: Estimate
    how: str
    known: Mapping[str, DeviceCard]


@dataclass(frozen=True)
class Change:
    """A device after a change.

    Args:
        card: of the changed device.
        frame: ``arch, base_ms, base_low_ms, base_high_ms, base_rank, predicted_ms, low_ms, high_ms, rank``, one row per
            network; rank 1 is the fastest.
        spearman: rank correlation of the latencies before and after.
        warning: why it is an extrapolation, and how far it goes; empty where nothing is changed.
    """

    card: DeviceCard
    frame: pd.DataFrame
    spearman: float
    warning: str

    @property
    def drawn(self) -> pd.DataFrame:
        """`SHOWN` networks, evenly from the fastest to the slowest."""
        order = self.frame.sort_values("base_rank")
        places = np.unique(np.linspace(0, len(order) - 1, SHOWN).round().astype(int))
        return order.iloc[places]


class WhatIf:
    """See the module's docstring.

    Attributes:
        card: of the base, completed.
        assumed: fields that its card does not give and its family's usual values stand for.

    Example::

        WhatIf(base_of(load_table("fbnet"), "pixel3")).change({"bandwidth": 2}).frame
    """

    def __init__(self, base: Base) -> None:
        self.base = base
        self.card, self.assumed = completed(base.card)
        self._drawn: dict[tuple[float, ...], np.ndarray] = {}

    def change(self, factors: Mapping[str, float]) -> Change:
        """The device with some capabilities changed.

        Args:
            factors: key of `KNOBS` -> by what it is multiplied, an eighth to eight times.

        Raises:
            WorkbenchError: an unknown knob, or a factor out of range.
        """
        steps, card = _doublings(factors), changed(self.card, factors)
        before, base = self.base.estimate, self._logs(np.zeros(len(KNOBS)))
        shift = (self._logs(steps) - base).mean(axis=1)
        missed = UNTOLD * np.sqrt(2 * (1 - likeness(self.card, card, FIGURES)))
        more = np.hypot(self._disagreement(steps), missed)
        ms = before.ms * np.exp(shift)
        low = ms * np.exp(-np.hypot(np.log(before.ms / before.low_ms), Z90 * more))
        high = ms * np.exp(np.hypot(np.log(before.high_ms / before.ms), Z90 * more))
        frame = pd.DataFrame(
            {
                "arch": self.base.networks.archs,
                "base_ms": before.ms,
                "base_low_ms": before.low_ms,
                "base_high_ms": before.high_ms,
                "base_rank": _ranks(before.ms),
                "predicted_ms": ms,
                "low_ms": low,
                "high_ms": high,
                "rank": _ranks(ms),
            }
        )
        warning = _warning(card, self.base.known) if steps.any() else ""
        return Change(card, frame, rank_correlation(before.ms, ms), warning)

    def _disagreement(self, steps: np.ndarray) -> np.ndarray:
        """`a` standard deviations over plausible devices of the logarithmic ratio, added up over the doublings from the
        base to ``steps``: a sum of what is never negative, so it does not shrink on the way."""
        reach = np.abs(steps).max()
        if reach == 0:
            return np.zeros(len(self.base.networks))
        cells = int(np.ceil(reach - 1e-9))
        marks = [self._logs(steps * (cell / reach)) for cell in range(cells + 1)]
        spreads = [(after - before).std(axis=1) for before, after in pairwise(marks)]
        return np.sum(spreads[:-1], axis=0) + (reach - cells + 1) * spreads[-1]

    def _logs(self, steps: np.ndarray) -> np.ndarray:
        """`a x s` logarithms of the latencies on plausible devices whose knobs are turned by so many doublings."""
        key = tuple(np.round(steps, 6))
        if key not in self._drawn:
            if len(self._drawn) >= KEPT:
                del self._drawn[next(iter(self._drawn))]
            card = changed(self.card, dict(zip(KNOBS, 2.0 ** np.array(key), strict=True)))
            drawn = plausible_latencies(self.base.networks, DRAWS, np.random.default_rng(SEED), card)
            self._drawn[key] = np.log(np.maximum(drawn, 1e-3 * drawn.mean(axis=0)))
        return self._drawn[key]


def completed(card: DeviceCard) -> tuple[DeviceCard, tuple[str, ...]]:
    """``card`` with what its rooflines need, and the fields that were unknown: those have the median of the family."""
    family = FAMILIES.get(card.family or "", UNKNOWN_FAMILY)
    cores, clock = card.cores or CORES.median, card.clock_ghz or family.clock_ghz.median
    usual = {
        "batch_size": 1,
        "cores": cores,
        "clock_ghz": clock,
        "peak_fp32_gflops": cores * clock * family.flops_per_cycle.median,
        "memory_bandwidth_gbps": BANDWIDTH.median,
        "launch_overhead_us": family.launch_us.median,
    }
    missing = {name: value for name, value in usual.items() if getattr(card, name) is None}
    return replace(card, **missing), tuple(missing)


def changed(card: DeviceCard, factors: Mapping[str, float]) -> DeviceCard:
    """``card`` with its known figures multiplied; what it does not give stays unknown."""
    figures = {}
    for knob, factor in factors.items():
        for name in lookup("capability to change", KNOBS, knob):
            value = figures.get(name, getattr(card, name))
            if value is not None:
                figures[name] = value * factor
    return replace(card, name=f"{card.name}, changed", source=None, **figures)


def base_of(table: LatencyTable, device: str, seed: int = 0) -> Base:
    """``device`` as it is: adapted to `PROBES` measurements where ``table`` has them, else guessed from its card.

    Args:
        table: latencies of the space, cards beside it.
        device: of the table, or of the catalog.
        seed: draws the networks.

    Raises:
        WorkbenchError: an unknown device, one that nothing is known of, or no measured device to learn from.
    """
    cards = {**catalog(), **table.cards}
    lookup("device", {**cards, **dict.fromkeys(table.devices)}, device)
    card = cards.get(device)
    if card is None or not (card.family or any(getattr(card, name) is not None for name in CAPABILITY_FIELDS)):
        raise WorkbenchError(
            f"What-if expects a device with a card, got '{device}' of which only latencies are known; write its "
            f"devices.yaml, or choose another device."
        )
    known = {name: cards[name] for name in table.devices if name in cards and telling(cards[name])}
    here = device in table.devices and len(table.devices) > 1
    if here and table.column(device).notna().sum() >= MEASURED:
        return _adapted(TransferStudy(table, device, seed=seed), card, known)
    return _guessed(table, card, known, seed)


def _adapted(study: TransferStudy, card: DeviceCard, known: Mapping[str, DeviceCard]) -> Base:
    look = study.look(min(PROBES, study.most))
    frame = look.checks.head(RANKED)
    networks = networks_at(study.networks, study.networks.rows(frame["arch"].tolist()))
    estimate = Estimate(*(frame[name].to_numpy() for name in ("predicted_ms", "low_ms", "high_ms")))
    how = f"{study.target} as it is: adapted to {look.reads} of its measurements."
    return Base(card, networks, estimate, how, known)


def _guessed(table: LatencyTable, card: DeviceCard, known: Mapping[str, DeviceCard], seed: int) -> Base:
    devices = choose_sources(table, []) if table.devices else ()
    if not devices:
        raise WorkbenchError(
            f"A guess of '{card.name}' expects a measured device to learn from, got none; give a table that has one."
        )
    some = table.frame[list(devices)].dropna(how="all")
    if len(some) < 2:
        raise WorkbenchError(
            f"A guess of '{card.name}' expects at least 2 networks measured on some device, got {len(some)}; give a "
            f"larger table."
        )
    some = some.sample(min(CROWD, len(some)), random_state=seed)
    generator = np.random.default_rng(seed)
    sources, design = source_side(LatencyTable(table.space, some, known), devices, len(some), generator)
    rows = generator.permutation(len(some))[:RANKED]
    estimate = ZeroShot(sources, design).guess(replace(card, batch_size=card.batch_size or 1)).estimate()
    how = (
        f"{card.name} is not adapted to: guessed from its card and what {plural(len(known), 'measured device')} showed."
    )
    return Base(card, networks_at(sources.networks, rows), Estimate(*(part[rows] for part in estimate)), how, known)


def _doublings(factors: Mapping[str, float]) -> np.ndarray:
    """How many doublings each of `KNOBS` is turned by."""
    for name, factor in factors.items():
        lookup("capability to change", KNOBS, name)
        if not 2.0**-DOUBLINGS - 1e-9 <= factor <= 2.0**DOUBLINGS + 1e-9:
            raise WorkbenchError(
                f"What-if expects factors from 1/{2**DOUBLINGS} to {2**DOUBLINGS}, got {factor!r} for '{name}'; nobody "
                f"knows what lies beyond."
            )
    return np.log2([float(factors.get(name, 1.0)) for name in KNOBS])


def _ranks(ms: np.ndarray) -> np.ndarray:
    return pd.Series(ms).rank(method="first").to_numpy()


def _warning(card: DeviceCard, known: Mapping[str, DeviceCard]) -> str:
    """That it is an extrapolation, and from how far away."""
    told = "Extrapolation: no device with these figures was measured"
    if not known:
        return f"{told}, and no measured device has a card; the intervals are a guess."
    apart = {name: factor_apart(card, completed(other)[0]) for name, other in known.items()}
    nearest = min(apart, key=apart.__getitem__)
    return (
        f"{told}. The nearest that was, {nearest}, differs by a factor of {apart[nearest]:.3g} per figure; the "
        f"intervals widen with the change."
    )


def factor_apart(one: DeviceCard, other: DeviceCard) -> float:
    """By which factor two cards differ per figure that both give (root mean square of logarithms); NaN where there is
    none."""
    first, second = capability_vector(one), capability_vector(other)
    both = first.known & second.known
    both[ENTRIES.index("threads")] = False
    if not both.any():
        return float("nan")
    return float(10 ** np.sqrt(((first.values - second.values)[both] ** 2).mean()))
