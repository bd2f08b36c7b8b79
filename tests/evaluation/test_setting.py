"""The source side: partly measured devices, shared hardware, sources from other spaces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.evaluation.toy_task import FRAME, NETWORKS, TASK, failure, run, write_tasks
from tests.toy import SOURCES, TARGETS, toy_frame, toy_networks, write_table
from workbench import evaluation
from workbench.data.table import LatencyTable
from workbench.data.tasks import Task, read_tasks
from workbench.devices.device import DeviceCard, write_cards
from workbench.evaluation.setting import prepare
from workbench.training.transfer import METHODS


def test_unmeasured_targets_are_neither_probed_nor_scored(tmp_path, tasks):
    frame = FRAME.copy()
    frame.loc[frame.index[:30], "phone"] = np.nan
    frame.loc[frame.index[20:40], "accelerator"] = np.nan
    result = run(tasks, write_table(tmp_path / "partial", frame))
    assert [record["n_test"] for record in result.results] == [80 - 30 - 6, 80 - 20 - 6]
    probes = result.predictions.query("role == 'probe'")["arch"]
    assert frame.loc[probes, list(TARGETS)].notna().all().all()
    assert np.isfinite([record["spearman"] for record in result.results]).all()


def test_sources_are_drawn_from_what_was_measured_on_sources():
    frame = FRAME.copy()
    frame.loc[frame.index[:40], list(SOURCES)] = np.nan
    frame.loc[frame.index[40:50], "edge"] = np.nan
    table = LatencyTable("nasbench201", frame)
    task = Task("T", "nasbench201", tuple(SOURCES), tuple(TARGETS), 30)
    drawn = evaluation.draw_sources(task, table, NETWORKS, np.random.default_rng(0))
    assert len(set(drawn.rows)) == 30
    assert drawn.rows.min() >= 40
    np.testing.assert_array_equal(drawn.latency_ms, frame[list(SOURCES)].to_numpy()[drawn.rows])
    hidden = LatencyTable("nasbench201", frame.assign(**dict.fromkeys(TARGETS, np.nan)))
    again = evaluation.draw_sources(task, hidden, NETWORKS, np.random.default_rng(0))
    np.testing.assert_array_equal(again.rows, drawn.rows)


@pytest.mark.parametrize("method", METHODS)
def test_partly_measured_sources_are_fine(tmp_path, tasks, method):
    frame = FRAME.copy()
    frame.loc[frame.index[::2], "compute"] = np.nan
    frame.loc[frame.index[1::2], "server"] = np.nan
    result = run(tasks, write_table(tmp_path / "partial", frame), method)
    assert np.isfinite([record["rae"] for record in result.results]).all()


def test_shared_hardware_is_noted(tmp_path, data):
    write_cards(data / "devices.yaml", {name: DeviceCard(name, hardware="one chip") for name in ("edge", "phone")})
    result = run(write_tasks(tmp_path, {"T": TASK}), data)
    (note,) = result.notes
    assert note.startswith("T: ")
    assert "phone" in note
    assert "edge" in note


def test_without_cards_there_is_nothing_to_note(tasks, data):
    assert run(tasks, data).notes == []


# Sources from other spaces

ELSEWHERE = toy_networks(60, "fbnet")
ACROSS = {**TASK, "source_spaces": ["fbnet"]}


@pytest.fixture
def two_spaces(tmp_path) -> Path:
    """Targets on NAS-Bench-201, sources on FBNet, and nothing else."""
    folder = write_table(tmp_path / "two", FRAME[list(TARGETS)])
    return write_table(folder, toy_frame(ELSEWHERE, SOURCES), "fbnet")


@pytest.mark.parametrize("method", ["linear", "nearest", "hodm"])
def test_sources_may_be_known_from_another_space_only(tmp_path, two_spaces, method):
    result = run(write_tasks(tmp_path, {"T": ACROSS}), two_spaces, method)
    assert [record["target_reads"] for record in result.results] == [6, 6]
    assert result.notes == []


def test_what_is_learnt_in_another_space_is_worth_something(tmp_path, two_spaces):
    result = run(write_tasks(tmp_path, {"T": ACROSS}), two_spaces, probes=8)
    assert result.task_means().loc["T", "spearman"] > 0.9
    assert result.task_means().loc["T", "rae"] < pd.DataFrame(result.floors).query("method == 'flops'")["rae"].mean()


def test_latencies_that_are_borrowed_follow_physics(tmp_path, two_spaces):
    """A device that is bound by one thing in all networks is told nearly exactly; the others roughly."""
    (task,) = read_tasks(write_tasks(tmp_path, {"T": ACROSS}))
    setting = prepare(task, [two_spaces])
    drawn = setting.draw(np.random.default_rng(0))
    assert drawn.devices == tuple(SOURCES)
    assert len(drawn.rows) == 50
    for name, borrowed_ms in zip(drawn.devices, drawn.latency_ms.T, strict=True):
        actual_ms = SOURCES[name].latency_ms(NETWORKS)[drawn.rows]
        least = 0.97 if name in ("compute", "memory", "launch") else 0.7
        assert stats.spearmanr(borrowed_ms, actual_ms).statistic > least, name
        assert 0.3 < np.median(borrowed_ms / actual_ms) < 3, name


def test_a_target_known_from_another_space_is_noted(tmp_path, two_spaces):
    frame = toy_frame(ELSEWHERE, SOURCES | TARGETS)
    write_table(two_spaces, frame, "fbnet")
    tasks = write_tasks(tmp_path, {"T": {**ACROSS, "source": [*SOURCES, "phone"]}})
    (note,) = run(tasks, two_spaces).notes
    assert note == "T: phone is known from fbnet, as the task says."


def test_every_space_must_know_every_source(tmp_path, two_spaces):
    tasks = write_tasks(tmp_path, {"T": {**ACROSS, "source": ["compute", "memry"]}})
    assert "Unknown device 'memry'; did you mean 'memory'" in failure(tasks, two_spaces)
    tasks = write_tasks(tmp_path, {"T": {**ACROSS, "source_spaces": ["ofa_mobilenetv3"]}})
    assert "No latency table ofa_mobilenetv3.parquet" in failure(tasks, two_spaces)
