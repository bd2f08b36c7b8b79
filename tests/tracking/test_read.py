"""Runs read back as tables: from the database as it stands, and the same through MLflow."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench import tracking
from workbench.config import WorkbenchError
from workbench.tracking import read
from workbench.tracking.store import database_of

RESULTS = pd.DataFrame({"task": ["T", "T"], "device": ["a", "b"], "spearman": [0.9, 0.8]})


@pytest.fixture(autouse=True)
def own_store(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("WORKBENCH_HOME", raising=False)
    monkeypatch.delenv("WORKBENCH_RUN_FOLDER", raising=False)


@pytest.fixture
def filled(mlflow_home) -> Path:
    """Three runs in two experiments: one with everything, one that failed, and one that is superseded."""
    with tracking.run("first", "whole", {"probes": 10, "case": "a b"}, {"sweep": "s"}, mlflow_home) as run:
        run.log_metrics({"spearman": 0.9, "odd": np.nan, "endless": np.inf})
        run.log_history(pd.DataFrame({"step": [1, 2, 3], "loss": [3.0, 2.0, 1.0]}))
        run.log_table(RESULTS, "results.csv")
        run.log_table(RESULTS, "tables/more.parquet")
    with pytest.raises(ValueError, match="bad"), tracking.run("second", "broken", {"probes": 5}, home=mlflow_home):
        raise ValueError("bad")
    with tracking.run("second", "old", {}, {"superseded": "true", "mlflow.parentRunId": run.run_id}, mlflow_home):
        pass
    return mlflow_home


def through_mlflow(monkeypatch) -> None:
    """Let the database be read as a server would be."""
    monkeypatch.setattr(read, "database_of", lambda uri: None)


def test_every_run_is_a_row_with_what_it_logged(filled):
    found = read.runs(home=filled).set_index("name")
    assert list(found.index) == ["broken", "whole"]
    whole, broken = found.loc["whole"], found.loc["broken"]
    assert (whole["status"], broken["status"]) == ("FINISHED", "FAILED")
    assert (whole["params.probes"], broken["params.probes"]) == ("10", "5")
    assert whole["params.case"] == "a b"
    assert pd.isna(broken["params.case"])
    assert whole["metrics.spearman"] == 0.9
    assert whole["metrics.loss"] == 1.0
    assert np.isnan(whole["metrics.odd"])
    assert whole["metrics.endless"] == np.inf
    assert (whole["tags.sweep"], whole["experiment"], whole["parent"]) == ("s", "first", "")
    assert broken["tags.error"] == "ValueError: bad"
    assert 0 <= whole["duration_s"] < 60
    assert abs(pd.Timestamp.now("UTC") - whole["start"]) < pd.Timedelta(minutes=5)
    assert not [name for name in found if name.startswith("tags.mlflow")]


def test_superseded_runs_are_listed_on_demand(filled):
    found = read.runs("second", filled, superseded=True).set_index("name")
    assert list(found.index) == ["old", "broken"]
    parents = read.runs("first", filled).set_index("name")
    assert found.loc["old", "parent"] == parents.loc["whole", "run_id"]


def test_the_newest_are_listed_if_there_is_a_limit(filled):
    assert read.runs(home=filled, limit=1)["name"].tolist() == ["broken"]


def test_the_database_and_mlflow_tell_the_same(filled, monkeypatch):
    run_ids = read.runs(home=filled, superseded=True)["run_id"].tolist()
    asked = [
        lambda: read.runs(home=filled),
        lambda: read.runs("second", filled, superseded=True),
        lambda: read.runs(home=filled, limit=1),
        lambda: read.history(run_ids, home=filled),
        lambda: read.history(run_ids, "spearman", filled),
        lambda: read.table(run_ids[-1], home=filled),
        lambda: read.table(run_ids[-1], "tables/more.parquet", filled),
    ]
    direct = [ask() for ask in asked]
    through_mlflow(monkeypatch)
    for one, ask in zip(direct, asked, strict=True):
        pd.testing.assert_frame_equal(one, ask(), check_dtype=False)
    assert read.table(run_ids[-1], "none", filled) is None
    with pytest.raises(WorkbenchError, match="did you mean 'second'"):
        read.runs("secnd", filled)


def test_a_history_has_every_metric_that_was_logged_over_steps(filled):
    run_ids = read.runs(home=filled)["run_id"].tolist()
    found = read.history(run_ids, home=filled)
    assert found["metric"].unique().tolist() == ["loss"]
    assert found[["step", "value"]].to_numpy().tolist() == [[1, 3], [2, 2], [3, 1]]
    alone = read.history(run_ids, "spearman", filled)
    assert alone[["step", "value"]].to_numpy().tolist() == [[0, 0.9]]
    assert read.history([], home=filled).empty
    assert read.history(["nobody"], home=filled).columns.tolist() == list(read.HISTORY)


def test_of_a_step_that_was_logged_twice_the_last_value_counts(mlflow_home):
    with tracking.run("e", "r", home=mlflow_home) as run:
        run.log_history(pd.DataFrame({"step": [1, 2], "loss": [3.0, 2.0]}))
    with sqlite3.connect(database_of(tracking.tracking_uri(mlflow_home))) as connection:
        connection.execute("UPDATE metrics SET timestamp = 1")
        row = ("loss", 9.0, 2, 2, False, run.run_id)
        connection.execute(
            "INSERT INTO metrics (key, value, timestamp, step, is_nan, run_uuid) VALUES (?,?,?,?,?,?)", row
        )
    assert read.history([run.run_id], home=mlflow_home)["value"].tolist() == [3.0, 9.0]


def test_a_logged_table_comes_back(filled):
    run_id = read.runs("first", filled)["run_id"].iloc[0]
    for name in ("results", "results.csv", "tables/more.parquet"):
        pd.testing.assert_frame_equal(read.table(run_id, name, filled), RESULTS)
    assert read.table(run_id, "none", filled) is None
    assert read.table("nobody", "results", filled) is None


def test_nothing_tracked_is_an_empty_table_and_makes_no_database(tmp_path):
    for found in (read.runs(home=tmp_path), read.history(["x"], home=tmp_path)):
        assert found.empty
    assert read.runs(home=tmp_path).columns.tolist() == list(read.BASE)
    assert read.table("x", home=tmp_path) is None
    assert not (tmp_path / "mlruns").exists()


def test_an_unknown_experiment_is_named_with_the_nearest_one(filled):
    with pytest.raises(WorkbenchError, match="Unknown experiment 'frist'; did you mean 'first'"):
        read.runs("frist", filled)


def test_a_broken_or_locked_database_is_one_sentence(filled, monkeypatch):
    monkeypatch.setattr(read, "WAIT_S", 0.1)
    database = database_of(tracking.tracking_uri(filled))
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(WorkbenchError, match=r"mlflow\.db cannot be read \(database is locked\); wait for"):
            read.runs(home=filled)
    finally:
        other.execute("ROLLBACK")
        other.close()
    database.write_bytes(b"nothing that SQLite would know" * 40)
    with pytest.raises(WorkbenchError, match="file is not a database"):
        read.runs(home=filled)


def test_reading_writes_nothing_and_imports_no_mlflow(filled):
    import subprocess
    import sys

    database = database_of(tracking.tracking_uri(filled))
    before = database.read_bytes()
    program = (
        "import sys; from pathlib import Path; from workbench.tracking import read\n"
        f"found = read.runs(home=Path({str(filled)!r})); read.history(found['run_id'], home=Path({str(filled)!r}))\n"
        "print(len(found), 'mlflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"]
    assert database.read_bytes() == before
