"""What all panels share, on a panel that doubles a number."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping

import ipywidgets as widgets
import pandas as pd
import plotly.graph_objects as go
import pytest

from workbench.config import WorkbenchError
from workbench.insight import show
from workbench.insight.figure_widget import FigureWidget
from workbench.insight.panels.later import SETTLE_S, soon
from workbench.insight.panels.panel import Held, Panel, plain
from workbench.insight.panels.slot import FigureSlot
from workbench.insight.plots.quality import floors, training_curve


class Doubling(Panel):
    """Draws a line of ``number`` points; complains above 8, warns above 6; offers no more ``names`` than points."""

    def __init__(self, **state: object) -> None:
        self.updates = 0
        self.slot, self.text = FigureSlot(), widgets.HTML()
        number = widgets.IntSlider(value=2, min=1, max=10, description="Number")
        self.names = widgets.SelectMultiple(options=["a", "b"], description="Names")
        number.observe(
            lambda change: setattr(self.names, "options", list("abcdefghij"[: change["new"]])), names="value"
        )
        controls = {"number": number, "names": self.names, "marks": Held(value=[])}
        super().__init__("Doubling <numbers>", controls, [[self.slot], [self.text]], state)

    def update(self, state: Mapping[str, object]) -> str | None:
        self.updates += 1
        number = state["number"]
        if number > 8:
            raise WorkbenchError(f"It expects at most 8, got {number}; take <less>.")
        self.text.value = f"twice is {2 * number}"
        self.slot.draw(curve(number))
        return "That is much." if number > 6 else None


def curve(number: int):
    return training_curve(pd.DataFrame({"step": range(number + 1), "loss": range(number + 1, 0, -1)}))


def test_it_draws_at_once_and_after_every_change():
    panel = Doubling(number=3)
    assert panel.updates == 1
    assert len(panel.slot.figure.data[0].x) == 4
    panel.controls["number"].value = 5
    assert len(panel.slot.figure.data[0].x) == 6
    panel.set(number=4, marks=["a"])
    assert panel.updates == 3
    assert panel.text.value == "twice is 8"


def test_its_state_is_plain_and_makes_the_same_panel_again():
    panel = Doubling(names=("b",), marks=[{"x": (1, 2)}], number=4)
    assert panel.state == {"number": 4, "names": ["b"], "marks": [{"x": [1, 2]}]}
    assert Doubling(**panel.state).state == panel.state
    other = Doubling()
    other.state = panel.state
    assert other.state == panel.state
    assert panel.code == "Doubling(number=4, names=['b'], marks=[{'x': [1, 2]}])"
    assert "Doubling(number=4" in panel._code.value


def test_what_one_control_offers_may_follow_from_another_in_any_order():
    assert Doubling(names=["e"], number=5).state["names"] == ["e"]


def test_an_unknown_name_or_a_bad_value_leaves_everything_as_it_was():
    panel = Doubling(number=3, names=["c"], marks=[1])
    before, figure = panel.state, panel.slot.figure
    for values, message in (
        ({"number": 5, "nmber": 1}, "Unknown Doubling option 'nmber'; did you mean 'number'"),
        ({"number": "many"}, "Doubling does not take 'many' for 'number'.*it stays 3"),
        ({"number": 6, "marks": [2], "names": ["z"]}, r"does not take \['z'\] for 'names'.*it stays \['c'\]"),
    ):
        with pytest.raises(WorkbenchError, match=message):
            panel.set(**values)
        assert panel.state == before
    assert panel.slot.figure is figure
    with pytest.raises(WorkbenchError, match="nmber"):
        Doubling(nmber=3)


def test_bad_input_is_a_sentence_without_a_figure_and_a_warning_one_beside_it():
    panel = Doubling(number=9)
    assert panel.message == "It expects at most 8, got 9; take <less>."
    assert "take &lt;less&gt;" in panel._message.value
    assert 'role="alert"' in panel._message.value
    assert panel.slot.figure is None
    panel.set(number=7)
    assert panel.message == "That is much."
    assert panel.slot.figure is not None
    panel.set(number=2)
    assert panel.message == ""
    assert panel._message.value == ""


def test_the_same_widget_shows_figures_of_the_same_kinds_and_says_what_they_show():
    slot = FigureSlot()
    slot.draw(curve(2))
    first = slot.widget
    slot.draw(curve(3))
    assert slot.widget is first
    assert len(first.data[0].x) == 4
    assert "Loss fell from 4 to 1" in slot.children[0].value
    methods = pd.DataFrame({"method": ["hodm"], "spearman": [0.9], "rae": [0.2], "mdape": [0.1]})
    slot.draw(floors(methods))
    assert slot.widget is not first
    assert slot.children[1] is slot.widget
    slot.clear()
    assert slot.figure is None
    assert len(slot.children) == 1


def shown(figure: go.Figure) -> dict:
    """What a page draws of ``figure``, without the names that widgets give to traces and what is empty."""
    parts = json.loads(figure.to_json())
    for trace in parts["data"]:
        trace.pop("uid", None)
    return parts | {"layout": {name: value for name, value in parts["layout"].items() if value not in ({}, [])}}


@pytest.mark.parametrize(("before", "after"), [(2, 3), (3, 2), (3, 3)])
@pytest.mark.parametrize("marked", [(False, False), (True, False), (False, True), (True, True)])
def test_a_widget_that_is_drawn_again_shows_what_a_new_one_would(before: int, after: int, marked: tuple[bool, bool]):
    first, second = curve(before), curve(after)
    for figure, mark, place in zip((first, second), marked, (0.5, 1.5), strict=True):
        if mark:
            figure.add_vline(place)
            figure.update_traces(opacity=0.5).update_layout(legend_x=0.3)
    slot = FigureSlot()
    slot.draw(first)
    slot.widget.layout.xaxis.range = [0, 1]  # someone has zoomed in
    slot.draw(second)
    assert shown(slot.widget) == shown(FigureWidget(second))


def test_a_figure_that_is_as_before_tells_the_page_nothing(monkeypatch: pytest.MonkeyPatch):
    slot = FigureSlot()
    slot.draw(curve(3))
    told = []
    for message in ("_send_restyle_msg", "_send_relayout_msg", "_send_update_msg"):
        monkeypatch.setattr(slot.widget, message, lambda *args, **kwargs: told.append((args, kwargs)))
    slot.draw(curve(3))
    assert not told
    slot.draw(curve(4))
    assert told


def test_in_a_running_loop_many_moves_are_drawn_once_with_the_last_value():
    async def drag() -> None:
        panel = Doubling()
        for number in (3, 4, 5, 6):
            panel.controls["number"].value = number
        assert panel.updates == 1
        await asyncio.sleep(5 * SETTLE_S)
        assert panel.updates == 2
        assert panel.text.value == "twice is 12"
        panel.set(number=2)
        assert panel.updates == 3

    asyncio.run(drag())


def test_a_long_drag_is_drawn_meanwhile():
    async def drag() -> None:
        panel, began = Doubling(), time.monotonic()
        while panel.updates < 4:  # and there is never a pause
            panel.controls["number"].value = 7 - panel.controls["number"].value
            await asyncio.sleep(SETTLE_S / 4)
            assert time.monotonic() < began + 20

    asyncio.run(drag())


def test_soon_calls_once_per_pending_and_at_once_without_a_loop():
    calls = []
    assert soon(lambda: calls.append("now")) is None
    assert calls == ["now"]

    async def many() -> None:
        pending = None
        for _ in range(5):
            pending = soon(lambda: calls.append("later"), pending)
        assert calls == ["now"]
        await pending

    asyncio.run(many())
    assert calls == ["now", "later"]


def test_without_a_reader_figures_texts_and_messages_are_shown_and_no_widgets(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *content, **options: shown.append(content[0]))
    panel = Doubling(number=7)
    panel._ipython_display_()
    assert shown == [panel.box]
    monkeypatch.setenv(show.STATIC, "1")
    shown.clear()
    panel._ipython_display_()
    bundles = [content for content in shown if isinstance(content, dict)]
    assert any("application/vnd.plotly.v1+json" in bundle for bundle in bundles)
    texts = [content.data for content in shown if hasattr(content, "data") and isinstance(content.data, str)]
    assert any("twice is 14" in text for text in texts)
    assert any("That is much." in text for text in texts)
    assert any("The code for this" in text for text in texts)
    assert not any(isinstance(content, widgets.Widget) for content in shown)


def test_controls_are_shown_whole_and_the_title_is_text():
    panel = Doubling()
    shown = panel.box.children[1].children
    assert [control.description for control in shown] == ["Number", "Names"]
    assert len({control.style.description_width for control in shown}) == 1, "fields begin below each other"
    assert "Doubling &lt;numbers&gt;" in panel.box.children[0].value


def test_plain_is_what_json_can_hold():
    assert plain((1, ("a", None), {"b": (2.5, True)})) == [1, ["a", None], {"b": [2.5, True]}]
