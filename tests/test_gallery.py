"""The gallery: executed for real, rendered to pages that ask nothing of the network."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

from workbench.config import WorkbenchError
from workbench.gallery import LIBRARY, gallery

PARAMETERS = "smoke = False"
FIGURE = """import plotly.graph_objects as go
from workbench.insight.show import show
show(go.Figure(go.Bar(y=[1, 3, 2 + smoke]), layout={"meta": {"title": "Bars", "message": "Three of them"}}))"""


def write(folder: Path, name: str, *cells: str) -> Path:
    opening = nbformat.v4.new_markdown_cell(f"# What is {name}?\n\nYou will see **the <first> thing** and more.")
    first = nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    notebook = nbformat.v4.new_notebook(cells=[opening, first, *map(nbformat.v4.new_code_cell, cells)])
    path = folder / f"{name}.ipynb"
    nbformat.write(notebook, path)
    return path


def test_pages_hold_figures_and_work_offline(tmp_path):
    notebooks = [write(tmp_path, "a", FIGURE), write(tmp_path, "b", "print('only words', smoke)")]
    seen = []
    index = gallery(notebooks, tmp_path / "out", smoke=True, progress=seen.append)
    assert seen == ["a.ipynb", "b.ipynb"]
    assert (tmp_path / "out" / LIBRARY).stat().st_size > 1_000_000
    text, first, second = (index.with_name(name).read_text() for name in ("index.html", "a.html", "b.html"))
    assert 'href="a.html"' in text
    assert "What is b?" in text
    assert "the &lt;first&gt; thing" in text
    assert "Plotly.newPlot" in first
    assert "[1,3,3]" in re.sub(r"\s", "", first)  # the parameter arrived
    assert "only words True" in second
    for page in (text, first, second):
        assert not re.findall(r"<(?:script|link)[^>]+(?:src|href)=[\"']https?://", page)


def test_a_failing_notebook_is_one_sentence_and_no_index(tmp_path):
    with pytest.raises(WorkbenchError, match="raised ZeroDivisionError"):
        gallery([write(tmp_path, "broken", "1 / 0")], tmp_path / "out")
    assert not (tmp_path / "out" / "index.html").exists()


def test_a_gallery_of_nothing_is_refused(tmp_path):
    with pytest.raises(WorkbenchError, match="expects notebooks"):
        gallery([], tmp_path)
