"""What one configuration reaches, on toy devices: every part can be taken out, and every size can be changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.toy import SOURCES, TARGETS, one_thread, toy_frame, toy_networks, write_table
from workbench.config import WorkbenchError
from workbench.data.tasks import Task, write_tasks
from workbench.evaluation import METRICS
from workbench.insight.configured import COSTS, LABELS, Configuration, reach

NETWORKS = toy_networks(120)
TASK = Task("T", "nasbench201", tuple(SOURCES), tuple(TARGETS), 60)
SMALL = Configuration(probes=6, width=12, heads=2, rounds=1, steps=20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = write_table(tmp_path_factory.mktemp("data"), toy_frame(NETWORKS, {**SOURCES, **TARGETS}))
    write_tasks(folder / "tasks.json", [TASK, replace(TASK, name="U")])
    return folder


def reached(folder, configuration=SMALL, seed=0):
    with one_thread():
        return reach(folder / "tasks.json", [folder], ["T"], configuration, seed)


@pytest.fixture(scope="module")
def usual(folder):
    return reached(folder)


def test_there_is_a_row_per_device_and_the_floors_saw_the_same_probes(usual):
    assert list(usual.results) == [*LABELS, *METRICS, *COSTS]
    assert usual.results["device"].tolist() == list(TARGETS)
    assert (usual.results["target_reads"] == 6).all()
    assert {"flops", "linear"} <= set(usual.floors["method"])
    assert usual.metrics["rae"] == pytest.approx(usual.results["rae"].mean())
    assert usual.figures["floors"].layout.meta["message"]


@pytest.mark.parametrize(
    "change",
    [{"selector": "random"}, {"method": "head"}, {"method": "dialogue"}, {"rounds": 2}, {"heads": 3}, {"width": 24},
     {"loss": "squared"}, {"steps": 10}, {"source_devices": 2}, {"source_samples": 20}, {"probes": 4}],
    ids=str,
)  # fmt: skip
def test_everything_that_can_be_varied_makes_a_difference(folder, usual, change):
    assert reached(folder, replace(SMALL, **change)).results["rae"].tolist() != usual.results["rae"].tolist()


def test_one_seed_gives_the_same_again_and_another_one_does_not(folder, usual):
    assert reached(folder).results["rae"].tolist() == usual.results["rae"].tolist()
    assert reached(folder, seed=1).results["rae"].tolist() != usual.results["rae"].tolist()


def test_fewer_sources_are_drawn_with_the_seed():
    few = replace(SMALL, source_devices=3, source_samples=10)
    drawn = {few.reduced(TASK, seed).source for seed in range(8)}
    assert len(drawn) > 1
    assert all(len(sources) == 3 and set(sources) <= set(SOURCES) for sources in drawn)
    assert few.reduced(TASK, 0) == few.reduced(TASK, 0)
    assert few.reduced(TASK, 0).source_samples == 10
    assert SMALL.reduced(TASK, 5) == TASK


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heads": 5}, "Heads expect a width that they divide, got 5 heads and width 12"),
        ({"rounds": 0}, "at least 1 for rounds, got 0"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(change, message):
    with pytest.raises(WorkbenchError, match=message):
        replace(SMALL, **change)


def test_more_sources_than_there_are_and_tasks_that_fail_are_one_sentence(folder):
    with pytest.raises(WorkbenchError, match="Task T expects at most its 5 source devices, got 9"):
        reached(folder, replace(SMALL, source_devices=9))
    with pytest.raises(WorkbenchError, match=r"T could not be run: .*fewer probes"):
        reached(folder, replace(SMALL, probes=500))
