"""What would other hardware buy? Capabilities are turned, latencies and ranking follow; always an extrapolation."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from workbench.config import WorkbenchError
from workbench.data.table import LatencyTable
from workbench.insight import figures
from workbench.insight.comparison import shown
from workbench.insight.device_choice import DeviceChoice
from workbench.insight.html_table import html_table
from workbench.insight.labels import split_unit, spoken
from workbench.insight.panels.panel import Panel
from workbench.insight.panels.slot import FigureSlot
from workbench.insight.panels.tables import Tables
from workbench.insight.what_if import DOUBLINGS, KNOBS, TURNED, Change, WhatIf, base_of

BASES = 4  # the last ones are kept
SLIDERS = {
    "bandwidth": "Memory bandwidth ×",
    "peak": "Peak FLOP/s ×",
    "cores": "Cores ×",
    "clock": "Clock ×",
    "caches": "Cache sizes ×",
    "launch": "Launch overhead ×",
}
NOTE = (
    "Cores and clock turn the peaks with them. The prediction is that of the device as it is, times the ratio of what "
    "plausible devices take with the changed card and with its own: the software stays what it is. Cache sizes only "
    "widen the intervals: the rooflines know of no caches."
)
CODE = """from workbench.data.sources import load_table
from workbench.insight import figures
from workbench.insight.what_if import WhatIf, base_of

change = WhatIf(base_of({table}, {device!r})).change({factors!r})
figures.latency_change(change.drawn)
figures.rank_change(change.drawn, change.spearman, len(change.frame))"""


class WhatIfPanel(Panel):
    """Latencies and ranking on a device whose capabilities are multiplied.

    State: ``space``, ``device`` (measured, or of the catalog), and a factor for each of `KNOBS`, an eighth to eight.

    Example::

        WhatIfPanel(device="torch-eager_fp32_t1_b1", bandwidth=4)

    Args:
        table: latencies; those of the folders if None.
        data: folders of latency tables, see `load_table`.
        state: values to begin with, by name.
    """

    def __init__(self, table: LatencyTable | None = None, data: Sequence[str | Path] = (), **state: Any) -> None:
        self._tables = Tables(table, data)
        self._known: dict[tuple[str, str], WhatIf] = {}
        self.latencies, self.ranks, self.card = FigureSlot(), FigureSlot(), widgets.HTML()
        space = widgets.Dropdown(options=self._tables.spaces, description="Search space")
        device = widgets.Dropdown(description="Device to start from")
        sliders = {
            name: widgets.FloatLogSlider(
                value=1.0, base=2, min=-DOUBLINGS, max=DOUBLINGS, step=0.25, description=SLIDERS[name],
                readout_format=".2f",
            )
            for name in KNOBS
        }  # fmt: skip
        space.observe(lambda change: self._offer(device, change["new"]), names="value")
        self._offer(device, space.value)
        controls = {"space": space, "device": device, **sliders}
        ordered = {name: state[name] for name in controls if name in state} | state
        super().__init__(
            "What would other hardware buy?", controls, [[self.latencies, self.ranks], [self.card]], ordered
        )

    @property
    def code(self) -> str:
        """Python that makes the same figures."""
        state = self.state
        factors = {name: round(state[name], 4) for name in KNOBS if state[name] != 1}
        return CODE.format(table=self._tables.code(state["space"]), device=state["device"], factors=factors)

    def update(self, state: Mapping[str, Any]) -> str | None:
        """Predict the changed device; that it is an extrapolation is said above the figures."""
        try:
            study = self._study(state["space"], state["device"])
            change = study.change({name: state[name] for name in KNOBS})
        except WorkbenchError:
            self.card.value = ""
            raise
        self.latencies.draw(figures.latency_change(change.drawn))
        self.ranks.draw(figures.rank_change(change.drawn, change.spearman, len(change.frame)))
        self.card.value = card_html(study, change)
        return change.warning or None

    def _study(self, space: str, device: str | None) -> WhatIf:
        table = self._tables(space)
        if device is None:
            raise WorkbenchError(f"What-if expects a device to start from, got none in {space}; give a table with one.")
        if (space, device) not in self._known:
            if len(self._known) >= BASES:
                del self._known[next(iter(self._known))]
            self._known[space, device] = WhatIf(base_of(table, device))
        return self._known[space, device]

    def _offer(self, device: widgets.Dropdown, space: str) -> None:
        """Let measured devices and those of the catalog be chosen; the one that was stays, if it is among them."""
        try:
            options = DeviceChoice(self._tables(space)).options
        except WorkbenchError:  # `update` says it
            options = []
        names, before = [name for _, name in options], device.value
        device.options = options
        device.value = before if before in names else next(iter(names), None)


def card_html(study: WhatIf, change: Change) -> str:
    """The figures that can be turned, as they are and changed, and where the base is from."""
    heads = ("Capability", "Unit", "As it is", "Changed", "")
    rows = []
    for name in TURNED:
        before, after = getattr(study.card, name), getattr(change.card, name)
        if before is None:
            continue
        rows.append(
            (
                html.escape(spoken(name)),
                html.escape(split_unit(name)[1].replace("count", "")),
                shown(before),
                f"<b>{shown(after)}</b>" if after != before else shown(after),
                "assumed: not on the card" if name in study.assumed else "",
            )
        )
    told = f'<p style="line-height:1.5;max-width:70em">{html.escape(study.base.how)} {html.escape(NOTE)}</p>'
    return told + html_table(heads, rows, right=(2, 3))
