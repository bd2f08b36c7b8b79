"""WhatIfPanel: sliders change latencies and ranking, and it always says that it extrapolates."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.insight.toy_cards import CARDS, DEVICES, NETWORKS, carded_table
from tests.toy import toy_frame
from workbench.config import WorkbenchError
from workbench.data.table import LatencyTable
from workbench.insight.panels.what_if import SLIDERS, WhatIfPanel
from workbench.insight.what_if import KNOBS


@pytest.fixture(scope="module")
def opened() -> WhatIfPanel:
    return WhatIfPanel(carded_table(), device="phone")


@pytest.fixture
def panel(opened) -> WhatIfPanel:
    opened.set(device="phone", **dict.fromkeys(KNOBS, 1.0))
    return opened


def test_it_opens_with_nothing_changed(panel):
    assert panel.message == ""
    assert panel.latencies.figure.layout.meta["message"].startswith("Nothing is changed")
    assert "Spearman 1.000" in panel.ranks.figure.layout.meta["message"]
    assert "adapted to 20 of its measurements" in panel.card.value


@pytest.mark.parametrize("knob", SLIDERS)
def test_every_slider_moves_the_figure_and_the_panel_says_extrapolation(panel, knob):
    before = np.asarray([value or 0 for value in panel.latencies.widget.data[1].x], dtype=float)
    panel.controls[knob].value = 4.0
    after = np.asarray([value or 0 for value in panel.latencies.widget.data[1].x], dtype=float)
    assert not np.allclose(before, after)
    assert panel.message.startswith("Extrapolation: ")


def test_the_card_shows_what_changes(panel):
    panel.set(cores=2.0)
    assert "<b>8</b>" in panel.card.value
    assert "Peak fp32" in panel.card.value


def test_its_state_is_plain_and_makes_the_same_panel(panel):
    panel.set(bandwidth=2.0, launch=0.5)
    state = json.loads(json.dumps(panel.state))
    again = WhatIfPanel(carded_table(), **state)
    assert again.state == panel.state
    assert again.latencies.figure.to_json() == panel.latencies.figure.to_json()


def test_the_code_makes_the_same_figures(panel):
    panel.set(bandwidth=2.0)
    names = {"table": carded_table()}
    exec(panel.code, names)
    expected = panel.latencies.figure
    assert names["figures"].latency_change(names["change"].drawn).to_json() == expected.to_json()


def test_a_device_of_the_catalog_is_guessed(panel):
    panel.set(device="raspi4", bandwidth=2.0)
    assert "guessed from its card" in panel.card.value
    assert "assumed: not on the card" in panel.card.value
    assert panel.latencies.figure is not None


def test_a_device_without_a_card_or_a_table_without_devices_is_a_sentence():
    frame = toy_frame(NETWORKS, DEVICES)
    bare = WhatIfPanel(LatencyTable("nasbench201", frame, {}), device="phone")
    assert "a device with a card, got 'phone'" in bare.message
    assert bare.latencies.figure is None
    assert bare.card.value == ""
    bare.set(device="raspi4")
    assert bare.message == ""
    empty = WhatIfPanel(LatencyTable("nasbench201", frame.iloc[:, :0], {}))
    assert "a measured device to learn from" in empty.message


@pytest.mark.parametrize("rows", [0, 1, 4])
def test_few_networks_are_a_sentence_or_a_figure(rows):
    panel = WhatIfPanel(LatencyTable("nasbench201", toy_frame(NETWORKS, DEVICES).iloc[:rows], CARDS), device="phone")
    assert bool(panel.message) == (panel.latencies.figure is None)


def test_a_factor_out_of_range_is_refused(panel):
    panel.set(bandwidth=100.0)
    assert panel.state["bandwidth"] == 8.0
    with pytest.raises(WorkbenchError, match="did you mean 'bandwidth'"):
        panel.set(bandwith=2.0)
