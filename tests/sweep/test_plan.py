"""From a sweep file to runs: all of them, each once, with the key of what decides it, and checked before any starts."""

from __future__ import annotations

import math
import shutil

import nbformat
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sweep.test_definition import ROOT
from tests.sweep.trivial import write_notebook, write_sweep
from workbench.config import WorkbenchError
from workbench.sweep import identity, make_plan, read_sweep
from workbench.sweep.definition import RandomSearch
from workbench.sweep.plan import Plan, _drawn


def plan_of(folder, **entries) -> Plan:
    return make_plan(read_sweep(write_sweep(folder, **entries)))


def test_every_combination_is_there_once_with_the_seeds_innermost(tmp_path):
    cases = [{"case": "full"}, {"case": "bare", "pause_s": 1.0}]
    plan = plan_of(
        tmp_path, grid={"x": [1, 2, 3]}, zip={"y": [0.1, 0.2], "name": ["a", "b"]}, cases=cases, seeds=[4, 5]
    )
    assert len(plan.runs) == 2 * 3 * 2 * 2
    told = [
        (run.factors["case"], run.factors["x"], run.factors["y"], run.factors["name"], run.seed) for run in plan.runs
    ]
    assert len(set(told)) == len(told)
    assert told[:3] == [("full", 1, 0.1, "a", 4), ("full", 1, 0.1, "a", 5), ("full", 1, 0.2, "b", 4)]
    assert {(y, name) for _, _, y, name, _ in told} == {(0.1, "a"), (0.2, "b")}
    assert len({run.key for run in plan.runs}) == len(told)
    bare = next(run for run in plan.runs if run.factors["case"] == "bare")
    assert bare.parameters["pause_s"] == 1.0
    assert bare.parameters["broken"] is False, "the notebook's default"
    assert plan.levels == {"case": ["full", "bare"], "x": [1, 2, 3], "y": [0.1, 0.2], "name": ["a", "b"]}


@given(low=st.floats(1e-6, 1), span=st.floats(1.5, 1e6), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_random_points_lie_between_their_ends_and_come_again(low, span, seed):
    search = RandomSearch(
        4, seed, {"r": {"log_uniform": [low, low * span]}, "n": {"integer": [0, 999]}, "c": ["p", "q"]}
    )
    points = _drawn("s", search)
    assert points == _drawn("s", search)
    assert len(points) == 4
    for point in points:
        assert low * (1 - 1e-3) <= point["r"] <= low * span * (1 + 1e-3)
        assert 0 <= point["n"] <= 999
        assert point["c"] in "pq"
        assert math.isfinite(point["r"])


def test_more_random_points_than_there_are_is_one_sentence():
    with pytest.raises(WorkbenchError, match="expects 3 different random points, got 2"):
        _drawn("s", RandomSearch(3, 0, {"c": ["p", "q"]}))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"grid": {"z": [1]}}, r"trivial.ipynb: Unknown parameter 'z'"),
        ({"grid": {"x": [1, "2"]}}, r"parameter 'x' expects int like its default 1, got '2'"),
        ({"grid": {"x": [1, True]}}, r"parameter 'x' expects int like its default 1, got True"),
        ({"parameters": {"pause": 1}}, r"Unknown parameter 'pause'; did you mean 'pause_s'\?"),
        ({"cases": [{"case": "a", "brokn": True}]}, r"Unknown parameter 'brokn'; did you mean 'broken'\?"),
        ({"parameters": {"data": ["nowhere"]}}, r"reads .*nowhere, which does not exist"),
        ({"inputs": ["logg"]}, r"Unknown parameter of trivial.ipynb in inputs 'logg'; did you mean 'log'\?"),
        (
            {"resources": {"device": "{platform}"}},
            r"resources: device expects text with factors or parameters in braces",
        ),
        ({"reference": {"x": 3}}, r"Unknown reference level of x '3'"),
        ({"cases": [{"case": "a"}, {"case": "b"}]}, r"'case=a' and 'case=b' with the same parameters"),
    ],
)
def test_what_the_notebook_does_not_take_is_refused_before_anything_runs(tmp_path, entries, message):
    with pytest.raises(WorkbenchError, match=message) as caught:
        plan_of(tmp_path, **entries)
    assert len(str(caught.value).splitlines()) == 1


def test_seeds_go_to_seed_or_to_a_list_of_seeds_or_nowhere(tmp_path):
    several = write_notebook(tmp_path / "b.ipynb", "pass", parameters="x = 1\nseeds = [0, 1, 2]\n")
    none = write_notebook(tmp_path / "c.ipynb", "pass", parameters="x = 1\n")
    assert plan_of(tmp_path, seeds=[7]).runs[0].given["seed"] == 7
    assert plan_of(tmp_path, notebook=several, seeds=[7]).runs[0].given["seeds"] == [7]
    with pytest.raises(WorkbenchError, match=r"has seeds, but c\.ipynb has no parameter 'seed'"):
        plan_of(tmp_path, notebook=none, seeds=[7])


def test_what_is_picked(tmp_path):
    plan = plan_of(tmp_path, grid={"x": [1, 2], "name": ["p", "q"]}, seeds=[0, 1])
    assert len(plan.only(["x=1"])) == 4
    assert len(plan.only(["x=1", "name=q", "seed=0"])) == 1
    assert len(plan.only(["name=p", "name=q"])) == 8, "any of several values of one factor"
    assert plan.only([plan.runs[3].key[:10]]) == [plan.runs[3]]
    with pytest.raises(WorkbenchError, match="Unknown factor 'nam'; did you mean 'name'"):
        plan.only(["nam=p"])
    with pytest.raises(WorkbenchError, match="No run of trivial fits --only x=9"):
        plan.only(["x=9"])


def keys(folder, **entries) -> list[str]:
    return [run.key for run in plan_of(folder, **entries).runs]


def test_a_key_changes_with_what_decides_the_run_and_with_nothing_else(tmp_path, monkeypatch):
    before = keys(tmp_path)
    assert keys(tmp_path, retries=3, name="other", metric="y", timeout_s=9) == before
    notebook = tmp_path / "trivial.ipynb"
    document = nbformat.read(notebook, as_version=4)
    document.cells.insert(0, nbformat.v4.new_markdown_cell("Words decide nothing."))
    nbformat.write(document, notebook)
    assert keys(tmp_path, notebook=notebook) == before
    elsewhere = tmp_path / "elsewhere" / "trivial.ipynb"
    elsewhere.parent.mkdir()
    shutil.copy(notebook, elsewhere)
    assert keys(tmp_path, notebook=elsewhere) == before
    assert not set(keys(tmp_path, parameters={"y": 0.25})) & set(before)
    assert keys(tmp_path, parameters={"y": 0.5}) == before, "the default, said once more"
    assert not set(keys(tmp_path, resources={"device": "{name}"})) & set(before)
    document.cells[-1].source += "\npass"
    nbformat.write(document, notebook)
    assert not set(keys(tmp_path, notebook=notebook)) & set(before)
    monkeypatch.setenv("WORKBENCH_SMOKE", "1")
    assert not set(keys(tmp_path)) & set(before)


def test_a_key_changes_with_the_data_and_with_the_code(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    table = tmp_path / "data" / "nasbench201.parquet"
    table.write_bytes(b"1")
    named = {"parameters": {"data": ["data"]}}  # relative to the notebook
    before = keys(tmp_path, **named)
    (tmp_path / "data" / "notes.txt").write_text("no table")
    assert keys(tmp_path, **named) == before
    table.write_bytes(b"2")
    assert not set(keys(tmp_path, **named)) & set(before)
    bare = keys(tmp_path)
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "data"))
    assert not set(keys(tmp_path)) & set(bare)
    monkeypatch.delenv("WORKBENCH_DATA")
    monkeypatch.setattr(identity, "PACKAGE", tmp_path)
    assert not set(keys(tmp_path)) & set(bare)


def test_what_a_worker_has_to_have_follows_from_factors_and_parameters(tmp_path):
    plan = plan_of(tmp_path, grid={"name": ["jetson", "phone"]}, resources={"device": "{name}", "memory": 2})
    assert [dict(run.resources) for run in plan.runs] == [
        {"device:jetson": 1.0, "memory": 2.0},
        {"device:phone": 1.0, "memory": 2.0},
    ]


@pytest.mark.parametrize("file", sorted((ROOT / "experiments").glob("*.yaml")), ids=lambda path: path.name)
def test_every_sweep_in_the_repository_fits_its_notebook(file):
    plan = make_plan(read_sweep(file))
    assert len(plan.sweep.seeds) >= 3
    assert plan.sweep.metric
    assert set(plan.sweep.reference) <= set(plan.sweep.factors)
    assert yaml.safe_load(file.read_text())["notebook"].startswith("../notebooks/")
