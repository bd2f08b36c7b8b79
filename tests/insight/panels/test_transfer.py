"""TransferPanel: one more measurement and everything follows; bad input becomes a sentence."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tests.toy import SOURCES, TARGETS, toy_frame, toy_networks, toy_predictor, write_table
from workbench.config import WorkbenchError
from workbench.data.table import LatencyTable
from workbench.insight.panels.transfer import METHODS, TransferPanel

NETWORKS = toy_networks(120)


def toy_table(frame: pd.DataFrame | None = None, space: str = "nasbench201") -> LatencyTable:
    return LatencyTable(space, toy_frame(NETWORKS, {**TARGETS, **SOURCES}) if frame is None else frame, {})


@pytest.fixture
def panel() -> TransferPanel:
    return TransferPanel(toy_table(), sources=list(SOURCES), samples=60, target="phone", probes=6)


def predicted(panel: TransferPanel) -> list[np.ndarray]:
    return [np.asarray(trace.y) for trace in panel.against.widget.data[2:]]


def test_it_opens_with_both_figures_and_the_floors(panel):
    assert panel.message == ""
    assert panel.against.figure.layout.meta["title"] == "Predicted against measured"
    assert panel.errors.figure is not None
    for name in ("HODM without training", "Floor: linear", "Floor: nearest source", "Floor: FLOPs"):
        assert name in panel.scores.value
    assert "Latencies read: 6" in panel.scores.value


def test_one_more_probe_changes_figures_and_table(panel):
    before, told = predicted(panel), panel.scores.value
    panel.controls["probes"].value += 1
    assert any(
        len(one) != len(other) or not np.array_equal(one, other)
        for one, other in zip(before, predicted(panel), strict=False)
    )
    assert panel.scores.value != told
    assert "Latencies read: 7" in panel.scores.value


def test_its_state_is_plain_and_makes_the_same_panel(panel):
    panel.measure()
    state = json.loads(json.dumps(panel.state))
    assert state["extra"]
    again = TransferPanel(toy_table(), samples=60, **state)
    assert again.state == panel.state
    assert again.against.figure.to_json() == panel.against.figure.to_json()
    assert again.scores.value == panel.scores.value


def test_a_button_measures_the_least_certain_network_and_another_forgets(panel):
    least = panel._shown.least_certain
    panel.more.click()
    assert panel.state["extra"] == [least]
    assert "Latencies read: 7" in panel.scores.value
    panel.more.click()
    assert len(panel.state["extra"]) == 2
    assert not panel.fewer.disabled
    panel.fewer.click()
    assert panel.state["extra"] == []
    assert panel.fewer.disabled


def test_a_click_on_a_network_measures_it_once(panel):
    checks = panel._shown.drawn[panel._shown.drawn["role"] == "check"].iloc[5]
    points = SimpleNamespace(point_inds=[0], xs=[checks["measured_ms"]], ys=[checks["predicted_ms"]])
    panel.against.widget.data[-1]._dispatch_on_click(points, None)
    assert panel.state["extra"] == [checks["arch"]]
    probe = panel._shown.frame.iloc[0]
    points = SimpleNamespace(point_inds=[0], xs=[probe["measured_ms"]], ys=[probe["predicted_ms"]])
    panel.against.widget.data[2]._dispatch_on_click(points, None)
    assert panel.state["extra"] == [checks["arch"]]
    panel.against.widget.data[0]._dispatch_on_click(SimpleNamespace(point_inds=[]), None)


def test_a_new_widget_hears_clicks_too(panel):
    panel.set(probes=0)
    checks = panel._shown.drawn.iloc[3]
    points = SimpleNamespace(point_inds=[0], xs=[checks["measured_ms"]], ys=[checks["predicted_ms"]])
    panel.against.widget.data[-1]._dispatch_on_click(points, None)
    assert panel.state["extra"] == [checks["arch"]]


@pytest.mark.parametrize("method", [name for name in METHODS if name != "hodm"])
def test_every_method_can_be_chosen(panel, method):
    panel.set(method=method)
    assert panel.message == ""
    assert f"font-weight:bold'>{METHODS[method]}</th>" in panel.scores.value


def test_a_model_can_be_chosen_where_there_is_one():
    table = toy_table(toy_frame(toy_networks(), {**TARGETS, **SOURCES}))
    panel = TransferPanel(table, model=toy_predictor(), sources=list(SOURCES), samples=60, method="hodm", probes=8)
    assert panel.message == ""
    assert METHODS["hodm"] in panel.scores.value
    assert "model=model" in panel.code


def test_without_a_probe_it_says_what_speaks(panel):
    panel.set(probes=0)
    assert panel.message == (
        "Nothing was measured on phone: zero-shot from no card, so from what devices usually take."
    )
    assert METHODS["roofline"] in panel.scores.value


def test_another_device_keeps_what_was_added_as_far_as_it_can_be_measured(panel):
    panel.measure()
    frame = panel._tables("nasbench201").frame.copy()
    frame.loc[panel.state["extra"], "accelerator"] = np.nan
    other = TransferPanel(toy_table(frame), samples=60, **panel.state | {"target": "accelerator"})
    assert other.message == "Left out, as they cannot be measured here: 1 added network."


def test_the_code_makes_the_same_figures(panel):
    text = panel.code.replace("study.look", "look = study.look", 1).replace("look = look = ", "look = ")
    assert "TransferStudy(table, 'phone'" in text
    names = {"table": toy_table()}
    exec(text, names)
    assert names["look"].reads == 6


def test_tables_come_from_folders(tmp_path):
    folder = write_table(tmp_path / "data", toy_table().frame)
    panel = TransferPanel(data=[folder], target="phone", sources=list(SOURCES), samples=60)
    assert panel.message == ""
    assert f"folders=['{folder}']" in panel.code
    panel.set(space="ofa_mobilenetv3")
    assert "No latency table ofa_mobilenetv3.parquet" in panel.message


@pytest.mark.parametrize(
    ("devices", "rows", "message"),
    [
        ([], 120, "expects a measured device"),
        (["phone"], 120, "a source device beside it"),
        (["phone", "edge"], 0, "at least 3 networks"),
        (["phone", "edge"], 1, "at least 3 networks"),
    ],
)
def test_too_little_is_a_sentence(devices, rows, message):
    panel = TransferPanel(toy_table(toy_table().frame[devices].iloc[:rows]))
    assert message in panel.message
    assert panel.against.figure is None
    assert panel.scores.value == ""
    panel.measure()
    assert panel.state["extra"] == []


def test_columns_of_nan_are_a_sentence_and_recover(panel):
    frame = toy_table().frame
    frame["dark"] = np.nan
    panel = TransferPanel(toy_table(frame), samples=60, target="dark")
    assert "at least 3 networks measured on 'dark', got 0" in panel.message
    panel.set(target="phone")
    assert panel.message == ""
    assert panel.against.figure is not None


def test_what_no_control_takes_is_refused():
    with pytest.raises(WorkbenchError, match="did you mean 'target'"):
        TransferPanel(toy_table(), targets="phone")
    with pytest.raises(WorkbenchError, match="does not take 'fone'"):
        TransferPanel(toy_table(), target="fone")
