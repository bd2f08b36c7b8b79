"""Devices to choose from, of the catalog and measured ones: their cards side by side, their roofs, their map."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from functools import cached_property

from workbench.config import WorkbenchError, lookup
from workbench.data.table import LatencyTable
from workbench.devices.device import CAPABILITY_FIELDS, DeviceCard, catalog
from workbench.insight.comparison import shown
from workbench.insight.device_map import DeviceMap, map_devices
from workbench.insight.html_table import html_table
from workbench.insight.labels import spoken, unit_of
from workbench.insight.show import fields_html

HOW = ("hardware", "family", "precision", "batch_size", "runtime", "threads", "passport")  # it was run
MAPPED = 300  # networks, at most: more move no point that could be seen
ENOUGH = 60  # networks that show where a device lies

#: A source's number, in a narrow column of its own: raised digits would read as powers.
NOTE = "display:inline-block;width:2.4em;text-align:left;padding-left:0.3em;opacity:0.65;font-size:75%"
UNKNOWN = '<span title="unknown" style="opacity:0.6">–</span>'


class DeviceChoice:
    """What is known of the devices of one space, and of those in the catalog.

    Args:
        table: measured latencies, with cards where there are any; it may be empty.
    """

    def __init__(self, table: LatencyTable) -> None:
        self.table = table
        self.cards: dict[str, DeviceCard] = {**catalog(), **table.cards}
        self._maps: dict[tuple[str, ...], DeviceMap] = {}

    @cached_property
    def options(self) -> list[tuple[str, str]]:
        """What a reader sees and the device's name: measured devices first, then the catalog's others."""
        measured = self.table.devices
        others = [name for name in self.cards if name not in measured]
        return [(f"{name} · measured", name) for name in measured] + [(name, name) for name in others]

    def cards_of(self, devices: Sequence[str]) -> dict[str, DeviceCard]:
        """The card of each of ``devices``, an empty one where there is none; an unknown device raises with the nearest
        name."""
        known = dict.fromkeys(name for _, name in self.options)
        for name in devices:
            lookup("device", known, name)
        return {name: self.cards.get(name, DeviceCard(name)) for name in devices}

    def map(self, devices: Sequence[str]) -> DeviceMap:
        """``devices`` among the others that were measured, on at most `MAPPED` networks.

        Raises:
            WorkbenchError: one was not measured, or too few networks and others were.
        """
        key = tuple(devices)
        if key not in self._maps:
            for name in key:
                lookup("measured device", dict.fromkeys(self.table.devices), name)
            chosen = self.table.frame[list(key)].dropna()
            everywhere = chosen.loc[self.table.frame.loc[chosen.index].notna().all(axis=1)]
            if len(everywhere) >= min(ENOUGH, len(chosen)):  # then no device is missing on the map
                chosen = everywhere
            some = chosen.sample(min(MAPPED, len(chosen)), random_state=0).sort_index()
            others = [name for name in self.table.devices if name not in key]
            known = LatencyTable(self.table.space, self.table.frame.loc[some.index, others], self.table.cards)
            self._maps[key] = map_devices(known, some)
        return self._maps[key]


def cards_html(cards: Mapping[str, DeviceCard]) -> str:
    """Cards side by side: one row per field that any of them knows, with its unit; numbers lead to the sources.

    Raises:
        WorkbenchError: nothing is known of any device.
    """
    rows = [field for field in (*HOW, *CAPABILITY_FIELDS) if any(getattr(c, field) is not None for c in cards.values())]
    if not rows:
        raise WorkbenchError(
            f"There is no card for {', '.join(cards) or 'no device'}: only latencies are known; write devices.yaml "
            f"beside the table, or choose other devices."
        )
    sources: dict[str, int] = {}
    body = [
        [html.escape(spoken(field)), html.escape(unit_of(field)), *(_cell(field, c, sources) for c in cards.values())]
        for field in rows
    ]
    table = html_table(["Field", "Unit", *cards], body, right=range(2, 2 + len(cards)))
    listed = "".join(f"<li>{html.escape(text)}</li>" for text in sources)
    below = f"<details><summary>Sources ({len(sources)})</summary><ol>{listed}</ol></details>" if sources else ""
    bare = [name for name, card in cards.items() if not card.known()]
    if bare:
        below = f"<p>No card: {html.escape(', '.join(bare))}. What is known of them are latencies.</p>{below}"
    return f"{table}{below}"


def _cell(field: str, card: DeviceCard, sources: dict[str, int]) -> str:
    value = getattr(card, field)
    if value is None:
        return UNKNOWN
    if field not in CAPABILITY_FIELDS:
        return html.escape(str(value))
    source = card.source_of(field) or "not stated"
    number = sources.setdefault(source, len(sources) + 1)
    return f"{shown(value)}<span title='{html.escape(source, quote=True)}' style='{NOTE}'>[{number}]</span>"


def passport_html(fields: Mapping[str, object]) -> str:
    """What decides the numbers of this machine, folded away below one line; what is not known is left out."""
    processor, passport = fields.get("cpu_model") or "processor unknown", fields.get("passport") or "unknown"
    title = html.escape(f"This machine: {processor}, passport {passport}")
    return f"<details><summary>{title}</summary>{fields_html(fields)}</details>"
