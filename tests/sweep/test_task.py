"""What a worker does, with real papermill: everything that may go wrong is an outcome with its reason."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest

from tests.sweep.trivial import write_notebook, write_sweep
from workbench.config import WorkbenchError
from workbench.sweep import ClusterConfig, make_plan, read_sweep
from workbench.sweep import task as tasks
from workbench.sweep.identity import code_hash, freeze
from workbench.sweep.task import DONE, ERROR, STOPPED, Order, Outcome, perform
from workbench.sweep.work import Work

LOGGING = (
    "import os, sys\nfrom pathlib import Path\nfrom workbench import tracking",
    "Path('note.txt').write_text('n')",
    """with tracking.run("e", "r", {"p": {"q": x}}, {"folder": os.getcwd()}) as run:
    run.log_metrics({"value": x}, step=2)
    run.log_file(Path("note.txt"), "notes")""",
    """with tracking.run("e", "again") as run:
    run.log_metrics({"mlflow": "mlflow" in sys.modules})""",
)


def order_of(folder: Path, *cells: str, **entries: object) -> Order:
    notebook = write_notebook(folder / "trivial.ipynb", *cells)
    entries.setdefault("grid", {"x": [3]})
    plan = make_plan(read_sweep(write_sweep(folder, notebook, **entries)))
    work = Work(plan, None, ClusterConfig(scheduler="elsewhere"), folder / "none", lambda *_: None, lambda _: None)
    return work._order(plan.runs[0])


def first_cell(outcome: Outcome) -> str:
    return nbformat.reads(outcome.notebook, as_version=4).cells[0].source


def test_a_notebook_runs_in_its_folder_and_what_it_logs_comes_back_without_mlflow(tmp_path):
    outcome = perform(order_of(tmp_path, *LOGGING))
    assert outcome.status == DONE, outcome.reason
    told = json.loads(outcome.files["run.json"])
    assert told["params"] == {"p.q": "3"}
    assert told["metrics"] == [["value", 3.0, 2], ["mlflow", 0.0, 0]]
    assert told["tags"] == {"folder": str(tmp_path)}
    assert outcome.files["artifacts/notes/note.txt"] == b"n"
    assert outcome.seconds > 0
    assert outcome.overhead_s > 0
    assert outcome.started < outcome.ended
    assert nbformat.reads(outcome.notebook, as_version=4).cells[-1].execution_count


def test_a_cell_that_raises_is_told_in_the_first_lines_and_what_ran_is_there(tmp_path):
    outcome = perform(order_of(tmp_path, "print('kept')", "1 / 0", "print('never')"))
    assert outcome.status == ERROR
    assert outcome.reason == "Cell In [4] ('1 / 0') raised ZeroDivisionError: division by zero"
    assert first_cell(outcome) == f"**This run failed.** {outcome.reason}."
    assert "kept" in outcome.notebook
    assert outcome.files == {}


def test_a_run_that_takes_too_long_ends(tmp_path):
    outcome = perform(order_of(tmp_path, "import time", "time.sleep(60)", timeout_s=1))
    assert (outcome.status, outcome.reason) == (ERROR, "The kernel stopped since it ran for more than 1 s")
    assert outcome.reason in first_cell(outcome)


def test_a_run_that_takes_too_much_memory_ends(tmp_path):
    outcome = perform(order_of(tmp_path, "import time\nfull = bytearray(2**29)\ntime.sleep(60)", memory_gib=0.25))
    assert (outcome.status, outcome.reason) == (ERROR, "The kernel stopped since it used more than 0.25 GiB of memory")


def test_a_kernel_that_dies_is_told(tmp_path):
    outcome = perform(order_of(tmp_path, "import os\nos._exit(3)"))
    assert outcome.status == ERROR
    assert outcome.reason.startswith("The kernel stopped since it died")


def test_other_code_or_data_stop_the_sweep_since_the_key_would_lie(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("1")
    order = order_of(tmp_path, "pass", parameters={"data": ["data"]})
    assert perform(replace(order, code="other")).status == STOPPED
    (tmp_path / "data" / "a.csv").write_text("22")
    outcome = perform(order)
    assert outcome.status == STOPPED
    assert outcome.reason.startswith("the data on")
    assert "that the sweep was planned with" in outcome.reason


def test_the_code_may_change_while_a_sweep_runs_since_its_kernels_import_a_copy(tmp_path):
    order = order_of(tmp_path, "import workbench\nprint('from', workbench.__file__)")
    frozen = freeze(tmp_path / "package", order.code)
    outcome = perform(replace(order, frozen=str(frozen)))
    assert outcome.status == DONE, outcome.reason
    assert f"from {frozen}" in outcome.notebook
    assert freeze(tmp_path / "package", order.code) == frozen, "made once"
    (frozen / "workbench" / "config.py").write_text("changed")
    assert "from" in perform(replace(order, frozen=str(frozen))).notebook, "the installed one is still the same"
    assert perform(replace(order, frozen=str(frozen), code=code_hash(tmp_path))).status == STOPPED


def test_a_copy_of_code_that_has_changed_is_refused_and_nothing_else_is_removed(tmp_path):
    kept = tmp_path / "package" / "mine" / "file"
    kept.parent.mkdir(parents=True)
    kept.touch()
    with pytest.raises(WorkbenchError, match="The package changed while the sweep was planned"):
        freeze(tmp_path / "package", "0" * 64)
    assert kept.exists()


def test_a_machine_without_the_notebooks_folder_runs_it_all_the_same(tmp_path):
    order = order_of(tmp_path / "there", "import os\nassert not os.getcwd().endswith('there')")
    shutil.rmtree(tmp_path / "there")
    assert perform(order).status == DONE


def test_too_much_is_not_logged(tmp_path, monkeypatch):
    monkeypatch.setattr(tasks, "MOST_LOGGED", 10)
    outcome = perform(order_of(tmp_path))
    assert outcome.status == ERROR
    assert "It logged 0 MB, where 0 are allowed" in outcome.reason


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system")
def test_a_full_disk_stops_the_sweep_with_one_sentence(tmp_path, monkeypatch):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], capture_output=True)
    if mounted.returncode:
        pytest.skip("this container may not mount a file system")
    try:
        order = order_of(tmp_path, "print('a' * 300_000)")
        monkeypatch.setattr("tempfile.tempdir", str(small))
        outcome = perform(order)
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)
    assert outcome.status == STOPPED
    assert "is full" in outcome.reason or "No space left" in outcome.reason
