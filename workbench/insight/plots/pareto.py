"""The trade between latency and a second objective, over a whole space."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.insight.frames import checked
from workbench.insight.labels import axis_title, plural, quantity, safe_arch, split_unit, spoken
from workbench.insight.template import PAPER, VERMILION, blank

CLOUD_CELLS = (120, 60)
LABELS_ON_FRONT = 7


def pareto(frame: pd.DataFrame, objective: str = "parameters") -> go.Figure:
    """Predicted latency against a second objective of which more is better, with the Pareto front.

    Args:
        frame: columns ``arch``, ``predicted_ms`` and ``objective``; one row per network of the space.
        objective: a column such as ``accuracy_percent``, or ``parameters`` where the accuracy is not known.
            Its unit is read from its name.

    The whole space is drawn as a density, so that 15,625 networks cost the page 60 kB and no WebGL.

    Raises:
        WorkbenchError: a column or a number is missing.
    """
    frame = checked(frame, "Pareto", words=["arch"], positive=["predicted_ms"], numbers=[objective])
    front = pareto_front(frame["predicted_ms"].to_numpy(), frame[objective].to_numpy())
    best = frame.iloc[front]
    what = spoken(objective)
    figure = blank(
        f"{what} against predicted latency",
        f"{plural(len(best), 'network')} of {len(frame):,} offer the most for their time: "
        f"none is both faster and higher in {what.lower()}.",
        x="Predicted latency (ms)",
        y=axis_title(objective),
        height=500,
    )
    figure.add_trace(_cloud(frame, objective))
    unit = split_unit(objective)[1].replace("count", "")
    figure.add_scatter(
        x=best["predicted_ms"],
        y=best[objective],
        mode="lines+markers",
        line={"color": VERMILION, "width": 2, "shape": "hv"},
        marker={"color": VERMILION, "size": 7, "line": {"color": PAPER, "width": 1}},
        name="Pareto front",
        customdata=[
            [safe_arch(arch), quantity(value, unit)] for arch, value in zip(best["arch"], best[objective], strict=True)
        ],
        hovertemplate="<b>%{customdata[0]}</b><br>predicted %{x:.3~r} ms<br>%{customdata[1]}<extra></extra>",
    )
    _label_front(figure, best, objective)
    figure.update_xaxes(rangemode="tozero")
    if not unit:
        figure.update_yaxes(tickformat="~s")
    return figure


def pareto_front(cost: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Indices of the points that no other one matches in both, by rising ``cost``; ties go to the first.

    Args:
        cost: an `a` array, less is better.
        gain: an `a` array, more is better.
    """
    order = np.lexsort((-gain, cost))
    before = np.maximum.accumulate(np.concatenate([[-np.inf], gain[order][:-1]]))
    return order[gain[order] > before]


def _cloud(frame: pd.DataFrame, objective: str) -> go.Heatmap:
    x, y = frame["predicted_ms"].to_numpy(), frame[objective].to_numpy()
    counts, x_edges, y_edges = np.histogram2d(x, y, bins=CLOUD_CELLS)
    column = np.clip(np.searchsorted(x_edges, x, side="right") - 1, 0, CLOUD_CELLS[0] - 1)
    row = np.clip(np.searchsorted(y_edges, y, side="right") - 1, 0, CLOUD_CELLS[1] - 1)
    example = np.full(CLOUD_CELLS, "", dtype=object)
    example[column, row] = frame["arch"].map(safe_arch).to_numpy()
    shade = np.where(counts > 0, np.log10(np.maximum(counts, 1)) + 0.35, np.nan)
    text = [
        [f"{plural(int(n), 'network')}, such as {name}" if n else "" for n, name in zip(ns, names, strict=True)]
        for ns, names in zip(counts.T, example.T, strict=True)
    ]
    return go.Heatmap(
        x=(x_edges[:-1] + x_edges[1:]) / 2,
        y=(y_edges[:-1] + y_edges[1:]) / 2,
        z=np.round(shade.T, 2),
        zmin=0,
        text=text,
        hoverongaps=False,
        hovertemplate="%{text}<extra></extra>",
        colorscale=[[0, "#edf1f5"], [0.5, "#b9cbdc"], [1, "#5d84a8"]],
        showscale=False,
        name="all networks",
        showlegend=True,
    )


def _label_front(figure: go.Figure, best: pd.DataFrame, objective: str) -> None:
    """Names at points of the front that lie far enough apart for their labels not to touch."""
    at = best[["predicted_ms", objective]].to_numpy()
    span = np.ptp(at, axis=0)
    span[span == 0] = 1
    places = (at - at.min(axis=0)) / span
    chosen: list[int] = []
    for index in range(len(best) - 1, -1, -1):
        if all(np.abs(places[index] - places[other]).max() > 0.11 for other in chosen):
            chosen.append(index)
    for index in chosen[:LABELS_ON_FRONT]:
        figure.add_annotation(
            x=at[index, 0],
            y=at[index, 1],
            text=safe_arch(best["arch"].iloc[index]),
            xanchor="right",
            xshift=-8,
            yshift=9,
            showarrow=False,
            font={"size": 11, "color": VERMILION},
            bgcolor="rgba(255,255,255,0.75)",
            borderpad=1,
        )
