"""Devices side by side, and this machine measured in the background."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import plotly.graph_objects as go
from plotly.io import from_json

from workbench import jobs
from workbench.config import WorkbenchError, project_home
from workbench.data.table import LatencyTable
from workbench.devices.backends import get_platforms
from workbench.devices.catalog import roof
from workbench.devices.detect import detect, fingerprint
from workbench.devices.device import DeviceCard
from workbench.insight import figures
from workbench.insight.campaign_report import passport_fields
from workbench.insight.comparison import roofs_of
from workbench.insight.device_choice import DeviceChoice, cards_html, passport_html
from workbench.insight.panels.job_control import JobControl
from workbench.insight.panels.panel import Panel
from workbench.insight.panels.slot import FigureSlot
from workbench.insight.panels.tables import Tables
from workbench.insight.plots.memory import rooflines

FIRST = 3  # measured devices that are chosen to begin with


class DevicePanel(Panel):
    """Cards, rooflines and map of the chosen devices; the campaign on this machine that works in ``folder``.

    State: ``space``, ``devices`` (of the catalog, or measured), and of a campaign ``platforms``, ``networks``,
    ``budget_s`` and ``device`` (what this machine is called in tables).

    Example::

        DevicePanel(devices=["titan_rtx_1", "raspi4"])

    Args:
        data: folders of latency tables, see `load_table`.
        table: instead of those in ``data``.
        folder: where the campaign writes; ``reports/campaign`` of the project if None.
        campaign: what differs from the usual `CampaignConfig`, by name.
        state: values to begin with, by name.
    """

    def __init__(
        self,
        data: Sequence[str | Path] = (),
        table: LatencyTable | None = None,
        folder: str | Path | None = None,
        campaign: Mapping[str, Any] | None = None,
        **state: Any,
    ) -> None:
        self._tables, self._campaign = Tables(table, data), dict(campaign or {})
        self._choices: dict[str, DeviceChoice] = {}
        self._shown: tuple[str, ...] = ()  # space and devices
        self._unshown: list[str] = []  # what could not be drawn of them
        self._drawn_at: float | None = None
        self._cards, self._passport, self._about = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self._cards.layout.width = self._passport.layout.width = self._about.layout.width = "100%"
        self._roofs, self._map, self._timeline = FigureSlot(), FigureSlot(), FigureSlot()
        self._passport.value = passport_html(passport_fields(fingerprint(detect())))
        self.work = JobControl(
            "profile", folder or project_home() / "reports" / "campaign", "campaign", self._arguments, self.refresh
        )
        super().__init__(
            "Devices",
            self._controls(),
            [
                [self._cards],
                [self._roofs, self._map],
                [self._passport],
                [self.work.buttons, self.work.text],
                [self._about],
                [self._timeline],
            ],
            state,
        )

    def start(self) -> None:
        """Start the campaign that the state describes; nothing happens where one is running."""
        self.work.start()

    def stop(self) -> None:
        """Stop the campaign that is running; what it measured is kept, and starting again continues it."""
        self.work.stop()

    def update(self, state: Mapping[str, Any]) -> str | None:
        """Show the chosen devices, and the newest campaign in the folder."""
        key = (state["space"], *state["devices"])
        if key != self._shown:  # drawing costs what a campaign would notice
            self._shown, self._unshown = key, self._show_devices(state)
        try:
            self._show_campaign(self.work.look())
        except WorkbenchError as error:
            return " ".join([*self._unshown, str(error)])
        return " ".join(filter(None, [*self._unshown, self.work.complaint])) or None

    @property
    def code(self) -> str:
        """Python that draws the figures, and starts the same campaign."""
        state = self.state
        measured = [name for name in state["devices"] if name in self._tables.devices(state["space"])]
        asked = "".join(f"    {name}={value!r},\n" for name, value in self._wanted().items())
        lines = [
            "from workbench import jobs",
            "from workbench.data.sources import load_table",
            "from workbench.insight import figures",
            "from workbench.insight.comparison import roofs_of",
            "from workbench.insight.device_choice import DeviceChoice",
            "from workbench.insight.plots.memory import rooflines",
            "",
            f"choice = DeviceChoice({self._tables.code(state['space'])})",
            f"rooflines(roofs_of(choice.cards_of({state['devices']!r})))",
            f"found = choice.map({measured!r})",
            "figures.device_map(found.points, *(axis.title for axis in found.axes))",
            "",
            f'job = jobs.start(\n    "profile",\n    {str(self.work.folder)!r},\n{asked})',
        ]
        return "\n".join(lines)

    def _controls(self) -> dict[str, widgets.Widget]:
        space = widgets.Dropdown(options=self._tables.spaces, description="Search space")
        self._devices = widgets.SelectMultiple(description="Devices", rows=6)
        here = [platform.name for platform in get_platforms(None)]
        platforms = widgets.SelectMultiple(options=here, value=here[:1], description="Platforms to run", rows=6)
        networks = widgets.BoundedIntText(value=60, min=2, max=15_625, description="Networks to run")
        budget = widgets.BoundedIntText(value=240, min=1, max=604_800, description="Time limit (s)")
        device = widgets.Text(value="mine", description="This machine's name")
        space.observe(lambda change: self._offer(change["new"]), names="value")
        self._offer(space.value)
        self._devices.value = self._tables.devices(space.value)[:FIRST]
        return {
            "space": space,
            "devices": self._devices,
            "platforms": platforms,
            "networks": networks,
            "budget_s": budget,
            "device": device,
        }

    def _wanted(self) -> dict[str, Any]:
        state = self.state
        return {name: state[name] for name in ("space", "platforms", "networks", "budget_s", "device")} | (
            {"campaign": self._campaign} if self._campaign else {}
        )

    def _arguments(self) -> dict[str, Any]:
        wanted = self._wanted()
        if not wanted["platforms"]:
            raise WorkbenchError("A campaign expects a platform to measure on, got none; choose at least one.")
        return wanted

    def _offer(self, space: str) -> None:
        """Let the devices be chosen that are known in ``space``; those that stay, stay chosen."""
        try:
            options = self._choice(space).options
        except WorkbenchError:  # `update` says it
            options = []
        names = [name for _, name in options]
        kept = [name for name in self._devices.value if name in names]
        self._devices.options = options
        self._devices.value = kept

    def _choice(self, space: str) -> DeviceChoice:
        if space not in self._choices:
            self._choices[space] = DeviceChoice(self._tables(space))
        return self._choices[space]

    def _show_devices(self, state: Mapping[str, Any]) -> list[str]:
        """Cards, rooflines and map; a sentence for each that cannot be shown."""
        self._cards.value, said = "", []
        try:
            choice, chosen = self._choice(state["space"]), state["devices"]
            cards = choice.cards_of(chosen)
            if not chosen:
                raise WorkbenchError("The cards expect at least one device, got none; choose some.")
        except WorkbenchError as error:
            self._roofs.clear()
            self._map.clear()
            return [str(error)]
        try:
            self._cards.value = cards_html(cards)
        except WorkbenchError as error:
            said.append(str(error))
        said += _drawn(self._roofs, lambda: _rooflines(cards))
        flat = [name for name, card in cards.items() if roof(card) is None]
        if self._roofs.figure is not None and flat:
            said.append(f"Without a roofline, since its peak or bandwidth is not known: {', '.join(flat)}.")
        measured = [name for name in chosen if name in choice.table.devices]
        if measured:
            said += _drawn(self._map, lambda: _device_map(choice, measured))
        else:
            self._map.clear()
        return said

    def _show_campaign(self, found: tuple[jobs.Job, jobs.Progress] | None) -> None:
        payload = found[1].payload if found else {}
        self._about.value = _about(*found) if found else ""
        drawn_at = payload.get("drawn_at")
        if drawn_at is None:
            self._timeline.clear()
        elif drawn_at != self._drawn_at:
            try:
                self._timeline.draw(from_json(Path(payload["timeline"]).read_text(encoding="utf-8")))
            except (OSError, ValueError):  # it was moved away with its folder
                self._timeline.clear()
        self._drawn_at = drawn_at


def _drawn(slot: FigureSlot, draw: Callable[[], go.Figure]) -> list[str]:
    """Draw into ``slot``; what speaks against it, if anything."""
    try:
        slot.draw(draw())
    except WorkbenchError as error:
        slot.clear()
        return [str(error)]
    return []


def _rooflines(cards: Mapping[str, DeviceCard]) -> go.Figure:
    if not any(map(roof, cards.values())):
        raise WorkbenchError(
            f"No roofline: the peak and the bandwidth of {', '.join(cards)} are not known; choose another device too."
        )
    return rooflines(roofs_of({name: card for name, card in cards.items() if roof(card)}))


def _device_map(choice: DeviceChoice, measured: Sequence[str]) -> go.Figure:
    found = choice.map(measured)
    return figures.device_map(found.points, *(axis.title for axis in found.axes), new_ones="chosen")


def _about(job: jobs.Job, progress: jobs.Progress) -> str:
    """What the campaign was asked for, what the stability gate said, where the results are."""
    asked, found = job.arguments, progress.payload
    parts = [f"Asked for: {asked['space']} on {', '.join(asked['platforms'])}."]
    if found.get("stability"):
        parts.append(f"At the start: {found['stability']}")
    if found.get("page"):
        parts.append(f"Tables and {Path(found['page']).name} are in {job.folder}.")
    return html.escape(" ".join(parts))
