"""Notebook 20 in a real JupyterLab: slider and buttons work from the keyboard, the map by clicks."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.browser]
LIMIT_S = 240
# The marks of the probes and of the locked probes on the map; undefined while it is not drawn.
MARKS = """() => Array.from(document.querySelectorAll('.jp-OutputArea .js-plotly-plot'))
    .filter((plot) => plot.layout?.meta?.title === 'Architecture map' && plot.data?.length === 3)
    .map((plot) => plot.data.slice(1).map((trace) => Array.from(trace.text ?? [])))[0]"""
# Where the first probe lies on the screen.
PLACE = """() => {
    const plot = Array.from(document.querySelectorAll('.jp-OutputArea .js-plotly-plot'))
        .filter((plot) => plot.layout?.meta?.title === 'Architecture map')[0];
    plot.scrollIntoView({block: 'center'});
    const box = plot.querySelector('.nsewdrag').getBoundingClientRect();
    const {xaxis, yaxis} = plot._fullLayout, point = plot.calcdata[1][0];
    return [box.left + xaxis.c2p(point.x), box.top + yaxis.c2p(point.y)];
}"""


def test_probes_are_chosen_by_keyboard_and_by_clicks(open_smoke, artifacts, tmp_path):
    notebook = open_smoke("20_select_probes.ipynb")
    notebook.run_all(limit_s=LIMIT_S)
    assert notebook.wait_for_figures(5) == 5
    page = notebook.page
    shown = page.evaluate(MARKS)
    assert shown == [[str(number) for number in range(1, 7)], []]

    handle = page.locator(".widget-slider", has_text="Probes").locator(".noUi-handle")
    handle.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.wait_for_function(f"() => ({MARKS})()[0].length === 9", timeout=30_000)

    page.get_by_role("button", name="Lock", exact=True).press("Enter")
    page.wait_for_function(f"() => ({MARKS})()[1].length === 1", timeout=30_000)
    page.get_by_role("button", name="Unlock", exact=True).press("Enter")
    page.wait_for_function(f"() => ({MARKS})()[1].length === 0", timeout=30_000)
    page.mouse.click(*page.evaluate(PLACE))
    page.wait_for_function(f"() => ({MARKS})()[1].length === 1", timeout=30_000)

    page.get_by_role("button", name="Export the list").press("Enter")
    page.get_by_text("Written:").wait_for(timeout=30_000)
    (listed,) = (tmp_path / "reports" / "smoke_probes").glob("*_9_probes.txt")
    assert len(listed.read_text().splitlines()) == 9
    notebook.screenshot(artifacts / "select_probes.png")
    assert notebook.tab.outside == set()
    assert notebook.tab.crashes == []
