"""Tables in notebooks and panels: one look, read out with their headings and captions."""

from __future__ import annotations

import html
from collections.abc import Collection, Iterable, Sequence

CELL = (
    "border-bottom:1px solid var(--jp-border-color2,#ddd);padding:3px 14px 3px 0;vertical-align:top;"
    "max-width:28em;overflow-wrap:break-word;"
)
TABLE = "border-collapse:collapse;line-height:1.4;max-width:75em;font-variant-numeric:tabular-nums"
CAPTION = "text-align:left;font-weight:600;padding:4px 0"


def html_table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    caption: str = "",
    right: Collection[int] = (),
    strong: Collection[int] = (),
) -> str:
    """A table that scrolls where it is wider than its place.

    Args:
        heads: text of the columns.
        rows: HTML of the cells; the first of each row is its heading.
        caption: text that stands above it.
        right: columns that are aligned to the right.
        strong: rows in bold letters.
    """

    def cell(kind: str, place: int, content: str, weight: str = "normal") -> str:
        side = "right" if place in right else "left"
        return f"<{kind} style='{CELL}text-align:{side};font-weight:{weight}'>{content}</{kind[:2]}>"

    head = "".join(cell("th scope='col'", place, html.escape(text), "bold") for place, text in enumerate(heads))
    lines = []
    for number, row in enumerate(rows):
        weight = "bold" if number in strong else "normal"
        cells = (cell("td" if place else "th scope='row'", place, text, weight) for place, text in enumerate(row))
        lines.append(f"<tr>{''.join(cells)}</tr>")
    above = f"<caption style='{CAPTION}'>{html.escape(caption)}</caption>" if caption else ""
    return (
        f"<div style='overflow-x:auto;margin:4px 0 12px'><table style='{TABLE}'>{above}"
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )
