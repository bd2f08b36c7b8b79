"""Plotly's figure widget, whose code reaches the page once instead of once per figure.

plotly.py hands 5 MB of JavaScript to the page with every `FigureWidget`, and the page starts each copy: half a second
and 5 MB per figure, again at every reload. Here one invisible widget per kernel holds the code, and each figure asks
for it by name; what the code does is the same.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import anywidget
import plotly
import plotly.graph_objects as go
import traitlets

#: The code of figure widgets, as plotly.py has it.
BUNDLE = Path(plotly.__file__).parent / "package_data" / "widgetbundle.js"


class _Code(anywidget.AnyWidget):
    """Holds JavaScript that other widgets of this kernel start."""

    _esm = "export default {}"
    text = traitlets.Unicode().tag(sync=True)


@cache
def _code() -> _Code:
    return _Code(text=BUNDLE.read_text(encoding="utf-8"))


class FigureWidget(go.FigureWidget):
    """`plotly.graph_objects.FigureWidget`, see the module's docstring."""

    _esm = """
    async function start(model) {
        const code = await model.widget_manager.get_model(model.get("_code"));
        const address = URL.createObjectURL(new Blob([code.get("text")], { type: "text/javascript" }));
        try {
            return (await import(address)).default;
        } finally {
            URL.revokeObjectURL(address);
        }
    }
    export default () => {
        let figure;
        return {
            async initialize({ model, ...rest }) {
                const name = `workbench figures, plotly ${model.get("_version")}`;
                globalThis[name] ??= start(model);  // of all figures in the page, the first one starts it
                figure = (await globalThis[name])();
                await figure.initialize({ model, ...rest });
            },
            render(context) {
                // Plotly takes the width that there is: drawn before it is on the page, a figure stays narrow.
                const drawn = onPage(context.el).then(() => figure.render(context));
                return async () => (await drawn)?.();
            },
        };
    };
    async function onPage(element) {
        for (let frames = 0; !element.isConnected && frames < 120; frames++) {
            await new Promise(requestAnimationFrame);
        }
    }
    """
    _code = traitlets.Unicode().tag(sync=True)
    _version = traitlets.Unicode(plotly.__version__).tag(sync=True)

    @traitlets.default("_code")
    def _name_of_code(self) -> str:
        return _code().model_id
