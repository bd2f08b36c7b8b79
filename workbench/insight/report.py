"""The report a person takes away: one HTML file that works offline, on a phone, in the dark and on paper."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from workbench import __version__
from workbench.config import WorkbenchError, write_atomically
from workbench.insight.report_parts import (
    KeyFigure,
    card_html,
    figure_html,
    key_figures,
    prose,
    strip_html,
    table_html,
)
from workbench.insight.report_style import SCRIPT, STYLE

__all__ = ["KeyFigure", "Section", "card_html", "key_figures", "write_report"]

# The page may use what it carries and fetch nothing: the browser itself keeps the promise that it works
# offline.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:"
)


@dataclass(frozen=True, eq=False)
class Section:
    """One part of a report; its pieces are shown in the order text, html, figures, table.

    Args:
        title: a short heading, also in the table of contents.
        text: paragraphs, separated by an empty line; `code` in backticks and **bold** are understood.
        figure: a Plotly figure, or several.
        caption: what the figure means, below it; belongs to the last one where there are several.
        table: shown as it stands, numbers to the right, gaps as ``unknown``.
        html: a fragment that is already safe, such as `card_html` of a device.
    """

    title: str
    text: str = ""
    figure: go.Figure | Sequence[go.Figure] | None = None
    caption: str = ""
    table: pd.DataFrame | None = None
    html: str = ""

    @property
    def figures(self) -> tuple[go.Figure, ...]:
        """The figures, none, one or many."""
        if self.figure is None:
            return ()
        return (self.figure,) if isinstance(self.figure, go.Figure) else tuple(self.figure)


def write_report(
    path: str | Path,
    title: str,
    lead: str,
    sections: Sequence[Section],
    *,
    headline: Sequence[KeyFigure] = (),
    eyebrow: str = "Latency report",
    footer: str = "",
) -> Path:
    """Write one self-contained HTML file, at once or not at all.

    Args:
        path: the file, usually ``.html``; its folder is made.
        title: the answer in one line.
        lead: a paragraph or two below it (`prose`).
        sections: at least one.
        headline: key figures below the lead; see `key_figures`.
        eyebrow: two or three words above the title.
        footer: how it was made (`prose`); the version is added.

    Raises:
        WorkbenchError: no sections, or ``path`` cannot be written.

    Example: ``write_report("report.html", "My machine", "...", [Section("Ranking", figure=figure)])``.
    """
    if not sections:
        raise WorkbenchError("A report expects at least one section, got none; pass Section(...).")
    page = _page(title, lead, sections, headline, eyebrow, footer)
    return write_atomically(path, lambda temporary: temporary.write_text(page, encoding="utf-8"))


def _page(
    title: str,
    lead: str,
    sections: Sequence[Section],
    headline: Sequence[KeyFigure],
    eyebrow: str,
    footer: str,
) -> str:
    contents = "".join(
        f'<li><a href="#section-{number}">{html.escape(section.title)}</a></li>'
        for number, section in enumerate(sections, start=1)
    )
    body = "".join(_section(number, section) for number, section in enumerate(sections, start=1))
    library = f"<script>{get_plotlyjs()}</script>" if any(section.figures for section in sections) else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{html.escape(title)}</title>
<style>{STYLE}</style>
<noscript><style>.plot > div {{ display: none; }}</style></noscript>
{library}
</head>
<body>
<header class="top"><div>
<p class="eyebrow">{html.escape(eyebrow)}</p>
<h1>{html.escape(title)}</h1>
<div class="lead">{prose(lead)}</div>
{strip_html(headline)}
</div></header>
<div class="body">
<nav class="contents" aria-label="Contents"><b>Contents</b><ol>{contents}</ol></nav>
<main>{body}</main>
</div>
<footer><div>{prose(footer)}
<p>Written by the latency workbench {__version__}. This file works offline.</p></div></footer>
<script>{SCRIPT}</script>
</body>
</html>
"""


def _section(number: int, section: Section) -> str:
    figures = section.figures
    drawn = [
        figure_html(figure, f"figure-{number}-{place}", section.caption if place == len(figures) else "")
        for place, figure in enumerate(figures, start=1)
    ]
    text = f'<div class="text">{prose(section.text)}</div>' if section.text.strip() else ""
    return (
        f'<section id="section-{number}"><h2>{html.escape(section.title)}</h2>'
        f"{text}{section.html}{''.join(drawn)}"
        f"{'' if section.table is None else table_html(section.table)}</section>"
    )
