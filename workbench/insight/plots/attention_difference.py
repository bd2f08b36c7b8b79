"""Where two attention maps part: two devices with one network, or two networks on one device."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.config import WorkbenchError
from workbench.insight.frames import checked, finite, one_of
from workbench.insight.labels import safe, safe_arch
from workbench.insight.plots.attention import ROW_PIXELS, colour_bar, hatching, map_axes
from workbench.insight.template import DIVERGING, TOP_MARGIN, dress, subplots

FIGURE = "attention-difference"
#: Which of the two maps has an operator, or knows a hardware property.
WHERE = ("both", "first", "second", "neither")
ROW_SHARE = "share of a row"
MARKS = {"both": "", "first": " [A]", "second": " [B]", "neither": ""}
SLIGHT = 1e-4  # parts of the scale: maps that differ by less are alike


def attention_difference(
    maps: np.ndarray, operators: pd.DataFrame, hardware: pd.DataFrame, names: tuple[str, str], unit: str = ROW_SHARE
) -> go.Figure:
    """The first map minus the second, with what only one of them has marked ``[A]`` or ``[B]``, and what neither knows
    hatched.

    Args:
        maps: `2 x n x h` attention; rows that one map lacks are zero there.
        operators: `n` rows ``name``, optional ``shape`` and ``where`` (which of the two has it, see `WHERE`).
        hardware: `h` rows ``name``, optional ``where`` (which of the two knows it).
        names: what the two maps are of.
        unit: of the maps.

    Raises:
        WorkbenchError: shapes that do not fit, numbers that are not finite.
    """
    operators, hardware = _rows(operators, "operators"), _rows(hardware, "hardware")
    maps = finite(maps, f"The {FIGURE} figure", "maps")
    expected = (2, len(operators), len(hardware))
    if maps.shape != expected:
        raise WorkbenchError(
            f"The {FIGURE} figure expects two maps of {expected[1]} operators and {expected[2]} hardware properties, "
            f"shape {expected}, got {maps.shape}; match them first."
        )
    figure = subplots(1, 1)
    known = (hardware["where"] != "neither").to_numpy(dtype=bool)
    figure.add_trace(_heatmap(maps, operators, hardware, names, unit), 1, 1)
    figure.add_trace(hatching(known, len(operators)), 1, 1)  # pale would say that both look alike
    message = _message(maps, hardware, names, unit)
    dress(figure, "Where attention differs", message, height=280 + ROW_PIXELS * len(operators))
    figure.update_layout(margin_t=TOP_MARGIN + 36)
    labels = [rows.assign(name=rows["name"] + rows["where"].map(MARKS)) for rows in (operators, hardware)]
    map_axes(figure, labels[0], labels[1].assign(known=known), shares=False)
    return figure


def _rows(frame: pd.DataFrame, what: str) -> pd.DataFrame:
    frame = checked(frame, f"{FIGURE} ({what})", words=["name"])
    frame = frame if "where" in frame else frame.assign(where="both")
    one_of(frame, f"{FIGURE} ({what})", "where", WHERE)
    return frame


def _heatmap(
    maps: np.ndarray, operators: pd.DataFrame, hardware: pd.DataFrame, names: tuple[str, str], unit: str
) -> go.Heatmap:
    difference = maps[0] - maps[1]
    largest = float(np.abs(difference).max()) or 1.0
    told = {"both": "", "first": f"only in {names[0]}", "second": f"only in {names[1]}", "neither": ""}
    knows = {"both": "", "first": f"known of {names[0]} only", "second": f"known of {names[1]} only"}
    knows["neither"] = "known of neither"
    shapes = operators["shape"] if "shape" in operators else [""] * len(operators)
    rows = [
        "".join(f"<br>{safe(part)}" for part in (shape, told[where]) if part)
        for shape, where in zip(shapes, operators["where"], strict=True)
    ]
    columns = [f"<br>{safe(knows[where])}" if knows[where] else "" for where in hardware["where"]]
    return go.Heatmap(
        z=difference,
        x=np.arange(len(hardware)),
        y=np.arange(len(operators)),
        zmin=-largest,
        zmax=largest,
        xgap=1,
        ygap=1,
        colorscale=[list(stop) for stop in DIVERGING],
        colorbar=colour_bar(f"A − B ({unit})", len(operators)),
        customdata=np.array(  # Plotly would look at every cell of a list
            [
                [
                    [f"<b>{safe(name)}</b> at <b>{safe(token)}</b>", row + column, f"{one:.3g}", f"{other:.3g}"]
                    for token, column, one, other in zip(hardware["name"], columns, ones, others, strict=True)
                ]
                for name, row, ones, others in zip(operators["name"], rows, *maps, strict=True)
            ],
            dtype=object,
        ),
        hovertemplate=(
            f"%{{customdata[0]}}%{{customdata[1]}}<br>A, {safe(names[0])}: %{{customdata[2]}}"
            f"<br>B, {safe(names[1])}: %{{customdata[3]}}<br>{safe(unit)}<extra></extra>"
        ),
    )


def _message(maps: np.ndarray, hardware: pd.DataFrame, names: tuple[str, str], unit: str) -> str:
    apart = np.abs(maps[0] - maps[1])
    if apart.max() <= SLIGHT * max(np.abs(maps).max(), np.finfo(float).tiny):
        return f"Both look at the same properties to the same extent ({unit})."
    place = safe(hardware["name"].iloc[int(apart.sum(axis=0).argmax())])
    first, second = (safe_arch(name) for name in names)
    return f"Orange: A, {first}, looks more; blue: B, {second}. Most at {place}."
