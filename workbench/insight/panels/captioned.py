"""A table in a panel, with its title above it, also for those who hear it."""

from __future__ import annotations

import html

import pandas as pd

from workbench.insight.html_table import html_table


def captioned(frame: pd.DataFrame, caption: str) -> str:
    """``frame`` as a table that is read out with its ``caption``, numbers at the right; a sentence if it has no row."""
    if frame.empty:
        return f'<p style="margin:4px 0">{html.escape(caption)}: none.</p>'
    rows = ([html.escape(word_of(value)) for value in row] for row in frame.itertuples(index=False, name=None))
    numbers = [place for place, kind in enumerate(frame.dtypes) if kind.kind in "iuf"]
    return html_table([str(name) for name in frame.columns], rows, caption=caption, right=numbers)


def word_of(value: object) -> str:
    """``value`` as text; nothing where there is none."""
    return "" if value is None or value is pd.NA or value is pd.NaT or value != value else str(value)
