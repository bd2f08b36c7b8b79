"""RunComparePanel: the list can be searched and sorted, figures follow the selection, bad input is a sentence."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.insight.runs import some_history, some_runs, some_tables
from workbench.config import WorkbenchError
from workbench.insight.panels.run_compare import MOST, RunComparePanel


@pytest.fixture
def panel() -> RunComparePanel:
    return RunComparePanel(some_runs(), some_history(), some_tables())


def listed(panel: RunComparePanel) -> list[str]:
    return [value for _, value in panel.controls["selected"].options]


def rows_of(panel: RunComparePanel) -> list[str]:
    """The runs that the figure shows."""
    return [data[0] for data in panel.bars.widget.data[0].customdata]


def test_it_opens_with_the_newest_runs_side_by_side(panel):
    assert panel.message == ""
    assert panel.state == {
        "contains": "", "sort": "start", "descending": True, "metric": "spearman", "curve": "",
        "selected": ["r0", "r1", "r2"],
    }  # fmt: skip
    assert listed(panel) == [f"r{place}" for place in range(6)]
    assert rows_of(panel) == ["run 0 r0", "run 0 r1", "run 1 r2"]
    assert [trace.name for trace in panel.curves.figure.data] == rows_of(panel)
    assert "6 of 6 runs listed" in panel.listing.value
    for told in ("Spearman minus that of run 0 r0", "worse", "run 0 r1"):
        assert told in panel.differences.value
    assert ">probes<" in panel.parameters.value
    assert ">space<" not in panel.parameters.value
    assert "&lt;b&gt;" in panel.parameters.value


def test_a_selection_moves_the_figures(panel):
    panel.controls["selected"].value = ("r3", "r4")
    assert rows_of(panel) == ["run 1 r3", "run 2 r4"]
    panel.set(metric="loss")
    assert list(panel.bars.widget.data[0].x) == pytest.approx([0.08, 0.09])


def test_the_list_is_searched_and_sorted_and_keeps_what_is_selected(panel):
    panel.set(contains="probes=10")
    assert listed(panel) == ["r0", "r1", "r2", "r4"]  # r0 and r2 are selected
    assert panel.state["selected"] == ["r0", "r1", "r2"]
    assert "2 of 6 runs listed, and 2 selected ones besides" in panel.listing.value
    panel.set(contains="", sort="metrics.spearman", descending=False)
    assert listed(panel) == ["r4", "r3", "r2", "r1", "r0", "r5"]
    assert panel.state["selected"] == ["r0", "r1", "r2"]
    panel.set(contains="probes=10", selected=["r5"])  # any run may be chosen, listed or not
    assert panel.state["selected"] == ["r5"]
    assert listed(panel) == ["r4", "r1", "r5"]


def test_selecting_does_not_move_the_list(panel):
    """A person is in the middle of it."""
    panel.set(contains="probes=10")
    before = panel.controls["selected"].options
    panel.controls["selected"].value = ("r4",)
    assert panel.controls["selected"].options is before


def test_its_state_makes_the_same_panel_again(panel):
    panel.set(contains="second", sort="params.probes", metric="loss", curve="loss", selected=["r3", "r1"])
    again = RunComparePanel(some_runs(), some_history(), some_tables(), **panel.state)
    assert again.state == panel.state
    assert again.bars.figure.to_json() == panel.bars.figure.to_json()
    assert again.curves.figure.to_json() == panel.curves.figure.to_json()


def test_its_code_draws_the_same_figures(panel, monkeypatch):
    from workbench.tracking import read

    monkeypatch.setattr(read, "runs", some_runs)
    monkeypatch.setattr(read, "table", some_tables().get)
    monkeypatch.setattr(read, "history", lambda ids: some_history()[lambda table: table["run_id"].isin(ids)])
    places: dict[str, object] = {}
    exec(panel.code, places)
    told = places["figures"].run_scores(places["scores"](places["picked"], places["tables"], "spearman"), "spearman")
    assert told.to_json() == panel.bars.figure.to_json()


def test_tables_and_courses_are_fetched_once_and_only_of_what_is_selected():
    asked: list[object] = []

    def tables(run_id):
        asked.append(run_id)
        return some_tables().get(run_id)

    def histories(run_ids):
        asked.append(tuple(run_ids))
        return some_history()

    panel = RunComparePanel(some_runs(), histories, tables)
    panel.set(metric="loss")
    panel.set(selected=["r0", "r4"])
    panel.set(selected=["r0", "r1", "r2"])
    assert sorted(map(str, asked)) == sorted(map(str, ["r0", "r1", "r2", "r4", ("r0", "r1", "r2"), ("r0", "r4")]))


@pytest.mark.parametrize(
    ("runs", "sentence"),
    [
        (pd.DataFrame(), "There is no run to compare yet"),
        (some_runs().drop(columns=["metrics.spearman", "metrics.loss"]), "No run has a metric"),
        (some_runs().assign(**{"metrics.spearman": np.nan, "metrics.loss": np.nan}), "No run has a metric"),
        (some_runs().drop(columns=["params.probes", "params.space", "params.note", "start", "duration_s"]), ""),
        (some_runs(2).iloc[:1], ""),
        (some_runs().assign(name=None, status=None), ""),
    ],
)
def test_poor_tables_become_a_sentence_or_a_panel(runs, sentence):
    panel = RunComparePanel(runs)
    assert panel.message.startswith(sentence)
    assert bool(panel.message) == bool(sentence)
    panel.set(contains="nothing like this")
    assert isinstance(panel.code, str)


def test_nothing_selected_and_too_much_selected_are_told():
    panel = RunComparePanel(some_runs(40))
    panel.set(selected=[])
    assert panel.message.startswith("No run is selected")
    assert panel.bars.figure is None
    panel.set(selected=[f"r{place}" for place in range(MOST + 3)])
    assert panel.message == f"The first {MOST} of {MOST + 3} selected runs are compared; select fewer."
    assert len(rows_of(panel)) == MOST


def test_missing_metrics_courses_and_tables_that_fail_are_told(panel):
    panel.set(selected=["r0", "r5"])
    assert "run 2 r5: no spearman." in panel.message
    panel.set(selected=["r5"])
    assert "None of the selected runs has a number for spearman." in panel.message
    assert panel.bars.figure is None

    def tables(run_id):
        raise WorkbenchError(f"The table of {run_id} cannot be read; leave it out.")

    broken = RunComparePanel(some_runs(), None, tables)
    assert "The table of r0 cannot be read" in broken.message
    assert rows_of(broken) == ["run 0 r0", "run 0 r1", "run 1 r2"]


def test_a_state_that_cannot_be_is_refused(panel):
    for wrong in ({"selected": ["r9"]}, {"metric": "nothing"}, {"sort": "colour"}, {"colour": 1}):
        with pytest.raises(WorkbenchError, match="RunComparePanel"):
            panel.set(**wrong)


def test_a_thousand_runs_are_listed():
    panel = RunComparePanel(some_runs(1000), some_history(20))
    assert len(listed(panel)) == 1000
    panel.set(contains="probes=10", sort="metrics.loss")
    assert "333 of 1,000 runs listed" in panel.listing.value


def test_every_control_has_a_label(panel):
    assert all(control.description for control in panel.controls.values())
