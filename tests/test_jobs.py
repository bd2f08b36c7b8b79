"""Jobs as real processes: found again, stopped, failed, killed, and their starter killed."""

from __future__ import annotations

import importlib
import inspect
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import until
from workbench import jobs
from workbench.config import WorkbenchError
from workbench.jobs import process, store

LIMIT_S = 60
KINDS = dict(jobs.JOBS)
WORK = """
import os, signal, sys, time
from pathlib import Path
from workbench.config import WorkbenchError

def count(report, folder, upto=3, pause_s=0.0):
    for number in range(1, upto + 1):
        report(number, upto, "counting", last=number)
        time.sleep(pause_s)
    Path(folder).mkdir(exist_ok=True)
    Path(folder, "counted").write_text(str(upto))

def refuse(report, folder):
    report(1, 4, "looking")
    raise WorkbenchError("The work expects a spoon, got none; bring one.")

def stumble(report, folder):
    return {}["nothing"]

def vanish(report, folder):
    print("The last that was heard", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

def resist(report, folder):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    report(0, 0, "resisting")
    time.sleep(600)

def wait_for(report, folder, file):
    report(0, 1, "waiting", got="none yet")
    while not Path(file).exists():
        time.sleep(0.02)
    report(1, 1, "waited", relative=str(Path("here").resolve()))
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Iterator[Path]:
    """A project of its own, whose jobs are those of `WORK`; what still runs at the end is ended."""
    (tmp_path / "toy_work.py").write_text(WORK)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    names = ("count", "refuse", "stumble", "vanish", "resist", "wait_for")
    monkeypatch.setattr(jobs, "JOBS", {name: f"toy_work:{name}" for name in names})
    yield tmp_path / "home"
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    for job in jobs.find():
        job.stop(0)


def test_a_job_runs_elsewhere_and_says_how_far_it_is(tmp_path):
    job = jobs.start("count", tmp_path / "here", upto=5)
    progress = job.wait(LIMIT_S)
    assert (progress.state, progress.done, progress.total, progress.label) == ("finished", 5, 5, "counting")
    assert progress.payload == {"last": 5}
    assert not progress.active
    assert progress.message == ""
    assert progress.started_at <= progress.heartbeat_at <= progress.ended_at + 1
    assert (tmp_path / "here" / "counted").read_text() == "5"
    assert job.arguments == {"upto": 5}
    assert "toy_work:count" in job.log.read_text()


def test_nothing_was_started_yet(home):
    assert jobs.find() == []
    assert jobs.latest("count") is None
    assert not home.exists()


def test_jobs_are_found_by_kind_and_folder_the_newest_first(tmp_path):
    first = jobs.start("count", tmp_path / "a")
    first.wait(LIMIT_S)
    second, third = jobs.start("count", tmp_path / "a"), jobs.start("count", tmp_path / "b")
    assert [job.number for job in jobs.find("count")] == [third.number, second.number, first.number]
    assert jobs.latest("count", tmp_path / "a") == second
    assert jobs.find("refuse") == []
    with pytest.raises(WorkbenchError, match="did you mean 'count'"):
        jobs.find("cuont")


def test_of_one_kind_only_one_works_in_a_folder(tmp_path, monkeypatch):
    gate = tmp_path / "gate"
    job = jobs.start("wait_for", tmp_path / "a", file=str(gate))
    monkeypatch.chdir(tmp_path)
    assert jobs.start("wait_for", "a", file="another") == job
    assert jobs.start("wait_for", tmp_path / "b", file=str(gate)) != job
    gate.touch()
    assert job.wait(LIMIT_S).state == "finished"
    assert jobs.start("wait_for", tmp_path / "a", file=str(gate)) != job


def test_relative_paths_are_those_of_the_one_who_starts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gate").touch()
    job = jobs.start("wait_for", "a", file="gate")
    assert job.wait(LIMIT_S).payload["relative"] == str(tmp_path / "here")
    assert job.folder == tmp_path / "a"


def test_a_job_outlives_the_one_who_started_it(tmp_path):
    """As when a kernel is killed, with its whole process group, in the middle."""
    gate = tmp_path / "gate"
    program = (
        "import sys, time\nfrom workbench import jobs\n"
        "jobs.JOBS['wait_for'] = 'toy_work:wait_for'\n"
        f"job = jobs.start('wait_for', {str(tmp_path / 'a')!r}, file={str(gate)!r})\n"
        "print(job.number, flush=True)\ntime.sleep(600)"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    number = int(starter.stdout.readline())
    os.killpg(starter.pid, signal.SIGKILL)
    starter.wait()
    starter.stdout.close()
    job = jobs.latest("wait_for", tmp_path / "a")
    assert job.number == number
    until(lambda: job.progress.label == "waiting")
    assert job.progress.active
    gate.touch()
    assert job.wait(LIMIT_S).state == "finished"


def test_a_job_can_be_stopped(tmp_path):
    job = jobs.start("wait_for", tmp_path / "a", file=str(tmp_path / "never"))
    until(lambda: job.progress.label == "waiting")
    progress = job.stop()
    assert (progress.state, progress.message) == ("stopped", "It was stopped.")
    assert progress.payload == {"got": "none yet"}
    assert not process.is_alive(job.log)
    assert job.stop() == progress


def test_a_job_is_stopped_where_its_starter_ignores_interrupts(tmp_path):
    """A kernel between two cells does, and children inherit it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        job = jobs.start("wait_for", tmp_path / "a", file=str(tmp_path / "never"))
    finally:
        signal.signal(signal.SIGINT, before)
    until(lambda: job.progress.label == "waiting")
    assert job.stop(grace_s=LIMIT_S).state == "stopped"
    assert "stopped" in process.last_line(job.log)


def test_a_job_that_does_not_follow_is_ended(tmp_path):
    job = jobs.start("resist", tmp_path / "a")
    until(lambda: job.progress.label == "resisting")
    assert job.stop(grace_s=0.3).state == "stopped"
    assert not process.is_alive(job.log)


def test_a_job_that_is_not_up_yet_can_be_stopped(tmp_path):
    assert jobs.start("resist", tmp_path / "a").stop(grace_s=0).state == "stopped"


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("refuse", "The work expects a spoon, got none; bring one."),
        ("stumble", "KeyError: 'nothing'"),
    ],
)
def test_a_failure_is_told(tmp_path, kind, message):
    job = jobs.start(kind, tmp_path / "a")
    progress = job.wait(LIMIT_S)
    assert (progress.state, progress.message) == ("failed", message)
    assert "Traceback" in job.log.read_text()


def test_unknown_arguments_are_a_failure(tmp_path):
    assert "unexpected keyword argument 'up'" in jobs.start("count", tmp_path, up=3).wait(LIMIT_S).message


def test_a_job_that_is_gone_without_a_word_has_failed(tmp_path):
    job = jobs.start("vanish", tmp_path / "a")
    progress = job.wait(LIMIT_S)
    assert progress.state == "failed"
    assert progress.message.endswith("ends with: The last that was heard")
    assert jobs.start("vanish", tmp_path / "a") != job


def test_unknown_kinds_and_arguments_that_are_no_plain_data_are_refused(tmp_path):
    with pytest.raises(WorkbenchError, match="Unknown kind of job 'cont'; did you mean 'count'"):
        jobs.start("cont", tmp_path)
    with pytest.raises(WorkbenchError, match="expects plain data"):
        jobs.start("count", tmp_path, upto={1, 2})
    assert jobs.find() == []


def test_several_processes_may_start_the_first_job_at_once(tmp_path):
    gate = tmp_path / "gate"
    program = (
        "from workbench import jobs\njobs.JOBS['wait_for'] = 'toy_work:wait_for'\n"
        f"print(jobs.start('wait_for', {str(tmp_path / 'a')!r}, file={str(gate)!r}).number)"
    )
    starters = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert {starter.communicate()[0] for starter in starters} == {"1\n"}
    gate.touch()
    assert [job.wait(LIMIT_S).state for job in jobs.find()] == ["finished"]


def test_a_database_of_another_version_or_none_at_all_is_a_sentence(tmp_path):
    database = store.jobs_database()
    jobs.start("count", tmp_path / "a").wait(LIMIT_S)
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA user_version = 7")
    connection.close()
    for call in (jobs.find, lambda: jobs.start("count", tmp_path / "a")):
        with pytest.raises(WorkbenchError, match=r"has format 7, this version of the workbench reads 1; move it away"):
            call()
    for left in database.parent.glob(f"{database.name}*"):
        left.unlink()
    database.write_bytes(b"no database " * 400)
    with pytest.raises(WorkbenchError, match=r"jobs.db cannot be used \(file is not a database\)"):
        jobs.find()
    database.unlink()
    assert jobs.find() == []


def test_a_database_that_is_moved_away_does_not_end_the_job(tmp_path):
    gate = tmp_path / "gate"
    job = jobs.start("wait_for", tmp_path / "a", file=str(gate))
    until(lambda: job.progress.label == "waiting")
    job.database.rename(tmp_path / "moved.db")
    with pytest.raises(WorkbenchError, match="unable to open database file"):
        job.progress  # noqa: B018
    gate.touch()
    until(lambda: not process.is_alive(job.log))
    assert "finished" in process.last_line(job.log) or "cannot be used" in process.last_line(job.log)


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "file"))
    with pytest.raises(WorkbenchError, match="Cannot make the database of jobs"):
        jobs.start("count", tmp_path)


def test_every_kind_of_job_names_a_function():
    for work in KINDS.values():
        module, _, name = work.partition(":")
        names = list(inspect.signature(getattr(importlib.import_module(module), name)).parameters)
        assert names[:2] == ["report", "folder"]
