"""Figures of what was predicted: against measurements, and as a ranking of the whole space."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.insight.frames import checked, checked_intervals, finite, one_of
from workbench.insight.labels import milliseconds, plural, safe_arch
from workbench.insight.template import BLUE, INK, MUTED, PAPER, VERMILION, blank

ROLES = ("probe", "check")
LATENCY_HOVER = (
    "<b>%{customdata[0]}</b><br>predicted %{customdata[1]}<br>90 % interval %{customdata[2]}"
    "<br>measured %{customdata[3]}<extra></extra>"
)
DRAWN_RANKS = 320  # more steps than this cannot be told apart at 900 pixels


def predicted_against_measured(frame: pd.DataFrame) -> go.Figure:
    """Predictions with their 90 % intervals over measurements, the line of equality and a 10 % band.

    Args:
        frame: columns ``arch``, ``role`` (``probe`` or ``check``), ``measured_ms``, ``predicted_ms``,
            ``low_ms`` and ``high_ms``; one row per measured network.

    Raises:
        WorkbenchError: a column or a number is missing, or an interval does not hold its prediction.
    """
    name = "predicted-against-measured"
    frame = checked(
        frame,
        name,
        words=["arch", "role"],
        positive=["measured_ms", "predicted_ms"],
        numbers=["low_ms", "high_ms"],
    )
    one_of(frame, name, "role", ROLES)
    frame = checked_intervals(frame, name)
    figure = blank(
        "Predicted against measured",
        _accuracy_message(frame),
        x="Measured latency (ms)",
        y="Predicted latency (ms)",
        height=540,
    )
    ends = frame[["measured_ms", "predicted_ms", "low_ms", "high_ms"]].to_numpy()
    margin = 0.06 * (ends.max() - ends.min()) or 0.1 * ends.max()
    low, high = max(0.0, ends.min() - margin), ends.max() + margin
    _identity(figure, low, high)
    inside = frame["measured_ms"].between(frame["low_ms"], frame["high_ms"])
    check = frame["role"] == "check"
    groups = (
        (check & inside, "check, inside its interval", BLUE, "circle"),
        (check & ~inside, "check, outside its interval", VERMILION, "square"),
        (~check, "probe (used to adapt)", INK, "diamond"),  # the few last, so that none is hidden
    )
    for rows, label, colour, symbol in groups:
        if rows.any():
            figure.add_trace(_points(frame[rows], label, colour, symbol))
    figure.update_xaxes(range=[low, high])
    figure.update_yaxes(range=[low, high])
    return figure


def _identity(figure: go.Figure, low: float, high: float) -> None:
    line = np.array([low, high])
    figure.add_scatter(
        x=[*line, *line[::-1]],
        y=[*(0.9 * line), *(1.1 * line[::-1])],
        fill="toself",
        fillcolor="rgba(90,103,117,0.22)",
        line_width=0,
        mode="lines",
        hoverinfo="skip",
        name="within 10 %",
    )
    figure.add_scatter(
        x=line,
        y=line,
        mode="lines",
        line={"color": MUTED, "width": 1.2, "dash": "dot"},
        hoverinfo="skip",
        name="equal",
    )


def _accuracy_message(frame: pd.DataFrame) -> str:
    checks = frame[frame["role"] == "check"]
    if checks.empty:
        return f"Only the {plural(len(frame), 'probe')} used to adapt: no check yet."
    near = int(((checks["predicted_ms"] / checks["measured_ms"] - 1).abs() <= 0.10).sum())
    held = int(checks["measured_ms"].between(checks["low_ms"], checks["high_ms"]).sum())
    return f"{near} of {plural(len(checks), 'check')} within 10 % of measured; the 90 % interval holds {held}."


def _points(frame: pd.DataFrame, label: str, colour: str, symbol: str) -> go.Scatter:
    return go.Scatter(
        x=frame["measured_ms"],
        y=frame["predicted_ms"],
        mode="markers",
        name=label,
        marker={"color": colour, "symbol": symbol, "size": 9, "line": {"color": PAPER, "width": 1}}
        | ({"line": {"color": colour, "width": 1.6}} if symbol.endswith("open") else {}),
        error_y={
            "type": "data",
            "symmetric": False,
            "array": frame["high_ms"] - frame["predicted_ms"],
            "arrayminus": frame["predicted_ms"] - frame["low_ms"],
            "color": colour,
            "thickness": 1.1,
            "width": 0,
        },
        opacity=0.92,
        customdata=_hover_rows(frame),
        hovertemplate=LATENCY_HOVER,
    )


def _hover_rows(frame: pd.DataFrame) -> list[list[str]]:
    columns = (frame[name] for name in ("arch", "predicted_ms", "low_ms", "high_ms", "measured_ms"))
    return [
        [
            safe_arch(arch),
            milliseconds(predicted),
            f"{milliseconds(low)} to {milliseconds(high)}",
            "not yet" if np.isnan(measured) else f"{milliseconds(measured)} ({predicted / measured - 1:+.1%})",
        ]
        for arch, predicted, low, high, measured in zip(*columns, strict=True)
    ]


def ranking(frame: pd.DataFrame) -> go.Figure:
    """All networks of the space by predicted latency, with the 90 % band, measured ones on top.

    Args:
        frame: columns ``arch``, ``predicted_ms``, ``low_ms``, ``high_ms``; optional ``measured_ms`` (NaN
            where not measured). Line and band are medians over groups of neighbours in rank when there are
            many networks.

    Raises:
        WorkbenchError: a column or a number is missing, or an interval does not hold its prediction.
    """
    name = "ranking"
    frame = checked(frame, name, words=["arch"], positive=["predicted_ms"], numbers=["low_ms", "high_ms"])
    frame = checked_intervals(frame, name).sort_values("predicted_ms", kind="stable", ignore_index=True)
    frame["rank"] = np.arange(1, len(frame) + 1)
    if "measured_ms" not in frame:
        frame["measured_ms"] = np.nan
    frame["measured_ms"] = frame["measured_ms"].astype(float)
    first, last = frame["predicted_ms"].iloc[0], frame["predicted_ms"].iloc[-1]
    figure = blank(
        f"{plural(len(frame), 'network')} in the order of predicted latency",
        f"From {milliseconds(first)} to {milliseconds(last)}: the slowest takes {last / first:.1f} times the fastest.",
        x="Rank by predicted latency (1 = fastest)",
        y="Latency (ms)",
    )
    _band(figure, frame)
    measured = frame[frame["measured_ms"].notna()]
    inside = measured["measured_ms"].between(measured["low_ms"], measured["high_ms"])
    for rows, label, colour, symbol in (
        (inside, "measured, inside its interval", INK, "circle"),
        (~inside, "measured, outside", VERMILION, "square"),
    ):
        if rows.any():
            figure.add_trace(_on_ranking(measured[rows], label, colour, symbol))
    figure.update_xaxes(range=[1 - 0.01 * len(frame), 1.01 * len(frame)], tickformat=",d")
    figure.update_yaxes(rangemode="tozero")
    return figure


def _band(figure: go.Figure, frame: pd.DataFrame) -> None:
    drawn = frame.groupby(_neighbours(len(frame)))[["rank", "predicted_ms", "low_ms", "high_ms"]].median()
    figure.add_scatter(
        x=[*drawn["rank"], *drawn["rank"][::-1]],
        y=[*drawn["high_ms"], *drawn["low_ms"][::-1]],
        fill="toself",
        fillcolor="rgba(0,114,178,0.24)",
        line_width=0,
        mode="lines",
        hoverinfo="skip",
        name="90 % interval",
    )
    figure.add_scatter(
        x=drawn["rank"],
        y=drawn["predicted_ms"],
        mode="lines",
        line={"color": BLUE, "width": 2.4},
        name="predicted",
        hovertemplate="rank %{x:,.0f}<br>predicted %{y:.3~r} ms<extra></extra>",
    )


def _neighbours(count: int) -> np.ndarray:
    """The group of each rank; small groups at both ends, where latency changes fast and the extremes lie."""
    if count <= DRAWN_RANKS:
        return np.arange(count)
    middle = (np.arange(count) + 0.5) / count
    groups = (DRAWN_RANKS * np.arccos(1 - 2 * middle) / np.pi).astype(int)
    groups[0], groups[-1] = -1, DRAWN_RANKS  # the fastest and the slowest stand for themselves
    return groups


def _on_ranking(frame: pd.DataFrame, label: str, colour: str, symbol: str) -> go.Scatter:
    finite(frame["measured_ms"], "The ranking figure", "measured_ms", positive=True)
    return go.Scatter(
        x=frame["rank"],
        y=frame["measured_ms"],
        mode="markers",
        name=label,
        marker={"color": colour, "symbol": symbol, "size": 8, "line": {"color": PAPER, "width": 1.2}},
        customdata=_hover_rows(frame),
        hovertemplate=LATENCY_HOVER,
    )
