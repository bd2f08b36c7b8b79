"""Tasks, splits and ledgers: what keeps an evaluation honest."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.toy import SOURCES, toy_frame, toy_networks
from workbench.config import WorkbenchError
from workbench.data.table import LatencyTable
from workbench.data.tasks import Ledger, Split, Task, read_tasks, write_tasks
from workbench.devices.device import DeviceCard

NETWORKS = toy_networks(6)
ARCHS = NETWORKS.archs
TASK = {"space": "nasbench201", "source": ["compute", "memory"], "target": ["edge"], "source_samples": 10}


@pytest.fixture
def table() -> LatencyTable:
    cards = {
        name: DeviceCard(name, hardware=chip) for name, chip in {"edge": "a", "server": "a", "memory": "b"}.items()
    }
    return LatencyTable("nasbench201", toy_frame(NETWORKS, SOURCES), cards)


def write(folder, content: object):
    path = folder / "tasks.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_tasks_are_read_in_order_or_as_named(tmp_path):
    path = write(tmp_path, {"A": TASK, "B": {**TASK, "target": ["server", "edge"]}, "C": TASK})
    assert [task.name for task in read_tasks(path)] == ["A", "B", "C"]
    chosen = read_tasks(path, ["C", "B"])
    assert [task.name for task in chosen] == ["C", "B"]
    assert chosen[1].target == ("server", "edge")
    assert (chosen[1].source, chosen[1].space, chosen[1].source_samples) == (("compute", "memory"), "nasbench201", 10)


def test_source_samples_may_be_left_out(tmp_path):
    path = write(tmp_path, {"A": {key: value for key, value in TASK.items() if key != "source_samples"}})
    assert read_tasks(path)[0].source_samples == 900


def test_written_tasks_are_read_back(tmp_path):
    tasks = [
        Task("A", "fbnet", ("a", "b"), ("c",), 50),
        Task("B", "fbnet", ("a",), ("c", "d"), 900, ("nasbench201", "ofa_mobilenetv3")),
    ]
    path = write_tasks(tmp_path / "deep" / "tasks.json", tasks)
    assert read_tasks(path) == tasks
    assert "source_spaces" not in json.loads(path.read_text())["A"]


def test_published_tasks(shared_data):
    tasks = {task.name: task for task in read_tasks(shared_data / "bench" / "tasks.json")}
    assert {"ND", "FD", "F1", "F2", "F3", "F4", "FA"} <= set(tasks)
    assert all(not set(task.source) & set(task.target) for task in tasks.values())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expects JSON, got"),
        ("[]", "expects a mapping from task name to task, got list"),
        ("{}", "expects a mapping from task name to task"),
        ({"A": 5}, "Task 'A' expects the fields space, source, target, source_samples, source_spaces, got 5"),
        ({"A": {**TASK, "sources": []}}, "Unknown field of task 'A' 'sources'; did you mean 'source'"),
        ({"A": {**TASK, "source": []}}, "Task 'A': source expects a non-empty list, got \\[\\]"),
        ({"A": {**TASK, "target": "edge"}}, "Task 'A': target expects a non-empty list, got 'edge'"),
        ({"A": {**TASK, "source": ["a", 1]}}, "Task 'A': source expects"),
        ({"A": {**TASK, "space": 201}}, "Task 'A': space expects a non-empty str, got 201"),
        ({"A": {"space": "fbnet", "source": ["a"]}}, "Task 'A': target expects a non-empty list, got None"),
        ({"A": {**TASK, "target": ["edge", "edge"]}}, "Task 'A': target names 'edge' more than once"),
        ({"A": {**TASK, "source_samples": "many"}}, "Task 'A': source_samples expects a non-empty int, got 'many'"),
        ({"A": {**TASK, "source_samples": 1}}, "source_samples expects at least 2, got 1"),
        ({"A": {**TASK, "source_samples": -900}}, "source_samples expects at least 2, got -900"),
        ({"A": {**TASK, "source_spaces": []}}, "source_spaces expects a non-empty list, got \\[\\]"),
        ({"A": {**TASK, "source_spaces": ["nasbench201"]}}, "source_spaces expects other spaces than nasbench201"),
    ],
)
def test_bad_task_files_are_one_sentence(tmp_path, content, message):
    with pytest.raises(WorkbenchError, match=message) as caught:
        read_tasks(write(tmp_path, content))
    assert len(str(caught.value).splitlines()) == 1


def test_missing_task_file_and_unknown_task(tmp_path):
    with pytest.raises(WorkbenchError, match=r"none.json expects a JSON file, found none"):
        read_tasks(tmp_path / "none.json")
    with pytest.raises(WorkbenchError, match="expects JSON, got"):
        read_tasks(tmp_path)
    path = write(tmp_path, {"desktop": TASK})
    with pytest.raises(WorkbenchError, match="Unknown task 'desktp'; did you mean 'desktop'"):
        read_tasks(path, ["desktp"])


def test_naming_no_task_is_not_naming_all(tmp_path):
    with pytest.raises(WorkbenchError):
        read_tasks(write(tmp_path, {"A": TASK}), [])


def test_split_refuses_the_target_among_the_sources(table):
    with pytest.raises(WorkbenchError, match="target edge is also a source device"):
        Split(table, ("compute", "edge"), "edge", named=True)


def test_split_refuses_shared_hardware_unless_named(table):
    sources = ("compute", "memory", "server")
    with pytest.raises(WorkbenchError, match="target edge runs on the same hardware as source server"):
        Split(table, sources, "edge")
    assert Split(table, sources, "edge", named=True).shared == ("server",)
    assert Split(table, ("compute", "memory"), "edge").shared == ()


def test_devices_without_a_card_share_nothing(table):
    assert Split(table, ("compute", "memory", "server"), "launch").shared == ()


def test_ledger_counts_each_architecture_once(table):
    ledger = Split(table, ("memory",), "edge").ledger()
    assert (ledger.device, ledger.reads, ledger.measured) == ("edge", 0, {})
    assert ledger.measurable == list(ARCHS)
    assert ledger.measure(ARCHS[2]) == table.column("edge")[ARCHS[2]]
    assert ledger.measure_all([ARCHS[2], ARCHS[4]]) == list(table.column("edge")[[ARCHS[2], ARCHS[4]]])
    assert ledger.reads == 2
    assert list(ledger.measured) == [ARCHS[2], ARCHS[4]]


def test_ledger_reveals_the_others_and_closes(table):
    ledger = Split(table, ("memory",), "edge").ledger()
    ledger.measure(ARCHS[2])
    truth = ledger.reveal()
    assert sorted(truth.index) == sorted(set(ARCHS) - {ARCHS[2]})
    for arch in (ARCHS[0], ARCHS[2]):
        with pytest.raises(WorkbenchError, match="Ledger of edge is closed"):
            ledger.measure(arch)
    assert ledger.reads == 1


def test_what_was_not_measured_is_neither_measurable_nor_revealed(table):
    column = table.column("edge").copy()
    column.iloc[1] = np.nan
    ledger = Ledger(column)
    assert ARCHS[1] not in ledger.measurable
    for arch in (ARCHS[1], "unknown"):
        with pytest.raises(WorkbenchError, match="was not measured on edge; choose a measured one"):
            ledger.measure(arch)
    assert ledger.reads == 0
    assert len(ledger.reveal()) == len(ARCHS) - 1


def test_every_ledger_counts_for_itself(table):
    split = Split(table, ("memory",), "edge")
    split.ledger().measure(ARCHS[0])
    assert split.ledger().reads == 0


def test_what_a_ledger_gives_out_cannot_change_it(table):
    ledger = Split(table, ("memory",), "edge").ledger()
    ledger.measure(ARCHS[0])
    ledger.measured.clear()
    ledger.measurable.clear()
    assert ledger.reads == 1
    assert len(ledger.measurable) == len(ARCHS)


def test_a_device_without_measurements_is_refused(table):
    with pytest.raises(WorkbenchError, match="Device edge expects at least one measured architecture, got none"):
        Ledger(table.column("edge") * np.nan)
