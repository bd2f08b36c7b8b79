"""The pieces of a report as HTML: key figures, device card, tables, figures. Every name is escaped here."""

from __future__ import annotations

import dataclasses
import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio

from workbench.config import WorkbenchError, lookup
from workbench.insight.labels import heading, in_percent, spoken, unit_of, written
from workbench.insight.template import CONFIG, TOP_MARGIN

UNKNOWN = "unknown"
STATUS_WORDS = {"ok": "✓ good", "attention": "! look here", "plain": ""}
BARE_TOP_MARGIN = 40  # of a figure whose title stands in the page: one row of legend


@dataclasses.dataclass(frozen=True)
class KeyFigure:
    """One number of the headline strip.

    Args:
        label: what it is (``"Spearman"``).
        value: as shown (``"0.96"``, ``"7.1 %"``).
        status: ``ok``, ``attention`` or ``plain``; shown as a colour and as a word.
        note: a few words, such as the goal.
    """

    label: str
    value: str
    status: str = "plain"
    note: str = ""

    def __post_init__(self) -> None:
        lookup("status of a key figure", STATUS_WORDS, self.status)


def key_figures(metrics: Mapping[str, float], floors: Mapping[str, float] | None = None) -> tuple[KeyFigure, ...]:
    """Spearman, RAE, median APE and coverage as key figures, judged against the quick start's goals.

    Args:
        metrics: ``spearman``, ``rae``, ``mdape`` and ``coverage90`` as in ``results.json`` (fractions).
        floors: method -> its RAE on the same networks; with it, an RAE is good if it is below the lowest of
            them, otherwise if it is below 0.5 (half the error of always predicting the mean).

    Raises:
        WorkbenchError: a metric is missing.
    """
    spearman, rae, mdape, coverage = (lookup("metric", metrics, n) for n in ("spearman", "rae", "mdape", "coverage90"))
    limit, source = 0.5, "goal: below 0.5, half of guessing the mean"
    if floors:
        best = min(floors, key=floors.__getitem__)
        limit, source = floors[best], f"best floor, {best}: {floors[best]:.3f}"
    return (
        KeyFigure("Spearman", f"{spearman:.3f}", _status(spearman >= 0.90), "rank correlation, goal: at least 0.90"),
        KeyFigure("Relative absolute error", f"{rae:.3f}", _status(rae < limit), source),
        KeyFigure("Median error", f"{100 * mdape:.1f} %", _status(mdape <= 0.15), "median APE, goal: at most 15 %"),
        KeyFigure(
            "Coverage",
            f"{100 * coverage:.0f} %",
            _status(0.80 <= coverage <= 1),
            "of the 90 % interval, goal: 80 to 100 %",
        ),
    )


def _status(good: bool) -> str:
    return "ok" if good else "attention"


def prose(text: str) -> str:
    """``text`` as paragraphs (separated by an empty line), with `code` in backticks and **bold**."""
    safe = html.escape(text.strip())
    safe = re.sub(r"`([^`]+)`", r"<code>\1</code>", safe)
    safe = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", safe)
    return "".join(f"<p>{part.strip()}</p>" for part in re.split(r"\n\s*\n", safe) if part.strip())


def strip_html(headline: Sequence[KeyFigure]) -> str:
    """The row of key figures, each with its status as a word."""
    items = []
    for key in headline:
        word = STATUS_WORDS[key.status]
        pill = f'<span class="pill">{html.escape(word)}</span>' if word else ""
        items.append(
            f'<li class="key {key.status}">'
            f'<span class="row"><span class="label">{html.escape(key.label)}</span>{pill}</span>'
            f'<span class="value">{html.escape(key.value)}</span>'
            f'<span class="note">{html.escape(key.note)}</span></li>'
        )
    return f'<ul class="strip">{"".join(items)}</ul>' if items else ""


def card_html(card: Mapping[str, Any] | object) -> str:
    """A device card as a table of field, value and unit; what is not known says so.

    Args:
        card: a mapping or a dataclass, with units in the names of its fields.
    """
    rows = [_card_row(field, value) for field, value in _card_fields(card).items()]
    half = (len(rows) + 1) // 2
    head = "<thead><tr><th>Field</th><th>Value</th><th>Unit</th></tr></thead>"
    tables = [f"<table>{head}<tbody>{''.join(part)}</tbody></table>" for part in (rows[:half], rows[half:]) if part]
    return f'<div class="sheet halves">{"".join(tables)}</div>'


def _card_fields(card: Mapping[str, Any] | object) -> dict[str, Any]:
    if dataclasses.is_dataclass(card) and not isinstance(card, type):
        card = {field.name: getattr(card, field.name) for field in dataclasses.fields(card)}
    if not isinstance(card, Mapping) or not card:
        raise WorkbenchError(
            f"A device card expects a mapping or dataclass with fields, got {card!r}; pass DeviceCard(...)."
        )
    return {str(field): value for field, value in card.items()}


def _card_row(field: str, value: object) -> str:
    unit = unit_of(field)
    if _absent(value):
        shown, kind = UNKNOWN, "value unknown"
    else:
        shown, kind = written(value), "value"
    cells = f"<td class='{kind}'>{html.escape(shown)}</td><td class='unit'>{html.escape(unit)}</td>"
    if not unit:
        cells = f"<td class='{kind}' colspan='2'>{html.escape(shown)}</td>"
    return f"<tr><th scope='row'>{html.escape(spoken(field))}</th>{cells}</tr>"


def _absent(value: object) -> bool:
    return value is None or value == "" or (isinstance(value, float) and value != value)


def table_html(table: pd.DataFrame) -> str:
    """A table with its numbers to the right and its shares in percent; gaps say ``unknown``."""
    table = in_percent(table)
    numeric = [pd.api.types.is_numeric_dtype(table[name]) for name in table.columns]
    kinds = [" class='number'" if number else "" for number in numeric]
    head = "".join(
        f"<th scope='col'{kind}>{html.escape(str(heading(name)))}</th>"
        for name, kind in zip(table.columns, kinds, strict=True)
    )
    rows = []
    for row in table.astype(object).itertuples(index=False):
        cells = [
            f"<td class='unknown{' number' if number else ''}'>{UNKNOWN}</td>"
            if _absent(value) or value is pd.NA
            else f"<td{kind}>{html.escape(written(value))}</td>"
            for value, kind, number in zip(row, kinds, numeric, strict=True)
        ]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<div class="sheet"><table>{body}</table></div>'


def figure_html(figure: go.Figure, name: str, note: str = "") -> str:
    """A Plotly figure with its title and message as text of the page, which is also its text alternative.

    Args:
        figure: as made by `workbench.insight.figures`; any other Plotly figure works, without a message.
        name: id of its element, unique in the page.
        note: a sentence or two below it.
    """
    title, message = _words_of(figure)
    bare = go.Figure(figure)
    top = figure.layout.margin.t or TOP_MARGIN
    clear = "rgba(0,0,0,0)"  # the page shows through, so that it may be dark
    bare.update_layout(title=None, margin_t=top - TOP_MARGIN + BARE_TOP_MARGIN, paper_bgcolor=clear, plot_bgcolor=clear)
    if figure.layout.height:
        bare.update_layout(height=figure.layout.height - TOP_MARGIN + BARE_TOP_MARGIN)
    drawing = pio.to_html(
        bare,
        config={**CONFIG, "responsive": True},
        include_plotlyjs=False,
        full_html=False,
        div_id=name,
        default_width="100%",
    )
    spoken_message = html.escape(f"{title}. {message} {note}".strip(), quote=True)
    caption = ""
    if title or message:
        caption = f"<figcaption><b>{html.escape(title)}</b><span>{html.escape(message)}</span></figcaption>"
    below = f'<p class="below">{html.escape(note)}</p>' if note else ""
    return (
        f'<figure>{caption}<div class="plot" role="img" aria-label="{spoken_message}">{drawing}'
        f"<noscript>This figure needs JavaScript, which is off. What it shows: {spoken_message}</noscript>"
        f"</div>{below}</figure>"
    )


def _words_of(figure: go.Figure) -> tuple[str, str]:
    """Title and message, as plain text: Plotly's entities are undone, the page escapes again."""
    title = figure.layout.title
    return html.unescape(title.text or ""), html.unescape((title.subtitle.text if title.subtitle else "") or "")
