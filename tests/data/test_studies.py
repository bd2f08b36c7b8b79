"""Studies: every device is a target once, and nothing that must not be seen is a source."""

from __future__ import annotations

import numpy as np
import pytest

from tests.toy import SOURCES, TARGETS, toy_frame, toy_networks, write_table
from workbench.config import WorkbenchError
from workbench.data import sources
from workbench.data.studies import cross_space, devices_table, leave_one_device_out, leave_one_family_out
from workbench.data.table import LatencyTable
from workbench.data.tasks import Split, read_tasks, write_tasks
from workbench.devices.device import DeviceCard

NETWORKS = toy_networks(6)
DEVICES = SOURCES | TARGETS
#: compute, memory, launch are one chip each; edge and server share one; phone and accelerator have no card.
CARDS = {
    "compute": DeviceCard("compute", hardware="a", family="desktop-gpu"),
    "memory": DeviceCard("memory", hardware="b", family="server-cpu"),
    "launch": DeviceCard("launch", hardware="c", family="desktop-gpu"),
    "edge": DeviceCard("edge", hardware="d", family="mobile-cpu"),
    "server": DeviceCard("server", hardware="d", family="mobile-cpu"),
}
TABLE = LatencyTable("nasbench201", toy_frame(NETWORKS, DEVICES), CARDS)


def test_every_device_is_left_out_with_all_that_runs_on_its_hardware():
    study = leave_one_device_out(TABLE, 50)
    assert sorted(target for task in study.tasks for target in task.target) == sorted(DEVICES)
    for task in study.tasks:
        assert sorted(task.source + task.target) == sorted(DEVICES)
        assert task.source_samples == 50
        for target in task.target:
            assert Split(TABLE, task.source, target).shared == ()  # would raise
    assert [task.name for task in study.tasks][-3:] == [
        "nasbench201-without-d", "nasbench201-without-phone", "nasbench201-without-accelerator",
    ]  # fmt: skip


def test_no_family_is_seen_and_the_unknown_ones_are_named():
    study = leave_one_family_out(TABLE)
    tasks = {task.name: task for task in study.tasks}
    assert tasks["nasbench201-without-desktop-gpu"].target == ("compute", "launch")
    assert tasks["nasbench201-without-desktop-gpu"].source == ("memory", "edge", "server")
    assert len(tasks) == 3
    assert [note.split()[0] for note in study.notes] == ["phone", "accelerator"]


def test_one_kind_alone_cannot_be_left_out():
    with pytest.raises(WorkbenchError, match="at least 2 families in nasbench201, got 1"):
        leave_one_family_out(TABLE.select(["compute", "launch"]))
    with pytest.raises(WorkbenchError, match="at least 2 pieces of hardware in nasbench201, got 1"):
        leave_one_device_out(TABLE.select(["edge", "server"]))


def test_across_spaces_sources_are_what_all_of_them_know():
    fbnet = LatencyTable("fbnet", toy_frame(toy_networks(6, "fbnet"), DEVICES), CARDS).select(
        ["compute", "memory", "edge"]
    )
    study = cross_space(TABLE.select(["edge", "server", "launch"]), [fbnet])
    tasks = {task.name: task for task in study.tasks}
    assert set(tasks) == {"nasbench201-without-d-from-fbnet", "nasbench201-without-c-from-fbnet"}
    assert tasks["nasbench201-without-d-from-fbnet"].source == ("compute", "memory")
    assert tasks["nasbench201-without-c-from-fbnet"].source_spaces == ("fbnet",)
    with pytest.raises(WorkbenchError, match="across spaces expects devices on other hardware"):
        cross_space(TABLE.select(["edge"]), [fbnet.select(["edge"])])


def test_tasks_of_a_study_can_be_read_back(tmp_path):
    study = leave_one_device_out(TABLE)
    assert read_tasks(write_tasks(tmp_path / "tasks.json", study.tasks)) == list(study.tasks)


def test_bundled_measurements_serve_only_where_there_are_no_others(tmp_path, monkeypatch):
    frame = toy_frame(NETWORKS, DEVICES)
    bundled = write_table(tmp_path / "bundled", frame[["edge", "server"]])
    own = write_table(tmp_path / "own", frame[["edge", "phone"]].assign(empty=np.nan))
    monkeypatch.setattr(sources, "BUNDLED", bundled)
    monkeypatch.delenv("WORKBENCH_DATA", raising=False)
    assert devices_table("nasbench201", [own]).devices == ["edge", "phone"]
    assert devices_table("nasbench201").devices == ["edge", "server"]
    (tmp_path / "nothing").mkdir()
    assert devices_table("nasbench201", [tmp_path / "nothing"]).devices == ["edge", "server"]
    with pytest.raises(WorkbenchError, match=r"No latency table fbnet.parquet"):
        devices_table("fbnet", [own])
