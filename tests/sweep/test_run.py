"""A sweep from file to table, with real papermill and a real MLflow store; only the workers are in this process."""

from __future__ import annotations

import json
from dataclasses import replace

import nbformat
import pandas as pd
import pytest

from tests.sweep.trivial import BEGIN, WORK, carry_out, children, records, runs, write_notebook, write_sweep
from workbench.config import WorkbenchError
from workbench.sweep import load, task
from workbench.sweep import work as working
from workbench.sweep.cluster import Ended

TABLE = """
import pandas as pd
from workbench import tracking
rows = [{"task": t, "device": d, "spearman": x + len(t), "seed": 99} for t in ("a", "bb") for d in ("p", "q")]
with tracking.run("ignored", "ignored", {"mine": 1}, {"kind": "k"}) as run:
    run.log_history(pd.DataFrame({"step": [1, 2], "loss": [2.0, 1.0]}))
    run.log_table(pd.DataFrame(rows), "results.csv")
"""


def test_a_sweep_ends_in_one_table_and_in_mlflow(tmp_path, mlflow_home, here):
    notebook = write_notebook(tmp_path / "trivial.ipynb", TABLE)
    cases = [{"case": "full"}, {"case": "bare", "y": 0.25}]
    file = write_sweep(tmp_path, notebook, grid={"x": [1, 2]}, cases=cases, seeds=[3], metric="spearman")
    report = carry_out(file, mlflow_home)
    assert report.complete
    assert (report.runs, report.skipped, report.finished, report.failed, report.trouble) == (4, 0, 4, {}, "")
    manifest, results = load(tmp_path / "out")
    assert list(results) == [
        "key", "run_id", "case", "x", "seed", "task", "device", "spearman", "seconds", "overhead_s", "worker",
    ]  # fmt: skip
    assert len(results) == 4 * 4
    assert (results["seed"] == 3).all(), "the factor stands, whatever the notebook's table says"
    assert (results["spearman"] == results["x"] + results["task"].str.len()).all()
    assert results["x"].dtype.kind == "i"
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "out" / "results.csv")[["case", "x"]], results[["case", "x"]])
    assert manifest["factors"] == manifest["groups"] == ["case", "x"]
    assert manifest["labels"] == ["task", "device"]
    assert manifest["metrics"] == ["spearman"]
    assert (manifest["runs"], manifest["finished"], manifest["failed"]) == (4, 4, 0)
    assert manifest["versions"]["papermill"]

    found = children(mlflow_home)
    assert len(found) == 4
    assert {run.info.status for run in found} == {"FINISHED"}
    assert {run.data.tags["key"] for run in found} == set(results["key"])
    assert dict(zip(results["key"], results["run_id"], strict=True)) == {
        r.data.tags["key"]: r.info.run_id for r in found
    }
    one = next(run for run in found if run.data.tags["factor.case"] == "bare" and run.data.tags["factor.x"] == "2")
    assert one.data.tags["mlflow.parentRunId"] == manifest["parent_run_id"]
    assert {name: one.data.tags[name] for name in ("sweep", "seed", "superseded", "kind")} == {
        "sweep": "trivial", "seed": "3", "superseded": "false", "kind": "k",
    }  # fmt: skip
    assert one.data.params["y"] == "0.25"
    assert one.data.params["mine"] == "1"
    assert one.data.metrics["loss"] == 1.0
    assert one.data.metrics["spearman"] == 2 + 1.5
    artifacts = mlflow_home / "mlruns/artifacts/trivial" / one.info.run_id / "artifacts"
    assert {path.name for path in artifacts.iterdir()} == {"results.csv", f"{one.data.tags['key']}.ipynb"}
    (parent,) = [run for run in runs(mlflow_home) if run.data.tags["role"] == "parent"]
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["finished"] == 4


def test_a_notebook_without_a_table_gives_a_row_of_its_metrics(tmp_path, mlflow_home, here):
    assert carry_out(write_sweep(tmp_path), mlflow_home).complete
    results = load(tmp_path / "out").results
    assert results["value"].tolist() == [1.0, 2.0]


def test_what_is_finished_is_not_run_again_and_what_has_changed_is(tmp_path, mlflow_home, here):
    log = {"parameters": {"log": str(tmp_path / "log")}}
    file = write_sweep(tmp_path, grid={"x": [1, 2]}, **log)
    assert carry_out(file, mlflow_home, only=["x=1"]).runs == 1
    assert carry_out(file, mlflow_home).skipped == 1
    again = carry_out(file, mlflow_home)
    assert (again.skipped, again.finished) == (2, 0)
    assert (tmp_path / "log").read_text().count("begin") == 2
    assert len(here) == 2, "no workers are started for nothing"
    assert len(children(mlflow_home)) == 2

    notebook = write_notebook(tmp_path / "trivial.ipynb", BEGIN, "'other'")
    changed = carry_out(write_sweep(tmp_path, notebook, grid={"x": [1, 2]}, **log), mlflow_home)
    assert (changed.skipped, changed.finished) == (0, 2)
    assert len(load(tmp_path / "out").results) == 2, "the table is of what the file says now"
    old = {run.data.tags["superseded"] for run in children(mlflow_home) if run.data.metrics.get("value")}
    assert old == {"true"}
    assert len(children(mlflow_home)) == 4


def test_a_run_that_fails_is_tried_again_and_kept_with_its_error(tmp_path, mlflow_home, here):
    told = []
    cases = [{"case": "good"}, {"case": "bad", "broken": True}]
    file = write_sweep(tmp_path, cases=cases, retries=2, parameters={"log": str(tmp_path / "log")})
    report = carry_out(file, mlflow_home, tell=told.append)
    assert not report.complete
    assert (report.finished, list(report.failed)) == (1, ["case=bad"])
    assert "raised ValueError: broken on purpose; the notebook as far as it ran is" in report.failed["case=bad"]
    assert (tmp_path / "log").read_text().count("begin") == 1 + 3
    assert len(told) == 2
    bad = next(record for record in records(file) if record["status"] == "failed")
    assert bad["attempts"] == 3
    document = nbformat.read(tmp_path / "out" / "runs" / f"{bad['key']}.ipynb", as_version=4)
    assert "broken on purpose" in document.cells[0].source
    assert load(tmp_path / "out").results["case"].tolist() == ["good"]
    by_status = {run.info.status: run for run in children(mlflow_home)}
    assert set(by_status) == {"FINISHED", "FAILED"}
    assert "broken on purpose" in by_status["FAILED"].data.tags["error"]

    again = carry_out(file, mlflow_home)  # a new command tries it anew
    assert (again.skipped, len(again.failed)) == (1, 1)
    assert len(children(mlflow_home)) == 2, "its child was replaced"


def test_the_first_failure_ends_it_if_that_is_wanted(tmp_path, mlflow_home, here):
    file = write_sweep(tmp_path, parameters={"broken": True}, grid={"x": [1, 2, 3]}, retries=0)
    report = carry_out(file, mlflow_home, fail_fast=True)
    assert len(report.failed) == 1
    assert not report.complete
    assert len(records(file)) == 1


def test_a_worker_that_dies_takes_a_run_with_it_a_bounded_number_of_times(tmp_path, mlflow_home, here, monkeypatch):
    """The run before it is tried again without counting; one that kills every worker is given up."""
    deaths = {"count": 0}

    def deadly(order: task.Order) -> task.Outcome:
        deaths["count"] += 1
        raise MemoryError

    from tests.sweep.conftest import Here

    def killed(self: Here, timeout_s: float) -> Ended:
        name, function, argument, worker = self._waiting.get_nowait()
        try:
            return Ended(name, worker, function(argument), None, killed=False)
        except MemoryError as error:
            return Ended(name, worker, None, error, killed=True)

    monkeypatch.setattr(Here, "next", killed)
    monkeypatch.setattr(working, "perform", deadly)
    report = carry_out(write_sweep(tmp_path, grid={"x": [1]}), mlflow_home)
    assert deaths["count"] == working.DEATHS
    assert "Its worker died 3 times" in report.failed["x=1"]
    assert len(set(here[0].submitted)) == 3, "every submission has a name of its own"


def test_what_cannot_get_better_stops_the_sweep_and_keeps_what_is_done(tmp_path, mlflow_home, here, monkeypatch):
    def stops(order: task.Order) -> task.Outcome:
        return task.perform(order if order.given["x"] == 1 else replace(order, code="changed"))

    monkeypatch.setattr(working, "perform", stops)
    file = write_sweep(tmp_path)
    with pytest.raises(WorkbenchError, match=r"Run 'x=2' was not done, as the package on .* what has finished is kept"):
        carry_out(file, mlflow_home)
    assert [record["factors"] for record in records(file)] == [{"x": 1}]
    assert json.loads((tmp_path / "out" / "sweep.json").read_text())["finished"] == 1
    (parent,) = [run for run in runs(mlflow_home) if run.data.tags["role"] == "parent"]
    assert parent.info.status == "FAILED"
    assert len(children(mlflow_home)) == 1


def test_a_table_that_cannot_be_read_fails_the_run(tmp_path, mlflow_home, here):
    cell = (
        "from pathlib import Path\nfrom workbench import tracking\nPath('results.parquet').write_text('no table')\n"
        "with tracking.run('e', 'r') as run:\n    run.log_file(Path('results.parquet'))"
    )
    file = write_sweep(tmp_path, write_notebook(tmp_path / "trivial.ipynb", WORK, cell), grid={"x": [1]}, retries=0)
    assert "results.parquet that it logged cannot be read" in carry_out(file, mlflow_home).failed["x=1"]


def test_factors_of_several_types_and_lists_fit_into_one_column(tmp_path, mlflow_home, here):
    (tmp_path / "data").mkdir()
    grid = {"y": [0.5, 1], "data": [[], ["data"]]}
    assert carry_out(write_sweep(tmp_path, grid=grid), mlflow_home).complete
    results = load(tmp_path / "out").results
    assert set(results["data"]) == {"[]", '["data"]'}
    assert results["y"].dtype.kind == "f"
