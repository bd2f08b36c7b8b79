"""From raw rows to tables: what counts, what is left out, what is written."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from workbench.devices.backends import Platform
from workbench.devices.device import DeviceCard, read_cards
from workbench.profiling.calm import CalmConfig, Watched
from workbench.profiling.journal import NETWORK, REFERENCE, Journal, read_raw
from workbench.profiling.quality import QualityConfig
from workbench.profiling.reduce import (
    SUMMARY_COLUMNS,
    Reduced,
    reduce_attempts,
    reduce_raw,
    reduce_rows,
    refuse_other_conditions,
    tables_in,
    write_tables,
)
from workbench.profiling.timing import Timing, reduce_samples

P, Q = Platform("torch_eager"), Platform("torch_eager", batch=8)
CONFIG = QualityConfig(calm=CalmConfig(pulse=1.15, foreign_load=0.25))


@pytest.fixture
def folder(tmp_path):
    """Two networks on two platforms: one attempt disturbed, one failed, three that do not agree."""

    def burst(ms: float, when: float, pulse: float = 100.0) -> Watched:
        return Watched(
            Timing(tuple(int(ms * 1e6 * factor) for factor in (0.99, 1.0, 1.01)), (0, 1, 2), 0, 0, when), pulse, 0.0
        )

    with Journal(tmp_path, {"campaign": "test"}) as journal:
        for number, ms in enumerate((3.0, 9.0, 3.1)):
            journal.append(P, "mine", "a", NETWORK, number, burst(ms, number))
        journal.append(P, "mine", "b", NETWORK, 0, burst(40.0, 3, pulse=300))
        journal.append(P, "mine", "b", NETWORK, 1, burst(4.0, 4))
        journal.append(Q, "mine", "a", NETWORK, 0, burst(70.0, 5, pulse=300))
        journal.append(Q, "mine", "b", NETWORK, 0, "RuntimeError: boom")
        for number in range(5):
            journal.append(P, "mine", "reference", REFERENCE, number, burst(1.0, number))
    return tmp_path


def test_each_burst_is_one_attempt(folder):
    found = reduce_attempts(read_raw(folder))
    assert len(found) == 6 + 5
    assert not ((found["platform"] == Q.name) & (found["arch"] == "b")).any()
    one = found[(found["platform"] == P.name) & (found["arch"] == "a") & (found["attempt"] == 1)].iloc[0]
    expected = reduce_samples([8_910_000, 9_000_000, 9_090_000])
    assert tuple(one[list(expected._fields)]) == pytest.approx(tuple(expected))


def test_the_fastest_attempt_counts_and_the_next_one_says_how_sure_it_is(folder):
    row = summary_of(folder, P, "a")
    assert row["estimate_ms"] == pytest.approx(3.0)
    assert row["gap"] == pytest.approx(3.1 / 3.0 - 1)
    assert (row["attempts"], row["n_runs"]) == (3, 3)
    assert row["low_ms"] < 3.0 < row["high_ms"]
    assert row["min_ms"] == pytest.approx(2.97)


def test_a_slow_attempt_in_quarantine_counts_only_where_there_is_nothing_else(folder):
    assert summary_of(folder, P, "b")["estimate_ms"] == pytest.approx(4.0)
    assert not summary_of(folder, P, "b")["quarantined"]
    only = summary_of(folder, Q, "a")
    assert only["estimate_ms"] == pytest.approx(70.0)
    assert only["quarantined"]
    assert np.isnan(only["gap"])


def summary_of(folder, platform: Platform, arch: str) -> pd.Series:
    summary = reduce_raw(folder, CONFIG).summary
    (row,) = summary[(summary["platform"] == platform.name) & (summary["arch"] == arch)].to_dict("records")
    return row


def test_the_table_has_no_number_for_a_failure_and_no_reference(folder):
    table = reduce_raw(folder, CONFIG).table
    assert list(table.index) == ["a", "b"]
    assert list(table) == [P.name, Q.name]
    assert np.isnan(table.loc["b", Q.name])
    assert table.notna().sum().sum() == 3


def test_the_order_of_raw_rows_does_not_matter(folder):
    raw = read_raw(folder)
    shuffled = reduce_rows(raw.sample(frac=1, random_state=0), CONFIG)
    pd.testing.assert_frame_equal(shuffled.table, reduce_rows(raw, CONFIG).table)
    columns = ["platform", "arch"]
    pd.testing.assert_frame_equal(
        shuffled.summary.sort_values(columns, ignore_index=True),
        reduce_rows(raw, CONFIG).summary.sort_values(columns, ignore_index=True),
    )


def test_no_rows_give_an_empty_table(tmp_path):
    Journal(tmp_path, {"campaign": "test"}).close()
    found = reduce_raw(tmp_path)
    assert found.table.empty
    assert list(found.summary) == SUMMARY_COLUMNS


def test_the_written_files(folder, tmp_path):
    reduced = reduce_raw(folder, CONFIG)
    cards = {name: DeviceCard(name, cores=1) for name in reduced.table}
    out = tmp_path / "out" / "deeper"
    files = write_tables(out, "nasbench201", reduced, cards, {"passport": "0123"})
    assert files == tables_in(out, "nasbench201")
    assert sorted(file.name for file in out.iterdir()) == [
        "devices.yaml",
        "nasbench201.parquet",
        "nasbench201_conditions.json",
        "nasbench201_summary.parquet",
    ]
    assert pq.read_schema(files.latencies).names == ["arch", P.name, Q.name]
    pd.testing.assert_frame_equal(pd.read_parquet(files.latencies).set_index("arch"), reduced.table)
    assert list(pd.read_parquet(files.summary)) == SUMMARY_COLUMNS
    assert read_cards(files.cards) == cards
    assert json.loads(files.conditions.read_text()) == {"passport": "0123"}


def test_another_space_in_the_same_folder_keeps_the_cards_that_are_there(folder, tmp_path):
    reduced = reduce_raw(folder, CONFIG)
    one, two = (DeviceCard(name, cores=1) for name in ("one", "two"))
    write_tables(tmp_path, "nasbench201", reduced, {"one": one}, {})
    files = write_tables(tmp_path, "fbnet", reduced, {"two": two}, {})
    assert read_cards(files.cards) == {"one": one, "two": two}
    assert tables_in(tmp_path, "nasbench201").latencies.is_file()


def test_what_an_earlier_call_measured_stays_beside_what_is_new(folder, tmp_path):
    whole = reduce_raw(folder, CONFIG)
    arch = whole.table.index[0]
    told = {"devices": {P.name: {"passport": "p"}, Q.name: {"passport": "q"}}, "host": "then"}
    write_tables(tmp_path, "nasbench201", whole, {}, told)
    mine = (whole.summary["platform"] == P.name) & (whole.summary["arch"] == arch)
    part = Reduced(2 * whole.table.loc[[arch], [P.name]], whole.summary[mine])
    files = write_tables(tmp_path, "nasbench201", part, {}, {"devices": {P.name: {"passport": "new"}}, "host": "now"})
    table = pd.read_parquet(files.latencies).set_index("arch")
    expected = whole.table.copy()
    expected.loc[arch, P.name] *= 2
    pd.testing.assert_frame_equal(table, expected)
    assert len(pd.read_parquet(files.summary)) == len(whole.summary)
    conditions = json.loads(files.conditions.read_text())
    assert conditions == {"devices": {P.name: {"passport": "new"}, Q.name: {"passport": "q"}}, "host": "now"}


def test_an_earlier_table_that_cannot_be_read_is_not_written_over(folder, tmp_path, refusal):
    reduced = reduce_raw(folder, CONFIG)
    (tmp_path / "nasbench201.parquet").write_text("damaged")
    assert "move it away" in refusal(write_tables, tmp_path, "nasbench201", reduced, {}, {})
    assert (tmp_path / "nasbench201.parquet").read_text() == "damaged"
    pd.DataFrame({"network": ["a"]}).to_parquet(tmp_path / "nasbench201.parquet")
    assert "move it away" in refusal(write_tables, tmp_path, "nasbench201", reduced, {}, {})


def test_a_device_measured_under_other_conditions_is_refused(folder, tmp_path, refusal):
    refuse_other_conditions(tmp_path, {"one": "abc"})
    cards = {"one": DeviceCard("one", passport="abc"), "old": DeviceCard("old")}
    write_tables(tmp_path, "nasbench201", reduce_raw(folder, CONFIG), cards, {})
    refuse_other_conditions(tmp_path, {"one": "abc", "old": "def", "two": "ghi"})
    message = refusal(refuse_other_conditions, tmp_path, {"one": "def"})
    assert "'one'" in message
    assert "passport abc, now def" in message


def test_tables_are_not_written_where_a_file_is(folder, tmp_path, refusal):
    (tmp_path / "file").touch()
    assert "Cannot write" in refusal(write_tables, tmp_path / "file", "nasbench201", reduce_raw(folder), {}, {})


def test_an_attempt_on_a_machine_that_was_faster_than_usual_counts_only_alone(tmp_path):
    def burst(ms: float, when: float) -> Watched:
        return Watched(Timing((int(ms * 1e6),) * 3, (0, 1, 2), 0, 0, when), 100.0, 0.0)

    with Journal(tmp_path, {"campaign": "test"}) as journal:
        for number, ms in enumerate((1.0, 1.0, 0.7, 1.0, 1.0)):
            journal.append(P, "mine", "reference", REFERENCE, number, burst(ms, 10 * number))
        for arch, number, ms, when in (("a", 0, 5.0, 5), ("a", 1, 3.5, 25), ("b", 0, 3.5, 25)):
            journal.append(P, "mine", arch, NETWORK, number, burst(ms, when))
    assert summary_of(tmp_path, P, "a")["estimate_ms"] == pytest.approx(5.0)
    assert summary_of(tmp_path, P, "b")["estimate_ms"] == pytest.approx(3.5)
