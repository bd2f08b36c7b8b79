"""The comparing notebook in a real JupyterLab: runs are selected by keyboard, and the figures follow."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.browser]
LIMIT_S = 240
# How many runs the panel's figure shows, and how many lines its list has.
SHOWN = """() => Array.from(document.querySelectorAll('.jp-OutputArea .js-plotly-plot'))
    .filter((plot) => plot.layout?.meta?.title === 'Spearman of each run' && plot.calcdata)
    .map((plot) => plot.calcdata[0].length)[0]"""
LINES = "() => document.querySelectorAll('.workbench-runs select option').length"


def test_runs_are_found_and_selected_by_keyboard(open_smoke, artifacts, tmp_path):
    """On an empty MLflow home: the notebook runs a tiny sweep first."""
    notebook = open_smoke("80_compare_runs.ipynb")
    page = notebook.page
    notebook.run_all(limit_s=LIMIT_S)
    assert notebook.wait_for_figures(4) == 4
    assert page.evaluate(SHOWN) == 3
    assert page.evaluate(LINES) == 12
    runs = page.get_by_label("Runs", exact=True)
    runs.focus()
    page.keyboard.press("Home")
    page.wait_for_function(f"() => ({SHOWN})() === 1", timeout=30_000)
    for count in (2, 3, 4, 5):
        page.wait_for_timeout(1000)  # a person is no faster, and the kernel may still echo the last selection
        page.keyboard.press("Shift+ArrowDown")
        page.wait_for_function(f"() => ({SHOWN})() === {count}", timeout=30_000)
    page.get_by_label("Show runs with", exact=True).fill("method=linear")
    page.wait_for_function(f"() => ({LINES})() < 12", timeout=30_000)
    assert page.evaluate(SHOWN) == 5
    notebook.screenshot(artifacts / "compare_runs.png")
    assert (tmp_path / "reports" / "smoke_compare" / "sweep" / "report" / "report.html").is_file()
    assert notebook.tab.outside == set()
