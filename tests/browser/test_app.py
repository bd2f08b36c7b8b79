"""Notebooks as apps: on loopback, behind a token, without code."""

from __future__ import annotations

import urllib.request

import nbformat
import pytest

from workbench.config import WorkbenchError
from workbench.servers import serve_app

pytestmark = [pytest.mark.browser]
CELL = """import ipywidgets
text = ipywidgets.Label("nothing yet")
button = ipywidgets.Button(description="Press me")
button.on_click(lambda _: setattr(text, "value", "pressed"))
ipywidgets.VBox([button, text])"""


def test_an_app_shows_widgets_and_no_code(serve, port, tab, artifacts, tmp_path):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [nbformat.v4.new_markdown_cell("# A question"), nbformat.v4.new_code_cell(CELL)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "small.ipynb")
    server = serve_app(folder, port, "secret", browser=False)
    assert "secret" not in " ".join(server.argv), "every user of the machine can read arguments"
    base, _, query = server.url.partition("?")
    with serve(server._replace(url=base), artifacts / "app.log", f"?{query}"):
        with urllib.request.urlopen(f"{base}voila/render/small.ipynb", timeout=30) as stranger:
            assert "/login" in stranger.url
        blocked = set()
        tab.page.on("requestfailed", lambda request: blocked.add(request.url) if request.failure == "csp" else None)
        tab.page.goto(f"{base}voila/render/small.ipynb?{query}", wait_until="domcontentloaded")
        tab.page.get_by_role("button", name="Press me").press("Enter")
        tab.page.get_by_text("pressed").wait_for(timeout=30_000)
        assert "import ipywidgets" not in tab.page.content()
        tab.page.screenshot(path=artifacts / "app.png")
    assert tab.outside <= blocked


def test_a_folder_that_is_not_there_is_refused(port, tmp_path):
    with pytest.raises(WorkbenchError, match="There is no folder"):
        serve_app(tmp_path / "nowhere", port)
