"""Whether a map of attention can be trusted: what is looked at, against what matters."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.insight.frames import checked, one_of
from workbench.insight.labels import safe
from workbench.insight.plots.attention import agreement, check_faithfulness
from workbench.insight.plots.names import place_names, write_name
from workbench.insight.template import BLUE, GREY, INK, PAPER, VERMILION, blank

FIGURE = "attention-faithfulness"
#: Kind of hardware token -> how it is drawn, and what it is called.
KINDS = {"capability": (BLUE, "circle", "capability"), "probe": (VERMILION, "diamond", "probe reading")}
NAMED = 2  # properties that are named on each axis
AREA = (330.0, 220.0)  # pixels between the outermost points, about


def attention_faithfulness(frame: pd.DataFrame, faithfulness: float | None = None) -> go.Figure:
    """How much every hardware property is looked at, and how much changes without it, as ranks.

    Args:
        frame: one row per property: ``name``, ``kind`` (``capability`` or ``probe``), ``attention_percent`` and
            ``effect_percent``.
        faithfulness: rank correlation of the two, -1 to 1; None where there is none.

    Raises:
        WorkbenchError: a column or a number is missing, or the faithfulness is no correlation.
    """
    percents = ["attention_percent", "effect_percent"]
    frame = checked(frame, FIGURE, words=["name", "kind"], numbers=percents)
    one_of(frame, FIGURE, "kind", list(KINDS))
    ranks = frame[percents].rank(ascending=False)
    frame = frame.assign(x=ranks["attention_percent"], y=ranks["effect_percent"])
    figure = blank(
        "How far to trust the map",
        _message(check_faithfulness(faithfulness, FIGURE)),
        x="Rank of the attention it gets (1: most)",
        y="Rank of what changes without it (1: most)",
        height=380,
    )
    ends = [len(frame) + 0.7, 0.3]
    figure.add_scatter(
        x=ends,
        y=ends,
        mode="lines",
        name="full agreement",
        line={"color": GREY, "width": 1.5, "dash": "dot"},
        hoverinfo="skip",
    )
    for kind, (colour, symbol, name) in KINDS.items():
        figure.add_trace(_points(frame[frame["kind"] == kind], colour, symbol, name))
    step = max(1, round(len(frame) / 6))
    ticks = [1, *range(1 + step, len(frame) + 1, step)]
    for axis in (figure.layout.xaxis, figure.layout.yaxis):
        axis.update(range=ends, tickvals=ticks)
    _name_the_first(figure, frame)
    return figure


def _points(frame: pd.DataFrame, colour: str, symbol: str, name: str) -> go.Scatter:
    return go.Scatter(
        x=frame["x"],
        y=frame["y"],
        mode="markers",
        name=name,
        showlegend=len(frame) > 0,
        marker={"color": colour, "symbol": symbol, "size": 10, "line": {"color": PAPER, "width": 1}},
        customdata=[
            [safe(row.name), f"{row.attention_percent:.1f}", f"{row.effect_percent:.2g}"]
            for row in frame.itertuples(index=False)
        ],
        hovertemplate=(
            "<b>%{customdata[0]}</b><br>gets %{customdata[1]} % of the attention"
            "<br>without it, costs change by %{customdata[2]} %<extra></extra>"
        ),
        cliponaxis=False,
    )


def _name_the_first(figure: go.Figure, frame: pd.DataFrame) -> None:
    """Names beside the first points on either axis."""
    ranks = frame[["x", "y"]].to_numpy()
    pixels = (len(frame) + 0.7 - ranks) / (len(frame) + 0.4) * np.array(AREA)  # the first ranks are right and above
    first = dict.fromkeys(place for axis in (0, 1) for place in np.argsort(ranks[:, axis], kind="stable")[:NAMED])
    texts = [safe(frame["name"].iloc[place]) for place in first]
    for point, text, place in zip(first, texts, place_names(pixels, [[p] for p in first], texts, AREA), strict=True):
        if place:
            write_name(figure, *ranks[point], text, place, size=11, colour=INK)


def _message(faithfulness: float | None) -> str:
    if faithfulness is None:
        return "Too few known properties, or too alike, to tell."
    return f"Faithfulness {faithfulness:.2f}: {agreement(faithfulness)}."
