"""Runs side by side: listed, searched, sorted, and compared in pairs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.insight.runs import some_history, some_runs, some_tables
from workbench.config import WorkbenchError
from workbench.insight.run_comparison import (
    checked_runs,
    chosen,
    compared,
    course_to_show,
    courses,
    differing,
    found,
    metric_names,
    ordered,
    scores,
    searchable,
    side_by_side,
)

RUNS = checked_runs(some_runs())


def test_runs_of_one_name_get_labels_of_their_own():
    assert RUNS["label"].is_unique
    assert RUNS["label"].tolist()[:2] == ["run 0 r0", "run 0 r1"]
    alike = checked_runs(some_runs().assign(name="one", run_id=[f"{number:032x}" for number in range(6)]))
    assert alike["label"].is_unique
    assert checked_runs(some_runs(1).assign(name="alone"))["label"].tolist() == ["alone"]


@pytest.mark.parametrize("empty", [pd.DataFrame(), some_runs().iloc[:0], pd.DataFrame(columns=["run_id"])])
def test_no_runs_are_no_runs(empty):
    runs = checked_runs(empty)
    assert runs.empty
    assert "label" in runs
    assert metric_names(runs) == []


def test_what_is_no_table_of_runs_is_refused():
    for wrong in ([1, 2], pd.DataFrame({"x": [1]})):
        with pytest.raises(WorkbenchError, match="with a column 'run_id'"):
            checked_runs(wrong)


def test_metrics_that_nobody_has_are_not_offered():
    assert metric_names(RUNS) == ["spearman", "loss"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", ["r0", "r1", "r2", "r3", "r4", "r5"]),
        ("probes=10", ["r1", "r4"]),
        ("PROBES=10 second", ["r1"]),
        ("failed", ["r5"]),
        ("sweep=s probes=15", ["r2", "r5"]),
        ("note=<b>", ["r0"]),
        ("[", []),
    ],
)
def test_a_search_wants_every_word(words, expected):
    assert found(RUNS, searchable(RUNS), words)["run_id"].tolist() == expected


def test_sorting_knows_numbers_from_words_and_puts_gaps_last():
    text = RUNS.assign(**{"params.probes": ["5", "10", "15", "100", "9", np.nan]})
    assert ordered(text, "params.probes", False)["params.probes"].tolist()[:5] == ["5", "9", "10", "15", "100"]
    assert ordered(text, "params.probes", True)["run_id"].iloc[-1] == "r5"
    assert ordered(RUNS, "metrics.spearman", False)["run_id"].tolist() == ["r4", "r3", "r2", "r1", "r0", "r5"]
    assert ordered(RUNS, "start", True)["run_id"].iloc[0] == "r0"
    assert ordered(RUNS, "experiment", False)["experiment"].tolist() == ["first"] * 3 + ["second"] * 3


def test_only_parameters_that_differ_are_told():
    table = differing(chosen(RUNS, ["r1", "r0"]))
    assert table.index.tolist() == ["note", "probes"]
    assert table.loc["probes"].tolist() == ["10", "5"]
    assert table.loc["note"].tolist() == ["", "<b>"]
    assert differing(chosen(RUNS, ["r1"])).empty


def test_a_run_that_is_not_there_is_refused():
    with pytest.raises(WorkbenchError, match="no run 'r9' among the 6"):
        chosen(RUNS, ["r0", "r9"])


def test_metrics_come_from_the_tables_with_intervals_or_as_they_were_logged():
    told = scores(chosen(RUNS, ["r0", "r4", "r5"]), some_tables(), "spearman").set_index("run_id")
    assert list(told.index) == ["r0", "r4"]  # r5 has none
    table = some_tables()["r0"]
    assert told.loc["r0", "value"] == pytest.approx(table.loc[table["method"] == "hodm", "spearman"].mean())
    assert told.loc["r0", "low"] < told.loc["r0", "value"] < told.loc["r0", "high"]
    assert told.loc["r0", "cases"] == 12
    assert told.loc["r4", "value"] == pytest.approx(0.91)
    assert np.isnan(told.loc["r4", "low"])


def test_differences_are_in_pairs_against_the_first():
    """The intervals of the runs overlap widely, that of the difference does not span zero."""
    picked = chosen(RUNS, ["r1", "r0", "r4"])
    own = scores(picked, some_tables(), "spearman").set_index("run_id")
    assert own.loc["r0", "low"] < own.loc["r1", "high"]
    told = compared(picked, some_tables(), "spearman")
    assert told["run"].tolist() == ["run 0 r0", "run 2 r4"]
    assert told["difference"].tolist() == pytest.approx([0.01, 0.91 - 0.94])
    assert told["mark"].tolist() == ["better", "untested"]
    assert compared(picked, {}, "loss")["mark"].tolist() == ["untested"] * 2
    assert compared(picked.iloc[:0], {}, "loss").empty


def test_runs_of_other_seeds_are_paired_by_device():
    tables = some_tables()
    tables["r1"] = tables["r1"].assign(seed=lambda table: table["seed"] + 10)
    told = compared(chosen(RUNS, ["r0", "r1"]), tables, "spearman").iloc[0]
    assert told["cases"] == 4
    assert told["difference"] == pytest.approx(-0.01)


def test_all_metrics_stand_side_by_side():
    told = side_by_side(chosen(RUNS, ["r0", "r4"]), some_tables(), ["spearman", "loss", "nothing"])
    assert told.index.tolist() == ["spearman", "loss"]
    assert "[" in told.loc["spearman", "run 0 r0"]
    assert told.loc["spearman", "run 2 r4"] == "0.9100"


def test_shares_stand_side_by_side_in_percent():
    runs = RUNS.assign(**{"metrics.coverage90": 0.8125})
    told = side_by_side(chosen(runs, ["r0", "r4"]), {}, ["coverage90"])
    assert told.loc["coverage90"].tolist() == ["81.2", "81.2"]


def test_courses_are_those_of_the_chosen_in_their_order():
    told = courses(some_history(), chosen(RUNS, ["r2", "r0", "r5"]), "loss")
    assert told["run"].unique().tolist() == ["run 1 r2", "run 0 r0"]
    assert len(told) == 20
    assert courses(some_history(), chosen(RUNS, ["r0"]), "a")["value"].tolist() == [1.0]
    assert course_to_show(some_history()) == "loss"
    assert course_to_show(some_history().iloc[:0]) == ""
