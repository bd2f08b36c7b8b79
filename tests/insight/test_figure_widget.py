"""Figure widgets name the code that draws them instead of carrying it; tests/browser shows that pages draw them."""

from __future__ import annotations

import json

import plotly.graph_objects as go
from ipywidgets import widget_serialization

from workbench.insight.figure_widget import BUNDLE, FigureWidget


def test_figures_share_one_copy_of_the_code():
    first, second = (FigureWidget(go.Figure(go.Scatter(y=[0, 1]))) for _ in range(2))
    assert first._code == second._code
    holder = widget_serialization["from_json"](f"IPY_MODEL_{first._code}", None)
    assert holder.text == BUNDLE.read_text(encoding="utf-8")


def test_a_figure_is_small_and_is_plotlys():
    figure = FigureWidget(go.Figure(go.Scatter(y=[0, 1])))
    assert isinstance(figure, go.FigureWidget)
    assert len(json.dumps(figure.get_state(), default=str)) < 50_000
    figure.data[0].y = [3, 4]
    assert list(figure.to_dict()["data"][0]["y"]) == [3, 4]
