"""Rooflines of several devices, and the page that compares them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from workbench.config import WorkbenchError
from workbench.devices.device import DeviceCard, catalog
from workbench.insight.comparison import figures_of, shown, with_ratios, write_comparison
from workbench.insight.plots.memory import roofline, rooflines
from workbench.insight.template import COLOURS

POINTS = pd.DataFrame({"name": ["conv <3x3>", "add"], "intensity": [30.0, 0.01], "gflops": [60.0, 0.5]})


@pytest.fixture
def devices() -> pd.DataFrame:
    """A fast, a like and a slow device, and two that cannot be drawn."""
    return pd.DataFrame(
        {
            "name": ["fast <b>", "alike", "slow", "no peak", "no bandwidth"],
            "gflops": [20_000.0, 19_900.0, 50.0, np.nan, 4000.0],
            "precision": ["fp32", "bf16", "fp32", None, "int8"],
            "gbps": [1000.0, 900.0, 10.0, 30.0, np.nan],
        }
    )


def test_each_line_is_the_lesser_of_memory_and_arithmetic(devices):
    figure = rooflines(devices)
    assert [trace.name for trace in figure.data] == ["fast &lt;b&gt;", "alike", "slow"]
    for trace, gflops, gbps in zip(figure.data, devices["gflops"], devices["gbps"], strict=False):
        x, y = np.asarray(trace.x), np.asarray(trace.y)
        assert y == pytest.approx(np.minimum(gflops, x * gbps))
        assert gflops / gbps in x, "the ridge itself is a point"
        assert x[0] < gflops / gbps < x[-1], "both sides of the ridge are in view"
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log"


def test_what_cannot_be_drawn_is_named(devices):
    figure = rooflines(devices)
    message = figure.layout.title.subtitle.text
    assert "not known: no peak, no bandwidth." in message
    assert "slow turns from memory to arithmetic at 5 " in message
    many = pd.concat([devices.iloc[:1], *[devices.iloc[3:]] * 4])
    assert "and 4 more" in rooflines(many).layout.title.subtitle.text
    with pytest.raises(WorkbenchError, match="no peak, no bandwidth"):
        rooflines(devices.iloc[3:])


def test_labels_stand_beside_their_lines_in_order_and_apart(devices):
    figure = rooflines(devices)
    notes = figure.layout.annotations
    assert [note.text.split("> ")[-1] for note in notes] == ["fast &lt;b&gt; · fp32", "alike · bf16", "slow · fp32"]
    fast, alike, slow = (note.y for note in notes)
    low, high = figure.layout.yaxis.range
    pixels = (figure.layout.height - 150) / (high - low)
    assert fast > alike > slow
    assert (fast - alike) * pixels > 14, "labels of like devices do not overlap"
    assert slow == pytest.approx(np.log10(50)), "a label that is alone stays at its line"
    assert all(COLOURS[place] in note.text for place, note in enumerate(notes))


def test_the_whole_catalog_can_be_drawn_and_told_apart():
    cards = {card.hardware: card for card in catalog().values() if card.peak_fp32_gflops and card.memory_bandwidth_gbps}
    frame = pd.DataFrame(
        {
            "name": list(cards),
            "gflops": [card.peak_fp32_gflops for card in cards.values()],
            "precision": "fp32",
            "gbps": [card.memory_bandwidth_gbps for card in cards.values()],
        }
    )
    figure = rooflines(frame)
    heights = sorted(note.y for note in figure.layout.annotations)
    assert len(heights) == len(cards)
    assert all(near < far for near, far in pairwise(heights))
    looks = [(trace.line.color, trace.line.dash) for trace in figure.data[:21]]
    assert len(set(looks)) == 21, "seven colours in three dashes"


def test_a_number_that_cannot_be_is_refused(devices):
    with pytest.raises(WorkbenchError, match="'gbps'"):
        rooflines(devices.assign(gbps=0.0))
    with pytest.raises(WorkbenchError, match="'name'"):
        rooflines(devices.assign(name=None))


@pytest.mark.parametrize("draw", [rooflines, None], ids=["several devices", "one device"])
def test_operators_are_points_within_the_view(devices, draw):
    figure = rooflines(devices, POINTS) if draw else roofline({"fp32": 100.0}, {"DRAM": 18.0}, POINTS)
    reached = figure.data[-1]
    assert (reached.mode, list(reached.x), list(reached.y)) == ("markers", [30.0, 0.01], [60.0, 0.5])
    assert list(reached.text) == ["conv &lt;3x3&gt;", "add"]
    for values, axis in ((POINTS["intensity"], figure.layout.xaxis), (POINTS["gflops"], figure.layout.yaxis)):
        low, high = axis.range
        assert low < np.log10(values).min()
        assert np.log10(values).max() < high
    with pytest.raises(WorkbenchError, match="'intensity'"):
        rooflines(devices, POINTS.assign(intensity=-1.0))


def test_figures_that_nobody_gives_are_left_out_and_gaps_stay_gaps():
    cards = {"a": DeviceCard("a", cores=4, clock_ghz=2.0), "b": DeviceCard("b", clock_ghz=3.0, memory_gib=8)}
    figures = figures_of(cards)
    assert list(figures["figure"]) == ["Cores", "Clock", "Main memory"]
    assert list(figures["unit"]) == ["count", "GHz", "GiB"]
    text = with_ratios(figures)
    assert list(text["a"]) == ["4", "2", None]
    assert list(text["b"]) == [None, "3\N{NO-BREAK SPACE}(×1.5)", "8"]
    with pytest.raises(WorkbenchError, match="No figure"):
        figures_of({"bare": DeviceCard("bare")})


def test_cores_are_not_compared():
    text = with_ratios(figures_of({"gpu": DeviceCard("gpu", cores=80), "cpu": DeviceCard("cpu", cores=4)}))
    assert list(text["cpu"]) == ["4"]


@pytest.mark.parametrize(("value", "text"), [(67000.0, "67,000"), (1.98, "1.98"), (13.75, "13.75"), (1000, "1,000")])
def test_numbers_are_shown_as_people_write_them(value, text):
    assert shown(value) == text
    assert shown(float("nan")) is None


def test_the_page_names_few_devices_in_its_title_and_counts_many(tmp_path):
    cards = {name: DeviceCard(name, clock_ghz=1.0, source="not checked: sheet") for name in "abcdef"}
    few = write_comparison(tmp_path / "few.html", {name: cards[name] for name in "ab"}).read_text()
    assert "<title>a · b</title>" in few
    assert "2 figures not compared yet" in few
    many = write_comparison(tmp_path / "many.html", cards).read_text()
    assert "<title>a and 5 other devices</title>" in many
