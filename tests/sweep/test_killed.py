"""``kill -9`` of a worker, of the scheduler or of the whole command, ten times at random moments.

Then every run is there once, none that had finished ran again, and MLflow shows nothing that is double or half written.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.sweep.test_cluster import free_port, scheduler, worker
from tests.sweep.trivial import command, records, runs, write_sweep
from workbench.sweep import load

KILLS = ["command", "worker", "scheduler", "command", "worker", "command", "scheduler", "worker", "command", "command"]
SEEDS = 40  # more than ten trials of up to seven seconds can finish
READY_S = 90
ROOT = Path(__file__).resolve().parents[2]
PIPES = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}


@pytest.mark.slow
def test_ten_kills_lose_at_most_the_runs_in_hand(tmp_path, mlflow_home, monkeypatch):
    log, moments = tmp_path / "log", np.random.default_rng(int.from_bytes(os.urandom(4)))
    given = {"pause_s": 1.0, "log": str(log)}
    file = write_sweep(tmp_path, parameters=given, grid={"x": [1, 2]}, seeds=list(range(SEEDS)))
    monkeypatch.setenv("PYTHONPATH", str(_copy(tmp_path)))  # another key, and a run is another run
    endings: dict[str, float] = {}
    for kill in KILLS:
        begun = _begun(log)
        _trial(kill, file, mlflow_home, float(moments.uniform(0.2, 7.0)))
        found = {record["key"]: record for record in records(file)}
        for key, ended in endings.items():
            assert found[key]["ended"] == ended, "what had finished did not run again"
            who = f"{found[key]['parameters']['x']} a {found[key]['seed']}"
            assert _begun(log)[who] == begun[who]
        endings = {key: record["ended"] for key, record in found.items() if record["status"] == "finished"}

    argv, env = command(file, mlflow_home, "--workers", 2)
    done = subprocess.run(argv, env=env, cwd=mlflow_home, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    assert f"{len(endings)} were finished before" in done.stdout
    assert len(endings) < 2 * SEEDS, "there was something left to do"
    results = load(tmp_path / "out").results
    assert len(results) == 2 * SEEDS
    assert not results.duplicated(["x", "seed"]).any()
    tracked = runs(mlflow_home)
    keys = Counter(run.data.tags.get("key") for run in tracked if run.data.tags["role"] == "child")
    assert keys == Counter(results["key"])
    assert {run.info.status for run in tracked} == {"FINISHED"}
    assert len(tracked) == 2 * SEEDS + 1, "one parent"
    assert all(run.data.metrics["value"] == int(run.data.params["x"]) + int(run.data.tags["seed"]) for run in tracked
               if run.data.tags["role"] == "child")  # fmt: skip
    ends = Counter(line.removeprefix("end ") for line in log.read_text().splitlines() if line.startswith("end"))
    assert sum(ends.values()) <= 2 * SEEDS + 3 * len(KILLS), "only what was in hand was run twice"


def _trial(kill: str, file: Path, home: Path, wait_s: float) -> None:
    """Start the command (on a cluster of its own if the scheduler is to die), kill, and wait for what is left of it."""
    with ExitStack() as stack:
        where: list[object] = ["--workers", 2]
        if kill == "scheduler":
            port = free_port()
            where = ["--scheduler", f"tcp://127.0.0.1:{port}"]
            dask = stack.enter_context(scheduler(port))
            for _ in range(2):
                stack.enter_context(worker(port))
            time.sleep(4)
        argv, env = command(file, home, *where)
        before = set((file.parent / "out" / "runs").glob("*.ipynb"))
        process = stack.enter_context(subprocess.Popen(argv, env=env, cwd=home, preexec_fn=_hear_ctrl_c, **PIPES))
        stack.callback(process.kill)
        _until_work(file, process, before)
        time.sleep(wait_s)
        if kill == "scheduler":
            dask.kill()
            _, err = process.communicate(timeout=120)
            assert process.returncode in (0, 2), err
            assert process.returncode == 0 or "The scheduler" in err.strip().splitlines()[-1], err
            return
        if kill == "worker":
            _kill_worker(process.pid)
            time.sleep(3)  # the command goes on; it is ended as a person would end it
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=120)
            assert process.returncode in (0, 130), err
            return
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.kill()
        process.communicate(timeout=60)
        _, left = psutil.wait_procs(family, timeout=30)
        assert not left, "workers and kernels of a command that was killed end by themselves"


def _copy(folder: Path) -> Path:
    """A folder with a copy of the package, which nobody edits while the test runs."""
    place = folder / "code"
    shutil.copytree(ROOT / "workbench", place / "workbench", ignore=shutil.ignore_patterns("__pycache__"))
    return place


def _hear_ctrl_c() -> None:
    """Where tests run in the background of a shell, Ctrl-C is ignored by all that they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _until_work(file: Path, process: subprocess.Popen, before: set[Path]) -> None:
    """Wait until this command has finished its first run, or has ended."""
    end = time.monotonic() + READY_S
    while process.poll() is None and set((file.parent / "out" / "runs").glob("*.ipynb")) == before:
        assert time.monotonic() < end, "nothing finishes"
        time.sleep(0.1)


def _kill_worker(pid: int) -> None:
    try:
        workers = [child for child in psutil.Process(pid).children() if "spawn_main" in " ".join(child.cmdline())]
    except psutil.NoSuchProcess:
        return
    if workers:
        workers[0].kill()


def _begun(log: Path) -> Counter[str]:
    lines = log.read_text().splitlines() if log.exists() else []
    return Counter(line.removeprefix("begin ") for line in lines if line.startswith("begin"))
