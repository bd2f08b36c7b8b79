"""One look for every figure: colours that colour-blind readers can tell apart, one font, units in view.

Nothing is registered at import. `template` builds the Plotly template, `blank` starts a figure in it, and
`register_template` makes it Plotly's own ``"workbench"`` for figures that are drawn by hand in a notebook.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

INK = "#1b2733"
MUTED = "#5a6775"
AXIS = "#b4bec9"
GRID = "#e8ecf1"
PAPER = "#ffffff"
FAINT = "#c3ccd6"

# Okabe & Ito's palette (2008), which stays apart under the three common forms of colour blindness.
BLUE = "#0072B2"
VERMILION = "#D55E00"
GREEN = "#009E73"
AMBER = "#E69F00"
SKY = "#56B4E9"
PURPLE = "#B7609A"
GREY = "#8793a1"
COLOURS = (BLUE, VERMILION, GREEN, AMBER, SKY, PURPLE, GREY)

# One hue, monotone in lightness: reads the same in grey print.
SEQUENTIAL = (
    (0.0, "#f4f8fb"),
    (0.12, "#dbe9f4"),
    (0.3, "#a9cde5"),
    (0.5, "#5fa5d0"),
    (0.7, "#1f77b0"),
    (0.88, "#0a4f86"),
    (1.0, "#072f57"),
)

# Two hues that colour-blind readers tell apart, equally dark at both ends: less and more than nothing.
DIVERGING = (
    (0.0, "#0a4f86"),
    (0.25, "#5fa5d0"),
    (0.5, "#f6f7f8"),
    (0.75, "#ef9d5c"),
    (1.0, "#a84300"),
)

FONT = "Inter, 'Segoe UI', Roboto, 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif"
NAME = "workbench"
# For ``figure.show(config=CONFIG)``. By default Plotly shows a button that sends data to its cloud. Not responsive: in
# JupyterLab that collapses a figure to no height.
CONFIG = {
    "displaylogo": False,
    "showSendToCloud": False,
    "modeBarButtonsToRemove": ["lasso2d", "select2d", "autoScale2d"],
    "toImageButtonOptions": {"format": "svg", "filename": "figure"},
}
TOP_MARGIN = 96  # pixels: title, subtitle and one row of legend
LEGEND = 24  # of them the row of legend, which a figure without one leaves out
BASELINE = 28  # pixels from the top to the foot of the title


@cache
def template() -> go.layout.Template:
    """The template itself; the same object at every call, so do not change it."""
    axis = {
        "automargin": True,
        "gridcolor": GRID,
        "linecolor": AXIS,
        "showline": True,
        "tickcolor": AXIS,
        "ticks": "outside",
        "ticklen": 4,
        "tickfont": {"size": 12, "color": MUTED},
        "title": {"font": {"size": 13, "color": INK}, "standoff": 10},
        "zeroline": False,
        "exponentformat": "none",
    }
    layout = go.Layout(
        font={"family": FONT, "size": 13, "color": INK},
        colorway=list(COLOURS),
        paper_bgcolor=PAPER,
        plot_bgcolor=PAPER,
        margin={"l": 64, "r": 24, "t": TOP_MARGIN, "b": 56},
        title={
            "x": 0.012,
            "xanchor": "left",
            "xref": "container",
            "yanchor": "bottom",
            "yref": "container",
            "font": {"size": 17, "color": INK, "weight": 600},
            "subtitle": {"font": {"size": 13, "color": MUTED}},
        },
        legend={
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1.005,
            "yanchor": "bottom",
            "font": {"size": 12, "color": INK},
            "bgcolor": "rgba(0,0,0,0)",
            "tracegroupgap": 0,
        },
        hoverlabel={
            "bgcolor": "#ffffff",
            "bordercolor": AXIS,
            "font": {"family": FONT, "size": 12, "color": INK},
            "align": "left",
        },
        hovermode="closest",
        modebar={"bgcolor": "rgba(255,255,255,0)", "color": FAINT, "activecolor": BLUE},
        colorscale={"sequential": [list(stop) for stop in SEQUENTIAL]},
        bargap=0.35,
        xaxis=axis,
        yaxis=axis,
    )
    return go.layout.Template(layout=layout)


def register_template() -> str:
    """Make the look available as ``template="workbench"``; returns that name. Changes no default."""
    import plotly.io as pio

    pio.templates[NAME] = template()
    return NAME


def blank(title: str, message: str, *, x: str = "", y: str = "", height: int = 460) -> go.Figure:
    """An empty figure in the template.

    Args:
        title: what is drawn, a few words.
        message: what it shows, one short sentence; the subtitle, and the text alternative in a report.
        x, y: titles of the axes, with their unit in brackets.
        height: in pixels; the width follows the page.
    """
    axes = {axis: {"title": {"text": text}} for axis, text in (("xaxis", x), ("yaxis", y)) if text}
    return go.Figure(layout={"template": template(), **_heading(title, message, height), **axes})


def subplots(rows: int, cols: int, **geometry: Any) -> go.Figure:
    """Empty plots in a grid, in the template, to be given a title by `dress`; ``geometry`` as `make_subplots` takes
    it, in what can be hashed."""
    return go.Figure(_subplots(rows, cols, **geometry))


@cache
def _subplots(rows: int, cols: int, **geometry: Any) -> go.Figure:
    # A panel draws the same grid at every move, and a copy takes a quarter of the time.
    return make_subplots(rows, cols, figure=go.Figure(layout={"template": template()}), **geometry)


def dress(figure: go.Figure, title: str, message: str, *, height: int) -> go.Figure:
    """Give ``figure`` (of `subplots`, say) a title and a message; returns it."""
    return figure.update_layout(_heading(title, message, height))


def _heading(title: str, message: str, height: int) -> dict[str, Any]:
    return {
        "title": {"text": title, "subtitle": {"text": message}, "y": 1 - BASELINE / height},
        "meta": {"title": title, "message": message},
        "height": height,
        "autosize": True,
    }
