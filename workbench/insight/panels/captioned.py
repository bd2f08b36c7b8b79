"""A table in a panel, with its title above it, also for those who hear it."""

from __future__ import annotations

import html

import pandas as pd

STYLE = """<style>
.workbench-table { overflow-x: auto; margin: 4px 0 12px; line-height: 1.4; }
.workbench-table table { border-collapse: collapse; font-size: 13px; }
.workbench-table caption { text-align: left; font-weight: 600; padding: 4px 0; white-space: nowrap; }
.workbench-table th, .workbench-table td { padding: 3px 14px 3px 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--jp-border-color2, #ddd); font-variant-numeric: tabular-nums; max-width: 28em;
  overflow-wrap: break-word; }
</style>"""


def captioned(frame: pd.DataFrame, caption: str) -> str:
    """``frame`` as a table that is read out with its ``caption``; a sentence if it has no row."""
    if frame.empty:
        return f'{STYLE}<p style="margin:4px 0">{html.escape(caption)}: none.</p>'
    head = "".join(f'<th scope="col">{html.escape(str(name))}</th>' for name in frame.columns)
    rows = "".join(
        f"<tr>{''.join(f'<td>{html.escape(word_of(value))}</td>' for value in row)}</tr>"
        for row in frame.itertuples(index=False, name=None)
    )
    caption = f"<caption>{html.escape(caption)}</caption>"
    body = f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
    return f'{STYLE}<div class="workbench-table"><table>{caption}{body}</table></div>'


def word_of(value: object) -> str:
    """``value`` as text; nothing where there is none."""
    return "" if value is None or value is pd.NA or value is pd.NaT or value != value else str(value)
