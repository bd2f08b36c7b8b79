"""The attention notebook in a real JupyterLab: its explorer follows the keyboard."""

from __future__ import annotations

import re

import pytest

pytestmark = [pytest.mark.browser]
LIMIT_S = 240
# The figure with a title, and what its first trace, a map, shows as text.
FIGURE = """Array.from(document.querySelectorAll('.jp-OutputArea .js-plotly-plot'))
    .filter((plot) => plot.layout?.meta?.title === title && plot.calcdata)"""
MAP = f"""(title) => {{
    const [plot] = {FIGURE};
    const map = plot?.calcdata[0][0].z;
    return map ? JSON.stringify(Array.from(map, (row) => Array.from(row, (value) => value.toFixed(5)))) : null;
}}"""
CHANGED = f"([title, before]) => ![null, before].includes(({MAP})(title))"
COUNT = f"(title) => {FIGURE}.length"
LOOKS, DIFFERS = "What each operator looks at", "Where attention differs"


def test_round_head_device_and_comparison_are_chosen_by_keyboard(open_smoke, artifacts):
    notebook = open_smoke("70_attention.ipynb")
    page = notebook.page
    notebook.run_all(limit_s=LIMIT_S)
    assert notebook.wait_for_figures(5) == 5
    seen = [page.evaluate(MAP, LOOKS)]

    def pressed(key: str) -> None:
        page.keyboard.press(key)
        page.wait_for_function(CHANGED, arg=[LOOKS, seen[-1]], timeout=30_000)
        seen.append(page.evaluate(MAP, LOOKS))

    for name in ("Round", "Head"):
        slider = page.locator(".widget-slider", has_text=re.compile(f"^{name}"))
        slider.locator(".noUi-handle").focus()
        pressed("ArrowRight")
    page.get_by_label("Device", exact=True).focus()
    pressed("ArrowDown")
    assert len(set(seen)) == 4
    network = page.get_by_label("Network", exact=True)
    network.fill("slowest")
    pressed("Enter")
    assert page.evaluate(COUNT, DIFFERS) == 1, "only the one below the panel"
    page.get_by_label("Compare with", exact=True).focus()
    page.keyboard.press("ArrowDown")
    page.wait_for_function(f"(title) => ({COUNT})(title) === 2", arg=DIFFERS, timeout=30_000)
    notebook.screenshot(artifacts / "attention.png")
    assert notebook.tab.outside == set()
