"""Which few networks to measure: probes on the map of all networks, what they promise, what they were worth."""

from __future__ import annotations

import hashlib
import html
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import plotly.graph_objects as go

from workbench.config import WorkbenchError
from workbench.data.sources import devices_of
from workbench.data.table import LatencyTable
from workbench.describe.dbsel import DEFAULT_SELECTOR, SELECTORS
from workbench.insight.labels import capital, plural, short_arch
from workbench.insight.panels.captioned import captioned
from workbench.insight.panels.panel import Held, Panel
from workbench.insight.panels.slot import FigureSlot
from workbench.insight.probe_figures import list_name, probe_figures, probe_table
from workbench.insight.probe_pool import Choice
from workbench.insight.probe_study import MOST, ProbeStudy, open_study, write_probes
from workbench.spaces import SPACES, get_space

HELP = (
    "Click a probe on the map to lock it, or to unlock it. Click any other network to take it in place of the probe "
    "that is chosen in the list."
)
TEXT = '<div role="status" style="line-height:1.4;overflow-wrap:anywhere">{}</div>'
CODE = """from workbench.insight.panels.dbsel import DBSelPanel
{panel}

# or without the panel
from workbench.insight.probe_figures import probe_figures, probe_table
from workbench.insight.probe_study import Choice, {function}

study = {study}
choice = Choice({selector!r}, {probes}, {seed}, {locked!r}, {swapped!r})
probe_figures(study, choice)["architecture_map"].show()
probe_table(study, choice)"""
#: The figures, in the order of their slots.
FIGURES = ("architecture_map", "expected_width", "left_out_curve", "rank_disagreement", "network_drawings")


class DBSelPanel(Panel):
    """A choice of probes, to look at and to change.

    Args:
        data: folders of latency tables, see `load_table`.
        table: source devices and networks, instead of those of the folders.
        samples: networks to learn from.
        out: folder for the list of probes and the probe pack.
        state: first values: ``space``, ``probes``, ``selector``, ``seed``, ``sources`` (none: all devices), ``locked``
            and ``swapped`` (archs that are probes, and that are none, whatever the selector says).
    """

    def __init__(
        self,
        data: Sequence[str | Path] = (),
        table: LatencyTable | None = None,
        samples: int = 900,
        out: str | Path = "../reports/probes",
        **state: Any,
    ) -> None:
        self.study: ProbeStudy | None = None
        self.probe_archs: list[str] = []
        self._data, self._table, self._samples, self._out = list(map(str, data)), table, samples, Path(out)
        self._studies: dict[tuple[str, ...], ProbeStudy] = {}
        self._clickable: go.FigureWidget | None = None
        spaces = list(SPACES) if table is None else [table.space]
        controls = {
            "space": widgets.Dropdown(options=spaces, description="Search space"),
            "probes": widgets.IntSlider(10, 1, MOST, description="Probes"),
            "selector": widgets.Dropdown(options=list(SELECTORS), value=DEFAULT_SELECTOR, description="Selector"),
            "seed": widgets.BoundedIntText(0, 0, 2**31 - 1, description="Seed"),
            "sources": widgets.SelectMultiple(description="Sources (none: all)", rows=4),
            "locked": Held(value=[]),
            "swapped": Held(value=[]),
        }
        self._slots = {name: FigureSlot(width) for name, width in zip(FIGURES, _WIDTHS, strict=True)}
        self._origin = widgets.HTML()
        self._listed = widgets.HTML(layout=widgets.Layout(flex="1 1 0", min_width="420px", align_self="flex-start"))
        rows = [
            [self._origin],
            [self._slots["architecture_map"], self._tools()],
            [self._slots["expected_width"], self._slots["left_out_curve"]],
            [self._slots["rank_disagreement"], self._listed],
            [self._slots["network_drawings"]],
        ]
        controls["space"].observe(self._another_space, names="value")
        self._offer_devices(controls)
        super().__init__("Which networks to measure", controls, rows, state)

    @property
    def choice(self) -> Choice:
        """The state, but for what there is to choose from."""
        state = self.state
        archs = (tuple(state[name]) for name in ("locked", "swapped"))
        return Choice(state["selector"], state["probes"], state["seed"], *archs)

    @property
    def code(self) -> str:
        """Python that shows the same panel again, and that makes its figures without it."""
        state = self.state
        if self._table is None:
            given = repr(self._data)
            study = f"open_study({state['space']!r}, {given}, {state['sources']!r}, {self._samples})"
        else:
            chosen = f".select({state['sources']!r})" if state["sources"] else ""
            given, study = "table=table", f"ProbeStudy(table{chosen}, {self._samples})"
        values = ", ".join(f"{name}={value!r}" for name, value in state.items())
        panel = f"DBSelPanel({given}, samples={self._samples}, {values})"
        parts = {name: state[name] for name in ("selector", "probes", "seed")}
        parts |= {name: tuple(state[name]) for name in ("locked", "swapped")}
        return CODE.format(panel=panel, study=study, function=study.partition("(")[0], **parts)

    def update(self, state: Mapping[str, Any]) -> str | None:
        """Draw what follows from ``state``."""
        before, self.probe_archs, self.study = self.probe_archs, [], None
        try:
            study, choice = self._open(state), self.choice
            drawn = probe_figures(study, choice)
            self.study, self.probe_archs = study, study.archs(choice)
        finally:
            self._list_probes(before)
        for name, slot in self._slots.items():
            if name in drawn:
                slot.draw(drawn[name])
            else:
                slot.clear()
        self._make_clickable()
        self._origin.value = TEXT.format(html.escape(study.origin))
        self._listed.value = captioned(probe_table(study, choice).rename(columns=capital), "The probes")
        return " ".join(_warnings(study, choice)) or None

    def export_list(self) -> Path:
        """Write the probes, one arch a line, into the folder ``out``.

        Raises:
            WorkbenchError: there are no probes, or the file cannot be written.
        """
        study = self._ready()
        return write_probes(self._out / list_name(study, self.choice), self.probe_archs)

    def export_pack(self) -> Path:
        """Write the probes as a probe pack into the folder ``out``; takes about a second per network.

        Raises:
            WorkbenchError: there are no probes, the onnx extra is missing, or the pack exists already.
        """
        from workbench.devices.backends import BACKENDS
        from workbench.profiling.probepack.make import make_pack

        study = self._ready()
        BACKENDS["onnxruntime"].require()
        digest = hashlib.sha256("\n".join(self.probe_archs).encode()).hexdigest()[:8]
        path = self._out / f"{study.networks.space}_{len(self.probe_archs)}_probes_{digest}.zip"
        return make_pack(get_space(study.networks.space), self.probe_archs, path, progress=self._packing).path

    def lock(self, arch: str) -> None:
        """Keep the network ``arch`` among the probes, or no longer if it is locked."""
        locked, swapped = self.controls["locked"].value, self.controls["swapped"].value
        kept = [name for name in locked if name != arch]
        self.set(locked=kept if arch in locked else [*locked, arch], swapped=[name for name in swapped if name != arch])

    def swap(self, out: str | None, taken: str | None = None) -> None:
        """Take the network ``taken``, or the next best if None, in place of the probe ``out``."""
        leaving, coming = ([name] if name else [] for name in (out, taken))
        locked = [name for name in self.controls["locked"].value if name not in (out, taken)]
        swapped = [name for name in self.controls["swapped"].value if name not in (out, taken)]
        before = set(self.probe_archs)
        self.set(locked=[*locked, *coming], swapped=[*swapped, *leaving])
        new = [arch for arch in self.probe_archs if arch not in before]
        if new:
            self._chosen.value = new[0]

    def _open(self, state: Mapping[str, Any]) -> ProbeStudy:
        sources = tuple(state["sources"])
        if self._table is None:
            return open_study(state["space"], self._data, sources, self._samples)
        if sources not in self._studies:
            table = self._table.select(sources) if sources else self._table
            self._studies[sources] = ProbeStudy(table, self._samples)
        return self._studies[sources]

    def _ready(self) -> ProbeStudy:
        if self.study is None:
            raise WorkbenchError("There are no probes to export; change the panel until it shows some.")
        return self.study

    def _another_space(self, change: object) -> None:
        with self._silence():
            self._offer_devices(self.controls)
            for name in ("locked", "swapped"):
                self.controls[name].value = []

    def _offer_devices(self, controls: Mapping[str, Any]) -> None:
        try:
            table = self._table
            found = devices_of(controls["space"].value, self._data) if table is None else table.devices
            controls["sources"].options = found
        except WorkbenchError:
            controls["sources"].options = ()  # `update` meets the same error, and says so

    # what stands beside the map

    def _tools(self) -> widgets.Widget:
        wide = widgets.Layout(width="auto")
        self._chosen = widgets.Select(description="Probe", rows=12, layout=wide)
        self._chosen.style.description_width = "initial"
        self._note = widgets.HTML()
        self._lock = widgets.Button(description="Lock", layout=wide)
        buttons = {
            self._lock: lambda _: self._chosen.value and self.lock(self._chosen.value),
            widgets.Button(description="Swap for the next best", layout=wide): lambda _: self._swap_chosen(),
            widgets.Button(description="Undo all locks and swaps", layout=wide): lambda _: self._undo(),
            widgets.Button(description="Export the list", layout=wide): lambda _: self._export(self.export_list),
            widgets.Button(description="Export the probe pack", layout=wide): lambda _: self._export(self.export_pack),
        }
        for button, pressed in buttons.items():
            button.on_click(pressed)
        self._chosen.observe(lambda _: self._name_lock(), names="value")
        layout = widgets.Layout(flex="0 1 270px", min_width="230px", align_self="flex-start")
        return widgets.VBox([widgets.HTML(TEXT.format(HELP)), self._chosen, *buttons, self._note], layout=layout)

    def _list_probes(self, before: Sequence[str]) -> None:
        locked = self.controls["locked"].value
        options = [
            (f"{number}. {short_arch(arch)}{' (locked)' if arch in locked else ''}", arch)
            for number, arch in enumerate(self.probe_archs, 1)
        ]
        if list(self._chosen.options) != options:
            chosen = self._chosen.value
            self._chosen.options = options
            if options:
                self._chosen.value = chosen if chosen in self.probe_archs else self.probe_archs[0]
        if not options:
            self._listed.value = self._origin.value = ""
        if before != self.probe_archs:
            self._note.value = ""
        self._name_lock()

    def _name_lock(self) -> None:
        self._lock.description = "Unlock" if self._chosen.value in self.controls["locked"].value else "Lock"

    def _swap_chosen(self) -> None:
        if self._chosen.value:
            self.swap(self._chosen.value)

    def _undo(self) -> None:
        self.set(locked=[], swapped=[])

    def _make_clickable(self) -> None:
        widget = self._slots["architecture_map"].widget
        if widget is not self._clickable:
            self._clickable = widget
            for trace in widget.data:
                trace.on_click(self._clicked)

    def _clicked(self, trace: go.Scatter, points: Any, device: Any) -> None:
        if not points.point_inds or self.study is None:
            return
        probes = self.study.probes(self.choice)
        drawn = [self.study.overview["arch"].iloc[self.study.crowd]]
        drawn += [probes.loc[probes["locked"] == locked, "arch"] for locked in (False, True)]
        arch = drawn[points.trace_index].iloc[points.point_inds[0]]
        if arch in self.probe_archs:
            self._chosen.value = arch
            self.lock(arch)
        else:
            self.swap(self._chosen.value, arch)

    def _export(self, export: Any) -> None:
        try:
            path = export()
            self._note.value = TEXT.format(f"Written: {html.escape(str(path))}")
        except WorkbenchError as error:
            self._note.value = TEXT.format(html.escape(str(error)))

    def _packing(self, done: int, total: int) -> None:
        self._note.value = TEXT.format(f"Packing: {done} of {plural(total, 'network')} ...")


_WIDTHS = ("480px", "420px", "520px", "420px", "640px")


def _warnings(study: ProbeStudy, choice: Choice) -> Iterator[str]:
    if len(choice.locked) > choice.count:
        yield f"{len(choice.locked)} probes are locked, so there are more than {choice.count}; unlock some."
    if not study.understudies:
        yield "No source device can be left out: that takes two of them, measured on 20 of the same networks."
    elif choice.count > study.horizon:
        yield (
            f"Where a source is left out, curves end at {study.horizon} probes: no more are left to test on with the "
            f"networks that were measured."
        )
