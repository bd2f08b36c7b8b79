"""Every notebook as a person sees it, in light and dark, on a small and a large screen: pictures to be looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]
NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))
WIDTHS = (1280, 1920)
LIMIT_S = 480
# What does not fit its place, by the text it holds: figures, controls, tables and code that are cut off.
CUT = """() => Array.from(document.querySelectorAll(
        '.jp-OutputArea .js-plotly-plot, .jp-OutputArea .widget-box, .jp-OutputArea .jp-RenderedHTML, '
        + '.jp-OutputArea .widget-html-content, .jp-Notebook .cm-scroller'))
    .filter((part) => part.scrollWidth > part.clientWidth + 24 && part.clientWidth > 0)
    .concat(Array.from(document.querySelectorAll('.jp-OutputArea table'))
        .filter((table) => table.offsetWidth > table.closest('.jp-OutputArea').clientWidth))
    .map((part) => part.textContent.slice(0, 60))"""
BROKEN = "() => document.body.textContent.includes('model not found')"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_nothing_is_cut_off(notebook, dark, open_smoke, artifacts):
    opened = open_smoke(notebook.name, dark)
    opened.run_all(limit_s=LIMIT_S)
    opened.wait_for_figures(1)
    for width in WIDTHS:
        opened.screenshot(artifacts / f"look_{notebook.stem}_{'dark' if dark else 'light'}_{width}.png", width)
        assert opened.page.evaluate(CUT) == []
    assert not opened.page.evaluate(BROKEN)
    assert opened.tab.outside == set()
