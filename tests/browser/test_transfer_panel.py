"""TransferPanel and WhatIfPanel in a real JupyterLab: sliders move by keyboard, clicks measure, figures follow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest

pytestmark = [pytest.mark.browser]
CELLS = (
    "from workbench.insight.panels.transfer import TransferPanel\n"
    "from workbench.insight.panels.what_if import WhatIfPanel\n"
    "TransferPanel(target='torch-eager_fp32_t1_b1', samples=150, probes=6)",
    "WhatIfPanel(device='torch-eager_fp32_t1_b1')",
)
# Everything that the figure with this title draws, as one text; empty while it is not there.
DATA = """(title) => Array.from(document.querySelectorAll('.jp-OutputArea .js-plotly-plot'))
    .filter((plot) => plot.layout?.meta?.title === title && plot.calcdata)
    .map((plot) => JSON.stringify(plot.calcdata.map((trace) => trace.map((point) => [point.x, point.y]))))[0] ?? ''"""
CHANGED = f"([title, before]) => {{ const now = ({DATA})(title); return now !== '' && now !== before; }}"
DRAWN = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
# Whether the panel has followed the slider to its last position, not only to one on the way.
DOUBLED = """() => {
    const rows = Array.from(document.querySelectorAll('.jp-OutputArea tr'));
    const row = rows.find((row) => row.cells[0].textContent === 'Memory bandwidth');
    const [before, after] = [2, 3].map((place) => parseFloat(row.cells[place].textContent.replaceAll(',', '')));
    return Math.abs(after / before - 2) < 0.01;
}"""
# Where in the window the check is drawn that lies farthest from the probes, which are the last trace.
LONELY = """() => {
    const middle = (box) => [box.x + box.width / 2, box.y + box.height / 2];
    const traces = Array.from(document.querySelector('.js-plotly-plot').querySelectorAll('.scatterlayer .trace'))
        .map((trace) => Array.from(trace.querySelectorAll('.points path'), (p) => middle(p.getBoundingClientRect())));
    const probes = traces.pop();
    const away = ([x, y]) => Math.min(...probes.map(([left, top]) => Math.hypot(x - left, y - top)));
    return traces.flat().sort((one, other) => away(other) - away(one))[0];
}"""
AGAINST, CHANGE, RANKS = (
    "Predicted against measured",
    "Latency, as it is and changed",
    "The ranking, as it is and changed",
)


@pytest.mark.parametrize("dark", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["light", "dark"])
def test_sliders_and_clicks_change_the_figures(dark, open_notebook, artifacts, tmp_path):
    notebook = open_notebook(panels(tmp_path), dark)
    notebook.run_all(limit_s=240)
    assert notebook.wait_for_figures(4) == 4
    page, data = notebook.page, {}
    for title in (AGAINST, CHANGE, RANKS):
        data[title] = page.evaluate(DATA, title)
        assert data[title]

    press(page, "Probes measured", "ArrowRight")
    page.wait_for_function(CHANGED, arg=[AGAINST, data[AGAINST]], timeout=60_000)
    page.get_by_text("Latencies read: 7.").wait_for(timeout=30_000)

    seven = page.evaluate(DATA, AGAINST)
    button = page.get_by_role("button", name="Measure the least certain network")
    button.focus()
    page.keyboard.press("Enter")
    page.get_by_text("Latencies read: 8.").wait_for(timeout=30_000)
    page.wait_for_function(CHANGED, arg=[AGAINST, seven], timeout=60_000)
    page.evaluate(DRAWN)  # a click on a point that is about to be drawn anew is lost

    page.locator(".js-plotly-plot").first.scroll_into_view_if_needed()
    place = page.evaluate(LONELY)
    page.mouse.move(*place)
    page.evaluate(DRAWN)  # the page notices what is pointed at, frame by frame
    page.mouse.click(*place)
    page.get_by_text("Latencies read: 9.").wait_for(timeout=30_000)

    press(page, "Memory bandwidth ×", "ArrowRight", times=4)
    page.wait_for_function(CHANGED, arg=[CHANGE, data[CHANGE]], timeout=60_000)
    page.get_by_text("Extrapolation: no device").wait_for(timeout=30_000)
    page.wait_for_function(DOUBLED, timeout=30_000)
    for width in (1280, 1920):
        notebook.screenshot(artifacts / f"transfer_panel_{'dark' if dark else 'light'}_{width}.png", width)
    assert notebook.tab.crashes == []
    assert notebook.tab.outside == set()


def press(page: Any, slider: str, key: str, times: int = 1) -> None:
    """Move the slider with this description by keyboard."""
    row = page.locator(".widget-hslider", has=page.get_by_text(slider, exact=True)).first
    row.locator(".noUi-handle").focus()
    for _ in range(times):
        page.keyboard.press(key)


def panels(tmp_path: Path) -> Path:
    """A notebook with one panel per cell, in a folder of its own."""
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    folder = tmp_path / "notebooks"
    folder.mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "panels.ipynb")
    return folder / "panels.ipynb"
