"""What can be said of cards without running anything: their hardware, their roof, and figures that cannot be right."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from workbench.config import WorkbenchError
from workbench.devices.device import CAPABILITY_FIELDS, DEFAULT_SOURCE, FAMILIES, DeviceCard, card_of, read_entries

#: The bundled card file.
CATALOG = Path(__file__).with_name("catalog.yaml")

#: Peak fields in the order in which they are taken for a device's roof, and what they are called.
PEAKS = {
    "peak_fp32_gflops": "fp32",
    "peak_bf16_gflops": "bf16",
    "peak_fp16_gflops": "fp16",
    "peak_int8_gops": "int8",
}

# The lowest and the highest figure that a real device has by kind of device (the end of its family's name), with a wide
# margin: what lies outside is in another unit.
PLAUSIBLE: dict[str, dict[str, tuple[float, float]]] = {
    "batch_size": {"": (1, 65536)},
    "threads": {"": (1, 4096)},
    "cores": {"cpu": (1, 512), "gpu": (1, 1024), "": (1, 1e6)},
    "clock_ghz": {"cpu": (0.1, 7), "gpu": (0.1, 4), "": (0.01, 4)},
    "peak_fp32_gflops": {"cpu": (0.5, 5e4), "gpu": (20, 5e5), "": (0.1, 1e6)},
    "peak_fp16_gflops": {"cpu": (0.5, 2e5), "gpu": (20, 1e7), "": (0.1, 1e7)},
    "peak_bf16_gflops": {"cpu": (0.5, 2e5), "gpu": (20, 1e7), "": (0.1, 1e7)},
    "peak_int8_gops": {"cpu": (0.5, 5e5), "gpu": (20, 2e7), "": (0.1, 2e7)},
    "memory_bandwidth_gbps": {"cpu": (0.5, 2e3), "gpu": (5, 2e4), "": (0.1, 2e4)},
    "l1_kib": {"": (4, 1024)},
    "l2_kib": {"cpu": (64, 65536), "": (16, 524288)},
    "l3_mib": {"": (0.25, 4096)},
    "memory_gib": {"cpu": (0.1, 16384), "": (0.1, 1024)},
    "l1_bandwidth_gbps": {"": (1, 1e6)},
    "l2_bandwidth_gbps": {"": (1, 1e6)},
    "l3_bandwidth_gbps": {"": (1, 1e5)},
    "launch_overhead_us": {"": (0.01, 1e4)},
    "conv_fp32_gflops": {"": (0.01, 1e6)},
    "depthwise_fp32_gflops": {"": (0.01, 1e6)},
    "elementwise_gbps": {"": (0.1, 5e4)},
    "reduction_gbps": {"": (0.1, 5e4)},
    "parallel_efficiency": {"": (0.01, 2)},
}

# fp32 operations per cycle of one core: two 512-bit multiply-adds on CPUs, 128 lanes or two times 64 on GPUs.
PER_CYCLE = {"cpu": (1, 64), "gpu": (8, 256)}
RIDGE = {"fp32": (0.5, 500), "bf16": (0.5, 2000), "fp16": (0.5, 2000), "int8": (0.5, 4000)}
TOLERANCE = 1.02  # published figures are rounded, measured ones uncertain


class Roof(NamedTuple):
    """What bounds a device: ``gflops`` (10^9 operations/s) in ``precision``, ``gbps`` (10^9 bytes/s) of its memory."""

    gflops: float
    precision: str
    gbps: float

    @property
    def ridge(self) -> float:
        """Operations per byte above which the arithmetic is the limit."""
        return self.gflops / self.gbps


def peak(card: DeviceCard) -> tuple[float, str] | None:
    """Peak in 10^9 operations/s, in fp32 where it is known, and the precision that it is in."""
    for name, precision in PEAKS.items():
        if getattr(card, name) is not None:
            return getattr(card, name), precision
    return None


def roof(card: DeviceCard) -> Roof | None:
    """The roof of ``card``; None where its peak or its memory bandwidth is not known."""
    found = peak(card)
    return None if found is None or card.memory_bandwidth_gbps is None else Roof(*found, card.memory_bandwidth_gbps)


def by_hardware(cards: Iterable[DeviceCard]) -> list[list[DeviceCard]]:
    """``cards`` in groups of the same hardware and the same figures, in the order in which they come."""
    groups: dict[tuple[object, ...], list[DeviceCard]] = {}
    for card in cards:
        figures = tuple(getattr(card, name) for name in CAPABILITY_FIELDS)
        groups.setdefault((card.hardware or card.name, *figures), []).append(card)
    return list(groups.values())


def check(path: str | Path) -> list[str]:
    """A sentence for every mistake in the card file ``path``; none if all is well.

    Raises:
        WorkbenchError: the file cannot be read, or is no card file at all.
    """
    entries, hardware = read_entries(path)
    sentences, cards = [], {}
    for name, entry in entries.items():
        try:
            cards[name] = card_of(name, entry, hardware, path)
        except WorkbenchError as error:
            sentences.append(str(error))
    return sentences + validate(cards)


def validate(cards: Mapping[str, DeviceCard]) -> list[str]:
    """A sentence for every figure of ``cards`` that has no source or cannot be right.

    Figures that were measured (the card has a passport, or says with how many threads) may disagree with the data
    sheet's arithmetic: a clock may be boosted, a precision emulated. Their source, unit and order are checked.
    """
    return [
        f"Device '{name}': {sentence}." for name, card in cards.items() for rule in RULES for sentence in rule(card)
    ]


def _family(card: DeviceCard) -> Iterator[str]:
    near = difflib.get_close_matches(card.family or "", FAMILIES, n=1, cutoff=0.8)
    if near and card.family not in FAMILIES:
        yield f"family '{card.family}' is none of the usual; did you mean '{near[0]}'"


def _sources(card: DeviceCard) -> Iterator[str]:
    for name in CAPABILITY_FIELDS:
        if getattr(card, name) is not None and not card.source_of(name):
            yield f"{name} has no source; name the document or the measurement that it is from"
    for name in card.source if isinstance(card.source, Mapping) else ():
        if name != DEFAULT_SOURCE and getattr(card, name) is None:
            yield f"there is a source for {name} but no figure; give the figure or drop its source"


def _units(card: DeviceCard) -> Iterator[str]:
    for name, ranges in PLAUSIBLE.items():
        value, (low, high) = getattr(card, name), ranges.get(card.kind, ranges[""])
        if value is not None and not low <= value <= high:
            kind = card.family or "device"
            yield f"{name} {value:g} is outside {low:g} to {high:g}, what a {kind} can have; check its unit"


def _order(card: DeviceCard) -> Iterator[str]:
    falling = ("l1_bandwidth_gbps", "l2_bandwidth_gbps", "l3_bandwidth_gbps", "memory_bandwidth_gbps")
    for (near, fast), (far, slow) in pairwise(_known(card, falling)):
        if fast * TOLERANCE < slow:
            yield f"{near} {fast:g} is below {far} {slow:g}; the nearer memory is the faster one"
    sizes = {"l1_kib": 1, "l2_kib": 1, "l3_mib": 1024, "memory_gib": 1024**2}
    for (near, small), (far, large) in pairwise(_known(card, sizes)):
        if small * sizes[near] >= large * sizes[far]:
            yield f"{near} {small:g} is not below {far} {large:g}; the nearer memory is the smaller one"


def _peaks(card: DeviceCard) -> Iterator[str]:
    if card.passport is not None or card.threads is not None:
        return
    for narrow in PEAKS:
        value, wide = getattr(card, narrow), card.peak_fp32_gflops
        if value is not None and wide is not None and value < wide:
            yield f"{narrow} {value:g} is below peak_fp32_gflops {wide:g}; a narrower type is no slower"
    low, high = PER_CYCLE.get(card.kind, (0.0, float("inf")))
    if card.peak_fp32_gflops is not None and card.cores is not None and card.clock_ghz is not None:
        per_cycle = card.peak_fp32_gflops / (card.cores * card.clock_ghz)
        if not low / TOLERANCE <= per_cycle <= high * TOLERANCE:
            yield (
                f"peak_fp32_gflops {card.peak_fp32_gflops:g} is {per_cycle:.3g} operations per cycle and core, outside "
                f"{low} to {high}; check the peak, the cores and the clock"
            )


def _ridge(card: DeviceCard) -> Iterator[str]:
    found = roof(card)
    if found is not None and not RIDGE[found.precision][0] <= found.ridge <= RIDGE[found.precision][1]:
        low, high = RIDGE[found.precision]
        yield (
            f"{found.precision} peak over memory_bandwidth_gbps is {found.ridge:.3g} operations per byte, outside "
            f"{low:g} to {high:g}; check both units"
        )


def _known(card: DeviceCard, names: Iterable[str]) -> list[tuple[str, float]]:
    return [(name, getattr(card, name)) for name in names if getattr(card, name) is not None]


#: What is checked of every card: each rule yields a sentence, without its end, for each mistake.
RULES: tuple[Callable[[DeviceCard], Iterator[str]], ...] = (_family, _sources, _units, _order, _peaks, _ridge)
