"""Figures that are drawn while something runs: widgets first, a plain figure at last."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
import pytest

from workbench.insight import live
from workbench.insight.plots.quality import training_curve

WIDGET, PLAIN = "application/vnd.jupyter.widget-view+json", "application/vnd.plotly.v1+json"


@pytest.fixture
def shown(monkeypatch) -> list[dict]:
    """What is put below the cell."""
    contents: list[dict] = []

    class Place:
        def update(self, content, raw) -> None:
            contents.append(content)

    monkeypatch.setattr(live, "_display", lambda content: Place())
    return contents


def curve(*losses: float) -> go.Figure:
    return training_curve(pd.DataFrame({"step": range(len(losses)), "loss": losses}))


def test_one_widget_follows_the_figures_and_gives_way_to_a_plain_one(shown):
    place = live.LiveFigure("soon")
    place.draw(curve(3, 2))
    place.draw(curve(3, 2, 0.01))
    assert len(shown) == 1
    assert WIDGET in shown[0]
    assert list(place._widget.data[0].y) == [3, 2, 0.01]
    assert place._widget.layout.yaxis.type == "log"
    assert "0.01" in place._widget.layout.title.subtitle.text
    place.draw(curve(3, 2, 0.01, 0.02), last=True)
    assert len(shown) == 2
    assert shown[1][PLAIN]["layout"]["title"]["text"] == "Training"
    assert "in step 2 of 3" in shown[1]["text/plain"]


def test_a_figure_with_other_traces_is_another_widget_in_the_same_box(shown):
    """JupyterLab shows nothing in the place of a widget that another one replaces."""
    place = live.LiveFigure("soon")
    place.draw(curve(3, 2))
    first = place._widget
    both = pd.DataFrame({"step": [1, 2], "loss": [3, 2], "validation_loss": [3, 2]})
    place.draw(training_curve(both))
    assert [WIDGET in content for content in shown] == [True]
    assert place._box.children == (place._widget,)
    assert len(place._widget.data) == 2
    assert first.comm is None  # closed


def test_outside_of_notebooks_nothing_is_drawn():
    assert not live.LiveFigure("soon").seen
