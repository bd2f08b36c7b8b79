"""A device's memory and arithmetic: bandwidth by working set, the roofline, the rooflines of several devices."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.config import WorkbenchError
from workbench.insight.frames import checked, finite
from workbench.insight.labels import plural, quantity, safe, spoken
from workbench.insight.template import (
    AMBER,
    BLUE,
    COLOURS,
    GREEN,
    INK,
    LEGEND,
    MUTED,
    PAPER,
    SKY,
    TOP_MARGIN,
    VERMILION,
    blank,
)

DASHES = ("solid", "dash", "dot")  # where there are more devices than colours
HEIGHT = 600  # pixels, as the device map that stands beside it
LABEL = 17  # pixels from one label to the next, so that labels of like devices do not overlap
NAMED = 4  # devices that cannot be drawn and are named; of the others the number is said


def bandwidth_sweep(frame: pd.DataFrame, caches: Mapping[str, float] | None = None) -> go.Figure:
    """Measured memory bandwidth over the size of the working set; the steps are the caches.

    Args:
        frame: columns ``working_set_kib`` and ``bandwidth_gbps``; optional ``threads``, one line each.
        caches: cache level -> its size in KiB, marked; levels that are not known are simply left out.

    Raises:
        WorkbenchError: a column or a number is missing, or a cache size is not above zero.
    """
    frame = checked(frame, "bandwidth-sweep", positive=["working_set_kib", "bandwidth_gbps"])
    caches = dict(caches or {})
    finite(list(caches.values()), "The bandwidth-sweep figure", "caches", positive=True)
    peak, floor = frame.loc[frame["bandwidth_gbps"].idxmax()], frame.loc[frame["working_set_kib"].idxmax()]
    figure = blank(
        "Memory bandwidth by working set",
        f"Up to {peak['bandwidth_gbps']:.3g} GB/s while the data fit in {_size(peak['working_set_kib'])}, "
        f"{floor['bandwidth_gbps']:.3g} GB/s at {_size(floor['working_set_kib'])}.",
        x="Working set (KiB and MiB, logarithmic)",
        y="Bandwidth (GB/s)",
    )
    threads = frame["threads"] if "threads" in frame else pd.Series(0, index=frame.index)
    for colour, (count, rows) in zip(COLOURS * 9, frame.groupby(threads), strict=False):
        rows = rows.sort_values("working_set_kib")
        figure.add_scatter(
            x=rows["working_set_kib"],
            y=rows["bandwidth_gbps"],
            mode="lines+markers",
            line={"color": colour, "width": 2.2},
            marker={"size": 6, "line": {"color": PAPER, "width": 1}},
            name=plural(int(count), "thread") if count else "measured",
            showlegend=bool(count),
            customdata=[_size(size) for size in rows["working_set_kib"]],
            hovertemplate="%{customdata}: %{y:.3~r} GB/s<extra></extra>",
        )
    smallest, largest = frame["working_set_kib"].min(), frame["working_set_kib"].max()
    for level, size in caches.items():
        if smallest < size < largest:
            figure.add_vline(size, line={"color": MUTED, "width": 1, "dash": "dot"})
            figure.add_annotation(
                x=np.log10(size), xref="x", y=1, yref="y domain", xanchor="right", yanchor="top",
                showarrow=False,
                text=f"{safe(spoken(level))} {_size(size)}", font={"size": 11, "color": MUTED}, xshift=-3,
                bgcolor="rgba(255,255,255,0.8)",
            )  # fmt: skip
    ticks = 2.0 ** np.arange(np.floor(np.log2(smallest) / 2) * 2, np.log2(largest) + 1, 2)
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=[_size(tick) for tick in ticks])
    return figure.update_yaxes(rangemode="tozero")


def _size(kib: float) -> str:
    """``1280`` -> ``"1.25 MiB"``."""
    for power, unit in ((20, "GiB"), (10, "MiB")):
        if kib >= 2**power:
            return f"{kib / 2**power:.3g} {unit}"
    return f"{kib:.3g} KiB"


def roofline(
    compute_gflops: Mapping[str, float],
    bandwidth_gbps: Mapping[str, float],
    points: pd.DataFrame | None = None,
) -> go.Figure:
    """What the device can reach at each arithmetic intensity, and where operators or networks lie under it.

    Args:
        compute_gflops: name of a ceiling (``"fp32, 2 threads"``) -> GFLOP/s.
        bandwidth_gbps: name of a slope (``"L2"``, ``"DRAM"``) -> GB/s.
        points: columns ``name``, ``intensity`` (FLOPs per byte) and ``gflops`` (GFLOP/s reached).

    Raises:
        WorkbenchError: no ceiling or no slope, or a number that is not above zero.
    """
    if not compute_gflops or not bandwidth_gbps:
        raise WorkbenchError(
            "The roofline figure expects at least one peak GFLOP/s and one bandwidth, got none; measure them first."
        )
    peaks = finite(list(compute_gflops.values()), "The roofline figure", "compute_gflops", positive=True)
    slopes = finite(list(bandwidth_gbps.values()), "The roofline figure", "bandwidth_gbps", positive=True)
    ridge = peaks.max() / slopes.min()
    left, right = min(0.05, peaks.min() / slopes.max() / 4), 8 * ridge
    lowest = left * slopes.min()
    if points is not None:
        points = checked(points, "roofline", words=["name"], positive=["intensity", "gflops"])
        left, right = min(left, points["intensity"].min() / 2), max(right, 2 * points["intensity"].max())
        lowest = min(left * slopes.min(), points["gflops"].min() / 2)
    figure = blank(
        "Roofline",
        f"Below {ridge:.3g} FLOPs per byte the slowest memory is the limit, above it the arithmetic "
        f"({quantity(1e9 * peaks.max(), 'FLOP/s')}).",
        x="Arithmetic intensity (FLOPs per byte, logarithmic)",
        y="Speed (GFLOP/s, logarithmic)",
    )
    _roofs(figure, compute_gflops, bandwidth_gbps, (left, right))
    if points is not None:
        figure.add_trace(_reached(points))
    figure.update_xaxes(type="log", dtick=1, range=np.log10([left, right]))
    return figure.update_yaxes(type="log", dtick=1, range=np.log10([lowest, 3 * peaks.max()]))


def _roofs(
    figure: go.Figure,
    compute_gflops: Mapping[str, float],
    bandwidth_gbps: Mapping[str, float],
    ends: tuple[float, float],
) -> None:
    left, right = ends
    top, steepest = max(compute_gflops.values()), max(bandwidth_gbps.values())
    for colour, (name, slope) in zip((BLUE, GREEN, AMBER, SKY) * 3, bandwidth_gbps.items(), strict=False):
        figure.add_scatter(
            x=[left, top / slope], y=[left * slope, top], mode="lines", line={"color": colour, "width": 2},
            name=f"{safe(name)} {slope:.3g} GB/s", hoverinfo="name",
        )  # fmt: skip
    for name, peak in compute_gflops.items():
        figure.add_scatter(
            x=[peak / steepest, right], y=[peak, peak], mode="lines", line={"color": INK, "width": 2},
            name=safe(name), showlegend=False, hoverinfo="name",
        )  # fmt: skip
        figure.add_annotation(
            x=np.log10(right), y=np.log10(peak), xref="x", yref="y", xanchor="right", yanchor="bottom",
            showarrow=False, text=f"{safe(name)}: {peak:.3g} GFLOP/s", font={"size": 11, "color": MUTED},
        )  # fmt: skip


def _reached(points: pd.DataFrame) -> go.Scatter:
    return go.Scatter(
        x=points["intensity"],
        y=points["gflops"],
        mode="markers",
        name="reached",
        marker={"color": VERMILION, "size": 9, "line": {"color": PAPER, "width": 1}},
        text=points["name"].map(safe),
        hovertemplate="<b>%{text}</b><br>%{x:.3~r} FLOPs per byte<br>%{y:.3~r} GFLOP/s<extra></extra>",
    )


def rooflines(devices: pd.DataFrame, points: pd.DataFrame | None = None) -> go.Figure:
    """The roofs of several devices, one line each: main memory up to the ridge, then the arithmetic.

    Args:
        devices: columns ``name``, ``gflops`` (10^9 operations/s), ``precision`` (of that peak) and ``gbps`` (10^9
            bytes/s of main memory). A device without peak or bandwidth is not drawn, but named in the subtitle.
        points: columns ``name``, ``intensity`` (FLOPs per byte) and ``gflops`` (GFLOP/s reached), such as operators.

    Raises:
        WorkbenchError: a column is missing, a number is not above zero, or no device has both peak and bandwidth.
    """
    devices = checked(devices.astype({"precision": object}), "rooflines", words=["name"])
    known = devices["gflops"].notna() & devices["gbps"].notna()
    if not known.any():
        raise WorkbenchError(
            f"The rooflines figure expects a device with a peak and a memory bandwidth, got none of "
            f"{', '.join(map(str, devices['name']))}; choose others or complete their cards."
        )
    drawn = checked(devices[known], "rooflines", words=["name", "precision"], positive=["gflops", "gbps"])
    drawn["ridge"] = drawn["gflops"] / drawn["gbps"]
    left, right = drawn["ridge"].min() / 40, drawn["ridge"].max() * 6
    lowest = left * drawn["gbps"].min()
    if points is not None:
        points = checked(points, "rooflines", words=["name"], positive=["intensity", "gflops"])
        left, right = min(left, points["intensity"].min() / 2), max(right, 2 * points["intensity"].max())
        lowest = min(left * drawn["gbps"].min(), points["gflops"].min() / 2)
    figure = blank(
        "Rooflines", _who_is_drawn(drawn, devices.loc[~known, "name"]),
        x="Arithmetic intensity (operations per byte, logarithmic)", y="Speed (10⁹ operations/s, logarithmic)",
        height=HEIGHT,
    )  # fmt: skip
    ends = np.log10([lowest, 2 * drawn["gflops"].max()])
    heights = _apart(np.log10(drawn["gflops"].to_numpy()), LABEL / (HEIGHT - 150) * (ends[1] - ends[0]))
    for place, (device, height) in enumerate(zip(drawn.to_dict("records"), heights, strict=True)):
        style = {"color": COLOURS[place % len(COLOURS)], "dash": DASHES[place // len(COLOURS) % len(DASHES)]}
        figure.add_trace(_roof_line(device, style, np.geomspace(left, right, 121)))
        figure.add_annotation(
            x=1, y=height, xref="x domain", yref="y", xanchor="left", yanchor="middle", xshift=6, showarrow=False,
            text=f"<span style='color:{style['color']}'>■</span> {_labelled(device)}", font={"size": 12, "color": INK},
        )  # fmt: skip
    if points is not None:
        figure.add_trace(_reached(points))
    longest = max(len(_labelled(device)) for device in drawn.to_dict("records"))
    top = TOP_MARGIN if points is not None else TOP_MARGIN - LEGEND
    figure.update_layout(margin_r=36 + round(6.4 * longest), margin_t=top, showlegend=points is not None)
    figure.update_xaxes(type="log", dtick=1, range=np.log10([left, right]))
    return figure.update_yaxes(type="log", dtick=1, range=ends)


def _who_is_drawn(drawn: pd.DataFrame, missing: pd.Series) -> str:
    first, last = drawn.loc[drawn["ridge"].idxmin()], drawn.loc[drawn["ridge"].idxmax()]
    message = f"{safe(first['name'])} turns from memory to arithmetic at {first['ridge']:.3g} operations per byte"
    if len(drawn) > 1:
        message += f", {safe(last['name'])} at {last['ridge']:.3g}"
    if len(missing):
        rest = len(missing) - NAMED
        names = ", ".join(map(safe, missing[:NAMED])) + (f" and {rest} more" if rest > 0 else "")
        message += f". Not drawn, since peak or bandwidth is not known: {names}"
    return message + "."


def _labelled(device: Mapping[str, object]) -> str:
    return f"{safe(device['name'])} · {safe(device['precision'])}"


def _roof_line(device: Mapping[str, object], style: Mapping[str, str], intensity: np.ndarray) -> go.Scatter:
    """Many points, so that the figures can be read anywhere on the line; the ridge is one of them."""
    gflops, gbps, ridge = (float(device[name]) for name in ("gflops", "gbps", "ridge"))  # type: ignore[arg-type]
    intensity = np.sort(np.append(intensity, ridge))
    return go.Scatter(
        x=intensity,
        y=np.minimum(gflops, intensity * gbps),
        mode="lines",
        name=safe(device["name"]),
        line={**style, "width": 2.4},
        showlegend=False,
        hovertemplate=(
            f"<b>{safe(device['name'])}</b><br>peak {gflops:,.4g} × 10⁹ op/s in {safe(device['precision'])}, "
            f"memory {gbps:,.4g} GB/s<br>ridge at {ridge:.3g} operations per byte<br>"
            "here: %{x:.3~g} operations per byte, at most %{y:,.4~r} × 10⁹ op/s<extra></extra>"
        ),
    )


def _apart(values: np.ndarray, gap: float) -> np.ndarray:
    """``values``, moved as little as needed to lie at least ``gap`` apart, in the same order."""
    order, placed = np.argsort(values, kind="stable"), values.astype(np.float64).copy()
    for _ in range(50 * len(values)):
        steps = np.diff(placed[order])
        close = steps < gap * 0.999
        if not close.any():
            break
        push = np.where(close, (gap - steps) / 2, 0)
        placed[order[:-1]] -= push
        placed[order[1:]] += push
    return placed
