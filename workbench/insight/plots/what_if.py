"""What another device would change: latencies before and after, and who overtakes whom."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.insight.frames import checked
from workbench.insight.labels import log_ticks, milliseconds, plural, safe_arch
from workbench.insight.template import BLUE, GREY, INK, PAPER, VERMILION, blank

ROW_PIXELS = 23
MOVED = 0.02  # of all ranks: less is not drawn as a move


def latency_change(frame: pd.DataFrame) -> go.Figure:
    """Latencies on a device as it is and after a change, with 90 % intervals, one row per network.

    Args:
        frame: columns ``arch``, ``base_ms``, ``base_low_ms``, ``base_high_ms``, ``predicted_ms``, ``low_ms`` and
            ``high_ms``; the networks are drawn in the order of ``base_ms``.

    Raises:
        WorkbenchError: a column or a number is missing.
    """
    columns = ["base_ms", "base_low_ms", "base_high_ms", "predicted_ms", "low_ms", "high_ms"]
    frame = checked(frame, "latency-change", words=["arch"], positive=columns)
    frame = frame.sort_values("base_ms", kind="stable", ignore_index=True)
    rows = np.arange(len(frame))
    figure = blank(
        "Latency, as it is and changed",
        _latency_message(frame),
        x="Latency (ms, logarithmic)",
        y="Network, fastest to slowest",
        height=190 + ROW_PIXELS * len(frame),
    )
    figure.add_trace(_spans(frame["base_low_ms"], frame["base_high_ms"], rows - 0.17, GREY))
    figure.add_trace(_spans(frame["low_ms"], frame["high_ms"], rows + 0.17, BLUE))
    points = (
        ("as it is", "base_ms", "base_low_ms", "base_high_ms", GREY, "circle", rows - 0.17),
        ("changed", "predicted_ms", "low_ms", "high_ms", BLUE, "diamond", rows + 0.17),
    )
    for label, middle, low, high, colour, symbol, places in points:
        figure.add_scatter(
            x=frame[middle], y=places, mode="markers", name=label,
            marker={"color": colour, "symbol": symbol, "size": 8, "line": {"color": PAPER, "width": 1}},
            customdata=[
                [safe_arch(arch), milliseconds(value), f"{milliseconds(least)} to {milliseconds(most)}"]
                for arch, value, least, most in zip(frame["arch"], frame[middle], frame[low], frame[high], strict=True)
            ],
            hovertemplate=f"<b>%{{customdata[0]}}</b>, {label}<br>%{{customdata[1]}}"
            "<br>90 % interval %{customdata[2]}<extra></extra>",
        )  # fmt: skip
    ends = frame[columns].to_numpy()
    low, high = ends.min() / 1.08, ends.max() * 1.08
    ticks = log_ticks(low, high)
    figure.update_xaxes(
        type="log", range=[np.log10(low), np.log10(high)], tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks]
    )
    figure.update_yaxes(
        tickvals=rows, ticktext=frame["arch"].map(safe_arch), range=[len(frame) - 0.4, -0.6], showgrid=False,
        tickfont_size=11,
    )  # fmt: skip
    return figure


def _spans(low: pd.Series, high: pd.Series, places: np.ndarray, colour: str) -> go.Scatter:
    x = [value for ends in zip(low, high, strict=True) for value in (*ends, None)]
    y = [value for place in places for value in (place, place, None)]
    return go.Scatter(
        x=x, y=y, mode="lines", line={"color": colour, "width": 3}, opacity=0.6, hoverinfo="skip", showlegend=False
    )


def _latency_message(frame: pd.DataFrame) -> str:
    ratio = frame["predicted_ms"] / frame["base_ms"]
    if (ratio == 1).all():
        return "Nothing is changed: both are the same."
    width = (frame["high_ms"] / frame["low_ms"]).median()
    return (
        f"{plural(len(frame), 'network')} take {ratio.min():.2g} to {ratio.max():.2g} times as long, in the median "
        f"{ratio.median():.2g}; the median interval spans a factor of {width:.2g}."
    )


def rank_change(frame: pd.DataFrame, spearman: float, total: int) -> go.Figure:
    """The ranking of networks on a device as it is and after a change: a slope per network.

    Args:
        frame: columns ``arch``, ``base_rank`` and ``rank``, 1 being the fastest.
        spearman: rank correlation of both rankings over all networks.
        total: how many were ranked.

    Raises:
        WorkbenchError: a column or a number is missing.
    """
    frame = checked(frame, "rank-change", words=["arch"], positive=["base_rank", "rank"])
    frame = frame.sort_values("base_rank", kind="stable", ignore_index=True)
    climbed = frame["base_rank"] - frame["rank"]
    least = max(1.0, MOVED * total)
    figure = blank(
        "The ranking, as it is and changed",
        _rank_message(climbed, spearman, least),
        y=f"Network, by its rank among {total:,} (fastest on top)",
        height=190 + ROW_PIXELS * len(frame),
    )
    groups = (
        ("stays", climbed.abs() < least, GREY, 1.2),
        ("faster than others", climbed >= least, BLUE, 2.4),
        ("slower than others", climbed <= -least, VERMILION, 2.4),
    )
    for label, there, colour, width in groups:
        figure.add_trace(_slopes(frame[there], label, colour, width))
    figure.update_xaxes(
        tickvals=[0, 1], ticktext=["as it is", "changed"], range=[-0.06, 1.06], showgrid=False,
        tickfont={"size": 13, "color": INK}, title_text="Device",
    )  # fmt: skip
    figure.update_yaxes(
        tickvals=frame["base_rank"], ticktext=frame["arch"].map(safe_arch), range=[1.03 * total, 1 - 0.03 * total],
        showgrid=False, tickfont_size=11,
    )  # fmt: skip
    return figure


def _slopes(frame: pd.DataFrame, label: str, colour: str, width: float) -> go.Scatter:
    y = [value for pair in zip(frame["base_rank"], frame["rank"], strict=True) for value in (*pair, None)]
    words = [
        text
        for arch, base, rank in zip(frame["arch"], frame["base_rank"], frame["rank"], strict=True)
        for text in (*([f"<b>{safe_arch(arch)}</b><br>rank {base:.0f} → {rank:.0f}"] * 2), "")
    ]
    return go.Scatter(
        x=[0, 1, None] * len(frame),
        y=y,
        mode="lines+markers",
        name=label,
        line={"color": colour, "width": width},
        marker={"color": colour, "size": 7, "line": {"color": PAPER, "width": 1}},
        customdata=words,
        hovertemplate="%{customdata}<extra></extra>",
        showlegend=True,
    )


def _rank_message(climbed: pd.Series, spearman: float, least: float) -> str:
    moved = int((climbed.abs() >= least).sum())
    far = int(climbed.abs().max())
    told = f"Spearman {spearman:.3f} between both; {moved} of {plural(len(climbed), 'drawn network')} move"
    return told + (f", at most {plural(far, 'place')}." if moved else ".")
