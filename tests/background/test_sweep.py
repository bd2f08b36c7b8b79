"""A sweep as a job: it says how far it is, is stopped, and goes on."""

from __future__ import annotations

import pytest

from tests.sweep.trivial import records, write_sweep
from tests.waiting import until
from workbench import jobs

pytestmark = [pytest.mark.slow]
LIMIT_S = 180


@pytest.fixture(autouse=True)
def home(mlflow_home, monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "WORKBENCH_DATA", "WORKBENCH_SMOKE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORKBENCH_HOME", str(mlflow_home))
    yield mlflow_home
    for job in jobs.find():
        job.stop(0)


def test_a_sweep_is_carried_out_in_the_background(tmp_path):
    file = write_sweep(tmp_path)
    job = jobs.start("sweep", tmp_path / "out", file=str(file), workers=1)
    progress = job.wait(LIMIT_S)
    assert progress.state == "finished", progress.message
    assert (progress.done, progress.total) == (2, 2)
    assert progress.payload["failed"] == {}
    assert [record["status"] for record in records(file)] == ["finished"] * 2
    again = jobs.start("sweep", tmp_path / "out", file=str(file), workers=1).wait(LIMIT_S)
    assert again.payload["skipped"] == 2


def test_a_failed_run_is_told(tmp_path):
    file = write_sweep(tmp_path, cases=[{"case": "good", "x": 1}, {"case": "bad", "broken": True}])
    progress = jobs.start("sweep", tmp_path / "out", file=str(file), workers=1).wait(LIMIT_S)
    assert progress.state == "failed"
    assert "1 of 2 runs failed" in progress.message
    assert "broken on purpose" in progress.message


def test_a_sweep_that_is_stopped_goes_on(tmp_path):
    log = tmp_path / "log"
    file = write_sweep(tmp_path, parameters={"log": str(log), "pause_s": 2.0}, grid={"x": [1, 2, 3]})
    job = jobs.start("sweep", tmp_path / "out", file=str(file), workers=1)
    until(lambda: (log.exists() and log.read_text().count("begin") == 2) or not job.progress.active, LIMIT_S)
    assert job.stop(30).state == "stopped"
    progress = jobs.start("sweep", tmp_path / "out", file=str(file), workers=1).wait(LIMIT_S)
    assert progress.state == "finished", progress.message
    assert progress.payload["skipped"] == 1
    assert len(records(file)) == 3
