"""``workbench probepack``: make a pack, have it measured, read what came back."""

from __future__ import annotations

import json
import subprocess
import sys

import pandas as pd
import pytest

from workbench import cli
from workbench.devices.device import read_cards
from workbench.profiling.probepack.pack import NETWORK, REFERENCE, Pack

ARCH = "|none~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of ``workbench probepack *arguments``."""
    with pytest.raises(SystemExit) as caught:
        cli.main(["probepack", *map(str, arguments)])
    captured = capsys.readouterr()
    return caught.value.code or 0, captured.out, captured.err


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    (line,) = err.splitlines()
    return line.removeprefix("workbench: ")


@pytest.fixture
def probes(tmp_path):
    file = tmp_path / "probes.txt"
    file.write_text(f"{ARCH}\n\n")
    return file


def test_there_and_back(capsys, probes, tmp_path):
    pack, result, out = tmp_path / "pack.zip", tmp_path / "result.json", tmp_path / "out"
    status, printed, err = run(capsys, "make", "--probes", probes, "--out", pack, "--batch", 2)
    assert status == 0, err
    assert "networks 1, references 3" in printed
    assert [network.arch for network in Pack(pack).manifest.of_role(NETWORK)] == [ARCH]
    assert "exists already" in refused(capsys, "make", "--probes", probes, "--out", pack)
    subprocess.run([sys.executable, "-I", pack], check=True, cwd=tmp_path, timeout=300, capture_output=True)
    back = ("read", result, "--pack", pack, "--device", "theirs", "--out", out)
    status, printed, err = run(capsys, *back)
    assert status == 0, err
    assert len(printed.splitlines()) == 1
    assert str(out / "nasbench201.parquet") in printed
    table = pd.read_parquet(out / "nasbench201.parquet")
    assert list(table) == ["arch", "theirs"]
    assert (table["theirs"] > 0).all()
    assert read_cards(out / "devices.yaml")["theirs"].batch_size == 2
    assert "exists already" in refused(capsys, *back)
    result.write_text(json.dumps({**json.loads(result.read_text()), "sha256": "0" * 64}))
    sentence = refused(capsys, "read", result, "--pack", pack, "--device", "theirs", "--out", tmp_path / "other")
    assert "was changed" in sentence


def test_a_number_of_networks_is_drawn_the_same_each_time(capsys, tmp_path):
    packs = [tmp_path / "a.zip", tmp_path / "b.zip"]
    for path in packs:
        status, _, err = run(capsys, "make", "--archs", 2, "--out", path, "--threads", 1, "--threads", 2)
        assert status == 0, err
    first, second = (Pack(path) for path in packs)
    assert first.hash == second.hash
    assert len(first.manifest.of_role(NETWORK)) == 2
    assert len(first.manifest.of_role(REFERENCE)) == 3
    assert first.manifest.threads == (1, 2)


def test_bad_input_makes_no_pack(capsys, probes, tmp_path):
    out = tmp_path / "pack.zip"
    assert "did you mean 'fbnet'" in refused(capsys, "make", "--space", "fbnett", "--out", out)
    assert "exclude each other" in refused(capsys, "make", "--archs", 2, "--probes", probes, "--out", out)
    assert "Cannot read" in refused(capsys, "make", "--probes", tmp_path / "none", "--out", out)
    status, _, err = run(capsys, "make", "--probes", probes, "--out", out, "--threads", 0)
    assert (status, "threads expects at least 1" in err) == (2, True)
    status, _, err = run(capsys, "make")
    assert (status, "--out" in err) == (2, True)
    assert not out.exists()


def test_bad_input_is_not_read(capsys, tmp_path):
    needed = ("--device", "theirs", "--out", tmp_path / "out")
    sentence = refused(capsys, "read", tmp_path / "none.json", "--pack", tmp_path / "none.zip", *needed)
    assert "There is no probe pack" in sentence
    assert not (tmp_path / "out").exists()


def test_a_failed_network_ends_with_one(capsys, probes, tmp_path, monkeypatch):
    from workbench.profiling.probepack.run import _Run, run_pack

    pack, result = tmp_path / "pack.zip", tmp_path / "result.json"
    more = probes.read_text() + "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|\n"
    probes.write_text(more)
    assert run(capsys, "make", "--probes", probes, "--out", pack)[0] == 0
    real = _Run._prepared

    def failing(self, network, threads):
        if network.arch == ARCH:
            raise MemoryError("no room")
        return real(self, network, threads)

    monkeypatch.setattr(_Run, "_prepared", failing)
    run_pack(Pack(pack), result, None, lambda line: None)
    status, printed, err = run(capsys, "read", result, "--pack", pack, "--device", "theirs", "--out", tmp_path / "out")
    assert status == 1
    assert "1 failed" in printed
    assert f"theirs {ARCH}: MemoryError: no room" in err
