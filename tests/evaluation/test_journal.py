"""What is finished is not done again, and what would be another thing is never taken for it."""

from __future__ import annotations

import os

import pandas as pd
import pytest

from tests.evaluation.toy_task import FRAME, TASK, run, write_tasks
from tests.toy import write_table
from workbench.evaluation import Journal, ahead
from workbench.evaluation.unit import Unit

ASKED = {"method": ["linear", "flops"], "probes": [4, 6], "seeds": (0, 1)}


@pytest.fixture
def journal(tmp_path) -> Journal:
    return Journal.beside(tmp_path / "results.json")


@pytest.fixture
def worked(monkeypatch) -> list[tuple[int, int]]:
    """Number of probes and seed of every piece that is really computed."""
    calls, compute = [], ahead.run_unit

    def counted(setting, plan, probes, seed):
        calls.append((probes, seed))
        return compute(setting, plan, probes, seed)

    monkeypatch.setattr(ahead, "run_unit", counted)
    return calls


def test_an_interrupted_evaluation_goes_on_where_it_was(tasks, data, journal, worked):
    expected = run(tasks, data, **ASKED)
    worked.clear()
    lines = []

    def interrupt(line: str) -> None:
        lines.append(line)
        if line.startswith("T seed 1") and "4 probes" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tasks, data, **ASKED, journal=journal, progress=interrupt)
    assert worked == [(4, 0), (4, 1)]
    result = run(tasks, data, **ASKED, journal=journal)
    assert worked == [(4, 0), (4, 1), (6, 0), (6, 1)]
    for told, wanted in ((result.results, expected.results), (result.floors, expected.floors)):
        assert [list(record) for record in told] == [list(record) for record in wanted]
        for record, other in zip(told, wanted, strict=True):
            assert {k: v for k, v in record.items() if k[-2:] != "_s"} == {
                k: v for k, v in other.items() if k[-2:] != "_s"
            }
    pd.testing.assert_frame_equal(result.predictions, expected.predictions, check_exact=True)
    for cell, other in zip(result.cells, expected.cells, strict=True):
        assert (cell.task, cell.device, cell.seed, cell.probes, cell.exact) == (
            other.task, other.device, other.seed, other.probes, other.exact,
        )  # fmt: skip
        assert cell.actual_ms.tolist() == other.actual_ms.tolist()
        assert {name: part.ms.tolist() for name, part in cell.estimates.items()} == {
            name: part.ms.tolist() for name, part in other.estimates.items()
        }


@pytest.mark.parametrize(
    "change",
    [{"method": "nearest"}, {"probes": 7}, {"seeds": (3,)}, {"selector": "random"}, {"predictions": False}],
    ids=str,
)
def test_other_questions_have_other_answers(tasks, data, journal, worked, change):
    run(tasks, data, journal=journal)
    run(tasks, data, journal=journal, **change)
    assert len(worked) == 2


def test_other_data_and_other_tasks_have_other_answers(tmp_path, tasks, data, journal, worked):
    run(tasks, data, journal=journal)
    run(tasks, write_table(tmp_path / "other", FRAME * 1.01), journal=journal)
    run(write_tasks(tmp_path, {"T": {**TASK, "source_samples": 40}}), data, journal=journal)
    assert len(worked) == 3
    run(tasks := write_tasks(tmp_path, {"T": TASK}), data, journal=journal)
    run(tasks, write_table(tmp_path / "copy", FRAME), journal=journal)
    assert len(worked) == 3


def test_damaged_pieces_are_made_anew(tasks, data, journal, worked):
    expected = run(tasks, data, journal=journal)
    for file in journal.folder.iterdir():
        file.write_bytes(file.read_bytes()[:20])
        again = run(tasks, data, journal=journal)
        pd.testing.assert_frame_equal(again.predictions, expected.predictions)
    assert len(worked) == 3


@pytest.mark.parametrize("content", ["[]", "{}", '{"cells": 1}', "null"])
def test_pieces_of_another_shape_are_made_anew(tasks, data, journal, worked, content):
    run(tasks, data, journal=journal)
    for file in journal.folder.glob("*.json"):
        file.write_text(content)
    run(tasks, data, journal=journal)
    assert len(worked) == 2


def test_removing_leaves_nothing(tasks, data, journal):
    run(tasks, data, journal=journal)
    journal.remove()
    assert not journal.folder.exists()
    journal.remove()


def test_trimming_forgets_the_oldest_whole_and_half_written_ones(journal):
    for age, name in enumerate("abcde"):
        journal.keep(name, Unit())
        for path in journal.folder.glob(f"{name}.*"):
            os.utime(path, (1000 - age, 1000 - age))
    (journal.folder / "e.json").unlink()  # as if killed between the two files
    journal.trim(3)
    assert {path.stem for path in journal.folder.iterdir()} == set("abc")
    journal.trim(5)
    assert [journal.load(name) is None for name in "abcd"] == [False, False, False, True]
