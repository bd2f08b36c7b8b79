"""Tasks that cannot run say why, and no other task suffers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.evaluation.toy_task import FRAME, TASK, failure, write_tasks
from tests.toy import write_table
from workbench.config import WorkbenchError
from workbench.evaluation import ahead as running
from workbench.evaluation import evaluate
from workbench.training.adaptive import Enough


def test_an_unknown_device_fails_its_task_and_no_other(tmp_path, data):
    wrong = {**TASK, "target": ["phone", "acelerator"]}
    tasks = write_tasks(tmp_path, {"A": TASK, "T": wrong, "B": TASK})
    result = evaluate(tasks, [data], method="linear", probes=6)
    assert result.failures == {"T": result.failures["T"]}
    assert "Unknown device 'acelerator'; did you mean 'accelerator'" in result.failures["T"]
    assert {record["task"] for record in result.results} == {"A", "B"}
    assert set(result.predictions["task"]) == {"A", "B"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": ["compute", "phone"]}, "target phone is also a source device"),
        ({"source": ["computer"]}, "Unknown device 'computer'; did you mean 'compute'"),
        ({"space": "fbnet"}, "No latency table fbnet.parquet"),
        ({"space": "nasbench"}, "Unknown space 'nasbench'; did you mean 'nasbench201'"),
    ],
)
def test_a_task_that_cannot_run_says_why(tmp_path, data, change, message):
    assert message in failure(write_tasks(tmp_path, {"T": {**TASK, **change}}), data)


def test_more_probes_than_architectures(tasks, data):
    sentence = failure(tasks, data, probes=81)
    assert "81 probes" in sentence
    assert "80" in sentence


@pytest.mark.parametrize("method", ["flops", "linear"])
def test_probes_that_leave_nothing_to_test(tasks, data, method):
    assert "80" in failure(tasks, data, probes=80, method=method)


def test_targets_without_a_common_network(tmp_path, tasks):
    frame = FRAME.copy()
    frame.loc[frame.index[:40], "phone"] = np.nan
    frame.loc[frame.index[40:], "accelerator"] = np.nan
    assert "probes" in failure(tasks, write_table(tmp_path / "apart", frame))


def test_a_source_that_was_never_measured(tmp_path, tasks):
    assert "source" in failure(tasks, write_table(tmp_path / "empty", FRAME.assign(edge=np.nan)))


def test_a_target_that_was_never_measured(tmp_path, tasks):
    sentence = failure(tasks, write_table(tmp_path / "empty", FRAME.assign(phone=np.nan)))
    assert "phone" in sentence


@pytest.mark.parametrize("value", [0.0, -3.0, np.inf])
def test_impossible_latencies_fail_the_task(tmp_path, tasks, value):
    frame = FRAME.copy()
    frame.iloc[7, frame.columns.get_loc("phone")] = value
    sentence = failure(tasks, write_table(tmp_path / "wrong", frame))
    assert "phone" in sentence
    assert str(frame.index[7]) in sentence


def test_an_empty_table_fails_the_task(tmp_path, tasks):
    assert "expects at least" in failure(tasks, write_table(tmp_path / "empty", FRAME.iloc[:0]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "hodn"}, "Unknown method 'hodn'; did you mean 'hodm'"),
        ({"selector": "randm"}, "Unknown selector 'randm'; did you mean 'random'"),
        ({"only": ["U"]}, "Unknown task 'U'"),
        ({"only": []}, "task"),
        ({"method": ["linear", "flopz"]}, "Unknown method 'flopz'; did you mean 'flops'"),
        ({"method": []}, "at least one method"),
        ({"selector": "adaptiv"}, "Unknown selector 'adaptiv'; did you mean 'adaptive'"),
        ({"probes": -1}, "probe"),
        ({"probes": [10, -1]}, "probe"),
        ({"probes": []}, "at least one number of probes"),
        ({"seeds": (-1,)}, "seed"),
        ({"seeds": ()}, "at least one seed"),
        ({"enough": Enough(width=0.1)}, "expects the selector 'adaptive', got 'central'"),
        ({"enough": Enough(width=0.0), "selector": "adaptive"}, "width to stop at expects a number above 0"),
        ({"enough": Enough(gain=float("nan")), "selector": "adaptive"}, "gain to stop at expects a number above 0"),
    ],
)
def test_bad_arguments_raise_before_anything_runs(tasks, data, monkeypatch, arguments, message):
    monkeypatch.setattr(running, "run_unit", lambda *_: pytest.fail("ran"))
    with pytest.raises(WorkbenchError, match=message):
        evaluate(tasks, [data], **{"method": "linear", **arguments})


def test_a_data_folder_that_is_not_there_raises(tasks, tmp_path):
    with pytest.raises(WorkbenchError, match="Data folder"):
        evaluate(tasks, [tmp_path / "nowhere"], method="linear")
