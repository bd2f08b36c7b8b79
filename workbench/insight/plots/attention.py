"""The attention map: which hardware properties each operator of a network looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.config import WorkbenchError
from workbench.insight.frames import checked, finite
from workbench.insight.labels import milliseconds, quantity, safe, split_unit, spoken
from workbench.insight.template import BLUE, FAINT, GREY, MUTED, SEQUENTIAL, TOP_MARGIN, dress, subplots

FIGURE = "attention"
MASKED_LEAK = 1e-6  # attention on a masked token beyond this is a mask that does not mask
#: Faithfulness from which a map agrees with what matters, and from which it does so in part.
AGREES, PARTLY = 0.5, 0.2
ROW_PIXELS = 19
BAR_PIXELS = 26  # from the top row to the middle of the colour bar
CAPTION = (
    "The stronger a cell's colour, the more the operator of that row looks at the property of that column; "
    "a row adds up to one. Hatched: not known of this device, so nothing can look at it."
)
HOVER = (
    "<b>%{customdata[0]}</b> looks at <b>%{customdata[1]}</b><br>attention %{z:.3f}"
    "%{customdata[2]}%{customdata[3]}<extra></extra>"
)


def attention_map(
    attention: np.ndarray,
    operators: pd.DataFrame,
    hardware: pd.DataFrame | Sequence[str],
    faithfulness: float | None = None,
) -> go.Figure:
    """Operators by hardware properties, with each operator's share of the latency beside its row.

    Args:
        attention: An `n x h` array, or `r x k x n x h` for `r` rounds of `k` heads; then a menu chooses the
            round and the head, or their mean (shown first).
        operators: `n` rows; column ``name``; optional ``predicted_ms`` (gives the share of the latency) and
            any others (``flops``, ``bytes``, ``repeat``, ...), which the hover lists with the unit in their
            name.
        hardware: `h` names, or `h` rows with the column ``name`` and optionally ``known`` (False: masked,
            drawn hatched and labelled unknown), ``value`` and ``unit``.
        faithfulness: rank correlation between the attention to a token and what deleting it does, -1 to 1.

    Raises:
        WorkbenchError: shapes that do not fit, numbers that are not finite or negative, a masked token with
            attention.
    """
    operators = checked(operators, FIGURE, words=["name"])
    hardware = hardware_rows(hardware)
    maps = _maps(attention, len(operators), len(hardware))
    known = hardware["known"].to_numpy(dtype=bool)
    _refuse_leak(maps, known)
    shares = _shares(operators)
    figure = subplots(
        1,
        1 if shares is None else 2,
        shared_yaxes=True,
        column_widths=None if shares is None else (0.86, 0.14),
        horizontal_spacing=0.015,
    )
    views = _views(maps)
    figure.add_trace(_heatmap(views[0][1], operators, hardware, shares), 1, 1)
    if not known.all():
        figure.add_trace(hatching(known, len(operators)), 1, 1)
    if shares is not None:
        figure.add_trace(_share_bars(operators, shares), 1, 2)
    height = 280 + ROW_PIXELS * len(operators)
    dress(figure, "What each operator looks at", verdict(faithfulness), height=height)
    figure.update_layout(margin_t=TOP_MARGIN + 36)
    map_axes(figure, operators, hardware, shares is not None)
    if len(views) > 1:
        _menu(figure, views)
    return figure


def hardware_rows(hardware: pd.DataFrame | Sequence[str]) -> pd.DataFrame:
    """``hardware`` as a checked table with a column ``known``."""
    if not isinstance(hardware, pd.DataFrame):
        hardware = pd.DataFrame({"name": list(hardware)})
    hardware = checked(hardware, f"{FIGURE} (hardware)", words=["name"])
    if "known" not in hardware:
        hardware["known"] = True
    return hardware


def _maps(attention: np.ndarray, n: int, h: int) -> np.ndarray:
    """``attention`` as `r x k x n x h`, checked."""
    maps = finite(attention, f"The {FIGURE} figure", "attention")
    if maps.ndim not in (2, 4) or maps.shape[-2:] != (n, h):
        raise WorkbenchError(
            f"The {FIGURE} figure expects attention of shape (n, h) or (rounds, heads, n, h) with n = {n} "
            f"operators and h = {h} hardware properties, got {maps.shape}; pass those it was made for."
        )
    if (maps < 0).any():
        raise WorkbenchError(
            f"The {FIGURE} figure expects weights of at least 0, got {maps.min():.3g}; pass them after the softmax."
        )
    return maps.reshape(-1, 1, n, h) if maps.ndim == 2 else maps


def _refuse_leak(maps: np.ndarray, known: np.ndarray) -> None:
    leak = float(np.abs(maps[..., ~known]).max(initial=0.0))
    if leak > MASKED_LEAK:
        raise WorkbenchError(
            f"The {FIGURE} figure expects no attention on unknown hardware properties, got up to {leak:.3g}; "
            "mask them before the softmax."
        )


def _views(maps: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """What the menu offers: (label, `n x h`), the mean of everything first."""
    rounds, heads = maps.shape[:2]
    if rounds == heads == 1:
        return [("the only head", maps[0, 0])]
    views = [("All rounds and heads, mean", maps.mean(axis=(0, 1)))]
    for r in range(rounds):
        if heads > 1 and rounds > 1:
            views.append((f"Round {r + 1}, mean of heads", maps[r].mean(axis=0)))
        views += [(f"Round {r + 1}, head {k + 1}", maps[r, k]) for k in range(heads)]
    return views


def _shares(operators: pd.DataFrame) -> np.ndarray | None:
    """Share of the summed latency per operator, in percent."""
    if "predicted_ms" not in operators:
        return None
    latency = finite(operators["predicted_ms"], f"The {FIGURE} figure", "predicted_ms")
    total = latency.sum()
    if not total > 0:
        raise WorkbenchError(
            f"The {FIGURE} figure expects operators whose predicted_ms add up to more than 0, got {total:g}; "
            "check the predictions."
        )
    return 100 * latency / total


def _heatmap(
    weights: np.ndarray, operators: pd.DataFrame, hardware: pd.DataFrame, shares: np.ndarray | None
) -> go.Heatmap:
    facts = _operator_facts(operators, shares)
    seen = [_hardware_facts(row) for row in hardware.to_dict("records")]
    return go.Heatmap(
        z=weights,
        x=np.arange(len(hardware)),
        y=np.arange(len(operators)),
        zmin=0,
        zmax=float(weights.max()) or 1.0,
        xgap=1,
        ygap=1,
        colorscale=[list(stop) for stop in SEQUENTIAL],
        colorbar=colour_bar("attention (share of a row)", len(operators)),
        customdata=np.array(  # Plotly would look at every cell of a list
            [
                [[safe(name), safe(target), known, fact] for target, known in seen]
                for name, fact in zip(operators["name"], facts, strict=True)
            ],
            dtype=object,
        ),
        hovertemplate=HOVER,
    )


def colour_bar(text: str, rows: int) -> dict[str, object]:
    """A horizontal colour bar above a map with ``rows`` rows; ``text`` says what it measures, with the unit."""
    return {
        "title": {"text": text, "side": "top", "font": {"size": 12, "color": MUTED}},
        "orientation": "h",
        "x": 0,
        "xanchor": "left",
        # Anchored at its bottom, a horizontal colour bar pushes the figure's title out of sight
        # (plotly.js 4.1).
        "y": 1 + BAR_PIXELS / (ROW_PIXELS * rows),
        "yanchor": "middle",
        "len": 260,
        "lenmode": "pixels",
        "thickness": 8,
        "outlinewidth": 0,
        "tickfont": {"size": 11, "color": MUTED},
        "nticks": 5,
        "ypad": 0,
        "xpad": 0,
    }


def _operator_facts(operators: pd.DataFrame, shares: np.ndarray | None) -> list[str]:
    """One hover text per operator: its part of the latency, then its physics."""
    facts = []
    for index, row in enumerate(operators.to_dict("records")):
        lines = []
        if shares is not None:
            lines.append(f"{milliseconds(row['predicted_ms'])}, {shares[index]:.1f} % of the latency")
        for field, value in row.items():
            if field in ("name", "predicted_ms") or pd.isna(value):
                continue
            stem, unit = split_unit(str(field))
            unit = "" if unit == "count" or (unit.startswith(("FLOPs", "bytes")) and stem == field) else unit
            shown = quantity(value, unit) if isinstance(value, int | float | np.number) else safe(value)
            lines.append(f"{spoken(str(field))}: {shown}")
        facts.append("".join(f"<br>{line}" for line in lines))
    return facts


def _hardware_facts(row: dict[str, object]) -> tuple[str, str]:
    name = str(row["name"])
    if not row["known"]:
        return name, "<br>unknown on this device: masked, never looked at"
    value = row.get("value")
    if value is None or pd.isna(value):
        return name, ""
    shown = quantity(float(value), str(row.get("unit") or "")) if isinstance(value, int | float) else safe(value)
    return name, f"<br>here: {shown}"


def hatching(known: np.ndarray, n: int) -> go.Bar:
    """Hatched columns of a map with ``n`` rows where its `h` properties are not ``known``."""
    masked = np.flatnonzero(~known)
    return go.Bar(
        x=masked,
        y=np.full(len(masked), n),
        base=-0.5,
        width=0.94,
        marker={
            "color": "#eef1f4",
            "line": {"width": 0},
            "pattern": {"shape": "/", "fgcolor": FAINT, "bgcolor": "#f1f3f6", "size": 6, "solidity": 0.25},
        },
        name="unknown on this device (masked)",
        hoverinfo="skip",
        showlegend=False,
    )


def _share_bars(operators: pd.DataFrame, shares: np.ndarray) -> go.Bar:
    return go.Bar(
        x=shares,
        y=np.arange(len(operators)),
        orientation="h",
        marker={"color": np.where(shares < 0, GREY, BLUE).tolist(), "line": {"width": 0}},
        customdata=[
            [safe(name), milliseconds(ms)]
            for name, ms in zip(operators["name"], operators["predicted_ms"], strict=True)
        ],
        hovertemplate="<b>%{customdata[0]}</b><br>%{customdata[1]}, %{x:.1f} % of the latency<extra></extra>",
        name="share of the latency",
        showlegend=False,
    )


def map_axes(figure: go.Figure, operators: pd.DataFrame, hardware: pd.DataFrame, shares: bool) -> None:
    """Operators from top to bottom, hardware properties from left to right; with ``shares``, bars at the right."""
    n, h = len(operators), len(hardware)
    ticks = [
        safe(name) if known else f"<i>{safe(name)} (unknown)</i>"
        for name, known in zip(hardware["name"], hardware["known"], strict=True)
    ]
    rows = {"range": [n - 0.5, -0.5], "showgrid": False, "zeroline": False}
    axes: dict[str, Any] = {
        "xaxis": {
            "title": {"text": "Hardware property"},
            "tickvals": np.arange(h),
            "ticktext": ticks,
            "tickangle": -55,
            "tickfont": {"size": 11},
            "range": [-0.5, h - 0.5],
            "showgrid": False,
        },
        "yaxis": {
            **rows,
            "title": {"text": "Operator, input to output"},
            "tickvals": np.arange(n),
            "ticktext": operators["name"].map(safe).tolist(),
            "tickfont": {"size": 11},
        },
    }
    if shares:
        axes["xaxis2"] = {"title": {"text": "Share of<br>latency (%)"}, "nticks": 4}
        axes["yaxis2"] = {**rows, "showline": False, "ticks": "", "showticklabels": False}
    figure.update_layout(axes)  # in one go: Plotly takes as long for one property as for twenty


def _menu(figure: go.Figure, views: list[tuple[str, np.ndarray]]) -> None:
    buttons = [
        {
            "label": label,
            "method": "restyle",
            "args": [{"z": [weights.tolist()], "zmax": [float(weights.max()) or 1.0]}, [0]],
        }
        for label, weights in views
    ]
    figure.update_layout(
        updatemenus=[
            {
                "buttons": buttons,
                "type": "dropdown",
                "direction": "down",
                "showactive": True,
                "x": 1,
                "xanchor": "right",
                "y": 1,
                "yanchor": "bottom",
                "pad": {"b": 10, "r": 0},
                "bgcolor": "#ffffff",
                "bordercolor": FAINT,
                "font": {"size": 12},
            }
        ]
    )


def verdict(faithfulness: float | None) -> str:
    """What the map may be trusted for, in words."""
    found = check_faithfulness(faithfulness, FIGURE)
    if found is None:
        return "Faithfulness not measured: read it as a hint, not as an explanation."
    return f"Faithfulness {found:.2f} (rank correlation with deleting a token): {agreement(found)}."


def agreement(faithfulness: float) -> str:
    """The words for a faithfulness."""
    if faithfulness >= AGREES:
        return "the map mostly agrees with what matters"
    if faithfulness >= PARTLY:
        return "the map agrees only in part with what matters"
    return "the map does not show what matters: do not trust it"


def check_faithfulness(faithfulness: float | None, figure: str) -> float | None:
    """``faithfulness``, if it can be a correlation; None for NaN."""
    if faithfulness is None or np.isnan(faithfulness):
        return None
    if not -1 <= faithfulness <= 1:
        raise WorkbenchError(
            f"The {figure} figure expects a faithfulness between -1 and 1, got {faithfulness:g}; pass a correlation."
        )
    return faithfulness
