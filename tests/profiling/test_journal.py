"""The journal: whole segments or none, one writer, and no continuing of another campaign."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from workbench.devices.backends import Platform
from workbench.profiling.calm import Watched
from workbench.profiling.journal import LOOSE_SEGMENTS, NETWORK, REFERENCE, SCHEMA, Journal, read_raw
from workbench.profiling.timing import Timing

ABOUT = {"space": "nasbench201", "passport": "0123", "campaign": "nasbench201-0123"}
PLATFORM = Platform("torch_eager", "bf16", threads=2, batch=8)


def watched(*samples: int) -> Watched:
    return Watched(Timing(samples, tuple(range(0, 1000 * len(samples), 1000)), 4, 8000, 1000.5), 77.0, 0.125)


def test_one_row_per_timed_run(tmp_path):
    with Journal(tmp_path, ABOUT) as journal:
        journal.append(PLATFORM, "mine", "net", NETWORK, 1, watched(30, 10, 20))
        journal.append(PLATFORM, "mine", "ref", REFERENCE, 0, watched(5))
    raw = read_raw(tmp_path)
    assert list(raw) == SCHEMA.names
    assert list(raw["latency_ns"]) == [30, 10, 20, 5]
    assert list(raw["repeat"]) == [0, 1, 2, 0]
    first = raw.iloc[0]
    assert (first["campaign"], first["platform"], first["arch"]) == ("nasbench201-0123", PLATFORM.name, "net")
    assert set(raw["device"]) == {"mine"}
    assert list(raw["started_at"]) == pytest.approx([1000.5, 1000.500001, 1000.500002, 1000.5], abs=1e-7)
    assert raw[["temperature_c", "frequency_mhz"]].isna().all(axis=None), "unknown stays unknown"
    assert (first["role"], first["attempt"], first["batch"], first["precision"]) == (NETWORK, 1, 8, "bf16")
    assert (first["threads"], first["started_at"], first["pulse_ns"], first["foreign_load"]) == (2, 1000.5, 77, 0.125)
    assert raw["failure"].isna().all()


def test_a_failure_is_a_reason_and_no_number(tmp_path):
    with Journal(tmp_path, ABOUT) as journal:
        journal.append(PLATFORM, "mine", "net", NETWORK, 0, "RuntimeError: boom")
    (row,) = read_raw(tmp_path).itertuples()
    assert row.failure == "RuntimeError: boom"
    assert row.latency_ns != row.latency_ns
    assert row.started_at > 0


def test_segments_hold_the_schema_and_are_only_added(tmp_path):
    with Journal(tmp_path, ABOUT) as journal:
        for number in range(3):
            journal.append(PLATFORM, "mine", f"net {number}", NETWORK, 0, watched(1, 2))
            journal.flush()
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.parquet")}
    assert sorted(before) == [f"segment-{number:06d}.parquet" for number in (1, 2, 3)]
    assert all(pq.read_schema(tmp_path / name).equals(SCHEMA) for name in before)
    with Journal(tmp_path, ABOUT) as journal:
        assert len(journal.read()) == 6
        journal.append(PLATFORM, "mine", "net 3", NETWORK, 0, watched(1))
    after = {path.name: path.read_bytes() for path in tmp_path.glob("*.parquet")}
    assert set(after) - set(before) == {"segment-000004.parquet"}
    assert all(after[name] == content for name, content in before.items())
    assert len(read_raw(tmp_path)) == 7


def test_nothing_pending_writes_nothing(tmp_path):
    with Journal(tmp_path, ABOUT) as journal:
        journal.flush()
    assert not list(tmp_path.glob("*.parquet"))
    empty = read_raw(tmp_path)
    assert empty.empty
    assert list(empty) == SCHEMA.names


def test_rows_are_kept_when_the_campaign_fails(tmp_path):
    def interrupted() -> None:
        with Journal(tmp_path, ABOUT) as journal:
            journal.append(PLATFORM, "mine", "net", NETWORK, 0, watched(1))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(read_raw(tmp_path)) == 1


def test_half_a_segment_of_a_killed_process_is_not_read(tmp_path):
    with Journal(tmp_path, ABOUT) as journal:
        journal.append(PLATFORM, "mine", "net", NETWORK, 0, watched(1))
    (tmp_path / ".segment-000002.parquet.abc.parquet").write_bytes(b"PAR1")
    assert len(read_raw(tmp_path)) == 1


def test_a_damaged_segment_is_named(tmp_path, refusal):
    with Journal(tmp_path, ABOUT) as journal:
        journal.append(PLATFORM, "mine", "net", NETWORK, 0, watched(1))
    (tmp_path / "segment-000001.parquet").write_bytes(b"PAR1 but no more")
    message = refusal(read_raw, tmp_path)
    assert "segment-000001.parquet" in message
    assert "run 'workbench profile'" in message


def journalled(folder: Path, count: int) -> Journal:
    """A journal that is still open and holds ``count`` segments of one network each."""
    journal = Journal(folder, ABOUT)
    for number in range(count):
        journal.append(PLATFORM, "mine", f"net {number}", NETWORK, 0, watched(1, 2))
        journal.flush()
    return journal


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_segment_cut_in_the_middle_is_set_aside_and_the_others_count(tmp_path, share):
    journalled(tmp_path, 3).close()
    path = tmp_path / "segment-000002.parquet"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with Journal(tmp_path, ABOUT) as journal:
        assert journal.damaged == ["segment-000002.parquet"]
        assert list(journal.read()["arch"].unique()) == ["net 0", "net 2"]
        journal.append(PLATFORM, "mine", "net 1", NETWORK, 0, watched(1))
    assert (tmp_path / "segment-000002.parquet.damaged").is_file(), "nothing is thrown away"
    with Journal(tmp_path, ABOUT) as journal:
        assert journal.damaged == []
    assert set(read_raw(tmp_path)["arch"]) == {"net 0", "net 1", "net 2"}


def test_many_segments_become_one_when_the_campaign_ends(tmp_path):
    journal = journalled(tmp_path, LOOSE_SEGMENTS + 1)
    before = read_raw(tmp_path)
    journal.close()
    assert [path.name for path in tmp_path.glob("segment-*")] == [f"segment-000001-{LOOSE_SEGMENTS + 1:06d}.parquet"]
    pd.testing.assert_frame_equal(read_raw(tmp_path), before)
    with Journal(tmp_path, ABOUT) as journal:
        journal.append(PLATFORM, "mine", "one more", NETWORK, 0, watched(1))
    assert (tmp_path / f"segment-{LOOSE_SEGMENTS + 2:06d}.parquet").is_file()
    assert len(read_raw(tmp_path)) == len(before) + 1


def test_a_merge_that_was_killed_counts_nothing_twice(tmp_path):
    journal = journalled(tmp_path, LOOSE_SEGMENTS + 1)
    before, loose = read_raw(tmp_path), {path: path.read_bytes() for path in tmp_path.glob("segment-*")}
    journal.close()
    for path in sorted(loose)[3:]:
        path.write_bytes(loose[path])  # as if it had been killed after three deletions
    pd.testing.assert_frame_equal(read_raw(tmp_path), before)
    Journal(tmp_path, ABOUT).close()
    assert len(list(tmp_path.glob("segment-*"))) == 1
    pd.testing.assert_frame_equal(read_raw(tmp_path), before)


FULL = """
import json, resource, sys
from workbench.config import WorkbenchError
from workbench.devices.backends import Platform
from workbench.profiling.calm import Watched
from workbench.profiling.journal import NETWORK, Journal
from workbench.profiling.timing import Timing

def network(name, count):
    return Platform("torch_eager"), "mine", name, NETWORK, 0, Watched(
        Timing(tuple(range(1, count + 1)), tuple(range(count)), 0, 0, 0.0), 1.0, 0.0
    )

try:
    with Journal(sys.argv[1], json.loads(sys.argv[2])) as journal:
        journal.append(*network("small", 1))
        journal.flush()
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))  # as if the disk had so many bytes left
        journal.append(*network("large", 100_000))
except WorkbenchError as error:
    print(error)
"""


@pytest.mark.skipif(os.name != "posix", reason="the limit that stands for a full disk is a POSIX one")
def test_a_full_disk_is_said_and_what_was_written_stays(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path), json.dumps(ABOUT)], capture_output=True, text=True, check=True
    )
    (sentence,) = done.stdout.splitlines()
    assert sentence.startswith("Cannot write")
    assert "free some space" in sentence
    assert list(read_raw(tmp_path)["arch"]) == ["small"]
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "campaign.json", "segment-000001.parquet"}


def test_there_is_no_campaign_where_there_is_no_folder(tmp_path, refusal):
    assert "No campaign" in refusal(read_raw, tmp_path / "nothing")


@pytest.mark.parametrize("key", ["space", "passport"])
def test_another_campaign_is_refused(tmp_path, refusal, key):
    Journal(tmp_path, ABOUT).close()
    before = sorted(path.name for path in tmp_path.iterdir())
    message = refusal(Journal, tmp_path, {**ABOUT, key: "another"})
    assert f"begun with {key} '{ABOUT[key]}'" in message
    assert "another output folder" in message
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize("content", ["", "{", "[1]", "3", "\udcff"])
def test_a_damaged_beginning_is_refused(tmp_path, refusal, content):
    (tmp_path / "campaign.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert "campaign.json" in refusal(Journal, tmp_path, ABOUT)


def test_more_may_be_known_of_an_old_campaign(tmp_path):
    (tmp_path / "campaign.json").write_text(json.dumps({**ABOUT, "note": "by hand"}))
    Journal(tmp_path, ABOUT).close()
    assert json.loads((tmp_path / "campaign.json").read_text())["note"] == "by hand"


def test_two_writers_are_refused(tmp_path, refusal):
    with Journal(tmp_path, ABOUT):
        assert "Another process" in refusal(Journal, tmp_path, ABOUT)
        program = (
            "import sys, json; from workbench.profiling.journal import Journal\n"
            "from workbench.config import WorkbenchError\n"
            "try: Journal(sys.argv[1], json.loads(sys.argv[2]))\n"
            "except WorkbenchError as error: print(error)"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path), json.dumps(ABOUT)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.startswith("Another process")
    Journal(tmp_path, ABOUT).close()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, refusal):
    (tmp_path / "file").touch()
    assert "Cannot write" in refusal(Journal, tmp_path / "file" / "raw", ABOUT)
    assert "Cannot write" in refusal(Journal, tmp_path / "file", ABOUT)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_that_became_read_only_is_refused(tmp_path, refusal):
    Journal(tmp_path, ABOUT).close()
    (tmp_path / ".lock").unlink(missing_ok=True)
    tmp_path.chmod(0o500)
    try:
        assert "Cannot write" in refusal(Journal, tmp_path, ABOUT)
    finally:
        tmp_path.chmod(0o700)
