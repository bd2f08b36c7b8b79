"""Devices side by side: their figures, each against the first device's, and a page with their rooflines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from workbench.config import WorkbenchError
from workbench.devices.catalog import peak, roof
from workbench.devices.device import CAPABILITY_FIELDS, NOT_CHECKED, DeviceCard
from workbench.insight.labels import plural, split_unit, spoken, written
from workbench.insight.plots.memory import rooflines
from workbench.insight.report import Section, write_report

CAPTION = (
    "A network with fewer operations per byte than the ridge waits for memory, one with more for arithmetic. Peaks are "
    "in fp32 where that is known, otherwise in the precision that the label names; they are what the sources state, "
    "which no network reaches."
)


NAMED = 4  # devices that the title names


def figures_of(cards: Mapping[str, DeviceCard]) -> pd.DataFrame:
    """The figures that at least one of ``cards`` gives: columns ``figure``, ``unit`` and one per name, NaN if unknown.

    Raises:
        WorkbenchError: no card gives any figure.
    """
    rows = [
        {"figure": spoken(field), "unit": split_unit(field)[1]}
        | {name: getattr(card, field) for name, card in cards.items()}
        for field in _known_fields(cards)
    ]
    if not rows:
        raise WorkbenchError(f"No figure is known of {', '.join(cards)}; choose other devices or complete their cards.")
    return pd.DataFrame(rows).astype(dict.fromkeys(cards, float))


def with_ratios(figures: pd.DataFrame) -> pd.DataFrame:
    """``figures`` as text, after the first device with the ratio to it: ``"3,350 (×2.15)"``; None if unknown.

    Counts have no ratio: a GPU's cores and a CPU's are not the same thing.
    """
    first, *others = list(figures.columns)[2:]
    table = figures.astype(object)
    table[first] = pd.Series(map(shown, figures[first]), dtype=object)
    for name in others:
        ratios = (figures[name] / figures[first]).mask(figures["unit"] == "count")
        cells = [
            shown(value) and shown(value) + ratio
            for value, ratio in zip(figures[name], map(_times, ratios), strict=True)
        ]
        table[name] = pd.Series(cells, dtype=object)
    return table


def _times(ratio: float) -> str:
    return "" if ratio != ratio else f"\N{NO-BREAK SPACE}(×{ratio:.3g})"


def shown(value: float) -> str | None:
    """``67000.0`` -> ``"67,000"``, ``1.98`` -> ``"1.98"``; None if it is not a number."""
    return None if value != value else written(float(value))


def roofs_of(cards: Mapping[str, DeviceCard]) -> pd.DataFrame:
    """One row per device as `rooflines` takes it: ``name, gflops, precision, gbps``, NaN where not known."""
    rows = []
    for name, card in cards.items():
        gflops, precision = peak(card) or (None, "")
        rows.append({"name": name, "gflops": gflops, "precision": precision, "gbps": card.memory_bandwidth_gbps})
    return pd.DataFrame(rows).astype({"gflops": float, "gbps": float})


def write_comparison(path: str | Path, cards: Mapping[str, DeviceCard]) -> Path:
    """Write one page that works offline: rooflines, figures with their ratios to the first device's, and their sources.

    Raises:
        WorkbenchError: no figure is known of any device, or ``path`` cannot be written.
    """
    table, (first, *others) = with_ratios(figures_of(cards)), cards
    if any(roof(card) for card in cards.values()):
        drawn = Section("Where memory ends and arithmetic begins", figure=rooflines(roofs_of(cards)), caption=CAPTION)
    else:
        drawn = Section(
            "Where memory ends and arithmetic begins",
            "No roofline can be drawn: no device has both a known peak and a known memory bandwidth.",
        )
    sections = [
        drawn,
        Section("Side by side", f"In brackets: how many times the figure of {first}." if others else "", table=table),
        Section("Sources", "Where each figure is from, or the arithmetic that leads to it.", table=_sources(cards)),
    ]
    unchecked = _unchecked(cards)
    note = (
        f"{plural(unchecked, 'figure')} not compared yet with the document that the source names." if unchecked else ""
    )
    return write_report(
        path,
        " · ".join(cards) if len(cards) <= NAMED else f"{first} and {len(cards) - 1} other devices",
        "What the devices can reach according to their cards. What is not known is said to be unknown, never guessed.",
        sections,
        eyebrow="Devices compared",
        footer=note,
    )


def _known_fields(cards: Mapping[str, DeviceCard]) -> list[str]:
    return [field for field in CAPABILITY_FIELDS if any(getattr(card, field) is not None for card in cards.values())]


def _sources(cards: Mapping[str, DeviceCard]) -> pd.DataFrame:
    """One row per device and document, with the figures that are from it."""
    rows: dict[tuple[str, str], list[str]] = {}
    for name, card in cards.items():
        for field in CAPABILITY_FIELDS:
            if getattr(card, field) is not None:
                rows.setdefault((name, card.source_of(field) or "not stated"), []).append(spoken(field))
    return pd.DataFrame(
        [{"device": name, "figures": ", ".join(fields), "source": text} for (name, text), fields in rows.items()]
    )


def _unchecked(cards: Mapping[str, DeviceCard]) -> int:
    texts = (card.source_of(field) or "" for card in cards.values() for field in CAPABILITY_FIELDS)
    return sum(text.startswith(NOT_CHECKED) for text in texts)
