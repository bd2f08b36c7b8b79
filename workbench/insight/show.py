"""How figures, tables and sentences appear below a cell, and in words where nothing can be drawn."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workbench.insight.html_table import html_table
from workbench.insight.labels import SHARES, capital, heading, in_percent, share_title, spoken, unit_of, written

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go
    from pandas.io.formats.style import Styler

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


def tell(*sentences: str, **addresses: object) -> None:
    """Say ``sentences`` below the cell, a paragraph each, and where things are: name -> path, or address to follow."""
    from IPython.display import display

    lines = [html.escape(sentence) for sentence in sentences]
    for name, address in addresses.items():
        text = html.escape(str(address))
        link = (
            f"<a href='{text}' target='_blank' rel='noopener'>{text}</a>" if "://" in text else f"<code>{text}</code>"
        )
        lines.append(f"{html.escape(spoken(name))}: {link}")
    paragraphs = "".join(f"<p style='margin:4px 0;max-width:75em;overflow-wrap:anywhere'>{line}</p>" for line in lines)
    plain = [*sentences, *(f"{spoken(name)}: {address}" for name, address in addresses.items())]
    display({"text/html": paragraphs, "text/plain": "\n".join(plain)}, raw=True)


def neat(frame: pd.DataFrame, digits: int = 3) -> Styler:
    """``frame`` as people read it: columns in words, ``digits`` behind the point, shares in percent, no numbers of
    rows."""
    numbered = frame.index.name is None and frame.index.inferred_type == "integer"
    percents = [share_title(name) for name in frame if name in SHARES]
    frame = in_percent(frame).reset_index(drop=numbered).rename(columns=lambda name: capital(heading(name)))
    texts = [name for name in frame if frame[name].dtype.kind not in "ifu"]
    left = [{"selector": "td, th", "props": "text-align: left"}]
    styler = frame.style.format(precision=digits, thousands=",", na_rep="–").hide(axis="index")
    counts = frame.select_dtypes("float").fillna(0)  # a count with gaps or after a mean
    whole = [name for name in counts if (counts[name] % 1 == 0).all() and counts[name].max() > 1]
    styler = styler.format(precision=0, thousands=",", na_rep="–", subset=whole)
    styler = styler.format(precision=1, na_rep="–", subset=percents)
    return styler.set_table_styles(dict.fromkeys(texts, left))


def _known(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None and value != ""}


def fields_html(fields: Mapping[str, object]) -> str:
    """What is known of ``fields`` as a table of field, value and, where there are any, units."""
    known = _known(fields)
    units = any(map(unit_of, known))
    columns = 3 if units else 2
    rows = ([spoken(name), written(value), unit_of(name)][:columns] for name, value in known.items())
    return html_table(("Field", "Value", "Unit")[:columns], (map(html.escape, row) for row in rows))


def show_fields(fields: Mapping[str, object]) -> None:
    """Display what is known of ``fields`` below the cell, units from their names."""
    from IPython.display import display

    lines = [f"{spoken(name)}: {written(value)} {unit_of(name)}".rstrip() for name, value in _known(fields).items()]
    display({"text/html": fields_html(fields), "text/plain": "\n".join(lines)}, raw=True)


def words(figure: go.Figure) -> str:
    """The figure's main message: what a reader is told who cannot see it."""
    meta = figure.layout.meta or {}
    return f"{meta.get('title', 'A figure')}. {meta.get('message', '')}".strip()


def bundle(figure: go.Figure) -> dict[str, Any]:
    """``figure`` as notebooks show it, and in words where they cannot."""
    from plotly.io.base_renderers import PlotlyRenderer

    from workbench.insight.template import CONFIG

    return {"text/plain": words(figure), **PlotlyRenderer(CONFIG).to_mimebundle(figure.to_dict())}
