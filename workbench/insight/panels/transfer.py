"""How well is a device predicted that was never seen? One more measurement, and everything follows."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np
import plotly.graph_objects as go

from workbench.config import WorkbenchError
from workbench.data.table import LatencyTable
from workbench.insight.html_table import html_table
from workbench.insight.labels import plural
from workbench.insight.panels.panel import Held, Panel
from workbench.insight.panels.slot import FigureSlot
from workbench.insight.panels.tables import Tables
from workbench.insight.template import LEGEND, TOP_MARGIN
from workbench.insight.transfer_study import HEAD, HODM, MOST, ZERO_SHOT, Look, TransferStudy
from workbench.training.adapted import AdaptedPredictor

STUDIES = 4  # the last ones are kept: back to a device that was looked at takes no time
METHODS = {
    HODM: "HODM, the given model",
    HEAD: "HODM without training",
    ZERO_SHOT: "Zero-shot from the card, scaled",
    "linear": "Floor: linear",
    "nearest": "Floor: nearest source",
    "flops": "Floor: FLOPs",
}
SHOWN = {  # metric -> title, format, scale
    "spearman": ("Spearman", "{:.3f}", 1),
    "rae": ("RAE", "{:.3f}", 1),
    "mdape": ("Median error (%)", "{:.1f}", 100),
    "acc10": ("Share within 10 % (%)", "{:.0f}", 100),
    "coverage90": ("Coverage of the 90 % interval (%)", "{:.0f}", 100),
    "width90": ("Its width (% of the prediction)", "{:.0f}", 100),
}
CODE = """from workbench.data.sources import load_table
from workbench.insight.transfer_study import TransferStudy

study = TransferStudy({table}, {target!r}, {sources!r}, seed={seed!r}{model})
look = study.look({probes!r}, {method!r}, {extra!r})
look.figures["predicted_against_measured"]
look.figures["error_by_quantile"]
look.scores"""


class TransferPanel(Panel):
    """A device that nothing was learnt from, predicted from a number of its measurements.

    A click on a network in the figure measures it, too; a button measures the one with the widest interval.

    State: ``space``, ``target``, ``method`` (key of `METHODS`), ``probes`` (how many are measured, in DBSel's order),
    ``seed``, and without a control ``sources`` (devices to learn from; none: see `choose_sources`) and ``extra`` (archs
    that are measured beside the probes).

    Example::

        TransferPanel(target="torch-eager_fp32_t1_b1", probes=5)

    Args:
        table: latencies; those of the folders if None.
        data: folders of latency tables, see `load_table`.
        model: a HODM that has not seen the target, see `TransferStudy`.
        samples: networks to learn from.
        state: values to begin with, by name.
    """

    def __init__(
        self,
        table: LatencyTable | None = None,
        data: Sequence[str | Path] = (),
        model: AdaptedPredictor | None = None,
        samples: int = 900,
        **state: Any,
    ) -> None:
        self._tables, self._model, self._samples = Tables(table, data), model, samples
        self._studies: dict[tuple[Any, ...], TransferStudy] = {}
        self._shown: Look | None = None
        self._heard: object = None
        self.against, self.errors, self.scores = FigureSlot(), FigureSlot(), widgets.HTML()
        self.more = _button("Measure the least certain network", "the one with the widest interval", self.measure)
        self.fewer = _button("Forget added networks", "back to the probes in DBSel's order", self.forget)
        methods = [(name, key) for key, name in METHODS.items() if key != HODM or model]
        space = widgets.Dropdown(options=self._tables.spaces, description="Search space")
        controls = {
            "space": space,
            "target": widgets.Dropdown(description="Unseen device"),
            "method": widgets.Dropdown(options=methods, description="Method"),
            "probes": widgets.IntSlider(value=10, min=0, max=MOST, description="Probes measured"),
            "seed": widgets.BoundedIntText(value=0, min=0, max=2**31 - 1, description="Seed"),
            "sources": Held(value=[]),
            "extra": Held(value=[]),
        }
        space.observe(lambda change: self._offer(controls["target"], change["new"]), names="value")
        self._offer(controls["target"], space.value)
        views = [[self.more, self.fewer], [self.against, self.errors], [self.scores]]
        ordered = {name: state[name] for name in controls if name in state} | state
        super().__init__("How well is an unseen device predicted?", controls, views, ordered)

    def measure(self, arch: str | None = None) -> None:
        """Measure ``arch`` beside the probes; the network with the widest interval if None."""
        if self._shown is None:
            return
        arch = arch or self._shown.least_certain
        if arch not in set(self._shown.frame.loc[self._shown.frame["role"] == "probe", "arch"]):
            self.set(extra=[*self.state["extra"], arch])

    def forget(self) -> None:
        """Take back all networks that were added to the probes."""
        self.set(extra=[])

    @property
    def code(self) -> str:
        """Python that makes the same figures."""
        model = "" if self._model is None else ", model=model"
        table = self._tables.code(self.state["space"])
        return CODE.format(**self.state | {"table": table, "model": model})

    def update(self, state: Mapping[str, Any]) -> str | None:
        """Predict with these measurements, and show what the others turn out to be."""
        try:
            study = self._study(state)
            known = [arch for arch in state["extra"] if study.knows(arch)]
            look = study.look(state["probes"], state["method"], known)
        except WorkbenchError:
            self._shown, self.scores.value = None, ""
            raise
        self._shown = look
        self.against.draw(_narrow(look.figures["predicted_against_measured"]))
        self.errors.draw(look.figures["error_by_quantile"])
        self._listen()
        self.scores.value = scores_html(look, study.origin)
        self.fewer.disabled = not state["extra"]
        return _remark(look, study, len(state["extra"]) - len(known))

    def _study(self, state: Mapping[str, Any]) -> TransferStudy:
        table, target = self._tables(state["space"]), state["target"]
        if not target:
            raise WorkbenchError(
                f"A transfer in {state['space']} expects a measured device, got a table without one; measure one with "
                f"'workbench profile', or give another table."
            )
        key = (state["space"], target, tuple(state["sources"]), state["seed"])
        if key not in self._studies:
            if len(self._studies) >= STUDIES:
                del self._studies[next(iter(self._studies))]
            model = self._model if self._model and self._model.terms.space == state["space"] else None
            self._studies[key] = TransferStudy(
                table, target, state["sources"], self._samples, state["seed"], model=model
            )
        return self._studies[key]

    def _offer(self, target: widgets.Dropdown, space: str) -> None:
        """Let the devices that were measured in ``space`` be chosen; the one that was stays, if it is among them."""
        devices, before = self._tables.devices(space), target.value
        target.options = devices
        target.value = before if before in devices else next(iter(devices), None)

    def _listen(self) -> None:
        """Let clicks on networks measure them; a new widget has to be told."""
        widget = self.against.widget
        if widget is not None and widget is not self._heard:
            for trace in widget.data:
                trace.on_click(self._clicked)
            self._heard = widget

    def _clicked(self, trace: object, points: Any, modifiers: object) -> None:
        if self._shown is None or not points.point_inds:
            return
        drawn = self._shown.drawn
        away = np.abs(drawn["measured_ms"] - points.xs[0]) + np.abs(drawn["predicted_ms"] - points.ys[0])
        self.measure(str(drawn["arch"].iloc[int(away.argmin())]))


def scores_html(look: Look, origin: str) -> str:
    """The method and its floors, one row each."""
    heads = ["Method", *(title for title, _, _ in SHOWN.values())]
    rows = []
    for _, scores in look.scores.iterrows():
        told = [form.format(scale * scores[metric]) for metric, (_, form, scale) in SHOWN.items()]
        rows.append([html.escape(METHODS[scores["method"]]), *told])
    table = html_table(heads, rows, caption="Scores on the checks", right=range(1, len(heads)), strong=[0])
    return f'<p style="margin:4px 0;max-width:75em">{html.escape(origin)} Latencies read: {look.reads}.</p>{table}'


def _remark(look: Look, study: TransferStudy, unknown: int) -> str | None:
    told = []
    if not look.reads:
        card = "its card" if study.card else "no card, so from what devices usually take"
        told.append(f"Nothing was measured on {look.target}: zero-shot from {card}.")
    if unknown:
        told.append(f"Left out, as they cannot be measured here: {plural(unknown, 'added network')}.")
    return " ".join([*told, look.doubts]).strip() or None


def _narrow(figure: go.Figure) -> go.Figure:
    """With room for two rows of legend: it stands beside another figure."""
    return go.Figure(figure).update_layout(margin_t=TOP_MARGIN + LEGEND)


def _button(description: str, tooltip: str, press: Any) -> widgets.Button:
    button = widgets.Button(description=description, tooltip=tooltip, layout=widgets.Layout(width="auto"))
    button.on_click(lambda _: press())
    return button
