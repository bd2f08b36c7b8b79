"""A notebook that does next to nothing, sweeps of it, and what is left of them on disk and in MLflow."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import nbformat
import yaml

from workbench.sweep import ClusterConfig, Options, SweepReport, make_plan, read_sweep, run_sweep

PARAMETERS = 'x = 1\ny = 0.5\nname = "a"\npause_s = 0.0\nbroken = False\ndata = []\nlog = ""\nseed = 0\n'
# Every run that gets here leaves a line, so that a test can count how often each was begun and ended.
BEGIN = """
import os, time
from pathlib import Path
who = f"{x} {name} {seed}"
if log:
    with open(log, "a") as file:
        file.write(f"begin {who}\\n")
time.sleep(pause_s)
"""
WORK = """
if broken:
    raise ValueError("broken on purpose")
"""
KEEP = """
from workbench import tracking
with tracking.run("ignored", "ignored", {"squared": x * x}) as run:
    run.log_metrics({"value": x + seed, "threads": int(os.environ["OMP_NUM_THREADS"])})
"""
END = """
if log:
    with open(log, "a") as file:
        file.write(f"end {who}\\n")
"""


def write_notebook(path: Path, *cells: str, parameters: str = PARAMETERS) -> Path:
    """A notebook at ``path`` with these ``cells``, the usual ones if there are none."""
    first = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    others = map(nbformat.v4.new_code_cell, cells or (BEGIN, WORK, KEEP, END))
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=[first, *others]), path)
    return path


def write_sweep(folder: Path, notebook: Path | None = None, **entries: Any) -> Path:
    """A sweep file in ``folder`` over the usual notebook: ``x`` twice, unless ``entries`` vary something."""
    notebook = notebook or write_notebook(folder / "trivial.ipynb")
    told = {"notebook": str(notebook), "metric": "value", **entries}
    if not {"grid", "zip", "random", "cases"} & set(told):
        told["grid"] = {"x": [1, 2]}
    path = folder / f"{told.get('name', 'trivial')}.yaml"
    path.write_text(yaml.safe_dump(told, sort_keys=False))
    return path


def carry_out(
    file: Path, home: Path, workers: int = 1, tell: Any = None, advance: Any = None, **options: Any
) -> SweepReport:
    """The sweep of ``file`` in the folder ``out`` beside it, with MLflow in ``home``."""
    sweep = read_sweep(file)
    config = ClusterConfig(max(workers, len(sweep.workers)), options.pop("scheduler", None), sweep.workers)
    return run_sweep(make_plan(sweep), file.parent / "out", config, Options(**options), advance, tell, home)


def records(file: Path) -> list[dict[str, Any]]:
    """Every record that lies beside ``file``."""
    return [json.loads(path.read_text()) for path in sorted((file.parent / "out" / "records").glob("*.json"))]


def children(home: Path, experiment: str = "trivial") -> list[Any]:
    """All children of the experiment in MLflow, the deleted ones not."""
    return [run for run in runs(home, experiment) if run.data.tags.get("role") == "child"]


def runs(home: Path, experiment: str = "trivial") -> list[Any]:
    """All runs of the experiment in MLflow, the parent first."""
    from mlflow import MlflowClient

    from workbench.tracking import tracking_uri

    client = MlflowClient(tracking_uri=tracking_uri(home))
    found = client.get_experiment_by_name(experiment)
    return list(client.search_runs([found.experiment_id], max_results=5000)) if found else []


def command(file: Path, home: Path, *more: object) -> tuple[list[str], dict[str, str]]:
    """``workbench ablate`` on ``file`` as another process, and its environment."""
    argv = [sys.executable, "-c", "from workbench.cli import main; main()", "ablate", str(file)]
    argv += ["--out", str(file.parent / "out")]
    env = dict(os.environ, WORKBENCH_HOME=str(home), MLFLOW_DISABLE_TELEMETRY="true")
    for name in ("MLFLOW_TRACKING_URI", "WORKBENCH_DATA", "WORKBENCH_SMOKE"):
        env.pop(name, None)
    return [*argv, *map(str, more)], env
