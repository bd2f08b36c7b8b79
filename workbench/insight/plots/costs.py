"""Where a network's predicted time goes, operator by operator."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.config import WorkbenchError
from workbench.insight.frames import checked, finite
from workbench.insight.labels import milliseconds, plural, safe
from workbench.insight.template import AMBER, AXIS, BLUE, GREEN, GREY, INK, PAPER, PURPLE, SKY, TOP_MARGIN, blank

FIGURE = "operator-costs"
MOST_ROWS = 40
ROW_PIXELS = 21
LEGEND_PIXELS = 50  # from the axis down to the legend: ticks and title are between them
SLIVER = 0.015  # of the whole: less is a bar without a number
CORRECTION = "correction"
REST = "rest"
#: One colour per kind of operator in every figure; kinds that are not named here are drawn as `REST`.
KIND_COLOURS = {
    "operator": BLUE, "conv": BLUE, "pool": GREEN, "add": AMBER, "linear": PURPLE, "elementwise": SKY,
    "squeeze_excite": SKY,
}  # fmt: skip


def operator_costs(frame: pd.DataFrame, measured_ms: float | None = None) -> go.Figure:
    """A waterfall of milliseconds: every operator, the correction for the whole graph, and their sum.

    Args:
        frame: columns ``name`` and ``predicted_ms`` in the network's order; optional ``kind`` (colours the
            bars; ``correction`` marks what belongs to the graph as a whole), ``shape`` and ``bound`` (what binds
            it, both for the hover). Beyond `MOST_ROWS` rows, the cheapest operators share one bar.
        measured_ms: the network's measured latency, drawn as a line.

    Raises:
        WorkbenchError: a column or a number is missing, or ``measured_ms`` is not above zero.
    """
    frame = checked(frame, FIGURE, words=["name"], numbers=["predicted_ms"])
    if measured_ms is not None:
        finite([measured_ms], f"The {FIGURE} figure", "measured_ms", positive=True)
    if "kind" not in frame:
        frame["kind"] = np.where(frame["name"].str.contains(CORRECTION), CORRECTION, "operator")
    total = float(frame["predicted_ms"].sum())
    if not total > 0:
        raise WorkbenchError(
            f"The {FIGURE} figure expects costs that add up to more than 0 ms, got {total:g}; check the predictions."
        )
    whole = frame
    frame = _merge_kinds(_fold(frame))
    figure = blank(
        "Where the time goes",
        _message(whole, total, measured_ms),
        x="Predicted latency, added up (ms)",
        y="Operator, input to output",
        height=220 + ROW_PIXELS * (len(frame) + 1),
    )
    frame["start"] = frame["predicted_ms"].cumsum() - frame["predicted_ms"]
    frame["row"] = np.arange(len(frame))
    for kind, colour in _colours(frame).items():
        bars = frame[frame["kind"] == kind]
        seen = bars["predicted_ms"].abs().sum() >= SLIVER * total
        figure.add_trace(_bars(bars, kind, colour, total).update(showlegend=bool(seen)))
    figure.add_trace(_total(total, len(frame)))
    _cost_axes(figure, frame, max(total, measured_ms or 0.0))
    return _mark_whole(figure, measured_ms, len(frame))


def _cost_axes(figure: go.Figure, frame: pd.DataFrame, longest: float) -> None:
    labels = [*frame["name"].map(safe), "<b>the whole network</b>"]
    figure.update_yaxes(
        tickvals=np.arange(len(labels)),
        ticktext=labels,
        range=[len(labels) - 0.4, -0.6],
        showgrid=False,
        tickfont_size=11,
    )
    figure.update_xaxes(range=[min(0.0, 1.06 * frame["start"].min()), 1.22 * longest])
    # Names of operators take half of the width, so the legend needs several rows: above, they would cover the message.
    below = -LEGEND_PIXELS / (ROW_PIXELS * len(labels))
    figure.update_layout(barmode="overlay", legend={"y": below, "yanchor": "top"}, margin_t=TOP_MARGIN - 30)


def _mark_whole(figure: go.Figure, measured_ms: float | None, row: int) -> go.Figure:
    """What the whole network takes, in its bar; the measured latency across that bar and no other one's number."""
    total = figure.data[-1].x[0]
    told = {"y": row, "showarrow": False, "xanchor": "left", "xshift": 6, "font": {"size": 12, "color": INK}}
    figure.add_annotation(x=0, text=f"<b>{milliseconds(total)}</b>", **told)
    if measured_ms is None:
        return figure
    line = {"color": INK, "width": 2, "dash": "dot"}
    figure.add_shape(type="line", x0=measured_ms, x1=measured_ms, y0=row - 0.55, y1=row + 0.55, line=line)
    return figure.add_annotation(x=max(total, measured_ms), text=f"measured {milliseconds(measured_ms)}", **told)


def _message(frame: pd.DataFrame, total: float, measured_ms: float | None) -> str:
    operators = frame[frame["kind"] != CORRECTION]
    largest = operators.nlargest(3, "predicted_ms")
    share = 100 * largest["predicted_ms"].sum() / total
    told = (
        f"{milliseconds(total)} in all; the {len(largest)} costliest of {plural(len(operators), 'operator')} "
        f"make up {share:.0f} %"
    )
    return told + (f"; measured {milliseconds(measured_ms)}." if measured_ms else ".")


def _fold(frame: pd.DataFrame) -> pd.DataFrame:
    """``frame`` with the cheapest operators in one row, if it has more than `MOST_ROWS`."""
    if len(frame) <= MOST_ROWS:
        return frame
    candidates = frame[frame["kind"] != CORRECTION]
    small = candidates["predicted_ms"].abs().nsmallest(len(frame) - MOST_ROWS + 1).index
    rest = pd.DataFrame(
        {
            "name": [f"{plural(len(small), 'cheaper operator')} together"],
            "predicted_ms": [frame.loc[small, "predicted_ms"].sum()],
            "kind": [REST],
        }
    )
    kept = frame.drop(index=small)
    correction = kept["kind"] == CORRECTION
    return pd.concat([kept[~correction], rest, kept[correction]], ignore_index=True)


def _merge_kinds(frame: pd.DataFrame) -> pd.DataFrame:
    """``frame`` with all kinds that have no colour of their own as `REST`."""
    return frame.assign(kind=frame["kind"].where(frame["kind"].isin([*KIND_COLOURS, CORRECTION]), REST))


def _colours(frame: pd.DataFrame) -> dict[str, str]:
    """Kind -> colour, the costliest first; grey for the rest and the correction."""
    spent = frame.groupby("kind")["predicted_ms"].sum().sort_values(ascending=False)
    plain = {kind: KIND_COLOURS[kind] for kind in spent.index if kind in KIND_COLOURS}
    return plain | {kind: GREY for kind in (REST, CORRECTION) if kind in spent.index}


def _bars(frame: pd.DataFrame, kind: str, colour: str, total: float) -> go.Bar:
    marker: dict[str, object] = {"color": colour, "line": {"width": 0}}
    if kind == CORRECTION:
        marker["pattern"] = {"shape": "/", "fgcolor": PAPER, "bgcolor": GREY, "size": 6, "solidity": 0.3}
    return go.Bar(
        x=frame["predicted_ms"],
        y=frame["row"],
        base=frame["start"],
        orientation="h",
        width=0.72,
        name={CORRECTION: "correction", REST: "others"}.get(kind, safe(kind)),
        marker=marker,
        customdata=[
            [safe(name), f"{value:.3g} ms", f"{100 * value / total:.1f} %", fact]
            for name, value, fact in zip(frame["name"], frame["predicted_ms"], _facts(frame), strict=True)
        ],
        hovertemplate=(
            "<b>%{customdata[0]}</b><br>%{customdata[1]}, %{customdata[2]} of all%{customdata[3]}<extra></extra>"
        ),
        text=[_tag(value, total) for value in frame["predicted_ms"]],
        textposition="outside",
        textfont={"size": 11},
        cliponaxis=False,
    )


def _facts(frame: pd.DataFrame) -> list[str]:
    """What the hover adds about every row: its shapes, and what binds it."""
    facts = [""] * len(frame)
    for column, words in (("shape", "<br>{}"), ("bound", "<br>bound by {}")):
        if column in frame:
            told = ["" if pd.isna(value) else words.format(safe(value)) for value in frame[column]]
            facts = [fact + more for fact, more in zip(facts, told, strict=True)]
    return facts


def _tag(value: float, total: float) -> str:
    """The number beside a bar, left out where the bar is a sliver."""
    return f"{value:.2g}" if abs(value) >= SLIVER * total else ""


def _total(total: float, row: int) -> go.Bar:
    return go.Bar(
        x=[total],
        y=[row],
        orientation="h",
        width=0.72,
        name="sum",
        marker={"color": AXIS, "line": {"width": 0}},
        showlegend=False,
        hovertemplate=f"<b>the whole network</b><br>{milliseconds(total)}<extra></extra>",
    )
