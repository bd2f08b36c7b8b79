"""Operators and networks under the roofs of one machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.insight.frames import checked
from workbench.insight.labels import milliseconds, safe
from workbench.insight.plots.memory import roofline
from workbench.insight.plots.names import Place, write_name
from workbench.insight.template import BLUE, GREEN, GREY, INK, PURPLE, TOP_MARGIN, VERMILION, dress

NETWORK_COLOURS = (GREEN, BLUE, VERMILION, PURPLE)
DEVICE_SYMBOLS = ("star", "diamond", "hexagram", "cross")
SLOPE_DASHES = ("solid", "dash", "dashdot", "dot")
RING = {"size": 11, "color": GREY, "symbol": "circle-open", "line": {"width": 2}}  # in the legend
BELOW = Place("center", 0, -20, led=False)  # of a star: its name
ALIKE = 0.03
LARGEST, SMALLEST = 34, 5  # pixels, of an operator that takes all of its network's least time, and of one of no time


def network_roofline(
    operators: pd.DataFrame,
    networks: pd.DataFrame,
    compute_gflops: Mapping[str, float],
    bandwidth_gbps: Mapping[str, float],
) -> go.Figure:
    """Operators on the roofs that limit them, and below them their networks as measured.

    Args:
        operators: ``network, name, copies, intensity`` (FLOPs per byte), ``gflops`` (10^9 FLOP/s at its roof) and
            ``least_ms`` (of all copies there), which is the size of the point; one without arithmetic is left out.
        networks: ``network, device, latency_ms, least_ms, intensity`` and ``gflops`` (10^9 FLOP/s reached).
        compute_gflops, bandwidth_gbps: as for `roofline`.

    Raises:
        WorkbenchError: a column or a number is missing, or there is no roof.
    """
    who = "network-roofline"
    operators = checked(
        operators, who, words=["network", "name"], numbers=["intensity", "gflops", "copies", "least_ms"]
    )
    operators = operators.assign(
        share=operators["least_ms"] / operators.groupby("network")["least_ms"].transform("sum")
    )
    operators = operators[operators["intensity"] > 0]
    words = ["network", "device"]
    networks = checked(networks, who, words=words, positive=["latency_ms", "least_ms", "intensity", "gflops"])
    compute_gflops = _merged(compute_gflops)
    places = pd.concat([operators[["name", "intensity", "gflops"]], networks.rename(columns={"network": "name"})])
    figure = roofline(compute_gflops, bandwidth_gbps, places[["name", "intensity", "gflops"]])
    figure.data = figure.data[:-1]  # these points are drawn below, each in its own way
    slopes = [trace for trace in figure.data if trace.showlegend is not False]
    for place, trace in enumerate(slopes):
        trace.line.update(color=GREY, dash=SLOPE_DASHES[place % len(SLOPE_DASHES)], width=1.6)
    colours = dict(zip(dict.fromkeys(networks["network"]), NETWORK_COLOURS * 9, strict=False))
    for trace in (*_limited(operators, colours), *_measured(networks, colours)):
        figure.add_trace(trace)
    figure.update_annotations(yshift=LARGEST / 2 + 2)  # a ceiling's name stands above the operators that lie on it
    for row in networks.loc[networks.groupby("network", sort=False)["gflops"].idxmin()].itertuples():
        spot = np.log10([row.intensity, row.gflops])
        write_name(figure, *spot, safe(row.network), BELOW, size=12, colour=INK)
    figure.update_layout(legend_itemwidth=40, margin_t=TOP_MARGIN + 36)  # up to three rows of legend
    return dress(figure, "Roofline with operators and networks", _message(networks), height=560)


def _merged(ceilings: Mapping[str, float]) -> dict[str, float]:
    """Ceilings that lie within `ALIKE` of each other as one, so that their names do not lie upon each other."""
    found: list[tuple[list[str], float]] = []
    for name, peak in sorted(ceilings.items(), key=lambda item: -item[1]):
        if found and peak > (1 - ALIKE) * found[-1][1]:
            found[-1][0].append(name)
        else:
            found.append(([name], peak))
    return {", ".join(names): peak for names, peak in found}


def _limited(operators: pd.DataFrame, colours: Mapping[str, str]) -> Iterator[go.Scatter]:
    name = "operators (rings), in the colour of their network"
    group = "operators"
    yield go.Scatter(
        x=[None],
        y=[None],
        mode="markers",
        name=name,
        legendgroup=group,
        marker=RING,
    )
    for network, colour in reversed(colours.items()):
        rows = operators[operators["network"] == network]
        yield go.Scatter(
            x=rows["intensity"], y=rows["gflops"], mode="markers", name=name, legendgroup=group, showlegend=False,
            marker={
                "color": colour, "symbol": "circle-open", "line": {"width": 2},
                "size": SMALLEST + (LARGEST - SMALLEST) * np.sqrt(rows["share"]),
            },
            customdata=[
                [safe(row.name), int(row.copies), 100 * row.share] for row in rows.itertuples(index=False)
            ],
            hovertemplate="<b>%{customdata[0]}</b> (×%{customdata[1]}) of " + safe(network) + "<br>%{x:.3~r} FLOPs "
            "per byte, at most %{y:.3~r} GFLOP/s<br>%{customdata[2]:.0f} % of the network's least time<extra></extra>",
        )  # fmt: skip


def _measured(networks: pd.DataFrame, colours: Mapping[str, str]) -> Iterator[go.Scatter]:
    for symbol, (device, rows) in zip(DEVICE_SYMBOLS * 9, networks.groupby("device", sort=False), strict=False):
        yield go.Scatter(
            x=[None], y=[None], mode="markers", name=f"measured: {safe(device)}",
            marker={"symbol": symbol, "size": 13, "color": INK},
        )  # fmt: skip
        yield go.Scatter(
            x=rows["intensity"], y=rows["gflops"], mode="markers", showlegend=False,
            marker={
                "symbol": symbol, "size": 16, "color": [colours[name] for name in rows["network"]],
                "line": {"color": INK, "width": 1.4},
            },
            customdata=[
                [safe(row.network), milliseconds(row.latency_ms), milliseconds(row.least_ms)]
                for row in rows.itertuples()
            ],
            hovertemplate=f"<b>%{{customdata[0]}}</b> on {safe(device)}<br>%{{customdata[1]}} measured, "
            "%{customdata[2]} at the roofs of its operators<br>%{y:.3~r} GFLOP/s reached<extra></extra>",
        )  # fmt: skip


def _message(networks: pd.DataFrame) -> str:
    share = networks["least_ms"] / networks["latency_ms"]
    best = networks.loc[share.idxmax()]
    return (
        f"{safe(best['network'])} on {safe(best['device'])} takes {1 / share.max():.2g} times what the roofs of its "
        f"operators allow, the worst takes {1 / share.min():.2g} times."
    )
