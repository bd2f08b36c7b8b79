"""Probes among all networks: where they lie, what they promise, what they were worth, how devices disagree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.insight.frames import checked
from workbench.insight.labels import log_ticks, plural, safe, safe_arch
from workbench.insight.template import BLUE, GREY, INK, MUTED, PAPER, TOP_MARGIN, VERMILION, blank, dress, subplots

# From what can be told from paper to the darkest; one hue.
LATENCY_SCALE = ((0.0, "#7ab3d8"), (0.35, "#4592c4"), (0.7, "#0a4f86"), (1.0, "#06223d"))
SLOWEST = 98  # percentile of latency at which the colour ends: one slow network would leave one colour for all others
MAP_HEIGHT, CURVE_HEIGHT = 560, 400  # pixels
# Column, name, unit, and what the worst device has of it.
SCORES = (("spearman", "Spearman", "rank correlation", "min"), ("rae", "RAE", "ratio", "max"))


def architecture_map(frame: pd.DataFrame, probes: pd.DataFrame, titles: tuple[str, str], total: int) -> go.Figure:
    """Networks in the plane, coloured by their latency, with the probes among them numbered.

    The traces are the networks, the probes and the locked probes, in the order of their rows.

    Args:
        frame: networks that stand for all; columns ``arch``, ``x``, ``y`` and ``latency`` (relative to the mean).
        probes: the same columns with ``number`` and ``locked``.
        titles: what grows along x and along y.
        total: number of all networks.

    Raises:
        WorkbenchError: a column or a number is missing.
    """
    numbers = ["x", "y", "latency"]
    frame = checked(frame, "architecture-map", words=["arch"], numbers=numbers)
    probes = checked(probes, "architecture-map", words=["arch", "locked"], numbers=[*numbers, "number"])
    locked = int(probes["locked"].astype(bool).sum())
    kept = f", {locked} of them locked" if locked else ""
    figure = blank(
        "Architecture map",
        f"{plural(len(probes), 'probe')} among {plural(total, 'network')}{kept}; what lies close together is alike.",
        x=f"{titles[0]} (no unit)", y=f"{titles[1]} (no unit)", height=MAP_HEIGHT,
    )  # fmt: skip
    few = f", {len(frame):,} drawn" if len(frame) < total else ""
    figure.add_scatter(
        x=frame["x"], y=frame["y"], mode="markers", name=f"networks{few}",
        marker={
            "color": frame["latency"], "colorscale": [list(stop) for stop in LATENCY_SCALE], "size": 5, "opacity": 0.75,
            "cmin": float(frame["latency"].min()), "cmax": float(np.percentile(frame["latency"], SLOWEST)),
            "colorbar": {
                "title": {"text": "Latency of the mean source (ratio)", "side": "right", "font": {"size": 12}},
                "thickness": 12, "len": 0.9, "outlinewidth": 0,
            },
        },
        text=frame["arch"].map(safe_arch),
        hovertemplate="<b>%{text}</b><br>%{marker.color:.2f} of the mean latency<extra></extra>",
    )  # fmt: skip
    for trace in _numbered(probes, "x", "y", "%{customdata[1]:.2f} of the mean latency", "latency"):
        figure.add_trace(trace)
    return figure


def rank_disagreement(frame: pd.DataFrame, probes: pd.DataFrame, devices: int) -> go.Figure:
    """How differently the source devices rank each network, over its mean rank, with the probes numbered.

    Args:
        frame: networks that stand for all; columns ``arch``, ``rank`` (percent of the networks that are faster) and
            ``disagreement`` (its standard deviation over the source devices, in percentage points).
        probes: the same columns with ``number`` and ``locked``.
        devices: number of source devices.

    Raises:
        WorkbenchError: a column or a number is missing.
    """
    numbers = ["rank", "disagreement"]
    frame = checked(frame, "rank-disagreement", words=["arch"], numbers=numbers)
    probes = checked(probes, "rank-disagreement", words=["arch", "locked"], numbers=[*numbers, "number"])
    message = "One source device has nobody to disagree with."
    if devices > 1:
        message = (
            f"Ranks of a probe differ by {probes['disagreement'].mean():.1f} points between devices, those of any "
            f"network by {frame['disagreement'].mean():.1f}."
        )
    figure = blank(
        "Rank disagreement", message, x="Networks that are faster, mean of the sources (%)",
        y="Standard deviation over sources (points)", height=CURVE_HEIGHT,
    )  # fmt: skip
    figure.add_scatter(
        x=frame["rank"], y=frame["disagreement"], mode="markers", name="networks",
        marker={"color": GREY, "size": 4, "opacity": 0.8}, text=frame["arch"].map(safe_arch),
        hovertemplate="<b>%{text}</b><br>slower than %{x:.0f} %, ± %{y:.1f} points<extra></extra>",
    )  # fmt: skip
    for trace in _numbered(probes, "rank", "disagreement", "± %{customdata[1]:.1f} points", "disagreement"):
        figure.add_trace(trace)
    return figure.update_yaxes(rangemode="tozero")


def _numbered(probes: pd.DataFrame, x: str, y: str, told: str, value: str) -> tuple[go.Scatter, go.Scatter]:
    """The probes, and those that are locked."""
    traces = []
    for locked, name, symbol in ((False, "probe", "circle"), (True, "locked probe", "square")):
        some = probes[probes["locked"].astype(bool) == locked]
        rim = {"color": INK, "width": 2.5 if locked else 0.8}
        trace = go.Scatter(
            x=some[x], y=some[y], mode="markers+text", name=name, showlegend=True,
            text=[f"{number:.0f}" for number in some["number"]], textfont={"color": PAPER, "size": 11},
            marker={"color": VERMILION, "symbol": symbol, "size": 19, "line": rim},
            customdata=[[safe_arch(arch), amount] for arch, amount in zip(some["arch"], some[value], strict=True)],
            hovertemplate=f"<b>{name} %{{text}}: %{{customdata[0]}}</b><br>{told}<extra></extra>",
        )  # fmt: skip
        traces.append(trace)
    return traces[0], traces[1]


def expected_width(frame: pd.DataFrame, count: int) -> go.Figure:
    """How wide the 90 % intervals are to be expected over the number of probes.

    Args:
        frame: one row per number of probes, among them ``count``: ``probes``, and the width that the tenth, the half
            and nine tenths of the networks stay below, in percent of the mean latency: ``low``, ``median``, ``high``.
        count: the number of probes that is looked at.

    Raises:
        WorkbenchError: a column or a number is missing.
    """
    frame = checked(frame, "expected-width", numbers=["probes"], positive=["low", "median", "high"])
    here = frame.iloc[int((frame["probes"] - count).abs().argmin())]
    figure = blank(
        "Expected interval",
        f"With {plural(int(here['probes']), 'probe')} half of the networks get an interval narrower than "
        f"{here['median']:.0f} % of the mean latency.",
        x="Probes (count)", y="90 % interval (% of the mean latency)", height=CURVE_HEIGHT,
    )  # fmt: skip
    figure.add_scatter(
        x=[*frame["probes"], *frame["probes"][::-1]], y=[*frame["low"], *frame["high"][::-1]], mode="lines",
        fill="toself", fillcolor="rgba(0,114,178,0.22)", line_width=0, hoverinfo="skip", name="8 of 10 networks",
    )  # fmt: skip
    figure.add_scatter(
        x=frame["probes"], y=frame["median"], mode="lines+markers", name="median network",
        line={"color": BLUE, "width": 3}, marker={"color": BLUE, "size": 6},
        hovertemplate="%{x} probes<br>%{y:.1f} % of the mean latency<extra></extra>",
    )  # fmt: skip
    _mark(figure, here["probes"])
    return figure.update_yaxes(rangemode="tozero")


def left_out_curve(frame: pd.DataFrame, count: int) -> go.Figure:
    """Spearman and RAE over the number of probes where every source device plays the target once.

    Args:
        frame: one row per device and number of probes: ``device``, ``probes``, ``spearman`` and ``rae``.
        count: the number of probes that is looked at.

    Raises:
        WorkbenchError: a column or a number is missing.
    """
    frame = checked(frame, "left-out", words=["device"], numbers=["probes", "spearman", "rae"])
    figure = subplots(1, 2, horizontal_spacing=0.12)
    axes: dict[str, Any] = {axis: {"title": {"text": "Probes (count)"}} for axis in ("xaxis", "xaxis2")}
    for column, (score, name, unit, worst) in enumerate(SCORES, 1):
        table = frame.pivot(index="probes", columns="device", values=score)
        lines = [
            _devices(table, name),
            _line(table.agg(worst, axis=1), "worst device", name, VERMILION, 1.8, "dash"),
            _line(table.mean(axis=1), "mean", name, BLUE, 3, "solid"),
        ]
        for line in lines:
            figure.add_trace(line.update(showlegend=column == 1), 1, column)
        axes[f"yaxis{column}"] = {"title": {"text": f"{name} ({unit})"}}
    low, high = frame["rae"].min(), frame["rae"].max()
    if low > 0:  # one probe may err ten times as much as ten, which would flatten all others
        ticks = log_ticks(low, high) or [low]
        words = {"title": {"text": "RAE (ratio, logarithmic)"}, "ticktext": [f"{tick:g}" for tick in ticks]}
        axes["yaxis2"] = {"type": "log", "tickvals": ticks, **words}
    figure.update_layout(axes)
    counts = frame["probes"].unique()
    here = counts[np.abs(counts - count).argmin()]
    mean, least = (frame[frame["probes"] == here][["spearman", "rae"]].agg(how) for how in ("mean", "min"))
    message = (
        f"{plural(int(here), 'probe')}: Spearman {mean['spearman']:.3f} on average, {least['spearman']:.3f} on the "
        f"worst device; RAE {mean['rae']:.2f}."
    )
    dress(figure, "Each source left out once", message, height=CURVE_HEIGHT)
    _mark(figure, here)
    return figure.update_layout(margin_t=TOP_MARGIN)


def _devices(table: pd.DataFrame, score: str) -> go.Scatter:
    """All devices as one line with gaps, so that there is always one trace."""
    x = [value for _ in table for value in (*table.index, None)]
    y = [value for device in table for value in (*table[device], None)]
    names = [safe(device) for device in table for _ in range(len(table) + 1)]
    return go.Scatter(
        x=x, y=y, mode="lines", name="each device", legendgroup="each device", line={"color": GREY, "width": 0.8},
        text=names, hovertemplate=f"<b>%{{text}}</b>, %{{x}} probes<br>{score} %{{y:.3f}}<extra></extra>",
    )  # fmt: skip


def _line(values: pd.Series, label: str, score: str, colour: str, width: float, dash: str) -> go.Scatter:
    return go.Scatter(
        x=values.index, y=values, mode="lines+markers", name=label, legendgroup=label,
        line={"color": colour, "width": width, "dash": dash}, marker={"color": colour, "size": 2 * width},
        hovertemplate=f"<b>{label}</b>, %{{x}} probes<br>{score} %{{y:.3f}}<extra></extra>",
    )  # fmt: skip


def _mark(figure: go.Figure, count: float) -> None:
    figure.add_vline(float(count), line={"color": MUTED, "width": 1.4, "dash": "dot"})
