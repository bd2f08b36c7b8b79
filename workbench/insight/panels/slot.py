"""A place in a panel for a figure that is drawn again and again."""

from __future__ import annotations

import asyncio
from typing import Any

import ipywidgets as widgets
import numpy as np
import plotly.graph_objects as go
from plotly.basedatatypes import BasePlotlyType

from workbench.insight.figure_widget import FigureWidget
from workbench.insight.panels.later import later
from workbench.insight.panels.width import Width
from workbench.insight.show import words
from workbench.insight.template import CONFIG

#: Read out by screen readers, not drawn.
SPOKEN = '<p role="status" style="position:absolute;left:-9999px;height:1px;overflow:hidden">{}</p>'

#: Properties that a widget keeps when it is given another figure; every figure has the same template.
OWN = frozenset({"type", "uid", "template", "width"})

#: Seconds after which a figure that was added to a page is sure to be in it, on a quick and on a busy machine.
ADDED_S = (0.3, 1.5)


class FigureSlot(widgets.VBox):
    """Shows one figure at a time; a figure of the same kinds of traces takes over the widget that is there.

    Args:
        min_width: CSS width under which the slot moves to a row of its own.
    """

    def __init__(self, min_width: str = "420px") -> None:
        self._words, self._width = widgets.HTML(), Width()
        self._width.observe(lambda _: self._fit(), names="pixels")
        self.figure: go.Figure | None = None
        self.widget: FigureWidget | None = None
        layout = widgets.Layout(flex="1 1 0", min_width=min_width, overflow="hidden", align_self="flex-start")
        super().__init__([self._words], layout=layout)

    def draw(self, figure: go.Figure) -> None:
        """Show ``figure`` instead of the one before."""
        self.figure = figure
        self._words.value = SPOKEN.format(words(figure))
        before = self.widget
        if before is not None and kinds(before) == kinds(figure):
            redraw(before, figure)
            return
        self.widget = FigureWidget(figure)
        self.widget._config = dict(CONFIG)
        self._fit()
        self.children = [self._words, self.widget, self._width]
        if before is not None:
            before.close()
        self._place_title(self.widget)

    def _place_title(self, widget: go.FigureWidget) -> None:
        """Let the page place the title again: it draws a figure before it adds it, and then does not know how high the
        title is that the subtitle is to stand below."""

        def place() -> None:
            if self.widget is widget and widget.layout.title.y is not None:
                widget.layout.title.y += 1e-9

        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # it is not in a page
            return
        self._placing = [loop.create_task(later(place, seconds)) for seconds in ADDED_S]

    def clear(self) -> None:
        """Show nothing."""
        if self.widget is not None:
            self.children = [self._words]
            self.widget.close()
        self.figure = self.widget = None
        self._words.value = ""

    def _fit(self) -> None:
        if self.widget is not None and self._width.pixels:
            self.widget.layout.width = self._width.pixels


def redraw(widget: go.FigureWidget, figure: go.Figure) -> None:
    """Give ``widget`` the data and the layout of ``figure``, whose traces are of the same kinds, in one message that
    says only what differs: Plotly takes its time over every property that it is told."""
    with widget.batch_update():
        for old, new in zip(widget.data, figure.data, strict=True):
            old.update(_differing(old, new), overwrite=True)
        widget.layout.update(_differing(widget.layout, figure.layout), overwrite=True)


def _differing(old: BasePlotlyType, new: BasePlotlyType) -> dict[str, Any]:
    """The properties of ``new`` that ``old`` does not have or has otherwise, and None for those that it is to lose."""
    before, after = (part.to_plotly_json() for part in (old, new))
    for properties in (before, after):
        for name in OWN & properties.keys():
            del properties[name]
    lost = dict.fromkeys(before.keys() - after.keys())
    return lost | {name: value for name, value in after.items() if name not in before or not same(before[name], value)}


def same(one: Any, other: Any) -> bool:
    """Whether two properties of a figure are equal, arrays compared by what they hold."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return type(one) is type(other) and one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def kinds(figure: go.Figure | go.FigureWidget) -> list[str]:
    """The types of the traces, in order."""
    return [trace.type for trace in figure.data]
