"""A task on toy devices, and what the tests of evaluation do with it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.toy import SOURCES, TARGETS, toy_frame, toy_networks
from workbench.evaluation import EvaluationResult, evaluate

#: DESIGN section 5.
FIELDS = [
    "task",
    "device",
    "space",
    "method",
    "selector",
    "probes",
    "seed",
    "n_test",
    "spearman",
    "kendall",
    "rae",
    "mape",
    "mdape",
    "acc5",
    "acc10",
    "coverage90",
    "width90",
    "target_reads",
    "pretrain_s",
    "select_s",
    "adapt_s",
    "predict_s",
]
COLUMNS = ["task", "device", "arch", "role", "predicted_ms", "low_ms", "high_ms"]
NETWORKS = toy_networks(80)
FRAME = toy_frame(NETWORKS, SOURCES | TARGETS)
TASK = {"space": "nasbench201", "source": list(SOURCES), "target": list(TARGETS), "source_samples": 50}


def write_tasks(folder: Path, content: dict) -> Path:
    path = folder / "tasks.json"
    path.write_text(json.dumps(content))
    return path


def run(
    tasks: Path, data: Path, method: str | list[str] = "linear", probes: int | list[int] = 6, **more
) -> EvaluationResult:
    result = evaluate(tasks, [data], method=method, probes=probes, **more)
    assert not result.failures, result.failures
    return result


def failure(tasks: Path, data: Path, **more) -> str:
    """The one sentence why task T did not run, after checking that nothing stands for it."""
    result = evaluate(tasks, [data], **{"method": "linear", "probes": 6, **more})
    assert set(result.failures) == {"T"}
    assert not [record for record in result.results if record["task"] == "T"]
    sentence = result.failures["T"]
    assert len(sentence.splitlines()) == 1
    return sentence
