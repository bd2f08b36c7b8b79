"""The command line as a person meets it: real commands, and one sentence for bad input."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.browser.conftest import free_port
from workbench import __version__, cli, notebooks


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of ``workbench *arguments``."""
    with pytest.raises(SystemExit) as caught:
        cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return caught.value.code or 0, captured.out, captured.err


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one sentence for bad input, after checking that it is one."""
    status, out, err = run(capsys, *arguments)
    assert status == 2, err
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("workbench: ")
    return line.removeprefix("workbench: ")


@pytest.fixture
def tasks(tmp_path) -> Path:
    file = tmp_path / "tasks.json"
    file.write_text(json.dumps({"T": {"space": "nasbench201", "source": ["a"], "target": ["b"], "source_samples": 10}}))
    return file


def test_installed_command_answers_without_loading_anything_heavy():
    command = Path(sys.executable).with_name("workbench")
    done = subprocess.run([command, "--help"], capture_output=True, text=True, check=True, timeout=60)
    for name in ("quickstart", "evaluate", "profile", "ui", "lab"):
        assert name in done.stdout


def test_version(capsys):
    assert run(capsys, "--version") == (0, f"{__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluat"], "evaluat"),
        (["evaluate", "--out", "x.json"], "--tasks"),
        (["profile", "--out", "x", "--archs", "0"], "--archs"),
        (["profile"], "--out"),
    ],
)
def test_usage_errors_exit_with_two(capsys, arguments, message):
    status, _, err = run(capsys, *arguments)
    assert status == 2
    assert message in err


def test_evaluate_refuses_bad_input_and_writes_nothing(capsys, tmp_path, tasks):
    out, kept = tmp_path / "results.json", set(tmp_path.iterdir())
    needed = ("--out", out, "--tasks")
    assert "none.json" in refused(capsys, "evaluate", *needed, tmp_path / "none.json")
    assert "did you mean 'T'" in refused(capsys, "evaluate", *needed, tasks, "--only", "t1,T")
    assert "did you mean 'hodm'" in refused(capsys, "evaluate", *needed, tasks, "--method", "hodn")
    assert "selector" in refused(capsys, "evaluate", *needed, tasks, "--selector", "d_optimall")
    assert "probe" in refused(capsys, "evaluate", *needed, tasks, "--probes", "-1")
    assert "Data folder" in refused(capsys, "evaluate", *needed, tasks, "--data", tmp_path / "no")
    assert set(tmp_path.iterdir()) == kept


def test_evaluate_refuses_outputs_it_cannot_write_before_it_works(capsys, tmp_path, tasks):
    (tmp_path / "file").touch()
    closed = tmp_path / "file" / "results.json"
    assert "Cannot write" in refused(capsys, "evaluate", "--tasks", tasks, "--out", closed)
    same = ("--out", tmp_path / "x", "--predictions", tmp_path / "x")
    assert "a file of its own" in refused(capsys, "evaluate", "--tasks", tasks, *same)


def test_profile_refuses_bad_input_and_writes_nothing(capsys, tmp_path):
    out = tmp_path / "out"
    empty, wrong = tmp_path / "empty.txt", tmp_path / "wrong.txt"
    empty.write_text("\n")
    wrong.write_text("|nor_conv_3x3~0|\n")
    assert "did you mean 'nasbench201'" in refused(capsys, "profile", "--out", out, "--space", "nasbench20")
    assert "Unknown backend" in refused(capsys, "profile", "--out", out, "--platform", "torch-eage_fp32_t1_b1")
    assert "Malformed platform" in refused(capsys, "profile", "--out", out, "--platform", "fast")
    assert "names no network" in refused(capsys, "profile", "--out", out, "--probes", empty)
    assert "Cannot read" in refused(capsys, "profile", "--out", out, "--probes", tmp_path / "none")
    assert "exclude each other" in refused(capsys, "profile", "--out", out, "--probes", wrong, "--archs", "2")
    assert not out.exists()
    (tmp_path / "file").touch()
    assert "Cannot write" in refused(capsys, "profile", "--out", tmp_path / "file" / "x", "--archs", "1")


def test_profile_refuses_a_malformed_arch(capsys, tmp_path):
    wrong = tmp_path / "wrong.txt"
    wrong.write_text("|nor_conv_3x3~0|\n")
    status, _, err = run(capsys, "profile", "--out", tmp_path / "out", "--probes", wrong)
    assert status == 2
    assert "|nor_conv_3x3~0|" in err
    assert "Traceback" not in err


@pytest.mark.slow
def test_profile_measures_this_machine(capsys, tmp_path):
    out = tmp_path / "out"
    only = ("--platform", "torch-eager_fp32_t1_b1", "--device", "mine")
    status, printed, err = run(capsys, "profile", "--out", out, "--archs", "2", "--budget", "60", *only)
    assert status == 0, err
    assert str(out / "nasbench201.parquet") in printed
    import pandas as pd

    table = pd.read_parquet(out / "nasbench201.parquet")
    assert list(table) == ["arch", "mine"]
    assert (table["mine"] > 0).all()


def test_servers_refuse_ports_that_cannot_be_had(capsys):
    for command in ("ui", "lab"):
        assert "--port" in refused(capsys, command, "--port", "99999")


def test_a_token_is_no_argument_of_lab(tmp_path):
    server = notebooks.lab(tmp_path, free_port(), "a-token")
    assert "a-token" not in " ".join(server.argv)
    assert server.env["JUPYTER_TOKEN"] == "a-token"


def test_lab_answers_only_to_its_token(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    monkeypatch.setenv("JUPYTER_TOKEN", "a-token")
    port = free_port()
    command = [Path(sys.executable).with_name("workbench"), "lab", "--no-browser", "--port", str(port)]
    address = f"http://127.0.0.1:{port}/api/contents"
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 90
        while (status := answer(f"{address}?token=a-token")) != 200:
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.3)
        assert status == 200
        assert answer(address) == 403
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def answer(url: str) -> int | None:
    """The HTTP status; None if nothing listens yet."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None


def test_quickstart_refuses_a_folder_it_cannot_write(capsys, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    if not (Path(cli.__file__).parents[2] / "notebooks" / "00_quickstart.ipynb").is_file():
        pytest.skip("the quick start is not in this installation")
    assert "Cannot write" in refused(capsys, "quickstart", "--out", tmp_path / "file" / "x")


def test_quickstart_outside_a_checkout_says_what_is_missing(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    assert "There is no notebook" in refused(capsys, "quickstart", "--out", tmp_path / "out")
    assert "There is no folder" in refused(capsys, "lab", "--no-browser")


def test_interruption_is_130(tmp_path):
    program = (
        "import sys, time; from workbench import cli\n"
        "import workbench.servers as t\n"
        "t.serve_ui = lambda port: (print('ready', flush=True), time.sleep(60))\n"
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell may ignore it
        "cli.main(['ui'])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
