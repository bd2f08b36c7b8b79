"""What a network spends its time on, and what the model looks at: round by round, head by head, against another."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from workbench.config import WorkbenchError
from workbench.insight import figures
from workbench.insight.attention_study import RANKS, AttentionStudy, difference
from workbench.insight.explain import ALL, Explanation
from workbench.insight.labels import milliseconds, short_arch
from workbench.insight.panels.panel import Panel
from workbench.insight.panels.slot import FigureSlot
from workbench.insight.plots.attention import verdict
from workbench.training.adapted import AdaptedPredictor
from workbench.training.checkpoint import load_predictor

SUGGESTED = (*RANKS, "random 1", "random 2", "random 3")
NOTHING, DEVICE, ARCH = COMPARE = ("nothing", "another device", "another network")
FACTS = '<p role="status" style="margin:2px 0;line-height:1.5;max-width:70em">{}</p>'
#: How the study is made of the panel's ``model`` and ``archs``; of a folder otherwise.
MADE = {AttentionStudy: "model", AdaptedPredictor: "AttentionStudy(model, archs)"}
CODE = """from workbench.insight import figures
{imports}
study = {study}
why = study.explain(study.find({arch!r}, {device!r}), {device!r})
weights = why.weights({round!r}, {head!r})
figures.attention_map(weights, why.operators, why.hardware, why.faithfulness_of(weights))
figures.attention_faithfulness(why.tokens(weights), why.faithfulness_of(weights))
figures.operator_costs(why.costs)"""
COMPARISON = """
other = study.explain(study.find({arch!r}, {at!r}), {device!r})
apart = difference(why, other, {round!r}, {head!r})
figures.attention_difference(*apart.parts, ("A", "B"), apart.unit)"""


class AttentionExplorer(Panel):
    """Operator by hardware property, per round and head, with what it can be trusted for always beside it.

    Args:
        model: a study of attention, an adapted predictor, or a folder that one was saved in.
        archs: networks at hand, see `AttentionStudy`.
        state: first values: ``arch`` (see `AttentionStudy.find`), ``device``, ``compare`` (one of `COMPARE`),
            ``other_device``, ``other_arch``, ``round`` and ``head`` (``"all"`` or from 1).
    """

    def __init__(
        self, model: AttentionStudy | AdaptedPredictor | str | Path, archs: Sequence[str] = (), **state: Any
    ) -> None:
        self.study, self._failure = None, ""
        self._made = MADE.get(type(model), f"AttentionStudy(load_predictor({str(model)!r}), archs)")
        try:
            self.study = model if isinstance(model, AttentionStudy) else _study(model, archs)
        except WorkbenchError as error:
            self._failure = str(error)
        devices = self.study.devices if self.study else []
        self._shown: tuple[str, str] | None = None
        self.facts = widgets.HTML()
        self.facts.layout = widgets.Layout(flex="1 1 0", min_width="330px", align_self="flex-start")
        self.trust, self.apart = FigureSlot(min_width="460px"), FigureSlot()
        self.trust.layout.flex = "2 1 0"
        self.map, self.costs = FigureSlot(min_width="600px"), FigureSlot(min_width="600px")
        controls = {
            "arch": _networks("Network"),
            "device": widgets.Dropdown(description="Device", options=devices),
            "round": _counted("Round", self.study.rounds if self.study else 0),
            "head": _counted("Head", self.study.heads if self.study else 0),
            "compare": widgets.Dropdown(description="Compare with", options=COMPARE),
            "other_device": widgets.Dropdown(description="Other device", options=devices),
            "other_arch": _networks("Other network"),
        }
        first = {"arch": "median", "other_arch": "slowest", "other_device": devices[-1]} if devices else {}
        views = [[self.facts, self.trust], [self.map, self.costs], [self.apart]]
        super().__init__("What does the model look at?", controls, views, first | state if devices else {})

    @property
    def code(self) -> str:
        """Python that draws the same figures."""
        state = self.state
        compare = state["compare"]
        names = ["AttentionStudy"] * ("AttentionStudy(" in self._made) + ["difference"] * (compare != NOTHING)
        imports = f"from workbench.insight.attention_study import {', '.join(names)}\n" if names else ""
        if "load_predictor" in self._made:
            imports += "from workbench.training.checkpoint import load_predictor\n"
        text = CODE.format(imports=imports, study=self._made, **state)
        if compare == DEVICE:
            text += COMPARISON.format(at=state["device"], **state | {"device": state["other_device"]})
        elif compare == ARCH:
            text += COMPARISON.format(at=state["device"], **state | {"arch": state["other_arch"]})
        return text

    def update(self, state: Mapping[str, Any]) -> str | None:
        """Draw the map of the chosen round and head; what does not follow from these only when the network changed."""
        self.controls["other_device"].layout.display = None if state["compare"] == DEVICE else "none"
        self.controls["other_arch"].layout.display = None if state["compare"] == ARCH else "none"
        self.facts.value = ""
        if self.study is None:
            raise WorkbenchError(self._failure)
        device = state["device"]
        arch = self.study.find(state["arch"], device)
        against = self._other(state, arch)
        why = self.study.explain(arch, device)
        weights = why.weights(state["round"], state["head"])
        faithfulness = why.faithfulness_of(weights)
        self.facts.value = FACTS.format(html.escape(told(why, device)) + " " + html.escape(verdict(faithfulness)))
        self.map.draw(figures.attention_map(weights, why.operators, why.hardware, faithfulness))
        self.trust.draw(figures.attention_faithfulness(why.tokens(weights), faithfulness))
        if self._shown != (arch, device) or self.costs.figure is None:
            self.costs.draw(figures.operator_costs(why.costs))
            self._shown = (arch, device)
        if against is None:
            self.apart.clear()
            return None
        apart = difference(why, self.study.explain(*against), state["round"], state["head"])
        names = (device, against[1]) if state["compare"] == DEVICE else (short_arch(arch), short_arch(against[0]))
        self.apart.draw(figures.attention_difference(*apart.parts, names, apart.unit))
        same = names[0] == names[1]
        return f"Both sides are the same {state['compare'].split()[-1]}; choose another." if same else None

    def _other(self, state: Mapping[str, Any], arch: str) -> tuple[str, str] | None:
        """Network and device that are compared with."""
        if state["compare"] == DEVICE:
            return arch, state["other_device"]
        if state["compare"] == ARCH:
            return self.study.find(state["other_arch"], state["device"]), state["device"]
        return None


def told(why: Explanation, device: str) -> str:
    """One sentence on what the time of a network goes into."""
    parts = [f"{name} {100 * share:.0f}\u00a0%" for name, share in why.bounds.items() if share >= 0.005]
    return (
        f"Network {short_arch(why.arch)} on {device}: {milliseconds(why.predicted_ms)} predicted, bound by "
        f"{', '.join(parts)} (by the {why.bound_by})."
    )


def _study(model: AdaptedPredictor | str | Path, archs: Sequence[str]) -> AttentionStudy:
    return AttentionStudy(model if isinstance(model, AdaptedPredictor) else load_predictor(model), archs)


def _networks(description: str) -> widgets.Combobox:
    return widgets.Combobox(
        description=description,
        options=SUGGESTED,
        continuous_update=False,
        placeholder="an arch string",
        value=SUGGESTED[0],
    )


def _counted(description: str, count: int) -> widgets.SelectionSlider:
    return widgets.SelectionSlider(description=description, options=[ALL, *range(1, count + 1)])
