"""Real workers in processes of their own: pinned runs land where they should, and who is not there is told at once."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.sweep.trivial import carry_out, children, records, write_sweep
from workbench.config import WorkbenchError
from workbench.sweep import load
from workbench.sweep.cluster import cores

DEVICES = {"grid": {"name": ["a", "b"], "x": [1, 2, 3]}, "resources": {"device": "{name}"}}


@contextmanager
def dask(*arguments: object) -> Iterator[subprocess.Popen]:
    """``dask ARGUMENTS`` until the block ends."""
    argv = [str(Path(sys.executable).with_name("dask")), *map(str, arguments)]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def scheduler(port: int):
    return dask("scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")


def worker(port: int, *more: object):
    usual = ("--host", "127.0.0.1", "--nthreads", 1, "--no-dashboard", "--memory-limit", 0)
    return dask("worker", f"tcp://127.0.0.1:{port}", *usual, *more)


def _listening() -> set[str]:
    """Addresses at which this process and all that it has started can be reached."""
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    found = set()
    for process in family:
        with suppress(psutil.Error):
            found |= {
                socket.laddr.ip for socket in process.net_connections("inet") if socket.status == psutil.CONN_LISTEN
            }
    return found


def test_pinned_runs_land_where_they_should_and_come_back_to_one_table(tmp_path, mlflow_home):
    file = write_sweep(tmp_path, workers=["device:a", "device:b"], **DEVICES)
    heard: set[str] = set()
    report = carry_out(file, mlflow_home, advance=lambda *_: heard.update(_listening()))
    assert report.complete, report.failed
    assert heard == {"127.0.0.1"}, "nobody elsewhere can reach any of it"
    results = load(tmp_path / "out").results
    assert len(results) == 6
    where = results.groupby("name")["worker"].unique()
    assert where["a"][0].startswith("worker-0 on ")
    assert where["b"][0].startswith("worker-1 on ")
    assert [len(workers) for workers in where] == [1, 1]
    assert (results["threads"] == max(1, cores() // 2)).all(), "two workers share the cores"
    assert len(children(mlflow_home)) == 6


def test_what_nobody_has_is_refused_in_one_sentence_before_anything_runs(tmp_path, mlflow_home):
    file = write_sweep(tmp_path, workers=["device:a"], **DEVICES)
    with pytest.raises(WorkbenchError) as caught:
        carry_out(file, mlflow_home)
    assert str(caught.value) == (
        "trivial has runs for a worker with device:b, and no worker has it (there is: device:a); start one that has "
        "it, or wait for one with --wait."
    )
    assert records(file) == []


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense", "tcp://nowhere.invalid:1"])
def test_a_scheduler_that_cannot_be_reached_is_one_sentence(tmp_path, mlflow_home, address):
    with pytest.raises(WorkbenchError, match=f"No scheduler answers at {address} within") as caught:
        carry_out(write_sweep(tmp_path), mlflow_home, scheduler=address)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.slow
def test_an_existing_cluster_is_used_and_a_late_worker_is_waited_for(tmp_path, mlflow_home):
    port, file = free_port(), write_sweep(tmp_path, **DEVICES)
    address, told = f"tcp://127.0.0.1:{port}", []
    with scheduler(port):
        time.sleep(3)
        with pytest.raises(WorkbenchError, match=f"The scheduler {address} has no workers; start some with 'dask work"):
            carry_out(file, mlflow_home, scheduler=address)
        with worker(port, "--resources", "device:a=1", "--name", "board-a"):
            time.sleep(4)
            with pytest.raises(WorkbenchError, match="runs for a worker with device:b, and no worker has it"):
                carry_out(file, mlflow_home, scheduler=address)
            with worker(port, "--resources", "device:b=1", "--name", "board-b"):  # it takes a moment to be there
                report = carry_out(file, mlflow_home, tell=told.append, scheduler=address, wait=True)
    assert report.complete, report.failed
    assert any("waiting for one" in line for line in told)
    where = load(tmp_path / "out").results.groupby("name")["worker"].unique()
    assert where["a"][0].startswith("board-a on ")
    assert where["b"][0].startswith("board-b on ")
