"""How well an unseen device is predicted: with how many measurements, and for which of its networks."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.config import WorkbenchError
from workbench.insight.frames import checked, checked_intervals
from workbench.insight.labels import log_ticks, plural, safe
from workbench.insight.template import (
    AXIS,
    BLUE,
    COLOURS,
    GREEN,
    GREY,
    INK,
    MUTED,
    PAPER,
    TOP_MARGIN,
    VERMILION,
    dress,
    subplots,
)

NOMINAL, ACCEPTED = 90.0, (85.0, 95.0)  # coverage of the intervals, in percent
DASHES = ("solid", "dash", "dot", "dashdot")
WIDE = 5  # the largest error over the least beyond which the axis is logarithmic
FEWEST = 5  # networks per part of the latencies: quartiles of fewer say nothing


class Panel(NamedTuple):
    """A column of results over the number of probes: ``scale`` takes its unit to that of the axis."""

    column: str
    title: str
    unit: str
    hint: str
    scale: float
    digits: int


PANELS = (
    Panel("spearman", "Spearman", "rank correlation", "higher is better →", 1, 3),
    Panel("rae", "RAE", "ratio", "← lower is better", 1, 3),
    Panel("coverage90", "Coverage", "% of latencies", "in the band is right", 100, 1),
)


def learning_curve(frame: pd.DataFrame, focus: str = "hodm") -> go.Figure:
    """A method and its floors over the number of measurements: Spearman, RAE and coverage of the 90 % intervals.

    Args:
        frame: columns ``method``, ``probes``, ``spearman``, ``rae`` and ``coverage90`` (a fraction, as in
            ``results.json``); several rows of a method and a number of probes (seeds, devices) become their mean, for
            ``focus`` with a band from the least to the most.
        focus: the method that is compared with the others.

    Raises:
        WorkbenchError: a column or a number is missing, or ``focus`` is not among the methods.
    """
    columns = [panel.column for panel in PANELS]
    frame = checked(frame, "learning-curve", words=["method"], numbers=["probes", *columns])
    methods = [focus, *(name for name in frame["method"].unique() if name != focus)]
    if focus not in set(frame["method"]):
        raise WorkbenchError(
            f"The learning-curve figure expects the method '{focus}' among {', '.join(methods[1:])}; "
            "name another focus."
        )
    groups = frame.groupby(["method", "probes"])[columns]
    mean, least, most = groups.mean(), groups.min(), groups.max()
    figure = subplots(
        1,
        len(PANELS),
        horizontal_spacing=0.085,
        subplot_titles=tuple(
            f"<b>{panel.title}</b><br><span style='color:{MUTED}'>{panel.hint.translate(VERTICAL)}</span>"
            for panel in PANELS
        ),
    )
    for column, panel in enumerate(PANELS, start=1):
        low, high, middle = (panel.scale * table[panel.column] for table in (least, most, mean))
        if (high.loc[focus] > low.loc[focus]).any():
            figure.add_trace(_range(low.loc[focus], high.loc[focus]), 1, column)
        for place, method in reversed(list(enumerate(methods))):  # the focus lies on top
            figure.add_trace(_course(middle.loc[method], method, place, panel, column == 1), 1, column)
        figure.update_yaxes(title_text=f"{panel.title} ({panel.unit})", title_standoff=4, row=1, col=column)
    _errors_in_logarithms(figure, mean["rae"])
    _coverage_band(figure, mean["coverage90"])
    counts = sorted(frame["probes"].unique())
    margin = 0.05 * (counts[-1] - counts[0]) or 1
    figure.update_xaxes(
        title_text="Measurements (count)", tickvals=counts, range=[counts[0] - margin, counts[-1] + margin]
    )
    figure.update_annotations(selector={"yref": "paper"}, font_size=13, font_color=INK)
    dress(figure, "With how many measurements", _learning_message(mean["rae"], focus), height=430)
    return figure.update_layout(margin_t=TOP_MARGIN + 48, legend={"y": 1.16, "traceorder": "reversed"})


#: Arrows beside a panel's title point along its axis, which is vertical here.
VERTICAL = str.maketrans({"→": "↑", "←": "↓"})


def _course(values: pd.Series, method: str, place: int, panel: Panel, legend: bool) -> go.Scatter:
    colour = COLOURS[place % len(COLOURS)]
    return go.Scatter(
        x=values.index,
        y=values,
        mode="lines+markers",
        name=f"<b>{safe(method)}</b>" if place == 0 else safe(method),
        legendgroup=method,
        showlegend=legend,
        line={"color": colour, "width": 3 if place == 0 else 1.6, "dash": DASHES[place % len(DASHES)]},
        marker={"color": colour, "size": 8 if place == 0 else 6, "line": {"color": PAPER, "width": 1}},
        hovertemplate=f"<b>{safe(method)}</b>, %{{x}} measurements<br>{panel.title} %{{y:.{panel.digits}f}}"
        "<extra></extra>",
    )


def _range(low: pd.Series, high: pd.Series) -> go.Scatter:
    return go.Scatter(
        x=[*low.index, *high.index[::-1]],
        y=[*low, *high[::-1]],
        fill="toself",
        fillcolor="rgba(0,114,178,0.22)",
        line_width=0,
        mode="lines",
        hoverinfo="skip",
        showlegend=False,
    )


def _errors_in_logarithms(figure: go.Figure, rae: pd.Series) -> None:
    """Without a measurement the error may be ten times as large, which would flatten all others."""
    low, high = rae.min(), rae.max()
    if low > 0 and high / low > WIDE:
        ticks = log_ticks(low, high)
        words = {"title_text": "RAE (ratio, logarithmic)", "ticktext": [f"{tick:g}" for tick in ticks]}
        figure.update_yaxes(type="log", tickvals=ticks, **words, row=1, col=2)


def _coverage_band(figure: go.Figure, coverage: pd.Series) -> None:
    last = len(PANELS)
    figure.add_hrect(*ACCEPTED, row=1, col=last, fillcolor=GREY, opacity=0.16, line_width=0)
    figure.add_hline(NOMINAL, row=1, col=last, line={"color": MUTED, "width": 1, "dash": "dot"})
    figure.update_yaxes(range=[min(ACCEPTED[0] - 5, 100 * coverage.min() - 3), 101], row=1, col=last)


def _learning_message(rae: pd.Series, focus: str) -> str:
    most = int(rae.loc[focus].index.max())
    there = rae[rae.index.get_level_values("probes") == most].droplevel("probes")
    mine, others = there[focus], there.drop(index=focus)
    told = f"With {plural(most, 'measurement')} {safe(focus)} errs by {mine:.2f} of the spread (RAE)"
    return told + (f"; the best floor, {safe(others.idxmin())}, by {others.min():.2f}." if len(others) else ".")


def error_by_quantile(frame: pd.DataFrame, parts: int = 10) -> go.Figure:
    """Where on the scale of latencies a prediction is wrong: relative error and coverage, from fast networks to slow.

    Args:
        frame: columns ``measured_ms``, ``predicted_ms``, ``low_ms`` and ``high_ms``; one row per test network.
        parts: equally many networks in each; fewer parts where one would hold less than `FEWEST`.

    Raises:
        WorkbenchError: a column or a number is missing, or an interval does not hold its prediction.
    """
    name = "error-by-quantile"
    frame = checked(frame, name, positive=["measured_ms", "predicted_ms"], numbers=["low_ms", "high_ms"])
    frame = checked_intervals(frame, name).sort_values("measured_ms", kind="stable", ignore_index=True)
    table = _by_part(frame, max(1, min(parts, len(frame) // FEWEST)))
    figure = subplots(2, 1, shared_xaxes=True, vertical_spacing=0.07, row_heights=(0.66, 0.34))
    place = list(range(len(table)))
    for low, high, width, colour, label in (
        (5, 95, 2, GREY, "nine tenths of the networks"),
        (25, 75, 9, BLUE, "half of the networks"),
    ):
        figure.add_trace(_spans(table[low], table[high], width, colour, label), 1, 1)
    figure.add_scatter(
        x=place, y=table[50], mode="markers", name="median",
        marker={"color": PAPER, "size": 9, "symbol": "circle", "line": {"color": INK, "width": 2}},
        customdata=table[["range", "networks"]], row=1, col=1,
        hovertemplate="<b>%{customdata[0]}</b>, %{customdata[1]} networks<br>median error %{y:+.1f} %<extra></extra>",
    )  # fmt: skip
    figure.add_bar(
        x=place, y=table["coverage"], width=0.62, showlegend=False,
        marker={"color": np.where(table["coverage"] < ACCEPTED[0], VERMILION, GREY), "line": {"width": 0}},
        customdata=table["range"], row=2, col=1,
        hovertemplate="<b>%{customdata}</b><br>%{y:.0f} % inside their interval<extra></extra>",
    )  # fmt: skip
    figure.add_shape(**_level(0, ""), line={"color": AXIS, "width": 1})
    figure.add_shape(**_level(NOMINAL, "2"), line={"color": GREEN, "width": 1.4, "dash": "dot"})
    told = f"Measured latency (ms), {plural(len(frame), 'network')} in {plural(len(table), 'equal part')}"
    figure.update_layout(
        xaxis={"tickvals": place, "showgrid": False},
        xaxis2={"tickvals": place, "showgrid": False, "title": {"text": told}, "ticktext": table["range"].tolist()},
        yaxis={"title": {"text": "Relative error (%)"}},
        yaxis2={"title": {"text": "Coverage (%)"}, "range": [0, 100], "tickvals": [0, 50, 90]},
    )
    return dress(figure, "Error by latency", _quantile_message(table, frame), height=520)


def _level(height: float, axis: str) -> dict[str, Any]:
    """A line across the plot with this number at ``height``."""
    return {"type": "line", "x0": 0, "x1": 1, "y0": height, "y1": height, "xref": f"x{axis} domain", "yref": f"y{axis}"}


def _by_part(frame: pd.DataFrame, parts: int) -> pd.DataFrame:
    """One row per part: percentiles of the relative error in percent, coverage in percent, range, networks."""
    measured, predicted, low, high = (
        frame[name].to_numpy() for name in ("measured_ms", "predicted_ms", "low_ms", "high_ms")
    )
    error, inside = 100 * (predicted / measured - 1), (low <= measured) & (measured <= high)
    rows = []
    for part in np.array_split(np.arange(len(frame)), parts):
        percentiles = dict(zip((5, 25, 50, 75, 95), np.percentile(error[part], (5, 25, 50, 75, 95)), strict=True))
        told = {"range": "–".join(f"{end:#.3g}".rstrip(".") for end in measured[part[[0, -1]]]), "networks": len(part)}
        rows.append({**percentiles, **told, "coverage": 100 * inside[part].mean()})
    return pd.DataFrame(rows)


def _spans(low: pd.Series, high: pd.Series, width: float, colour: str, label: str) -> go.Scatter:
    x = [value for place in range(len(low)) for value in (place, place, None)]
    y = [value for ends in zip(low, high, strict=True) for value in (*ends, None)]
    return go.Scatter(x=x, y=y, mode="lines", line={"color": colour, "width": width}, name=label, hoverinfo="skip")


def _quantile_message(table: pd.DataFrame, frame: pd.DataFrame) -> str:
    worst = table.loc[table[50].abs().idxmax()]
    held = 100 * frame["measured_ms"].between(frame["low_ms"], frame["high_ms"]).mean()
    return (
        f"The median error is largest, {worst[50]:+.1f} %, among networks of {worst['range']} ms; "
        f"intervals hold {held:.0f} % of all."
    )
