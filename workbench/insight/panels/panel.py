"""What all panels share: labelled controls, a state that code can read and set, one message, figures that follow."""

from __future__ import annotations

import html
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import ipywidgets as widgets
import traitlets

from workbench.config import WorkbenchError, lookup
from workbench.insight.panels.keys import OwnKeys
from workbench.insight.panels.later import soon
from workbench.insight.panels.slot import FigureSlot
from workbench.insight.show import DARK, is_static, show

MESSAGE = '<div role="alert" style="{style}">{text}</div>'
WARNING = "border-left:4px solid #D55E00;padding:6px 12px;margin:4px 0;line-height:1.4"
#: Descriptions begin where the panel does.
LEFT = "<style>.workbench-controls .widget-label { text-align: left; }</style>"
CODE = (
    '<details><summary style="cursor:pointer">The code for this</summary>'
    '<pre style="white-space:pre-wrap;padding:8px;margin:4px 0;border:1px solid var(--jp-border-color2,#ddd)">{}</pre>'
    "</details>"
)
ROW = widgets.Layout(display="flex", flex_flow="row wrap", align_items="center", grid_gap="4px 20px", width="100%")
#: Controls stand in columns of one width, so that their fields and tracks are as long as each other.
COLUMNS = widgets.Layout(
    display="grid", grid_template_columns="repeat(auto-fill, minmax(395px, 1fr))", grid_gap="2px 28px", width="100%",
    grid_auto_rows="minmax(32px, auto)", align_items="flex-start",
)  # fmt: skip
LETTER, PADDING, LINE = 7.2, 14, 34  # pixels: of descriptions, and from one row of controls to the next
WHOLE_ROW = "auto / 1 / auto / -1"  # the grid area of a control that is as wide as the panel


class Held(traitlets.HasTraits):
    """A part of a panel's state that no control shows, such as the probes that were locked by clicking."""

    value = traitlets.Any()


class Panel:
    """A few controls and what follows from them; a subclass fills ``controls`` and ``views`` and writes `update`.

    The state is plain data (what JSON can hold): ``Panel(**panel.state)`` is the same panel again, and so a notebook
    can take it from its parameters cell. A `WorkbenchError` in `update` becomes a sentence in the panel.

    Args:
        title: what the panel is for, a few words.
        controls: name -> what holds its ``value``; those that are widgets are shown, in this order, and need a
            ``description``.
        views: figures, tables and texts, each row a list that wraps where the page is narrow.
        state: first values, by name.
    """

    def __init__(
        self,
        title: str,
        controls: Mapping[str, traitlets.HasTraits],
        views: Sequence[Sequence[widgets.DOMWidget]],
        state: Mapping[str, Any],
    ) -> None:
        self.controls, self.views = dict(controls), [list(row) for row in views]
        self._message, self._code = widgets.HTML(), widgets.HTML()
        self._quiet, self._pending = False, None
        self._turn = threading.RLock()  # JupyterLab lets more than one thread of the kernel hear a page's messages
        shown = [control for control in self.controls.values() if isinstance(control, widgets.DOMWidget)]
        align(shown)
        heading = widgets.HTML(f'{DARK}{LEFT}<h3 style="margin:4px 0">{html.escape(title)}</h3>')
        rows = [widgets.Box(row, layout=ROW) for row in self.views]
        columns = widgets.Box(shown, layout=COLUMNS)
        columns.add_class("workbench-controls")
        self.box = widgets.VBox([heading, columns, self._message, *rows, self._code, OwnKeys()])
        with self._silence():
            self._assign(state)
        for control in self.controls.values():
            control.observe(self._moved, names="value")
        self.refresh()

    @property
    def state(self) -> dict[str, Any]:
        """The value of every control, as plain data."""
        return {name: plain(control.value) for name, control in self.controls.items()}

    @state.setter
    def state(self, values: Mapping[str, Any]) -> None:
        self.set(**values)

    def set(self, **values: Any) -> None:
        """Change some values at once, all or none; the panel is up to date when this returns.

        Raises:
            WorkbenchError: an unknown name, or a value that its control does not take.
        """
        with self._turn:
            with self._silence():
                self._assign(values)
            self.refresh()

    @property
    def message(self) -> str:
        """What the panel says instead of, or beside, its figures; empty if all is well."""
        return self._said

    @property
    def code(self) -> str:
        """Python that shows the same panel again."""
        values = ", ".join(f"{name}={value!r}" for name, value in self.state.items())
        return f"{type(self).__name__}({values})"

    def update(self, state: Mapping[str, Any]) -> str | None:
        """Draw what follows from ``state``; a sentence that is returned is shown above the figures."""
        raise NotImplementedError

    def refresh(self) -> None:
        """Draw again, now."""
        with self._turn:
            try:
                self._say(self.update(self.state) or "")
            except WorkbenchError as error:
                for slot in self.slots:
                    slot.clear()
                self._say(str(error))
            self._code.value = CODE.format(html.escape(self.code))

    @property
    def slots(self) -> list[FigureSlot]:
        """Where figures are drawn, in the order of reading."""
        return [view for row in self.views for view in row if isinstance(view, FigureSlot)]

    def _ipython_display_(self) -> None:
        from IPython.display import HTML, display

        if not is_static():
            display(self.box)
            return
        for view in (view for row in self.views for view in row):
            if isinstance(view, FigureSlot) and view.figure is not None:
                show(view.figure)
            elif isinstance(view, widgets.HTML) and view.value:
                display(HTML(view.value))
        for note in (self._message, self._code):
            if note.value:
                display(HTML(note.value))

    def _say(self, text: str) -> None:
        self._said = text
        self._message.value = MESSAGE.format(style=WARNING, text=html.escape(text)) if text else ""

    def _assign(self, values: Mapping[str, Any]) -> None:
        for name in values:
            lookup(f"{type(self).__name__} option", self.controls, name)
        before = {name: control.value for name, control in self.controls.items()}
        for name, control in self.controls.items():  # in their order: what one offers may follow from one before it
            try:
                if name in values:
                    control.value = values[name]
            except (traitlets.TraitError, TypeError, ValueError) as error:
                for other, value in before.items():
                    self.controls[other].value = value
                raise WorkbenchError(
                    f"{type(self).__name__} does not take {values[name]!r} for '{name}' ({str(error).rstrip('.')}); "
                    f"it stays {plain(before[name])!r}."
                ) from error

    @contextmanager
    def _silence(self) -> Iterator[None]:
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before

    def _moved(self, change: object) -> None:
        if not self._quiet:
            self._pending = soon(self.refresh, self._pending)


def align(controls: Sequence[widgets.DOMWidget]) -> None:
    """Let ``controls`` fill their columns, fields beginning below each other; a list of lines spans several rows."""
    longest = max((len(control.description) for control in controls), default=0)
    for control in controls:
        control.style.description_width = f"{PADDING + round(LETTER * longest)}px"
        control.layout.width = control.layout.width or "auto"
        if (rows := getattr(control, "rows", 0)) and not control.layout.grid_area:
            control.layout.grid_area = f"auto / auto / span {-(-(18 * rows + 8) // LINE)} / auto"


def plain(value: Any) -> Any:
    """``value`` as JSON holds it."""
    return json.loads(json.dumps(value, default=list))
