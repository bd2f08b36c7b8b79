"""How good it is: a method beside its floors, and a training's course."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
import plotly.graph_objects as go

from workbench.config import WorkbenchError
from workbench.insight.frames import checked
from workbench.insight.labels import log_ticks, safe, spoken
from workbench.insight.template import BLUE, COLOURS, GREY, INK, MUTED, PAPER, TOP_MARGIN, blank, dress, subplots

STANDING_OUT = 3  # source devices that have a colour of their own


class Metric(NamedTuple):
    """How a column of results is drawn: ``scale`` takes its unit to the one of the axis."""

    column: str
    title: str
    unit: str
    higher_is_better: bool
    scale: float
    digits: int


METRICS = (
    Metric("spearman", "Spearman", "rank correlation", True, 1, 3),
    Metric("rae", "RAE", "ratio", False, 1, 3),
    Metric("mdape", "Median APE", "%", False, 100, 1),
)


def floors(frame: pd.DataFrame, focus: str = "hodm") -> go.Figure:
    """A method and its floors side by side: Spearman, RAE and median APE.

    Args:
        frame: columns ``method``, ``spearman``, ``rae`` and ``mdape`` (a fraction, as in ``results.json``);
            several rows of a method (seeds, devices) become their mean with a line from the least to the
            most.
        focus: the method that is compared with the others.

    Raises:
        WorkbenchError: a column or a number is missing, or ``focus`` is not among the methods.
    """
    frame = checked(frame, "floors", words=["method"], numbers=[metric.column for metric in METRICS])
    groups = frame.groupby("method", sort=False)[[metric.column for metric in METRICS]]
    mean, least, most = groups.mean(), groups.min(), groups.max()
    if focus not in mean.index:
        raise WorkbenchError(
            f"The floors figure expects the method '{focus}' among {', '.join(map(str, mean.index))}; "
            "name another focus."
        )
    order = [focus, *mean.drop(index=focus).sort_values("rae").index]
    mean, least, most = mean.loc[order], least.loc[order], most.loc[order]
    figure = _small_multiples()
    for column, metric in enumerate(METRICS, start=1):
        values, low, high = (table[metric.column] * metric.scale for table in (mean, least, most))
        figure.add_trace(_floor_bars(values, low, high, metric, focus), 1, column)
        figure.update_xaxes(
            title_text=f"{metric.title} ({metric.unit})",
            range=[min(0.0, 1.2 * low.min()), 1.26 * max(high.max(), 1e-9)],
            nticks=5,
            row=1,
            col=column,
        )
    figure.update_annotations(font_size=13, font_color=INK)
    figure.update_yaxes(range=[len(order) - 0.5, -0.5], tickvals=list(range(len(order))), showgrid=False, ticks="")
    figure.update_yaxes(
        title_text="Method",
        ticktext=[f"<b>{safe(name)}</b>" if name == focus else safe(name) for name in order],
        row=1,
        col=1,
    )
    dress(figure, "Beside the floors", _floors_message(mean, focus), height=208 + 42 * len(order))
    return figure.update_layout(margin_t=TOP_MARGIN + 14)


def _small_multiples() -> go.Figure:
    arrows = {True: "higher is better →", False: "← lower is better"}
    return subplots(
        1,
        len(METRICS),
        shared_yaxes=True,
        horizontal_spacing=0.05,
        subplot_titles=tuple(
            f"<b>{metric.title}</b><br><span style='color:{MUTED}'>{arrows[metric.higher_is_better]}</span>"
            for metric in METRICS
        ),
    )


def _floor_bars(values: pd.Series, low: pd.Series, high: pd.Series, metric: Metric, focus: str) -> go.Bar:
    spread = bool((high > low).any())
    labels = [f"{value:.{metric.digits}f}" for value in values]
    return go.Bar(
        x=values,
        y=list(range(len(values))),
        orientation="h",
        width=0.62,
        marker={"color": [BLUE if name == focus else GREY for name in values.index], "line": {"width": 0}},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": high - values,
            "arrayminus": values - low,
            "color": INK,
            "thickness": 1.2,
            "width": 3,
        }
        if spread
        else None,
        text=[f"<b>{label}</b>" if name == focus else label for label, name in zip(labels, values.index, strict=True)],
        textposition="inside" if spread else "outside",
        insidetextanchor="start",
        textfont={"size": 12},
        insidetextfont={"color": [PAPER if name == focus else INK for name in values.index]},
        cliponaxis=False,
        customdata=[safe(name) for name in values.index],
        hovertemplate=f"<b>%{{customdata}}</b><br>{metric.title} %{{x:.{metric.digits}f}}<extra></extra>",
        showlegend=False,
    )


def _floors_message(mean: pd.DataFrame, focus: str) -> str:
    others = mean.drop(index=focus)
    if others.empty:
        return f"{safe(focus)} alone: no floor to compare with."
    best = others["rae"].idxmin()
    mine, theirs = mean.loc[focus, "rae"], others.loc[best, "rae"]
    change = 100 * (1 - mine / theirs)
    verb = f"{change:.0f} % less" if change > 0 else f"{-change:.0f} % more"
    return f"{safe(focus)}'s relative absolute error is {verb} than that of the best floor, {safe(best)}."


def training_curve(frame: pd.DataFrame) -> go.Figure:
    """The loss over the steps.

    Args:
        frame: ``step`` and one or more columns that end with ``loss`` (``loss``, ``validation_loss``), one
            line each; the axis is logarithmic once the loss falls by more than twenty times.

    Raises:
        WorkbenchError: no step or loss column, or a number is missing.
    """
    losses = [str(name) for name in getattr(frame, "columns", []) if str(name).endswith("loss")]
    frame = checked(frame, "training-curve", numbers=["step", *(losses or ["loss"])]).sort_values("step")
    values = frame[losses].to_numpy()
    logarithmic = bool(values.min() > 0 and values.max() / values.min() > 20)
    main = "validation_loss" if "validation_loss" in losses else losses[0]
    best = frame.loc[frame[main].idxmin()]
    figure = blank(
        "Training",
        f"{spoken(main)} fell from {frame[main].iloc[0]:.3g} to {best[main]:.3g}, its least, in step "
        f"{best['step']:.0f} of {frame['step'].max():,.0f}.",
        x="Training step (count)",
        y="Loss (no unit, logarithmic)" if logarithmic else "Loss (no unit)",
        height=380,
    )
    for colour, name in zip(COLOURS, losses, strict=False):
        figure.add_scatter(
            x=frame["step"], y=frame[name], mode="lines", line={"color": colour, "width": 2.2},
            name=spoken(name), showlegend=len(losses) > 1,
            hovertemplate=f"{spoken(name)} %{{y:.3~r}} in step %{{x}}<extra></extra>",
        )  # fmt: skip
    if logarithmic:
        ticks = log_ticks(values.min(), values.max())
        figure.update_yaxes(type="log", tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks])
    return figure


def validation_by_device(frame: pd.DataFrame) -> go.Figure:
    """How well held-out networks of each source device are predicted over the steps; the worst devices stand out.

    Args:
        frame: ``step`` and one column per source device: the median relative error, a share; a device of which nothing
            is known is left out.

    Raises:
        WorkbenchError: no step, no device, or a number is missing.
    """
    name = "validation-by-device"
    frame = checked(frame, name, numbers=["step"]).dropna(axis="columns", how="all").sort_values("step")
    devices = [column for column in frame.columns if column != "step"]
    if not devices:
        raise WorkbenchError(
            f"The {name} figure expects the error on at least one source device, got none; hold out more networks."
        )
    errors = 100 * checked(frame, name, numbers=devices)[devices]
    order = errors.iloc[-1].sort_values(ascending=False).index  # the worst first
    middle, worst = errors.median(axis=1), order[0]
    logarithmic = bool(errors.to_numpy().min() > 0 and errors.to_numpy().max() / errors.to_numpy().min() > 20)
    figure = blank(
        "Validation by source device",
        f"After step {frame['step'].max():,.0f} {safe(worst)} is {errors[worst].iloc[-1]:.3g} % off, the middle of all "
        f"{middle.iloc[-1]:.3g} %.",
        x="Training step (count)",
        y="Median error, held-out<br>networks (%, logarithmic)"
        if logarithmic
        else "Median error, held-out<br>networks (%)",
        height=380,
    )
    for place, device in reversed(list(enumerate(order))):
        alone = place < STANDING_OUT
        figure.add_scatter(
            x=frame["step"], y=errors[device], mode="lines", showlegend=alone or place == STANDING_OUT,
            line={"color": COLOURS[place] if alone else GREY, "width": 2.2 if alone else 1},
            name=safe(device) if alone else "other source devices",
            hovertemplate=f"<b>{safe(device)}</b><br>%{{y:.3~r}} % in step %{{x}}<extra></extra>",
        )  # fmt: skip
    if logarithmic:
        ticks = log_ticks(errors.to_numpy().min(), errors.to_numpy().max())
        figure.update_yaxes(type="log", tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks])
    return figure.update_layout(legend_traceorder="reversed")
