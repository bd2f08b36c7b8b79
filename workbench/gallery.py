"""The notebooks as pages: executed, rendered to HTML that works offline, with an index in front."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.config import WorkbenchError, write_atomically
from workbench.notebooks import execute

if TYPE_CHECKING:
    from nbformat import NotebookNode

PLOTLY = "application/vnd.plotly.v1+json"
LIBRARY = "plotly.min.js"  # one copy beside the pages: it is 4.8 MB
PREVIEW_HEIGHT = 230  # pixels
INDEX = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Latency workbench: gallery</title><script src="{library}"></script>
<style>
:root {{ color-scheme: light dark; --ink: #1b2733; --muted: #5a6775; --page: #f6f8fa; --card: #fff; --line: #dde3e9; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #e4e9ee; --muted: #a3afbb; --page: #14181c; --card: #1b2127; --line: #333c45; }}
  .js-plotly-plot .plotly {{ filter: invert(0.89) hue-rotate(180deg); }}
}}
body {{ font: 16px/1.5 Inter, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif; margin: 0;
  padding: 32px 24px 64px; background: var(--page); color: var(--ink); }}
main {{ max-width: 1240px; margin: auto; }}
h1 {{ font-size: 30px; margin: 0 0 4px; }} .lead {{ color: var(--muted); margin: 0 0 28px; max-width: 70ch; }}
ul {{ list-style: none; padding: 0; display: grid; gap: 20px;
  grid-template-columns: repeat(auto-fill, minmax(340px, 1fr)); }}
li {{ background: var(--card); border: 1px solid var(--line); border-radius: 10px; overflow: hidden;
  position: relative; }}
li:focus-within, li:hover {{ border-color: #0072b2; box-shadow: 0 2px 14px rgba(0, 60, 110, 0.13); }}
h2 {{ font-size: 17px; line-height: 1.35; margin: 14px 16px 4px; }}
p {{ margin: 0 16px 16px; color: var(--muted); font-size: 14px; }}
a {{ color: inherit; text-decoration: none; }}
a::after {{ content: ""; position: absolute; inset: 0; z-index: 2; }}
a:focus-visible {{ outline: 3px solid #0072b2; outline-offset: 2px; }}
.preview {{ height: {height}px; background: #fff; }}
@media (prefers-color-scheme: dark) {{ .preview {{ background: var(--card); }} }}
</style></head><body><main>
<h1>Latency workbench</h1>
<p class="lead">How long does a neural network take on a device, how sure is that, and why? Every page is a notebook as
it ran on this machine; open the live ones with <code>make lab</code>.</p>
<ul>
{cards}
</ul></main></body></html>
"""
CARD = """<li><div class="preview" aria-hidden="true">{preview}</div>
<h2><a href="{page}">{title}</a></h2><p>{lead}</p></li>"""
# The pages follow the system's theme where the notebook's own style would stay light.
PAGE_STYLE = f"""<script src="{LIBRARY}"></script>
<style>body {{ max-width: 1100px; margin: auto !important; }}
.back {{ padding: 14px; font-family: sans-serif; }}</style>
<p class="back"><a href="index.html">&larr; All notebooks</a></p>"""


class Page(NamedTuple):
    """A rendered notebook.

    Args:
        name: of the notebook, and of its page.
        title: its first heading.
        lead: what comes after it, in a sentence.
        figure: its first figure as Plotly's JSON, None if it has none.
    """

    name: str
    title: str
    lead: str
    figure: dict[str, Any] | None


def gallery(
    notebooks: Sequence[Path], out: Path, smoke: bool = False, progress: Callable[[str], None] | None = None
) -> Path:
    """Run ``notebooks``, render each to a page in the folder ``out``, and write its ``index.html``.

    Args:
        notebooks: in the order of the index.
        out: folder; everything in it works offline.
        smoke: tiny runs.
        progress: called with the name of each notebook before it runs.

    Raises:
        WorkbenchError: no notebook, one that fails, or a folder that cannot be written.
    """
    if not notebooks:
        raise WorkbenchError("A gallery expects notebooks, got none; give a folder that has some.")
    from plotly.offline import get_plotlyjs

    write_atomically(out / LIBRARY, lambda path: path.write_text(get_plotlyjs(), encoding="utf-8"))
    pages = []
    for notebook in notebooks:
        if progress:
            progress(notebook.name)
        pages.append(render(execute(notebook, out / "executed" / notebook.name, {"smoke": smoke}), out))
    cards = "\n".join(map(_card, pages))
    text = INDEX.format(library=LIBRARY, height=PREVIEW_HEIGHT, cards=cards)
    return write_atomically(out / "index.html", lambda path: path.write_text(text, encoding="utf-8"))


def render(executed: Path, out: Path) -> Page:
    """Write the notebook ``executed``, with the outputs it has, as ``<name>.html`` into ``out``."""
    import nbformat
    from nbconvert import HTMLExporter

    document = nbformat.read(executed, as_version=4)
    title, lead = _opening(document)
    figure = _first_figure(document)
    _draw_figures(document)
    exporter = HTMLExporter(theme="light", mathjax_url="", require_js_url="", jquery_url="", mermaid_js_url="")
    body, _ = exporter.from_notebook_node(document, {"metadata": {"name": title}})
    body = re.sub(r"(<body[^>]*>)", lambda found: found.group(1) + PAGE_STYLE, body, count=1)
    write_atomically(out / f"{executed.stem}.html", lambda path: path.write_text(body, encoding="utf-8"))
    return Page(executed.stem, title, lead, figure)


def _draw_figures(document: NotebookNode) -> None:
    """Give every figure an HTML form: nbconvert knows none for Plotly's JSON."""
    import plotly.io

    from workbench.insight.template import CONFIG

    for output in _outputs(document):
        if PLOTLY in output.data:
            figure = {name: output.data[PLOTLY][name] for name in ("data", "layout")}
            text = plotly.io.to_html(figure, CONFIG, include_plotlyjs=False, full_html=False, validate=False)
            output.data = {"text/html": text}


def _first_figure(document: NotebookNode) -> dict[str, Any] | None:
    found = (output.data[PLOTLY] for output in _outputs(document) if PLOTLY in output.data)
    return next(found, None)


def _outputs(document: NotebookNode) -> list[NotebookNode]:
    """What cells displayed."""
    outputs = [output for cell in document.cells for output in cell.get("outputs", [])]
    return [output for output in outputs if "data" in output]


def _opening(document: NotebookNode) -> tuple[str, str]:
    """Title and first sentence of the first text cell."""
    text = next((cell.source for cell in document.cells if cell.cell_type == "markdown"), "")
    title, _, rest = text.partition("\n")
    points = re.findall(r"\*\*(.+?)\*\*", rest)
    return title.lstrip("# ").strip(), ", ".join(points[:5])


def _card(page: Page) -> str:
    import plotly.graph_objects as go
    import plotly.io

    preview = ""
    if page.figure is not None:
        figure = go.Figure({name: page.figure[name] for name in ("data", "layout")}, skip_invalid=True)
        margin = {"l": 44, "r": 14, "t": 14, "b": 36}
        figure.update_layout(height=PREVIEW_HEIGHT, title=None, showlegend=False, margin=margin, annotations=[])
        preview = plotly.io.to_html(figure, {"staticPlot": True}, include_plotlyjs=False, full_html=False)
    escaped = {"title": html.escape(page.title), "lead": html.escape(page.lead)}
    return CARD.format(preview=preview, page=f"{page.name}.html", **escaped)
