"""``workbench ablate`` as a person meets it; the workers are in this process."""

from __future__ import annotations

import pytest

from tests.sweep.conftest import here, isolated  # noqa: F401
from tests.sweep.trivial import write_sweep
from workbench import cli
from workbench.sweep import Store


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of ``workbench ablate *arguments``."""
    with pytest.raises(SystemExit) as caught:
        cli.main(["ablate", *map(str, arguments)])
    captured = capsys.readouterr()
    return caught.value.code or 0, captured.out, captured.err


@pytest.fixture(autouse=True)
def home(mlflow_home, monkeypatch, isolated):  # noqa: F811
    monkeypatch.setenv("WORKBENCH_HOME", str(mlflow_home))
    return mlflow_home


def test_the_plan_is_listed_and_nothing_runs(capsys, tmp_path, home):
    file = write_sweep(tmp_path, grid={"x": [1, 2], "name": ["p", "q"]}, seeds=[0, 1], resources={"device": "{name}"})
    status, out, err = run(capsys, file, "--dry-run", "--only", "name=p")
    assert status == 0, err
    assert "trivial: 4 of 4 runs to do" in out
    assert out.count("device:p") == 4
    assert "device:q" not in out
    assert not (home / "reports").exists()


def test_a_sweep_runs_and_says_where_everything_is(capsys, tmp_path, home, here):  # noqa: F811
    file = write_sweep(tmp_path)
    status, out, err = run(capsys, file, "--workers", 1)
    assert status == 0, err
    folder = home / "reports" / "sweeps" / "trivial"
    assert "2 runs: 2 finished, 0 were finished before, 0 failed" in out
    assert f"Table:  {folder / 'results.csv'}" in out
    assert "MLflow: http://127.0.0.1:5000/#/experiments/" in out
    assert "2 of 2 runs" in err
    status, out, _ = run(capsys, file, "--dry-run")
    assert "0 of 2 runs to do" in out
    status, out, _ = run(capsys, file)
    assert status == 0
    assert "0 finished, 2 were finished before" in out


def test_a_failed_run_is_one_sentence_and_status_1(capsys, tmp_path, here):  # noqa: F811
    cases = [{"case": "good"}, {"case": "bad", "broken": True}]
    out_folder = tmp_path / "elsewhere"
    status, out, err = run(capsys, write_sweep(tmp_path, cases=cases, retries=0), "--out", out_folder)
    assert status == 1
    assert "1 finished, 0 were finished before, 1 failed" in out
    complaints = [line for line in err.splitlines() if line.startswith("workbench: ")]
    assert len(complaints) == 1
    assert complaints[0].startswith("workbench: case=bad: Cell In [4] (")
    assert "broken on purpose; the notebook as far as it ran is" in complaints[0]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--workers", 1, "--scheduler", "tcp://127.0.0.1:1"), "--workers and --scheduler exclude each other"),
        (("--only", "y=1"), "Unknown factor 'y'"),
        (("--workers", 1), "describes 2 workers, got --workers 1"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(capsys, tmp_path, here, more, message):  # noqa: F811
    file = write_sweep(tmp_path, workers=["device:a", "device:b"])
    status, _, err = run(capsys, file, *more)
    assert status == 2
    assert len(err.splitlines()) == 1
    assert message in err


def test_the_same_sweep_twice_at_once_is_one_sentence_and_status_2(capsys, tmp_path, here):  # noqa: F811
    file = write_sweep(tmp_path)
    with Store(tmp_path / "out").lock():
        status, _, err = run(capsys, file, "--out", tmp_path / "out")
    assert status == 2
    assert len(err.splitlines()) == 1
    assert "This sweep is already running (process " in err
