"""Tracked runs side by side: which to look at, in what they differ, how good each is and whether a difference is real.

``runs`` is a table with a row per run, as `workbench.tracking.read.runs` makes it: ``run_id``, ``name``,
``experiment``, ``status``, ``start``, ``duration_s`` and columns ``params.NAME``, ``metrics.NAME`` and ``tags.NAME``.
``tables`` maps a run's id to the table of results that it has logged (a row per task, device and seed), where it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from workbench.config import WorkbenchError
from workbench.insight.labels import SHARES
from workbench.insight.paired import Interval, cases, difference, interval, mark, of_main_method, sign_of

BASE = ("run_id", "name", "experiment", "status", "start", "duration_s")
PARAMS, METRICS, TAGS = "params.", "metrics.", "tags."
PREFERRED = ("spearman", "rae", "rmse", "loss")  # the metric that is shown first, if there is one
ID_LETTERS = 6  # of a run's id, where names do not tell runs apart

SCORES = ("run_id", "run", "value", "low", "high", "cases")
COMPARED = ("run", "difference", "low", "high", "mark", "cases")


def checked_runs(runs: pd.DataFrame) -> pd.DataFrame:
    """``runs`` with all columns of `BASE` (empty where they are missing) and a column ``label``: a name of its own.

    Raises:
        WorkbenchError: not a table, or rows without ``run_id``.
    """
    if not isinstance(runs, pd.DataFrame) or (len(runs) and "run_id" not in runs):
        raise WorkbenchError(
            "A comparison expects a table of runs with a column 'run_id'; "
            "pass what workbench.tracking.read.runs() gives."
        )
    runs = runs.drop_duplicates("run_id").reset_index(drop=True) if len(runs) else pd.DataFrame(columns=list(BASE))
    runs = runs.reindex(columns=list(dict.fromkeys([*BASE, *runs.columns])))
    names = runs["name"].astype(object).where(runs["name"].notna(), "unnamed").astype(str)
    ids = runs["run_id"].astype(str)
    labels = names.where(~names.duplicated(keep=False), names + " " + ids.str[:ID_LETTERS])
    return runs.assign(label=labels.where(~labels.duplicated(keep=False), names + " " + ids))


def metric_names(runs: pd.DataFrame) -> list[str]:
    """Metrics that at least one run has a number of, those of `PREFERRED` first."""
    names = [
        str(name).removeprefix(METRICS) for name in runs if str(name).startswith(METRICS) and runs[name].notna().any()
    ]
    return sorted(names, key=lambda name: (PREFERRED.index(name) if name in PREFERRED else len(PREFERRED), name))


def searchable(runs: pd.DataFrame) -> pd.Series:
    """All that can be searched for in each run, in small letters: ``name``, ``probes=10``, ``status`` and so on."""
    text = runs["label"].astype(str)
    for name in ("experiment", "status", "run_id"):
        text = text + " " + runs[name].astype(object).where(runs[name].notna(), "").astype(str)
    for column in runs:
        kind = next((kind for kind in (PARAMS, TAGS) if str(column).startswith(kind)), None)
        if kind:
            values = runs[column].astype(object)
            own = f" {str(column).removeprefix(kind)}=" + values.astype(str)
            text = text + own.where(values.notna(), "")
    return text.str.lower()


def found(runs: pd.DataFrame, text: pd.Series, contains: str) -> pd.DataFrame:
    """The rows of ``runs`` whose ``text`` (see `searchable`) has every word of ``contains``."""
    kept = np.ones(len(runs), dtype=bool)
    for word in contains.lower().split():
        kept &= text.str.contains(word, regex=False).to_numpy(bool)
    return runs[kept]


def ordered(runs: pd.DataFrame, column: str, descending: bool) -> pd.DataFrame:
    """``runs`` by ``column``: as numbers if all its values are, runs without a value last."""
    values = runs[column]
    if not pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_datetime64_any_dtype(values):
        numbers = pd.to_numeric(values, errors="coerce")
        values = numbers if numbers.notna().sum() == values.notna().sum() else values.astype(object).map(_folded)
    return runs.loc[values.sort_values(ascending=not descending, kind="stable", na_position="last").index]


def _folded(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def chosen(runs: pd.DataFrame, run_ids: Sequence[str]) -> pd.DataFrame:
    """The rows of ``run_ids``, in their order.

    Raises:
        WorkbenchError: one that is not there.
    """
    place = {run_id: row for row, run_id in enumerate(runs["run_id"])}
    for run_id in run_ids:
        if run_id not in place:
            raise WorkbenchError(f"There is no run '{run_id}' among the {len(runs)} given; choose one of them.")
    return runs.iloc[[place[run_id] for run_id in run_ids]]


def differing(runs: pd.DataFrame) -> pd.DataFrame:
    """The parameters in which ``runs`` differ: a row each, a column per run's label, "" where a run has none."""
    params = runs[[name for name in runs if str(name).startswith(PARAMS)]].astype(object)
    params = params.where(params.notna(), "")
    apart = params.columns[params.nunique() > 1]
    table = params[apart].T.set_axis(list(runs["label"]), axis=1)
    return table.rename(index=lambda name: str(name).removeprefix(PARAMS)).rename_axis("parameter").sort_index()


def scores(runs: pd.DataFrame, tables: Mapping[str, pd.DataFrame], metric: str) -> pd.DataFrame:
    """``metric`` of each run: from its table of results with a 95 % interval, else the number that was logged.

    Returns:
        Columns `SCORES`, runs that have neither left out; ``cases`` is 1 and the interval NaN for a number alone.
    """
    rows = []
    for run in runs.itertuples(index=False):
        own = _cases(tables.get(run.run_id), metric)
        told = None if own is None else interval(own)
        if told is None:
            logged = _logged(runs, run.run_id, metric)
            told = Interval(logged, np.nan, np.nan, 1) if np.isfinite(logged) else None
        if told is not None:
            rows.append((run.run_id, run.label, *told))
    return pd.DataFrame(rows, columns=list(SCORES))


def compared(runs: pd.DataFrame, tables: Mapping[str, pd.DataFrame], metric: str) -> pd.DataFrame:
    """Each run but the first against the first, on the tasks, devices and seeds that both have.

    Runs without a seed in common are paired by task and device.

    Returns:
        Columns `COMPARED`; ``mark`` is "untested" where there is no interval, see `workbench.insight.paired.mark`.
    """
    if runs.empty:
        return pd.DataFrame(columns=list(COMPARED))
    head, *others = runs.itertuples(index=False)
    first, logged = _cases(tables.get(head.run_id), metric), _logged(runs, head.run_id, metric)
    rows = []
    for run in others:
        own = _cases(tables.get(run.run_id), metric)
        told = Interval(_logged(runs, run.run_id, metric) - logged, np.nan, np.nan, 1)
        if own is not None and first is not None:
            paired = _paired(own, first)
            told = paired if paired.cases else told
        if np.isfinite(told.value):
            rows.append((run.label, told.value, told.low, told.high, mark(told, sign_of(metric)), told.cases))
    return pd.DataFrame(rows, columns=list(COMPARED))


def side_by_side(runs: pd.DataFrame, tables: Mapping[str, pd.DataFrame], metrics: Sequence[str]) -> pd.DataFrame:
    """All ``metrics`` of all runs as text, ``0.9120 [0.9030, 0.9210]``, shares in percent: a row per metric, a column
    per run's label."""
    rows = {}
    for metric in metrics:
        told = scores(runs, tables, metric).set_index("run")
        if len(told):
            share = metric in SHARES
            rows[metric] = [_shown(told.loc[label], share) if label in told.index else "" for label in runs["label"]]
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(runs["label"])).rename_axis("metric")


def courses(history: pd.DataFrame, runs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """``metric`` over the steps: columns ``run`` (its label), ``step`` and ``value``, in the order of ``runs``.

    Args:
        history: columns ``run_id``, ``metric``, ``step`` and ``value``.
        runs: those to look at.
        metric: its name.
    """
    labels = dict(zip(runs["run_id"], runs["label"], strict=True))
    own = history[(history["metric"] == metric) & history["run_id"].isin(list(labels)) & np.isfinite(history["value"])]
    order = own["run_id"].map({run_id: place for place, run_id in enumerate(labels)})
    own = own.assign(run=own["run_id"].map(labels), order=order).sort_values(["order", "step"], kind="stable")
    return own[["run", "step", "value"]].reset_index(drop=True)


def course_to_show(history: pd.DataFrame) -> str:
    """The metric whose course says most: one that most runs have, a loss if there is one; "" if there is none."""
    if history.empty:
        return ""
    counts = history.groupby("metric")["run_id"].nunique()
    return min(counts.index, key=lambda name: (-counts[name], "loss" not in name, len(name), name))


def _logged(runs: pd.DataFrame, run_id: str, metric: str) -> float:
    column = METRICS + metric
    if column not in runs:
        return np.nan
    return float(runs.loc[runs["run_id"] == run_id, column].iloc[0])


def _cases(table: pd.DataFrame | None, metric: str) -> pd.Series | None:
    """``metric`` per task, device and seed; None where the table does not say it."""
    if table is None or metric not in table or not pd.api.types.is_numeric_dtype(table[metric]):
        return None
    own = cases(of_main_method(table), metric)
    return own if len(own) else None


def _paired(own: pd.Series, other: pd.Series) -> Interval:
    told = difference(own, other)
    if told.cases:
        return told
    return difference(*(_without_seed(part) for part in (own, other)))


def _without_seed(scores: pd.Series) -> pd.Series:
    return scores.groupby(level=["task", "device"]).mean()


def _shown(row: pd.Series, share: bool) -> str:
    numbers = (row[name] for name in ("value", "low", "high"))
    value, low, high = (f"{100 * number:.1f}" if share else _rounded(number) for number in numbers)
    return f"{value} [{low}, {high}]" if np.isfinite(row["low"]) else value


def _rounded(value: float) -> str:
    """As many digits behind the point in every row of a score, which are mostly below ten."""
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.4g}"
