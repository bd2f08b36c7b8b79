"""MLflow as a picture of what is on disk: made up for, cleaned up, and never in the way."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys

import pytest

from tests.sweep.trivial import carry_out, children, records, runs, write_sweep
from workbench.sweep import Store, make_plan, read_sweep
from workbench.sweep.mirror import Mirror
from workbench.tracking import family


@pytest.fixture
def swept(tmp_path, mlflow_home, here):
    file = write_sweep(tmp_path, grid={"x": [1, 2, 3]})
    assert carry_out(file, mlflow_home).complete
    return file


def client_of(home):
    from mlflow import MlflowClient

    from workbench.tracking import tracking_uri

    return MlflowClient(tracking_uri=tracking_uri(home))


def test_half_written_and_double_children_are_replaced_by_one_whole_one(swept, mlflow_home):
    """What a command that was killed while it wrote leaves behind."""
    client, before = client_of(mlflow_home), children(mlflow_home)
    whole, half, lost = before
    client.update_run(half.info.run_id, status="RUNNING")
    client.delete_run(lost.info.run_id)
    copied = {name: value for name, value in whole.data.tags.items() if name != "mlflow.runName"}
    for _ in range(2):
        client.create_run(whole.info.experiment_id, tags=copied)
    report = carry_out(swept, mlflow_home)
    assert (report.skipped, report.trouble) == (3, "")
    after = children(mlflow_home)
    assert sorted(run.data.tags["key"] for run in after) == sorted(run.data.tags["key"] for run in before)
    assert {run.info.status for run in runs(mlflow_home)} == {"FINISHED"}
    assert all(run.data.metrics["value"] == float(run.data.tags["factor.x"]) for run in after)


def test_a_database_that_is_gone_is_filled_from_the_folder(swept, mlflow_home, mlflow_template):
    shutil.copy(mlflow_template, mlflow_home / "mlruns" / "mlflow.db")
    assert children(mlflow_home) == []
    assert carry_out(swept, mlflow_home).skipped == 3
    assert len(children(mlflow_home)) == 3


def test_a_locked_database_is_one_sentence_nothing_is_lost_and_it_is_made_up_for(
    tmp_path, mlflow_home, here, monkeypatch
):
    monkeypatch.setattr(family, "WAIT_S", 0.3)
    file = write_sweep(tmp_path)
    with sqlite3.connect(mlflow_home / "mlruns" / "mlflow.db", isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        report = carry_out(file, mlflow_home)
        other.execute("ROLLBACK")
    assert (report.finished, report.failed, report.url) == (2, {}, None)
    assert "could not be used, as its database is locked by another process" in report.trouble
    assert len(records(file)) == 2
    assert carry_out(file, mlflow_home).trouble == ""
    assert len(children(mlflow_home)) == 2


def test_a_server_that_is_not_there_is_one_sentence(tmp_path, here, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    report = carry_out(write_sweep(tmp_path), None)
    assert report.finished == 2
    assert report.trouble.startswith("MLflow at http://127.0.0.1:9 could not be used")
    assert len(report.trouble.splitlines()) == 1


SWEEPS = """
import sys
from pathlib import Path
from tests.sweep.conftest import Here
from tests.sweep.trivial import carry_out
from workbench.sweep import run as running
from contextlib import contextmanager
running.open_cluster = contextmanager(lambda config: iter([Here(config)]))
assert not carry_out(Path(sys.argv[1]), Path(sys.argv[2])).trouble
"""


@pytest.mark.slow
def test_sweeps_that_write_at_once_lose_nothing(tmp_path, mlflow_home):
    files = []
    for name in "abc":
        (tmp_path / name).mkdir()
        files.append(write_sweep(tmp_path / name, name=name, grid={"x": [1, 2, 3]}))
    started = [
        subprocess.Popen([sys.executable, "-c", SWEEPS, str(file), str(mlflow_home)], stderr=subprocess.PIPE, text=True)
        for file in files
    ]
    errors = [process.communicate(timeout=240)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], errors
    for name in "abc":
        assert len(children(mlflow_home, name)) == 3


def test_many_children_are_made_quickly_enough_to_be_no_burden(tmp_path, mlflow_home, here):
    """That nothing is asked of MLflow per child that grows with their number: calls are counted, not seconds."""
    file = write_sweep(tmp_path, grid={"x": [1]})
    assert carry_out(file, mlflow_home).complete
    plan = make_plan(read_sweep(file))
    store = Store(tmp_path / "out")
    (record,) = store.records().values()
    mirror = Mirror(plan, store, mlflow_home)
    mirror.catch_up({record.key: record})
    assert mirror.run_ids == {record.key: children(mlflow_home)[0].info.run_id}
    mirror._family._client = None  # nothing is to be asked for what is up to date
    mirror.catch_up({record.key: record})
    assert mirror.trouble == ""
