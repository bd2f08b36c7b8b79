"""Sweep files: what is wrong in one is one sentence that names the file, the entry and what is expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.config import WorkbenchError
from workbench.sweep.definition import parse_sweep, read_sweep

ROOT = Path(__file__).resolve().parents[2]
FILE = Path("experiments/some.yaml")
GOOD = {"notebook": "a.ipynb", "grid": {"x": [1, 2]}}


def test_only_the_notebook_is_needed():
    sweep = parse_sweep({"notebook": "../notebooks/a.ipynb"}, FILE)
    assert sweep.name == "some"
    assert sweep.notebook == (FILE.parent / "../notebooks/a.ipynb").resolve()
    assert (sweep.factors, sweep.seeds, sweep.retries, sweep.direction) == ((), (), 1, "maximize")


def test_factors_are_what_is_varied_in_the_order_of_the_kinds():
    told = {
        "notebook": "a.ipynb",
        "random": {"count": 3, "parameters": {"rate": {"log_uniform": [1.0e-4, 1.0e-2]}}},
        "zip": {"width": [1, 2], "heads": [3, 4]},
        "grid": {"x": [1, 2]},
        "cases": [{"case": "full"}, {"case": "bare", "method": "head"}],
    }
    sweep = parse_sweep(told, FILE)
    assert sweep.factors == ("case", "x", "width", "heads", "rate")
    assert sweep.cases == {"full": {}, "bare": {"method": "head"}}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"notebok": "a"}, r"Unknown entry of a sweep file 'notebok'; did you mean 'notebook'\?"),
        ({"notebook": None}, "notebook expects the path of a notebook"),
        ({"name": "a/b"}, "name expects letters, digits"),
        ({"grid": [1]}, "grid expects a mapping"),
        ({"grid": {"x": 1}}, "grid: x expects a list of at least one value, got 1"),
        ({"grid": {"x": []}}, "grid: x expects a list of at least one value"),
        ({"grid": {"x": [1, 1]}}, "grid: x expects a list without repetitions"),
        ({"zip": {"y": [1, 2], "z": [1]}}, "zip expects lists of one length, got '2 of y, 1 of z'"),
        ({"zip": {"x": [1, 2]}}, "x expects to be varied in one place only"),
        ({"cases": [{"method": "head"}]}, "expects a label of its own under 'case'"),
        ({"cases": [{"case": "a"}, {"case": "a", "y": 1}]}, "expects a label of its own"),
        ({"random": {"count": 0, "parameters": {}}}, "random: count expects a whole number of at least 1, got 0"),
        ({"random": {"count": 1, "parameters": {"r": {"unifrm": [0, 1]}}}}, "Unknown distribution 'unifrm'; did you"),
        ({"random": {"count": 1, "parameters": {"r": {"uniform": [1, 0]}}}}, "two ends of 'uniform', the lower one"),
        ({"random": {"count": 1, "parameters": {"r": {"log_uniform": [0, 1]}}}}, "two ends of 'log_uniform'"),
        ({"random": {"count": 1, "parameters": {"r": {"integer": [0.5, 1]}}}}, "two ends of 'integer'"),
        ({"seeds": [0, True]}, "seeds expects a whole number of at least 0, got True"),
        ({"seeds": 3}, "seeds expects a list"),
        ({"grid": {"seed": [0, 1]}}, "seed expects to be given under 'seeds'"),
        ({"direction": "up"}, "direction expects maximize or minimize, got 'up'"),
        ({"groups": ["w"]}, "Unknown factor to compare in groups 'w'"),
        ({"reference": {"w": 1}}, "Unknown factor with a reference 'w'"),
        ({"resources": {"gpus": 0}}, "resources: gpus expects text such as jetson, or an amount above 0, got 0"),
        ({"timeout_s": "1 h"}, "timeout_s expects a number above 0, got '1 h'"),
        ({"retries": -1}, "retries expects a whole number of at least 0, got -1"),
        ({"workers": "jetson"}, "workers expects a list with what each worker has"),
    ],
)
def test_what_is_wrong_is_one_sentence(entries, message):
    with pytest.raises(WorkbenchError, match=message) as caught:
        parse_sweep({**GOOD, **entries}, FILE)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("content", ["a: [", "- 1", "", "\x00"])
def test_what_is_no_sweep_file_is_one_sentence(tmp_path, content):
    (tmp_path / "a.yaml").write_text(content)
    with pytest.raises(WorkbenchError, match=r"Sweep file .*a.yaml") as caught:
        read_sweep(tmp_path / "a.yaml")
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(WorkbenchError, match="There is no sweep file"):
        read_sweep(tmp_path / "none.yaml")


def test_workers_may_have_one_thing_or_several_or_nothing():
    sweep = parse_sweep({**GOOD, "workers": ["device:a", ["device:b", "gpu"], []]}, FILE)
    assert sweep.workers == (("device:a",), ("device:b", "gpu"), ())
