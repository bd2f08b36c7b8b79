"""Figures as files: pictures where there is a browser, a sentence where there is none."""

from __future__ import annotations

import shutil
import struct

import plotly.graph_objects as go
import pytest

from workbench.config import WorkbenchError
from workbench.insight.export import export
from workbench.insight.template import blank


@pytest.fixture
def figure() -> go.Figure:
    figure = blank("A title", "What it shows.", x="x (ms)", y="y (ms)", height=300)
    return figure.add_scatter(y=[1, 3, 2])


@pytest.fixture
def browser(missing, monkeypatch) -> str:
    """A browser that can draw."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        missing("there is no Chromium; install it (apt-get install chromium)")
    monkeypatch.setenv("BROWSER_PATH", found)
    return found


@pytest.mark.slow
def test_a_png_has_the_size_that_was_asked_for_and_an_svg_its_words(figure, browser, tmp_path):
    picture = export(figure, tmp_path / "figures" / "one.png", width=400, scale=1.5).read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert struct.unpack(">II", picture[16:24]) == (600, 450)
    drawn = export(figure, tmp_path / "one.svg").read_text()
    assert 'width="1000"' in drawn
    assert "What it shows." in drawn
    assert {path.name for path in tmp_path.iterdir()} == {"figures", "one.svg"}, "nothing temporary is left"


def test_a_page_works_offline(figure, tmp_path):
    page = export(figure, tmp_path / "one.html").read_text()
    assert "What it shows." in page
    assert 'src="http' not in page


def test_without_a_browser_it_says_what_to_do_and_leaves_nothing(figure, tmp_path, monkeypatch):
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "none"))
    with pytest.raises(WorkbenchError, match=r"apt-get install chromium.*BROWSER_PATH.*\.html"):
        export(figure, tmp_path / "one.png")
    assert not list(tmp_path.iterdir())


def test_another_ending_is_refused(figure, tmp_path):
    with pytest.raises(WorkbenchError, match="did you mean 'png'"):
        export(figure, tmp_path / "one.pngg")
