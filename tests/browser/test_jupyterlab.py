"""Notebooks in a real JupyterLab: they run, figures are drawn and answer, nothing outside is asked."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

pytestmark = [pytest.mark.browser]
NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
LIMIT_S = 480

PLAIN = "import plotly.graph_objects as go\ngo.Figure(go.Bar(y=[1, 3, 2]))"
WIDGET = """import ipywidgets
figure = go.FigureWidget(go.Scatter(y=[0, 1]), layout={"title": "1"})
slider = ipywidgets.IntSlider(1, 1, 9)
slider.add_class("the-slider")
slider.observe(lambda change: figure.update_layout(title=str(change["new"])), names="value")
ipywidgets.VBox([slider, figure])"""
LIVE = """from workbench.insight.live import LiveFigure
LiveFigure("soon").draw(go.Figure(go.Scatter(y=[2, 1]), layout={"title": "live"}))"""
# How wide the live figure is drawn, relative to the page that it has.
WIDTH = """() => Array.from(document.querySelectorAll('.js-plotly-plot'))
    .filter((plot) => plot.layout?.title?.text === 'live')
    .map((plot) => plot._fullLayout.width / plot.closest('.jp-OutputArea-output').clientWidth)[0]"""
# How many passes over the references the timeline shows; undefined while there is none.
PASSES = """() => Array.from(document.querySelectorAll('.jp-OutputArea .js-plotly-plot'))
    .filter((plot) => plot.layout?.meta?.title === 'Reference timeline' && plot.calcdata)
    .map((plot) => plot.calcdata[0].length)[0]"""
TITLES = "() => Array.from(document.querySelectorAll('.js-plotly-plot .gtitle')).map((title) => title.textContent)"


def test_in_a_small_notebook_a_slider_moves_a_figure_and_a_live_one_is_wide(open_notebook, artifacts, tmp_path):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    cells = [nbformat.v4.new_code_cell(source) for source in (PLAIN, WIDGET, LIVE)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=python3()), folder / "small.ipynb")
    notebook = open_notebook(folder / "small.ipynb")
    notebook.run_all(limit_s=90)
    assert notebook.wait_for_figures(3) == 3
    assert notebook.page.evaluate(WIDTH) > 0.95
    handle = notebook.page.locator(".the-slider .noUi-handle")
    handle.focus()
    for _ in range(3):
        notebook.page.keyboard.press("ArrowRight")
    notebook.page.wait_for_function(f"() => ({TITLES})().includes('4')", timeout=30_000)
    notebook.screenshot(artifacts / "small.png")
    assert notebook.tab.outside == set()


def test_a_failing_cell_is_noticed(open_notebook, tmp_path):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    cells = [nbformat.v4.new_code_cell("1 / 0")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=python3()), folder / "failing.ipynb")
    notebook = open_notebook(folder / "failing.ipynb")
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        notebook.run_all(limit_s=60)


def test_the_quick_start_runs(open_notebook, artifacts, tmp_path, mlflow_home, monkeypatch):
    """As a person would: every cell, with the parameters that make it a tiny run."""
    monkeypatch.setenv("WORKBENCH_HOME", str(mlflow_home))
    notebook = open_notebook(tiny("00_quickstart.ipynb", tmp_path))
    notebook.run_all(limit_s=LIMIT_S)
    assert notebook.wait_for_figures(7) == 7
    notebook.screenshot(artifacts / "quickstart.png")
    assert notebook.tab.outside == set()
    assert (tmp_path / "report" / "report.html").is_file()


def test_a_device_is_profiled_and_its_campaign_can_be_watched(
    open_notebook, artifacts, tmp_path, mlflow_home, monkeypatch
):
    """The reference timeline appears with the campaign's passes, every figure is drawn, and the report is written."""
    monkeypatch.setenv("WORKBENCH_HOME", str(mlflow_home))
    notebook = open_notebook(tiny("10_profile_device.ipynb", tmp_path))
    notebook.start()
    notebook.page.wait_for_function(f"() => ({PASSES})() > 0", timeout=1000 * LIMIT_S)
    notebook.finish(limit_s=LIMIT_S)
    assert notebook.wait_for_figures(7) == 7
    notebook.screenshot(artifacts / "profile_device.png")
    assert notebook.tab.outside == set()
    assert (tmp_path / "report" / "nasbench201_report.html").is_file()


@pytest.mark.slow
def test_a_training_is_watched_and_its_model_kept(open_notebook, artifacts, tmp_path, mlflow_home, monkeypatch):
    monkeypatch.setenv("WORKBENCH_HOME", str(mlflow_home))
    notebook = open_notebook(tiny("30_train_hodm.ipynb", tmp_path))
    notebook.start()
    notebook.page.wait_for_function(f"() => ({TITLES})().includes('Training')", timeout=1000 * LIMIT_S)
    notebook.finish(limit_s=LIMIT_S)
    assert notebook.wait_for_figures(5) == 5
    notebook.screenshot(artifacts / "train_hodm.png")
    assert notebook.tab.outside == set()
    assert (tmp_path / "report" / "model" / "model.safetensors").is_file()


@pytest.mark.slow
def test_a_transfer_is_followed_over_the_number_of_probes(open_notebook, artifacts, tmp_path, mlflow_home, monkeypatch):
    monkeypatch.setenv("WORKBENCH_HOME", str(mlflow_home))
    notebook = open_notebook(tiny("40_transfer.ipynb", tmp_path))
    notebook.run_all(limit_s=LIMIT_S)
    assert notebook.wait_for_figures(8) == 8
    notebook.screenshot(artifacts / "transfer.png")
    assert notebook.tab.outside == set()


def tiny(name: str, tmp_path: Path) -> Path:
    """A copy of a notebook with the parameters that make it a tiny run, in a folder of its own."""
    document = nbformat.read(NOTEBOOKS / name, as_version=4)
    (index,) = [i for i, cell in enumerate(document.cells) if "parameters" in cell.metadata.get("tags", [])]
    values = {"smoke": True, "out": str(tmp_path / "report")}
    source = "\n".join(f"{name} = {value!r}" for name, value in values.items())
    document.cells.insert(index + 1, nbformat.v4.new_code_cell(source))
    folder = tmp_path / "notebooks"
    folder.mkdir()
    nbformat.write(document, folder / name)
    return folder / name


def python3() -> dict[str, dict[str, str]]:
    return {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
