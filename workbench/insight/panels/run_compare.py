"""Tracked runs in a list that can be searched and sorted; those that are selected stand side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets as widgets
import numpy as np
import pandas as pd

from workbench.config import WorkbenchError
from workbench.insight import figures
from workbench.insight.labels import SHARES, capital, heading, plural, share_title
from workbench.insight.panels.captioned import captioned, word_of
from workbench.insight.panels.panel import WHOLE_ROW, Panel
from workbench.insight.panels.slot import FigureSlot
from workbench.insight.run_comparison import (
    METRICS,
    PARAMS,
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

Histories = Callable[[Sequence[str]], pd.DataFrame] | pd.DataFrame | None
Tables = Callable[[str], pd.DataFrame | None] | Mapping[str, pd.DataFrame] | None

MOST, MOST_METRICS = 12, 40  # runs and metrics side by side that can still be told apart
FIRST = 3  # runs that are selected at first
NAME_WIDTH, ROWS = 34, 12
AUTOMATIC = ""
NOTHING = pd.DataFrame({"run_id": [], "metric": [], "step": [], "value": []}).astype({"value": "float64"})
STYLE = """<style>
.workbench-runs select { font: 12px/1.5 var(--jp-code-font-family, monospace); height: auto; }
</style>"""
CODE = """from workbench.insight import figures
from workbench.insight.run_comparison import checked_runs, chosen, compared, courses, differing, scores
from workbench.tracking import read

picked = chosen(checked_runs(read.runs()), {selected!r})
tables = {{run_id: read.table(run_id) for run_id in picked["run_id"]}}
figures.run_scores(scores(picked, tables, {metric!r}), {metric!r})
compared(picked, tables, {metric!r})
differing(picked)"""
COURSE = """
figures.run_curves(courses(read.history(list(picked["run_id"])), picked, {curve!r}), {curve!r})"""


class RunComparePanel(Panel):
    """Which runs there are, and how those that are selected differ: parameters, metrics with intervals, courses.

    The first selected run, from the top of the list, is what the others are compared with.

    Args:
        runs: a row per run, see `workbench.insight.run_comparison`.
        histories: metrics over the steps (columns ``run_id, metric, step, value``), or a function from run ids to them.
        tables: run id -> its table of results, or a function from one to the other that gives None where there is none.
        state: first values: ``contains`` (words that a listed run must have, such as ``probes=10``), ``sort`` (a column
            of ``runs``), ``descending``, ``metric``, ``curve`` (a metric, or "" for the one that says most) and
            ``selected`` (run ids).
    """

    def __init__(self, runs: pd.DataFrame, histories: Histories = None, tables: Tables = None, **state: Any) -> None:
        self.runs = checked_runs(runs)
        self._text = searchable(self.runs)
        self._histories, self._get_table = histories, tables
        self._courses: dict[tuple[str, ...], pd.DataFrame] = {}
        self._tables: dict[str, pd.DataFrame] = {}
        self._listed: tuple[object, ...] | None = None
        self._curve = ""  # the metric whose course is drawn
        metrics = metric_names(self.runs)
        kinds = (PARAMS, METRICS)
        columns = ["start", "name", "status", "experiment", "duration_s"]
        columns += [str(name) for name in self.runs if str(name).startswith(kinds)]
        controls = {
            "contains": widgets.Text(description="Show runs with", placeholder="probes=10"),
            "sort": widgets.Dropdown(description="Sort by", options=columns),
            "descending": widgets.Checkbox(
                description="Largest first", value=True
            ),
            "metric": widgets.Dropdown(description="Metric", options=metrics),
            "curve": widgets.Dropdown(
                description="Curve of", options=[("what says most", AUTOMATIC), *((name, name) for name in metrics)],
            ),
            "selected": widgets.SelectMultiple(description="Runs", rows=ROWS),
        }  # fmt: skip
        controls["selected"].layout.grid_area = WHOLE_ROW
        controls["selected"].add_class("workbench-runs")
        self.listing = widgets.HTML(layout=widgets.Layout(width="100%"))
        self.bars, self.curves = FigureSlot(), FigureSlot()
        self.differences, self.parameters, self.numbers = (
            widgets.HTML(layout=widgets.Layout(flex="1 1 0", min_width="420px", align_self="flex-start"))
            for _ in range(3)
        )
        views = [[self.listing], [self.bars], [self.differences, self.parameters], [self.curves], [self.numbers]]
        super().__init__("Which run is better?", controls, views, {"selected": self._suggested(metrics)} | state)

    @property
    def code(self) -> str:
        """Python that draws the same figures."""
        text = CODE.format(**self.state)
        return text + COURSE.format(curve=self._curve) if self._curve else text

    def update(self, state: Mapping[str, Any]) -> str | None:
        """List the runs, and compare those that are selected."""
        for view in (self.differences, self.parameters, self.numbers):
            view.value = ""
        if self.runs.empty:
            self.listing.value = ""
            raise WorkbenchError("There is no run to compare yet; run a notebook or 'workbench ablate' first.")
        self._list(state)
        if not state["selected"]:
            raise WorkbenchError("No run is selected; choose some in the list, several with Shift or Ctrl.")
        picked = chosen(self.runs, state["selected"][:MOST])
        notes = []
        if len(state["selected"]) > MOST:
            notes.append(f"The first {MOST} of {len(state['selected'])} selected runs are compared; select fewer.")
        tables = self._tables_of(picked, notes)
        self._compare(picked, tables, state["metric"], notes)
        self._draw_curves(picked, state["curve"], notes)
        if len(picked) > 1:
            self.parameters.value = captioned(
                differing(picked).reset_index(names="Parameter"), "Parameters that differ"
            )
        numbers = side_by_side(picked, tables, metric_names(picked)[:MOST_METRICS])
        self.numbers.value = captioned(
            numbers.rename(index=_titled).reset_index(names="Metric"),
            "All metrics, with 95 % intervals where there are cases",
        )
        return " ".join(notes) or None

    def _compare(self, picked: pd.DataFrame, tables: Mapping[str, pd.DataFrame], metric: str, notes: list[str]) -> None:
        told = scores(picked, tables, metric) if metric else pd.DataFrame()
        if told.empty:
            self.bars.clear()
            notes.append(f"None of the selected runs has a number for {metric}." if metric else "No run has a metric.")
            return
        self.bars.draw(figures.run_scores(told, metric))
        if len(told) < len(picked):
            missing = picked.loc[~picked["run_id"].isin(told["run_id"]), "label"]
            notes.append(f"{', '.join(missing[:3])}{' and others' if len(missing) > 3 else ''}: no {metric}.")
        if len(picked) == 1:
            return
        apart = compared(picked, tables, metric)
        digits = ("difference", "low", "high")
        apart = apart.assign(**{name: apart[name].map(_signed) for name in digits})
        self.differences.value = captioned(
            apart.rename(columns=capital), f"{heading(metric)} minus that of {picked['label'].iloc[0]}, in pairs"
        )

    def _draw_curves(self, picked: pd.DataFrame, curve: str, notes: list[str]) -> None:
        history = self._history(tuple(picked["run_id"]))
        metric = curve or course_to_show(history)
        drawn = courses(history, picked, metric)
        self._curve = metric if len(drawn) else ""
        if drawn.empty:
            self.curves.clear()
            if curve:
                notes.append(f"None of the selected runs has logged {curve} over steps.")
            return
        self.curves.draw(figures.run_curves(drawn, metric))

    def _list(self, state: Mapping[str, Any]) -> None:
        """Fill the list, unless it is as it should be: a person may be in the middle of selecting."""
        asked = tuple(state[name] for name in ("contains", "sort", "descending", "metric"))
        if asked == self._listed:
            return
        contains, sort, descending, metric = asked
        matching = found(self.runs, self._text, contains)
        kept = self.runs["run_id"].isin([*matching["run_id"], *state["selected"]])
        self._fill(ordered(self.runs[kept], sort, descending), sort, metric)
        self._listed = asked
        hidden = int(kept.sum()) - len(matching)
        told = f"{len(matching):,} of {plural(len(self.runs), 'run')} listed"
        told += f", and {plural(hidden, 'selected one')} besides" if hidden else ""
        self.listing.value = (
            f'{STYLE}<p role="status" style="margin:0">{told}. The first selected is the reference.</p>'
        )

    def _fill(self, runs: pd.DataFrame, sort: str, metric: str | None) -> None:
        control = self.controls["selected"]
        there, values = set(runs["run_id"]), control.value
        with self._silence(), control.hold_sync():
            control.options = list(zip(lines(runs, sort, metric), runs["run_id"], strict=True))
            control.value = [run_id for run_id in values if run_id in there]

    def _assign(self, values: Mapping[str, Any]) -> None:
        if "selected" in values and not self.runs.empty:  # any run may be chosen, whatever the list shows
            self._listed = None
            self._fill(self.runs, "start", None)
        super()._assign(values)

    def _suggested(self, metrics: Sequence[str]) -> list[str]:
        if self.runs.empty:
            return []
        newest = ordered(self.runs, "start", True)
        useful = newest[newest[METRICS + metrics[0]].notna()] if metrics else newest
        return [str(run_id) for run_id in useful["run_id"][:FIRST]]

    def _tables_of(self, picked: pd.DataFrame, notes: list[str]) -> dict[str, pd.DataFrame]:
        """The tables of results that there are, each fetched once."""
        for run_id in picked["run_id"]:
            if run_id in self._tables or self._get_table is None:
                continue
            try:
                get = self._get_table
                table = get(run_id) if callable(get) else get.get(run_id)
            except WorkbenchError as error:
                notes.append(str(error))
                continue
            self._tables[run_id] = pd.DataFrame() if table is None else table
        return {run_id: self._tables[run_id] for run_id in picked["run_id"] if run_id in self._tables}

    def _history(self, run_ids: tuple[str, ...]) -> pd.DataFrame:
        if self._histories is None or not run_ids:
            return NOTHING
        if isinstance(self._histories, pd.DataFrame):
            return self._histories[self._histories["run_id"].isin(run_ids)]
        if run_ids not in self._courses:
            self._courses[run_ids] = self._histories(list(run_ids))
        return self._courses[run_ids]


def lines(runs: pd.DataFrame, sort: str, metric: str | None) -> list[str]:
    """What the list says of each run: name, status, start and duration, then the metric and what it is sorted by."""
    shown = [METRICS + metric] if metric else []
    shown += [sort] if sort.startswith((PARAMS, METRICS)) and sort not in shown else []
    names = [str(name)[:NAME_WIDTH].ljust(NAME_WIDTH) for name in runs["label"]]
    starts = pd.to_datetime(runs["start"], errors="coerce", utc=True)
    parts = [
        names,
        [word_of(status).lower().ljust(9) for status in runs["status"]],
        [" " * 16 if value is pd.NaT else f"{value:%Y-%m-%d %H:%M}" for value in starts],
        [("" if value != value else f"{value:,.0f} s").rjust(9) for value in runs["duration_s"].astype("float64")],
    ]
    for column in shown:
        name = column.split(".", 1)[1]
        parts.append([f"{name}={_number(value)}" if word_of(value) else "" for value in runs[column]])
    return ["  ".join(row).rstrip().replace(" ", "\u00a0") for row in zip(*parts, strict=True)]


def _titled(metric: str) -> str:
    return share_title(metric) if metric in SHARES else heading(metric)


def _signed(value: float) -> str:
    return f"{value:+.4f}" if np.isfinite(value) else ""


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
