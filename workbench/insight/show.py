"""How figures appear below a cell: drawn, in words where nothing can be drawn, and dark where the page is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import plotly.graph_objects as go

#: Set to 1 where notebooks run without a reader: panels then show figures that a saved notebook keeps, and no widgets.
STATIC = "WORKBENCH_STATIC"

#: Figures have one palette. On a dark page they are inverted and turned back to their hues, at once when the theme
#: changes, which no Python process could notice. ipywidgets draws the arrows of its lists black on any page.
DARK = """<style>
[data-jp-theme-light="false"] .js-plotly-plot .plotly { filter: invert(0.93) hue-rotate(180deg); }
[data-jp-theme-light="false"] .js-plotly-plot .plotly .hoverlayer { filter: none; }
[data-jp-theme-light="false"] .widget-dropdown > select { background-image: \
url("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 18 18'%3E\
%3Cpath fill='%23d0d0d0' d='M5 7l4 4 4-4z'/%3E%3C/svg%3E") !important; }
</style>"""


def is_static() -> bool:
    """Whether widgets would find no reader."""
    return os.environ.get(STATIC, "") not in ("", "0")


def show(figure: go.Figure) -> None:
    """Display ``figure`` below the cell."""
    from IPython.display import display

    display({"text/html": DARK, "text/plain": ""}, raw=True)
    display(bundle(figure), raw=True)


def words(figure: go.Figure) -> str:
    """The figure's main message: what a reader is told who cannot see it."""
    meta = figure.layout.meta or {}
    return f"{meta.get('title', 'A figure')}. {meta.get('message', '')}".strip()


def bundle(figure: go.Figure) -> dict[str, Any]:
    """``figure`` as notebooks show it, and in words where they cannot."""
    from plotly.io.base_renderers import PlotlyRenderer

    from workbench.insight.template import CONFIG

    return {"text/plain": words(figure), **PlotlyRenderer(CONFIG).to_mimebundle(figure.to_dict())}
