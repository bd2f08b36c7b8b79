"""Several processes give what one gives."""

from __future__ import annotations

import psutil
import pytest

from tests.evaluation.toy_task import FRAME, TASK, run, write_tasks
from tests.toy import write_table
from workbench.config import WorkbenchError
from workbench.evaluation import Journal, evaluate

ASKED = {"method": ["head", "linear"], "probes": [4, 6], "seeds": (0, 1)}


@pytest.fixture
def journal(tmp_path) -> Journal:
    return Journal.beside(tmp_path / "results.json")


def timeless(records):
    return [{name: value for name, value in record.items() if not name.endswith("_s")} for record in records]


def test_two_processes_give_what_one_gives(tasks, data, journal):
    steps = []
    found = run(tasks, data, **ASKED, journal=journal, workers=2, advance=lambda *step: steps.append(step))
    alone = run(tasks, data, **ASKED)
    assert timeless(found.results) == timeless(alone.results)
    assert timeless(found.floors) == timeless(alone.floors)
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_what_cannot_run_is_told_as_by_one(tmp_path, journal):
    folder = write_table(tmp_path / "data", FRAME)
    known = {"GONE": {**TASK, "target": ["nobody"]}, "T": TASK}
    file = write_tasks(tmp_path, known)
    found = evaluate(file, [folder], method="linear", probes=[6, 900], journal=journal, workers=2)
    alone = evaluate(file, [folder], method="linear", probes=[6, 900])
    assert found.failures == alone.failures
    assert set(found.failures) == {"GONE", "T, 900 probes"}
    assert timeless(found.results) == timeless(alone.results)


def test_a_process_that_is_ended_is_one_sentence_and_nothing_finished_is_lost(tasks, data, journal):
    lines = []

    def end(line: str) -> None:
        if not lines:
            for process in psutil.Process().children(recursive=True):
                if "loky" in " ".join(process.cmdline()) and "tracker" not in " ".join(process.cmdline()):
                    process.kill()
        lines.append(line)

    asked = {"method": "head", "probes": list(range(4, 34))}
    with pytest.raises(WorkbenchError, match=r"expects its 2 processes to live.* What is finished is kept"):
        run(tasks, data, **asked, journal=journal, workers=2, progress=end)
    assert list(journal.folder.glob("*.json"))
    assert {record["probes"] for record in run(tasks, data, **asked, journal=journal).results} == set(range(4, 34))


def test_several_workers_without_a_journal_are_refused(tasks, data):
    with pytest.raises(WorkbenchError, match="a journal for several, got 2"):
        evaluate(tasks, [data], workers=2)
