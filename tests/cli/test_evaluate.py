"""``workbench evaluate`` and ``workbench tasks`` as a person meets them, on toy devices."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.toy import SOURCES, TARGETS, one_thread, toy_frame, toy_networks, write_table
from workbench import cli
from workbench.data import sources
from workbench.devices.device import DeviceCard, write_cards

NETWORKS = toy_networks(60)
TASK = {"space": "nasbench201", "source": list(SOURCES), "target": list(TARGETS), "source_samples": 40}


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of ``workbench *arguments``."""
    with pytest.raises(SystemExit) as caught:
        cli.main(list(map(str, arguments)))
    captured = capsys.readouterr()
    return caught.value.code or 0, captured.out, captured.err


@pytest.fixture(autouse=True)
def isolated(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("WORKBENCH_DATA", raising=False)
    (tmp_path / "none").mkdir()
    monkeypatch.setattr(sources, "BUNDLED", tmp_path / "none")
    with one_thread():
        yield


@pytest.fixture
def data(tmp_path) -> Path:
    return write_table(tmp_path / "data", toy_frame(NETWORKS, SOURCES | TARGETS))


@pytest.fixture
def asked(tmp_path, data) -> tuple[object, ...]:
    (tmp_path / "tasks.json").write_text(json.dumps({"T": TASK, "U": TASK}))
    return ("evaluate", "--tasks", tmp_path / "tasks.json", "--data", data, "--out", tmp_path / "results.json")


def test_methods_probes_and_seeds_repeat(capsys, tmp_path, asked):
    several = ("--method", "linear", "--method", "nearest", "--probes", 4, "--probes", 6, "--seed", 0, "--seed", 1)
    files = ("--predictions", tmp_path / "predictions.parquet", "--report", tmp_path / "report")
    status, out, err = run(capsys, *asked, *several, *files)
    assert status == 0, err
    records = pd.DataFrame(json.loads((tmp_path / "results.json").read_text()))
    key = ["task", "device", "seed", "method", "probes"]
    assert len(records) == len(records.drop_duplicates(key)) == 2 * len(TARGETS) * 2 * 2 * 2
    assert (records["target_reads"] == records["probes"]).all()
    assert len(err.splitlines()) == len(records)
    assert "nearest - linear" in out
    assert "flops (floor)" in out
    assert "linear (floor)" not in out
    predictions = pd.read_parquet(tmp_path / "predictions.parquet")
    assert len(predictions) == len(records) * len(NETWORKS)
    assert len(list((tmp_path / "report").glob("*.csv"))) == 4
    assert not list(tmp_path.glob("*.journal"))


def test_a_method_that_needs_probes_ends_with_one(capsys, tmp_path, asked):
    status, _, err = run(capsys, *asked, "--only", "T", "--method", "linear", "--probes", 0, "--probes", 5)
    assert status == 1
    complaints = [line for line in err.splitlines() if line.startswith("workbench: ")]
    assert len(complaints) == 1
    assert complaints[0].startswith("workbench: T, 0 probes: Method 'linear' expects at least 1 probe")
    assert {record["probes"] for record in json.loads((tmp_path / "results.json").read_text())} == {5}


@pytest.mark.parametrize("stop", [("--width", 0.3), ("--gain", 0.5)])
def test_adaptive_selection_stops_at_what_is_wished_for(capsys, tmp_path, asked, stop):
    wish = ("--selector", "adaptive", *stop, "--probes", 20)
    status, _, err = run(capsys, *asked, "--method", "linear", *wish)
    assert status == 0, err
    for record in json.loads((tmp_path / "results.json").read_text()):
        assert (record["selector"], record["probes"]) == ("adaptive", 20)
        assert 0 < record["target_reads"] < 20


def test_a_width_without_adaptive_selection_is_refused(capsys, asked):
    status, _, err = run(capsys, *asked, "--width", 0.3)
    assert status == 2
    assert "expects the selector 'adaptive'" in err


def test_an_interrupted_run_keeps_what_is_finished(tmp_path, asked):
    program = (
        "import sys\n"
        "from workbench import cli\n"
        "import workbench.evaluation.ahead as running\n"
        "compute, pieces = running.run_unit, []\n"
        "def slow(*arguments):\n"
        "    pieces.append(1)\n"
        "    if len(pieces) > 1:\n"
        "        print('second', flush=True)\n"
        "        import time; time.sleep(60)\n"
        "    return compute(*arguments)\n"
        "running.run_unit = slow\n"
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell may ignore it
        "cli.main(sys.argv[1:])"
    )
    arguments = [str(part) for part in (*asked, "--method", "linear", "--probes", "4")]
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "second\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "the same command goes on from there" in err
    assert "Traceback" not in err
    assert len(list((tmp_path / "results.json.journal").glob("*.json"))) == 1
    assert not (tmp_path / "results.json").exists()


def test_what_is_read_is_not_written_over(capsys, tmp_path, asked, data):
    before = (tmp_path / "tasks.json").read_text()
    for place in (tmp_path / "tasks.json", data / "nasbench201.parquet"):
        status, _, err = run(capsys, *asked[:-1], place, "--method", "linear", "--probes", 4)
        assert status == 2
        assert "is among what is read" in err
    assert (tmp_path / "tasks.json").read_text() == before
    assert run(capsys, *asked[:-1], data / "results.json", "--method", "linear", "--probes", 4)[0] == 0


def test_after_a_failed_task_the_finished_ones_are_not_done_again(capsys, tmp_path, asked):
    (tmp_path / "tasks.json").write_text(json.dumps({"T": TASK, "bad": {**TASK, "space": "fbnet"}}))
    status, _, err = run(capsys, *asked, "--method", "linear", "--probes", 4)
    assert status == 1
    assert "correct what failed" in err
    assert list((tmp_path / "results.json.journal").glob("*.parquet"))
    (tmp_path / "tasks.json").write_text(json.dumps({"T": TASK}))
    status, _, err = run(capsys, *asked, "--method", "linear", "--probes", 4)
    assert status == 0
    assert not (tmp_path / "results.json.journal").exists()


def test_an_output_may_be_in_the_home_folder(capsys, tmp_path, asked, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)
    status, _, _ = run(capsys, *asked[:-1], "~/out.json", "--method", "linear", "--probes", 4)
    assert status == 0
    assert (tmp_path / "home" / "out.json").is_file()
    assert not (tmp_path / "~").exists()


def test_tasks_of_a_study_run(capsys, tmp_path, data):
    write_cards(
        data / "devices.yaml",
        {
            name: DeviceCard(name, hardware=name, family="cpu" if name in SOURCES else "gpu")
            for name in SOURCES | TARGETS
        },
    )
    file = tmp_path / "study.json"
    asked = ("--space", "nasbench201", "--data", data, "--source-samples", 30, "--out", file)
    status, out, err = run(capsys, "tasks", "leave-one-device-out", *asked)
    assert status == 0, err
    assert len(json.loads(file.read_text())) == len(SOURCES | TARGETS)
    assert "nasbench201-without-phone: 6 sources, 1 target" in out
    status, out, err = run(capsys, "tasks", "leave-one-family-out", *asked)
    assert status == 0, err
    assert set(json.loads(file.read_text())) == {"nasbench201-without-cpu", "nasbench201-without-gpu"}
    chosen = ("--tasks", file, "--data", data, "--out", tmp_path / "results.json", "--method", "linear", "--probes", 5)
    status, _, err = run(capsys, "evaluate", *chosen)
    assert status == 0, err
    targets = {record["device"] for record in json.loads((tmp_path / "results.json").read_text())}
    assert targets == set(SOURCES | TARGETS)


def test_tasks_across_spaces_run(capsys, tmp_path, data):
    write_table(data, toy_frame(toy_networks(40, "fbnet"), SOURCES), "fbnet")
    file = tmp_path / "study.json"
    asked = ("--space", "nasbench201", "--source-space", "fbnet", "--data", data, "--out", file)
    status, out, err = run(capsys, "tasks", "cross-space", *asked)
    assert status == 0, err
    assert "nasbench201-without-phone-from-fbnet: 5 sources, 1 target" in out
    assert f"Next:  workbench evaluate --tasks {file} --data {data} --out results.json" in out
    only = ("--only", "nasbench201-without-phone-from-fbnet", "--method", "linear")
    chosen = ("--tasks", file, "--data", data, "--out", tmp_path / "results.json", *only)
    assert run(capsys, "evaluate", *chosen)[0] == 0


def test_a_study_across_one_space_is_refused(capsys, tmp_path, data):
    asked = ("--space", "nasbench201", "--source-space", "nasbench201", "--data", data, "--out", tmp_path / "x.json")
    status, _, err = run(capsys, "tasks", "cross-space", *asked)
    assert status == 2
    assert "other spaces than nasbench201" in err
    assert not (tmp_path / "x.json").exists()


def test_a_study_of_one_device_is_refused_and_writes_nothing(capsys, tmp_path):
    data = write_table(tmp_path / "small", toy_frame(NETWORKS, {"edge": SOURCES["edge"]}))
    file = tmp_path / "study.json"
    status, _, err = run(
        capsys, "tasks", "leave-one-device-out", "--space", "nasbench201", "--data", data, "--out", file
    )
    assert status == 2
    assert "at least 2 pieces of hardware" in err
    assert not file.exists()
