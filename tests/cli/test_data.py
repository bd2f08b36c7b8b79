"""``workbench data`` as a person meets it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.data.published.formats import archs_of, dump, frame_of, make_csv, make_eagle, make_help
from tests.toy import SOURCES, toy_frame, toy_networks, write_table
from workbench import cli
from workbench.data.published import READERS
from workbench.data.published.hw_nas_bench import block_names


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of ``workbench data *arguments``."""
    with pytest.raises(SystemExit) as caught:
        cli.main(["data", *map(str, arguments)])
    captured = capsys.readouterr()
    return caught.value.code or 0, captured.out, captured.err


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    (line,) = err.splitlines()
    return line.removeprefix("workbench: ")


def test_import_says_what_it_read_and_where_it_is(capsys, tmp_path):
    make_help(tmp_path / "help", frame_of())
    make_help(tmp_path / "help", frame_of("fbnet", ("gpu_1",)), "fbnet")
    status, out, err = run(capsys, "import", "help", tmp_path / "help", "--out", tmp_path / "out")
    assert status == 0, err
    first, second = out.splitlines()
    table = tmp_path / "out" / "nasbench201.parquet"
    assert first == f"nasbench201: 6 networks on 2 devices, 12 latencies, 12 of them new; {table}"
    assert second.startswith("fbnet: 6 networks on 1 device, 6 latencies, 6 of them new")
    _, out, _ = run(capsys, "import", "help", tmp_path / "help", "--out", tmp_path / "out", "--space", "fbnet")
    assert "0 of them new" in out


def test_options_reach_the_reader(capsys, tmp_path):
    made = make_csv(tmp_path, frame_of())
    base = ("import", "csv", made.path, "--out", tmp_path / "out")
    assert "state it with --unit" in refused(capsys, *base)
    assert "state it with --space" in refused(capsys, *base, "--unit", "ms")
    assert "Unknown unit 'min'" in refused(capsys, *base, "--unit", "min")
    assert run(capsys, *base, "--unit", "us", "--space", "nasbench201", "--device", "phone")[0] == 0
    table = pd.read_parquet(tmp_path / "out" / "nasbench201.parquet")
    assert list(table) == ["arch", "phone"]
    assert table["phone"].iloc[0] == pytest.approx(frame_of()["phone"].iloc[0])


def test_networks_are_read_from_a_file(capsys, tmp_path):
    archs = archs_of("fbnet", 3)
    (tmp_path / "archs.txt").write_text("\n".join(archs) + "\n\n")
    blocks = {name: 0.5 for arch in archs for name in block_names(arch)}
    file = dump(tmp_path / "hw.pickle", {"fbnet": {"raspi4_latency": blocks}})
    base = ("import", "hw_nas_bench", file, "--out", tmp_path / "out")
    assert run(capsys, *base, "--archs", tmp_path / "archs.txt")[0] == 0
    assert pd.read_parquet(tmp_path / "out" / "fbnet.parquet")["raspi4"].tolist() == [13.0] * 3
    assert "Cannot read" in refused(capsys, *base, "--archs", tmp_path / "none.txt")


def test_bad_input_is_one_sentence_and_leaves_nothing(capsys, tmp_path):
    out = tmp_path / "out"
    make_eagle(tmp_path / "theirs", frame_of(devices=("mobile-cpu-one-int8",)))
    assert "did you mean 'eagle'" in refused(capsys, "import", "egle", tmp_path / "theirs", "--out", out)
    assert "There is no" in refused(capsys, "import", "eagle", tmp_path / "none", "--out", out)
    hostile = tmp_path / "hostile.pickle"
    hostile.write_bytes(b"cposix\nsystem\n(S'true'\ntR.")
    assert "could run code" in refused(capsys, "import", "eagle", hostile, "--out", out)
    assert not out.exists()


def test_help_names_every_format(capsys):
    status, out, _ = run(capsys, "import", "--help")
    assert status == 0
    assert all(kind in out for kind in READERS)


def test_check_prints_a_row_per_device_and_a_line_per_finding(capsys, tmp_path):
    frame = toy_frame(toy_networks(80), SOURCES)
    frame["phone"] = frame["edge"].round() + 1
    frame.loc[frame.index[:8], "edge"] = float("nan")
    write_table(tmp_path, frame)
    (tmp_path / "nasbench201_accuracy.parquet").write_bytes(b"no table of latencies")
    status, out, err = run(capsys, "check", tmp_path)
    assert status == 0, err
    assert "nasbench201: 80 rows, 6 devices" in out
    rows = [line.split("│")[1].strip() for line in out.splitlines() if line.startswith("│")]
    assert rows == [*SOURCES, "phone"]
    assert [line for line in out.splitlines() if line.startswith("- ")] == [
        "- edge: 10.0% of the networks are not measured.",
        f"- phone: whole milliseconds, {frame['phone'].min():g} to {frame['phone'].max():g}.",
    ]


def test_check_describes_what_the_workbench_would_not_take(capsys, tmp_path):
    frame = toy_frame(toy_networks(6), SOURCES)
    write_table(tmp_path, pd.concat([frame, frame.iloc[:1]]).assign(edge=0.0))
    status, out, _ = run(capsys, "check", tmp_path)
    assert status == 0
    assert "1 of 7 rows repeat an arch" in out
    assert "edge: nothing was measured." in out


def test_check_cannot_describe_what_cannot_be_read(capsys, tmp_path):
    assert "expects a latency table" in refused(capsys, "check", tmp_path / "none")
    assert "expects a latency table" in refused(capsys, "check", tmp_path)
    (tmp_path / "fbnet.parquet").write_bytes(b"PAR1")
    assert "Cannot read" in refused(capsys, "check", tmp_path)
    pd.DataFrame({"phone": [1.0]}).to_parquet(tmp_path / "fbnet.parquet")
    assert "expects a string column 'arch'" in refused(capsys, "check", tmp_path)


def test_the_command_loads_nothing_heavy():
    program = (
        "import sys, workbench.cli.data\n"
        "print([name for name in ('pandas', 'torch', 'rich.console', 'tqdm') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
