"""A sweep on disk: whole or not there, and one command at a time."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.config import WorkbenchError
from workbench.sweep.store import FINISHED, Record, Store

RECORD = Record("0" * 16, 1, {"x": 1}, 0, {"x": 1}, {}, FINISHED, 1, "worker-0", 1.0, 0.5, 10.0, 12.0, "", {"v": 1.0})


def test_what_is_kept_comes_back(tmp_path):
    store = Store(tmp_path)
    with store.lock():
        store.keep(RECORD, "{}", {"artifacts/a.csv": b"a", "run.json": b"{}"})
    assert Store(tmp_path).records() == {RECORD.key: RECORD}
    assert store.notebook(RECORD.key).read_text() == "{}"
    assert (store.logged(RECORD.key) / "artifacts" / "a.csv").read_bytes() == b"a"


def test_a_run_that_is_kept_again_replaces_what_was_there(tmp_path):
    store = Store(tmp_path)
    store.keep(RECORD, "{}", {"old": b"1"})
    store.keep(RECORD, "{}", {"new": b"2"})
    assert [path.name for path in store.logged(RECORD.key).iterdir()] == ["new"]
    store.keep(RECORD, "{}", {})
    assert not store.logged(RECORD.key).exists()


def test_what_a_killed_process_left_is_cleared_and_nothing_else(tmp_path):
    store = Store(tmp_path)
    store.keep(RECORD, "{}", {})
    left = [tmp_path / "records" / ".x.json.abc.json", tmp_path / "runs" / f".{RECORD.key}.unfinished" / "a"]
    kept = [tmp_path / ".git" / "config", tmp_path / ".env"]
    for path in (*left, *kept):
        path.parent.mkdir(exist_ok=True)
        path.write_text("half")
    (tmp_path / "records" / "damaged.json").write_text('{"key": ')
    with store.lock():
        assert list(store.records()) == [RECORD.key]
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in kept)


HOLD = """
import sys, time
from pathlib import Path
from workbench.sweep.store import Store
with Store(Path(sys.argv[1])).lock():
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_command_is_refused_until_the_first_is_gone_however_it_went(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(WorkbenchError, match=rf"already running \(process {other.pid} on .*\) in .*--out"),
            Store(tmp_path).lock(),
        ):
            pass
        other.kill()
    with Store(tmp_path).lock():
        pass


def test_a_full_disk_is_one_sentence_and_leaves_what_was_there(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.keep(RECORD, "before", {"a": b"before"})

    def full(self: Path, content: object, **_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(WorkbenchError, match="No space left on device; free some space"):
            store.keep(RECORD, "before", {"a": b"after"})
    assert (store.logged(RECORD.key) / "a").read_bytes() == b"before"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(WorkbenchError, match="No space left on device; free some space"):
            store.keep(RECORD, "after", {})
    assert store.notebook(RECORD.key).read_text() == "before"
    assert store.records() == {RECORD.key: RECORD}
    assert not list(tmp_path.rglob(".*"))


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WorkbenchError, match="Cannot make the folder"), Store(tmp_path / "file" / "out").lock():
        pass
