"""TrainPanel with real jobs, on toy devices."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.toy import SOURCES, TARGETS, toy_frame, toy_networks, write_table
from tests.waiting import until
from workbench import jobs
from workbench.insight.panels import job_control
from workbench.insight.panels.job_control import duration
from workbench.insight.panels.train import TrainPanel

LIMIT_S = 120
STATE = {"targets": ["phone"], "sources": list(SOURCES), "samples": 60, "held_out": 20, "probes": 6, "steps": 12}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    frame = toy_frame(toy_networks(120), {**SOURCES, **TARGETS})
    return write_table(tmp_path_factory.mktemp("data"), frame)


@pytest.fixture(autouse=True)
def home(mlflow_home, monkeypatch) -> Path:
    monkeypatch.setenv("WORKBENCH_HOME", str(mlflow_home))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # in the jobs' processes
    return mlflow_home


@pytest.fixture
def ending():
    """What is started is ended."""
    yield
    for job in jobs.find():
        job.stop(0)


def test_it_opens_without_a_job(data, home):
    panel = TrainPanel([data])
    assert panel.message == ""
    assert "No training was started" in panel.work.text.value
    assert str(home / "reports" / "training") in panel.work.text.value
    assert set(panel.state) == {"space", "targets", "samples", "probes", "steps", "seed", "sources", "held_out"}
    assert "phone" in panel.controls["targets"].options
    start, stop = panel.work.buttons.children
    assert not start.disabled
    assert stop.disabled


def test_without_a_target_nothing_is_started(data):
    panel = TrainPanel([data])
    panel.work.buttons.children[0].click()
    assert panel.message == "A training expects a target device, got none; choose one that has been measured."
    assert jobs.find() == []


def test_a_space_without_measurements_is_a_sentence(data):
    panel = TrainPanel([data], **STATE)
    panel.set(space="ofa_mobilenetv3")
    assert "No latency table ofa_mobilenetv3.parquet" in panel.message
    assert panel.state["targets"] == []
    panel.set(space="nasbench201", targets=["accelerator"])
    assert panel.message == ""


@pytest.mark.slow
def test_a_training_is_started_followed_and_found_again(data, home, tmp_path, ending):
    async def follow() -> TrainPanel:
        panel = TrainPanel([data], tmp_path / "training", **STATE)
        panel.work.buttons.children[0].click()
        assert panel.work.buttons.children[0].disabled
        deadline = time.monotonic() + LIMIT_S
        while panel.work.job.progress.active or "Finished" not in panel.work.text.value:
            assert time.monotonic() < deadline, panel.work.text.value
            await asyncio.sleep(0.2)
        return panel

    panel = asyncio.run(follow())
    loss, errors = panel.slots
    assert loss.figure.layout.title.text == "Training"
    assert {trace.name for trace in errors.figure.data} >= {"other source devices"}
    assert len(errors.figure.data) == len(SOURCES)
    assert "Its run in MLflow" in panel._about.value
    assert "Spearman" in panel._about.value
    assert (tmp_path / "training" / "model" / "model.safetensors").is_file()

    again = TrainPanel([data], tmp_path / "training")
    assert again.slots[0].figure.to_json() == loss.figure.to_json()
    assert again._about.value == panel._about.value
    assert "targets" in again.state
    assert jobs.latest("train").arguments["steps"] == STATE["steps"]


@pytest.mark.slow
def test_a_training_is_stopped(data, tmp_path, ending):
    panel = TrainPanel([data], tmp_path / "training", **{**STATE, "steps": 20_000})
    panel.start()
    until(lambda: panel.work.job.progress.payload.get("curve"))
    panel.refresh()
    assert "training" in panel.work.text.value.lower()
    assert "to go" in panel.work.text.value or "so far" in panel.work.text.value
    panel.work.buttons.children[1].click()
    assert panel.work.buttons.children[1].disabled
    assert panel.work.job.wait(LIMIT_S).state == "stopped"
    panel.refresh()
    assert "Stopped" in panel.work.text.value
    assert not panel.work.buttons.children[0].disabled


def test_a_failure_is_shown_with_its_reason(data, tmp_path, ending):
    panel = TrainPanel([data], tmp_path / "training", **{**STATE, "targets": ["phone"], "sources": ["phone"]})
    panel.start()
    panel.work.job.wait(LIMIT_S)
    panel.refresh()
    assert "Failed" in panel.work.text.value
    assert str(panel.work.job.log) in panel.work.text.value


def test_a_broken_database_is_a_sentence(data, home):
    database = home / "reports" / "jobs" / "jobs.db"
    database.parent.mkdir(parents=True)
    database.write_bytes(b"broken " * 900)
    panel = TrainPanel([data], **STATE)
    assert "cannot be used" in panel.message
    database.unlink()
    panel.refresh()
    assert panel.message == ""


def test_a_job_without_a_sign_of_life_is_told(data, monkeypatch):
    now = time.time()
    progress = jobs.Progress("running", 50, 200, "training", {}, "", now - 60, now - 45, None)
    text = job_control._sentence(None, progress)
    assert 'value="50" max="200"' in text
    assert "Training: 50 of 200; 1:00 min so far, about 3:00 min to go" in text
    assert "No sign of life for 0:45 min" in text
    assert duration(4000) == "1:06 h"
    assert duration(59.6) == "1:00 min"
