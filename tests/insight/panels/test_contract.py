"""What holds for every panel, whatever it is fed."""

from __future__ import annotations

import ast
import builtins
import importlib
import importlib.util
import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import ipywidgets as widgets
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from tests.toy import SOURCES, TARGETS, one_thread, toy_frame, toy_networks, toy_predictor, write_table
from workbench import jobs
from workbench.config import WorkbenchError
from workbench.data.table import LatencyTable
from workbench.devices.device import DeviceCard, write_cards
from workbench.insight import show
from workbench.insight.panels import job_control
from workbench.insight.panels.attention import AttentionExplorer
from workbench.insight.panels.dbsel import DBSelPanel
from workbench.insight.panels.device import DevicePanel
from workbench.insight.panels.panel import Panel
from workbench.insight.panels.run_compare import RunComparePanel
from workbench.insight.panels.train import TrainPanel
from workbench.insight.panels.transfer import TransferPanel
from workbench.insight.panels.what_if import WhatIfPanel

FRAME = toy_frame(toy_networks(80), {**SOURCES, **TARGETS})
FRAME = FRAME * np.random.default_rng(0).lognormal(0, 0.03, FRAME.shape)
CARDS = {
    name: DeviceCard(
        name, f"chip {name}", "server-cpu", cores=4, clock_ghz=2, peak_fp32_gflops=100, memory_bandwidth_gbps=20,
        source="a data sheet",
    )
    for name in FRAME
}  # fmt: skip


class Fed(NamedTuple):
    """What a panel gets.

    Args:
        table: latencies and cards.
        folder: with the same, and place for what is written.
        predictor: HODM adapted to some devices.
        archs: networks at hand.
        runs: tracked runs.
    """

    table: LatencyTable
    folder: Path
    predictor: Any
    archs: list[str]
    runs: pd.DataFrame


def runs(count: int) -> pd.DataFrame:
    """``count`` runs that differ in their probes."""
    frame = pd.DataFrame({"run_id": [f"{number:032x}" for number in range(count)]})
    return frame.assign(
        name=[f"run {number}" for number in range(count)], experiment="toy", status="FINISHED",
        start=pd.Timestamp("2026-01-01", tz="UTC"), duration_s=3.0,
        **{"params.probes": [str(number) for number in range(count)], "metrics.spearman": np.linspace(0.8, 0.9, count)},
    )  # fmt: skip


def course(frame: pd.DataFrame) -> pd.DataFrame:
    """A loss that falls, of every run in ``frame``."""
    steps = [{"run_id": run_id, "metric": "loss", "step": step} for run_id in frame["run_id"] for step in range(5)]
    return pd.DataFrame(steps, columns=["run_id", "metric", "step"]).assign(value=lambda rows: 1.0 / (1 + rows["step"]))


#: Panel -> what it is made of, besides its state.
PANELS: dict[type[Panel], Callable[[Fed], Mapping[str, Any]]] = {
    AttentionExplorer: lambda fed: {"model": fed.predictor, "archs": fed.archs},
    DBSelPanel: lambda fed: {"table": fed.table, "samples": 60, "out": fed.folder},
    DevicePanel: lambda fed: {"table": fed.table, "folder": fed.folder},
    RunComparePanel: lambda fed: {"runs": fed.runs, "histories": course(fed.runs)},
    TrainPanel: lambda fed: {"data": [fed.folder], "folder": fed.folder},
    TransferPanel: lambda fed: {"table": fed.table, "samples": 60},
    WhatIfPanel: lambda fed: {"table": fed.table},
}


def usual(folder: Path, frame: pd.DataFrame = FRAME, cards: Mapping[str, DeviceCard] = CARDS) -> Fed:
    write_table(folder, frame)
    write_cards(folder / "devices.yaml", {name: card for name, card in cards.items() if name in frame})
    archs = list(frame.index) or list(FRAME.index[:2])
    return Fed(LatencyTable("nasbench201", frame, cards), folder, toy_predictor(), archs, runs(4))


def empty(folder: Path) -> Fed:
    fed = usual(folder, FRAME.iloc[:0])
    return fed._replace(predictor=replace(fed.predictor, devices={}), runs=runs(0))


def one_device(folder: Path) -> Fed:
    fed = usual(folder, FRAME[["phone"]])
    only = {"phone": fed.predictor.devices["phone"]}
    return fed._replace(predictor=replace(fed.predictor, devices=only), runs=runs(1))


def gaps(folder: Path) -> Fed:
    frame = FRAME.copy()
    frame["edge"] = np.nan
    frame.loc[frame.index[::2], "server"] = np.nan
    unknown = runs(4)
    unknown["metrics.spearman"] = np.nan
    return usual(folder, frame)._replace(runs=unknown)


def one_architecture(folder: Path) -> Fed:
    return usual(folder, FRAME.iloc[:1])._replace(runs=runs(1))


def no_cards(folder: Path) -> Fed:
    return usual(folder, cards={})


CASES = (usual, empty, one_device, gaps, one_architecture, no_cards)


@pytest.fixture(scope="module", autouse=True)
def own_places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch, one_thread():
        patch.setenv("WORKBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("WORKBENCH_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="module", params=PANELS, ids=lambda kind: kind.__name__)
def kind(request: pytest.FixtureRequest) -> type[Panel]:
    return request.param


@pytest.fixture(scope="module")
def data(kind: type[Panel], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    return PANELS[kind](usual(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def panel(kind: type[Panel], data: Mapping[str, Any]) -> Panel:
    return kind(**data)


def test_its_state_is_plain_and_makes_the_same_panel_again(panel, data):
    assert json.loads(json.dumps(panel.state)) == panel.state
    again = type(panel)(**panel.state, **data)
    assert again.state == panel.state
    assert again.message == panel.message
    assert drawn(again) == drawn(panel)


def test_an_unknown_option_is_refused_with_the_nearest_name(panel, data):
    name = next(iter(panel.state))
    before = panel.state
    for call in (lambda: panel.set(**{f"{name}x": 1}), lambda: type(panel)(**data, **{f"{name}x": 1})):
        with pytest.raises(WorkbenchError, match=f"'{name}x'; did you mean '{name}'"):
            call()
    assert panel.state == before


def test_a_bad_value_is_refused_and_leaves_the_state(panel):
    before, names = panel.state, [name for name, _ in shown(panel)]
    for name in names:
        with pytest.raises(WorkbenchError, match=rf"{type(panel).__name__} does not take .* for '{name}'"):
            panel.set(**{name: object()})
        assert panel.state == before


def test_every_control_that_is_shown_has_a_description(panel):
    assert shown(panel)
    for name, control in shown(panel):
        assert control.description.strip(), name
    for control in within(panel.box):
        if isinstance(control, widgets.Button):
            assert control.description.strip() or control.tooltip


def test_every_figure_has_a_title_a_message_and_units_on_its_axes(panel):
    for figure in figures_of(panel):
        assert figure.layout.meta["title"]
        assert figure.layout.meta["message"]
        assert_units(figure)


def test_its_code_uses_only_what_it_imports_makes_or_was_given(panel):
    tree = ast.parse(panel.code)
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    known = {node.id for node in names if isinstance(node.ctx, ast.Store)} | set(dir(builtins))
    known |= set(inspect.signature(type(panel)).parameters) | {type(panel).__name__}
    for node in ast.walk(tree):
        for alias in node.names if isinstance(node, ast.ImportFrom) else ():
            there = hasattr(importlib.import_module(node.module), alias.name)
            assert there or importlib.util.find_spec(f"{node.module}.{alias.name}"), (
                f"{node.module} has no {alias.name}"
            )
            known.add(alias.asname or alias.name)
        for alias in node.names if isinstance(node, ast.Import) else ():
            known.add(alias.asname or alias.name.split(".")[0])
    assert names
    assert {node.id for node in names} <= known


def test_every_control_can_be_set_to_what_it_is(panel):
    before, figures = panel.state, drawn(panel)
    for name, value in before.items():
        panel.set(**{name: value})
    assert panel.state == before
    assert drawn(panel) == figures


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_whatever_it_is_fed_there_is_something_to_see(kind, case, tmp_path):
    fed = case(tmp_path / "data")
    panel = kind(**PANELS[kind](fed))
    assert panel.message or figures_of(panel) or any(text(view) for view in within(panel.box))
    if case is usual:
        assert figures_of(panel) or kind is TrainPanel
    if case is empty and kind is not DevicePanel and kind is not TrainPanel:
        assert panel.message
    assert panel.message == "" or panel.message[-1] in ".!?"
    again = kind(**panel.state, **PANELS[kind](fed))
    assert again.state == panel.state
    assert again.message == panel.message


@pytest.mark.parametrize("case", [usual, empty], ids=lambda case: case.__name__)
def test_it_is_shown_without_widgets_where_nobody_could_use_them(kind, case, tmp_path, monkeypatch):
    monkeypatch.setenv(show.STATIC, "1")
    seen: list[Any] = []
    monkeypatch.setattr("IPython.display.display", lambda *content, **options: seen.append(content[0]))
    panel = kind(**PANELS[kind](case(tmp_path / "data")))
    panel._ipython_display_()
    plain = [content for content in seen if isinstance(content, dict) and "application/vnd.plotly.v1+json" in content]
    assert len(plain) == len(figures_of(panel))
    assert not any(isinstance(content, widgets.Widget) for content in seen)
    assert seen


def test_a_training_is_shown_with_figures_like_those_of_any_panel(tmp_path, monkeypatch):
    """Whose panel has none before a training was started."""
    curve = {"step": [1, 5, 9], "loss": [1.0, 0.5, 0.2], "validation_loss": [1.0, 0.6, 0.3]}
    errors = {"step": [1, 5, 9], "server": [0.5, 0.2, 0.1], "edge": [0.6, 0.3, 0.05]}
    arguments = {"space": "nasbench201", "targets": ["phone"], "steps": 9, "samples": 3, "probes": 2}
    job = jobs.Job(1, "train", tmp_path, arguments, tmp_path / "log", tmp_path / "jobs.db")
    progress = jobs.Progress("finished", 9, 9, "trained", {"curve": curve, "errors": errors}, "", 0.0, 1.0, 2.0)
    monkeypatch.setattr(jobs.Job, "progress", progress)
    monkeypatch.setattr(job_control.jobs, "latest", lambda kind, folder: job)
    panel = TrainPanel([usual(tmp_path / "data").folder], tmp_path)
    assert len(figures_of(panel)) == 2
    for figure in figures_of(panel):
        assert_units(figure)
    again = TrainPanel([tmp_path / "data"], tmp_path, **panel.state)
    assert drawn(again) == drawn(panel)


def figures_of(panel: Panel) -> list[go.Figure]:
    return [slot.figure for slot in panel.slots if slot.figure is not None]


def drawn(panel: Panel) -> list[Any]:
    return [json.loads(figure.to_json()) for figure in figures_of(panel)]


def shown(panel: Panel) -> list[tuple[str, widgets.DOMWidget]]:
    return [(name, control) for name, control in panel.controls.items() if isinstance(control, widgets.DOMWidget)]


def within(box: widgets.Widget) -> Iterator[widgets.Widget]:
    """``box`` and all widgets in it."""
    yield box
    for child in getattr(box, "children", ()):
        yield from within(child)


def text(view: widgets.Widget) -> str:
    return view.value if isinstance(view, widgets.HTML) else ""


def assert_units(figure: go.Figure) -> None:
    """Every axis that is seen has a title, and a unit in brackets unless it holds names."""
    shared = {axis.matches for axis in figure.select_yaxes() if axis.matches}
    for axis in [*figure.select_xaxes(), *figure.select_yaxes()]:
        if axis.visible is False or axis.matches or (axis.showticklabels is False and shared):
            continue
        assert axis.title.text, axis
        names = axis.ticktext is not None and axis.type != "log"
        if not names and axis.type != "category":
            assert "(" in axis.title.text, axis.title.text
