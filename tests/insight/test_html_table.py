"""One table for notebooks and panels: headings, sides, and nothing that is executed."""

from __future__ import annotations

import re

from workbench.insight.html_table import html_table
from workbench.insight.panels.captioned import captioned

EVIL = "<script>alert(1)</script>"


def test_the_first_cell_heads_its_row_and_numbers_stand_on_the_right():
    found = html_table(["Device", "ms"], [["a", "1.5"], ["b", "<b>2</b>"]], right=[1], strong=[0], caption="Two & more")
    assert re.findall(r"<(th|td)\b", found) == ["th", "th", "th", "td", "th", "td"]
    assert [cell.count("text-align:right") for cell in re.findall(r"<t[hd]\b[^>]*>", found)] == [0, 1, 0, 1, 0, 1]
    assert [cell.count("bold") for cell in re.findall(r"<t[hd]\b[^>]*>", found)] == [1, 1, 1, 1, 0, 0]
    assert "Two &amp; more</caption>" in found
    assert "<b>2</b>" in found
    for tag in ("table", "thead", "tbody", "tr", "th", "td", "caption", "div"):
        assert len(re.findall(rf"<{tag}\b", found)) == found.count(f"</{tag}>")


def test_text_is_no_html():
    import pandas as pd

    assert EVIL not in html_table([EVIL], [["x"]], caption=EVIL)
    assert EVIL not in captioned(pd.DataFrame({"a": [EVIL, None]}), EVIL)
    assert EVIL not in captioned(pd.DataFrame({"a": []}), EVIL)
