"""Names with suggestions, frozen configs, files that are whole or absent."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from workbench.config import WorkbenchError, cache_folder, lookup, override, write_atomically

TABLE = {"random": 1, "d_optimal": 2, "k_means": 3}


@dataclass(frozen=True)
class Options:
    steps: int = 5
    rate: float = 0.5
    name: str = "a"


def test_lookup_finds_what_is_there():
    assert lookup("selector", TABLE, "k_means") == 3


def test_lookup_names_the_nearest_and_all():
    with pytest.raises(WorkbenchError) as caught:
        lookup("selector", TABLE, "kmean")
    expected = "Unknown selector 'kmean'; did you mean 'k_means'? Choose from: d_optimal, k_means, random"
    assert str(caught.value) == expected


def test_capitals_do_not_hide_the_nearest():
    with pytest.raises(WorkbenchError, match="did you mean 'K_MEANS'"):
        lookup("selector", {"K_MEANS": 1}, "kmeans")


def test_lookup_without_anything_near_only_lists():
    with pytest.raises(WorkbenchError, match=r"Unknown selector 'zzz'\. Choose from: d_optimal, k_means, random"):
        lookup("selector", TABLE, "zzz")


def test_lookup_cuts_a_long_list():
    with pytest.raises(WorkbenchError) as caught:
        lookup("thing", dict.fromkeys(f"entry{number:04d}" for number in range(1000)), "nothing")
    assert str(caught.value).endswith(", ...")
    assert len(str(caught.value)) < 1000


def test_bad_input_is_a_value_error():
    with pytest.raises(ValueError, match="Unknown"):
        lookup("selector", TABLE, "")


def test_override_changes_a_copy():
    options = Options()
    changed = override(options, {"steps": 7, "rate": 1})
    assert (changed.steps, changed.rate, changed.name) == (7, 1, "a")
    assert options == Options()
    assert override(options, {}) == options


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"step": 7}, "Unknown Options option 'step'; did you mean 'steps'"),
        ({"steps": 7.5}, "option 'steps' expects int, got 7.5"),
        ({"steps": "7"}, "option 'steps' expects int, got '7'"),
        ({"steps": True}, "option 'steps' expects int, got True"),
        ({"rate": True}, "option 'rate' expects float, got True"),
        ({"name": None}, "option 'name' expects str, got None"),
    ],
)
def test_override_refuses(changes, message):
    with pytest.raises(WorkbenchError, match=message):
        override(Options(), changes)


def test_configs_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Options().steps = 1


def test_write_makes_folders_and_replaces(tmp_path):
    path = tmp_path / "new" / "folder" / "result.txt"
    for text in ("first", "second"):
        assert write_atomically(path, lambda temporary, text=text: temporary.write_text(text)) == path
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o644


def test_write_keeps_the_suffix_for_writers_that_look_at_it(tmp_path):
    seen = []
    write_atomically(tmp_path / "table.npz", lambda temporary: seen.append(temporary.suffix))
    assert seen == [".npz"]


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt(), RuntimeError("no")])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, failure):
    path = tmp_path / "result.txt"
    path.write_text("old")

    def write(temporary: Path) -> None:
        temporary.write_text("half")
        raise failure

    with pytest.raises(WorkbenchError if isinstance(failure, OSError) else type(failure)):
        write_atomically(path, write)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_output_folder_that_cannot_be_had_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    called = []
    with pytest.raises(WorkbenchError, match=r"Cannot write .*file.x.json: .*; choose an output folder"):
        write_atomically(tmp_path / "file" / "x.json", called.append)
    assert not called


def test_a_folder_in_the_place_of_the_file_is_one_sentence(tmp_path):
    (tmp_path / "x.json").mkdir()
    with pytest.raises(WorkbenchError, match="Cannot write"):
        write_atomically(tmp_path / "x.json", lambda temporary: temporary.write_text("{}"))
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_a_link_stays_and_what_it_points_to_is_written(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link.json").symlink_to(tmp_path / "there" / "x.json")
    write_atomically(tmp_path / "link.json", lambda temporary: temporary.write_text("{}"))
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "there" / "x.json").read_text() == "{}"


def test_what_is_no_ordinary_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(WorkbenchError, match="no ordinary file"):
        write_atomically(tmp_path / "pipe", lambda temporary: temporary.write_text("{}"))
    assert (tmp_path / "pipe").is_fifo()


def test_cache_folder_can_be_moved(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("WORKBENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder().parent == tmp_path / "xdg"
