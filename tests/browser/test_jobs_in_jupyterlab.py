"""A training that is started from a panel outlives its kernel, and is shown again."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import nbformat
import pytest

from tests.toy import SOURCES, TARGETS, toy_frame, toy_networks, write_table
from tests.waiting import until
from workbench import jobs

pytestmark = [pytest.mark.browser, pytest.mark.slow]  # a minute each
LIMIT_MS = 120_000
PROCESS = re.compile(r"^process \d+")
TRAINING = """import os
from workbench.insight.panels.train import TrainPanel
print("process", os.getpid())
TrainPanel([{data!r}], {out!r}, targets={targets}, sources={sources}, samples=60, held_out=20, steps=20_000)"""
CAMPAIGN = """import os
from workbench.insight.panels.device import DevicePanel
print("process", os.getpid())
timing = {{"min_s": 0.2, "budget_s": 0.3}}
campaign = {{"timing": timing, "gate_s": 0.2, "bench_s": 0.0, "quiet_s": 0.2, "reference_every": 4}}
DevicePanel(folder={out!r}, campaign=campaign, devices=["torch-eager_fp32_t1_b1", "nvidia-h100-sxm"], networks=40)"""
DRAWN = """() => Array.from(document.querySelectorAll('.jp-OutputArea .js-plotly-plot .gtitle'))
    .map((title) => title.textContent)"""

# Figures whose subtitle begins above the foot of the title, by their title.
OVERLAPPING = """() => Array.from(document.querySelectorAll('.jp-OutputArea .js-plotly-plot'))
    .map((plot) => [plot.querySelector('.gtitle'), plot.querySelector('.gtitle-subtitle')])
    .filter(([title, below]) => title && below
        && below.getBoundingClientRect().top < title.getBoundingClientRect().bottom - 4)
    .map(([title]) => title.textContent)"""


@pytest.fixture
def ending():
    yield
    for job in jobs.find():
        job.stop(0)


def test_a_training_outlives_its_kernel(open_notebook, artifacts, tmp_path, mlflow_home, monkeypatch, ending):
    monkeypatch.setenv("WORKBENCH_HOME", str(mlflow_home))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    data = write_table(tmp_path / "data", toy_frame(toy_networks(120), {**SOURCES, **TARGETS}))
    names = {"data": str(data), "out": str(tmp_path / "out"), "targets": ["phone"], "sources": list(SOURCES)}
    notebook = open_notebook(written(tmp_path / "notebooks" / "train.ipynb", TRAINING.format(**names)))
    page = notebook.page
    notebook.run_all(limit_s=120)
    page.get_by_role("button", name="Start training").press("Enter")
    page.get_by_text("It goes on without this page").wait_for(timeout=LIMIT_MS)
    page.wait_for_function(f"() => ({DRAWN})().includes('Validation by source device')", timeout=LIMIT_MS)
    page.wait_for_timeout(2500)
    assert page.evaluate(OVERLAPPING) == []
    notebook.screenshot(artifacts / "train_panel.png")

    job, pid = jobs.latest("train"), int(page.get_by_text(PROCESS).inner_text().split()[1])
    os.kill(pid, signal.SIGKILL)
    before = job.progress
    until(lambda: job.progress.done > before.done + 20)
    assert job.progress.active

    again = type(notebook)(notebook.tab, page.url)
    again.run_all(limit_s=120)
    page.get_by_text("It goes on without this page").wait_for(timeout=LIMIT_MS)
    page.wait_for_function(f"() => ({DRAWN})().includes('Training')", timeout=LIMIT_MS)
    assert page.get_by_role("button", name="Start training").is_disabled()
    assert int(page.get_by_text(PROCESS).inner_text().split()[1]) != pid
    assert [found.number for found in jobs.find()] == [job.number]
    page.get_by_role("button", name="Stop training").press("Enter")
    page.get_by_text("Stopped").wait_for(timeout=LIMIT_MS)
    assert job.progress.state == "stopped"
    again.screenshot(artifacts / "train_panel_again.png")
    assert notebook.tab.outside == set()


def test_a_campaign_outlives_its_kernel(open_notebook, artifacts, tmp_path, mlflow_home, monkeypatch, ending):
    monkeypatch.setenv("WORKBENCH_HOME", str(mlflow_home))
    path = written(tmp_path / "notebooks" / "devices.ipynb", CAMPAIGN.format(out=str(tmp_path / "out")))
    notebook = open_notebook(path, dark=True)
    page = notebook.page
    notebook.run_all(limit_s=120)
    for title in ("Rooflines", "Device map"):
        page.wait_for_function(f"() => ({DRAWN})().includes('{title}')", timeout=LIMIT_MS)
    page.get_by_role("button", name="Start campaign").press("Enter")
    page.get_by_text("It goes on without this page").wait_for(timeout=LIMIT_MS)
    job, pid = jobs.latest("profile"), int(page.get_by_text(PROCESS).inner_text().split()[1])
    until(lambda: job.progress.done > 0)
    os.kill(pid, signal.SIGKILL)
    before = job.progress
    until(lambda: job.progress.done > before.done + 3)

    again = type(notebook)(notebook.tab, page.url)
    again.run_all(limit_s=120)
    page.get_by_text("It goes on without this page").wait_for(timeout=LIMIT_MS)
    page.wait_for_function(f"() => ({DRAWN})().includes('Reference timeline')", timeout=LIMIT_MS)
    page.wait_for_timeout(2500)
    assert page.evaluate(OVERLAPPING) == []
    for width in (1280, 1920):
        again.screenshot(artifacts / f"device_panel_{width}.png", width)
    assert job.progress.active
    page.get_by_role("button", name="Stop campaign").press("Enter")
    page.get_by_text("Stopped").wait_for(timeout=LIMIT_MS)
    assert job.progress.state == "stopped"
    assert [found.number for found in jobs.find()] == [job.number]
    assert notebook.tab.outside == set()


def written(path: Path, cell: str) -> Path:
    """A notebook of one cell."""
    path.parent.mkdir()
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)], metadata=kernel), path)
    return path
