"""Runs side by side: a metric of each with its interval, and its course over the steps."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.insight.frames import checked
from workbench.insight.labels import log_ticks, plural, safe
from workbench.insight.paired import sign_of
from workbench.insight.plots.sweeps import BRIEF, DASHES, ROW, metric_name, metric_unit, short
from workbench.insight.template import BASELINE, BLUE, COLOURS, LEGEND, MUTED, PAPER, TOP_MARGIN, blank

LEGEND_WIDTH, LEGEND_ROW = 760, 20  # pixels that names have beside each other, and of a further row of them
WIDE = 20  # the largest value over the least beyond which an axis is logarithmic


def run_scores(frame: pd.DataFrame, metric: str) -> go.Figure:
    """A metric of some runs, with 95 % intervals where the runs say how they come to it.

    Args:
        frame: columns ``run``, ``value``, ``low`` and ``high`` (NaN where there is no interval), ``cases``.
        metric: its name.

    Raises:
        WorkbenchError: a column or a value is missing.
    """
    frame = checked(frame, "run-scores", words=["run"], numbers=["value", "cases"])
    low, high = (frame[end].to_numpy(np.float64) for end in ("low", "high"))
    values = frame["value"].to_numpy()
    name = metric_name(metric)
    figure = blank(
        f"{name} of each run",
        _scores_message(frame, metric),
        x=f"{name} ({metric_unit(metric)}), with 95 % interval",
        y="Run",
        height=180 + ROW * len(frame),
    )
    figure.add_scatter(
        x=values, y=frame.index, mode="markers", showlegend=False,
        marker={"color": [BLUE if place == 0 else MUTED for place in frame.index], "size": 10,
                "line": {"color": PAPER, "width": 1}},
        error_x={"type": "data", "symmetric": False, "array": np.nan_to_num(high - values),
                 "arrayminus": np.nan_to_num(values - low), "color": MUTED, "thickness": 2, "width": 4},
        customdata=[[safe(row.run), plural(int(row.cases), "case")] for row in frame.itertuples()],
        hovertemplate=f"<b>%{{customdata[0]}}</b><br>{name} %{{x:.4~g}}<br>%{{customdata[1]}}<extra></extra>",
    )  # fmt: skip
    figure.update_layout(margin_t=TOP_MARGIN - LEGEND)
    return figure.update_yaxes(
        range=[len(frame) - 0.4, -0.6],
        tickvals=list(range(len(frame))),
        ticktext=[
            f"<b>{safe(short(run))}</b>" if place == 0 else safe(short(run)) for place, run in enumerate(frame["run"])
        ],
        showgrid=False,
    )


def _scores_message(frame: pd.DataFrame, metric: str) -> str:
    if len(frame) == 1:
        return "One run; select a second one to compare it with."
    sign = sign_of(metric)
    top = frame.loc[(frame["value"] * (sign or 1)).idxmax()]
    word = "best" if sign else "highest"
    first = f"{safe(short(top['run'], BRIEF))} is {word} with {top['value']:.4g}"
    return f"{first}; runs whose intervals overlap may differ in pairs. Blue: the reference."


def run_curves(frame: pd.DataFrame, metric: str) -> go.Figure:
    """A metric of some runs over the steps.

    Args:
        frame: columns ``run``, ``step`` and ``value``; the axis is logarithmic where all are positive and far apart.
        metric: its name.

    Raises:
        WorkbenchError: a column or a number is missing.
    """
    frame = checked(frame, "run-curves", words=["run"], numbers=["step", "value"])
    frame = frame.sort_values("step", kind="stable")
    runs = list(dict.fromkeys(frame.sort_index()["run"]))
    low, high = frame["value"].min(), frame["value"].max()
    logarithmic = bool(low > 0 and high / low > WIDE)
    name, unit = metric_name(metric), metric_unit(metric)
    last = frame.groupby("run", sort=False)["value"].last()
    figure = blank(
        f"{name} over the steps",
        _courses_message(last, sign_of(metric)),
        x="Step (count)",
        y=f"{name} ({unit}, logarithmic)" if logarithmic else f"{name} ({unit})",
        height=400,
    )
    for place, run in enumerate(runs):
        course = frame[frame["run"] == run]
        colour = COLOURS[place % len(COLOURS)]
        figure.add_scatter(
            x=course["step"], y=course["value"], mode="lines" if len(course) > 30 else "lines+markers",
            name=safe(short(run)), showlegend=True,
            line={"color": colour, "width": 2.2, "dash": DASHES[place // len(COLOURS) % len(DASHES)]},
            marker={"color": colour, "size": 6},
            hovertemplate=f"<b>{safe(run)}</b><br>{name} %{{y:.4~g}} at step %{{x}}<extra></extra>",
        )  # fmt: skip
    if logarithmic:
        ticks = log_ticks(low, high)
        figure.update_yaxes(type="log", tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks])
    abreast = max(1, LEGEND_WIDTH // (60 + 7 * max(len(short(run)) for run in runs)))
    more = LEGEND_ROW * (math.ceil(len(runs) / abreast) - 1)
    height = figure.layout.height + more
    return figure.update_layout(height=height, margin_t=TOP_MARGIN + more, title_y=1 - BASELINE / height)


def _courses_message(last: pd.Series, sign: int) -> str:
    ahead = last.idxmin() if sign < 0 else last.idxmax()
    words = "stands at" if len(last) == 1 else "is best, with" if sign else "is highest, with"
    return f"At its last step {safe(short(ahead, BRIEF))} {words} {last[ahead]:.4g}."
