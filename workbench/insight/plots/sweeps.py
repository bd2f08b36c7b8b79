"""What a sweep says: the effect of each factor with its interval, and which configurations are apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.config import WorkbenchError
from workbench.insight.frames import checked
from workbench.insight.labels import METRIC_NAMES, plural, safe, split_unit, spoken
from workbench.insight.paired import BETTER, HIGHER, LOWER, NOISE, UNTESTED, WORSE
from workbench.insight.template import AXIS, BLUE, COLOURS, FAINT, GREY, INK, MUTED, PAPER, SKY, VERMILION, blank

MOST_EFFECTS, MOST_RANKED = 40, 30  # rows that can still be read
ROW = 30  # pixels
WIDE = 10  # the largest level over the least from which the axis is logarithmic
DASHES = ("solid", "dash", "dot", "dashdot")
LONGEST, BRIEF = 44, 28  # characters of a name beside a row, and within a sentence

#: Mark of a difference -> colour and symbol, so that it is told without colours, too.
MARKS = {
    BETTER: (BLUE, "circle"),
    WORSE: (VERMILION, "square"),
    HIGHER: (BLUE, "circle"),
    LOWER: (VERMILION, "square"),
    NOISE: (GREY, "circle-open"),
    UNTESTED: (GREY, "x-thin-open"),
}
#: Units of metrics, where the name does not say it.
UNITS = {
    "spearman": "rank correlation", "kendall": "rank correlation", "rae": "ratio", "mape": "fraction",
    "mdape": "fraction", "acc5": "fraction", "acc10": "fraction", "coverage90": "fraction", "width90": "fraction",
    "seconds": "s",
}  # fmt: skip
#: Factors that count something.
COUNTED = ("probes", "samples", "source_samples", "source_devices", "steps", "rounds", "heads", "width", "devices")


def metric_name(metric: str) -> str:
    """``"mdape"`` -> ``"Median APE"``."""
    return METRIC_NAMES.get(metric, safe(spoken(metric)))


def metric_unit(metric: str) -> str:
    """``"pretrain_s"`` -> ``"s"``; a metric without a unit says so."""
    return UNITS.get(metric) or split_unit(metric)[1] or "no unit"


def short(text: str, longest: int = LONGEST) -> str:
    """``text`` with its middle left out if it is too long for a label."""
    text, half = str(text), longest // 2
    return text if len(text) <= longest else f"{text[: half - 1]}…{text[-half:]}"


def factor_effects(frame: pd.DataFrame, metric: str) -> go.Figure:
    """The effect of each level of each factor against its reference, with 95 % intervals.

    Args:
        frame: columns ``factor``, ``level``, ``reference``, ``difference``, ``low``, ``high`` (NaN where there is no
            interval) and ``mark``, see `MARKS`; the largest differences if there are more than `MOST_EFFECTS`.
        metric: what the differences are of.

    Raises:
        WorkbenchError: a column or a difference is missing, or a mark is unknown.
    """
    name = "factor-effects"
    frame = checked(frame, name, words=["factor", "level", "reference", "mark"], numbers=["difference"])
    strange = sorted(set(frame["mark"]) - set(MARKS))
    if strange:
        raise WorkbenchError(f"The {name} figure expects a mark of {', '.join(MARKS)}, got '{strange[0]}'; correct it.")
    kept = frame["difference"].abs().sort_values(kind="stable").index[-MOST_EFFECTS:]
    frame = frame.loc[sorted(kept)].reset_index(drop=True)
    figure = blank(
        "Effect of each factor",
        _effects_message(frame),
        x=f"Difference in {metric_name(metric)} to the reference ({metric_unit(metric)})",
        y="Factor: level",
        height=180 + ROW * len(frame),
    )
    figure.add_vline(0, line={"color": AXIS, "width": 1.4})
    for kind in MARKS:
        rows = frame[frame["mark"] == kind]
        if len(rows):
            figure.add_trace(_effect_points(rows, kind))
    figure.update_yaxes(
        range=[len(frame) - 0.4, -0.6],
        tickvals=list(range(len(frame))),
        ticktext=[f"{safe(short(row.factor))}: <b>{safe(short(row.level))}</b>" for row in frame.itertuples()],
        showgrid=False,
    )
    for place in np.flatnonzero(frame["factor"].to_numpy()[1:] != frame["factor"].to_numpy()[:-1]):
        figure.add_hline(float(place) + 0.5, line={"color": FAINT, "width": 1, "dash": "dot"})
    return figure


def _effect_points(rows: pd.DataFrame, kind: str) -> go.Scatter:
    colour, symbol = MARKS[kind]
    low, high = (rows[end].to_numpy(np.float64) for end in ("low", "high"))
    middle = rows["difference"].to_numpy()
    told = [
        [safe(row.factor), safe(row.level), safe(row.reference), _interval(row.low, row.high)]
        for row in rows.itertuples()
    ]
    return go.Scatter(
        x=middle,
        y=rows.index,
        mode="markers",
        name=kind,
        showlegend=True,
        marker={"color": colour, "size": 10, "symbol": symbol, "line": {"color": colour, "width": 2}},
        error_x={
            "type": "data", "symmetric": False, "array": np.nan_to_num(high - middle),
            "arrayminus": np.nan_to_num(middle - low), "color": colour, "thickness": 2, "width": 4,
        },
        customdata=told,
        hovertemplate="<b>%{customdata[0]}: %{customdata[1]}</b><br>%{x:+.3~g} to %{customdata[2]}%{customdata[3]}"
        f"<br>{kind}<extra></extra>",
    )  # fmt: skip


def _interval(low: float, high: float) -> str:
    return f"<br>95 % interval {low:+.3g} to {high:+.3g}" if np.isfinite(low) else ""


def _effects_message(frame: pd.DataFrame) -> str:
    real = frame[~frame["mark"].isin([NOISE, UNTESTED])]
    if real.empty:
        return f"None of {plural(len(frame), 'difference')} is more than noise."
    largest = real.loc[real["difference"].abs().idxmax()]
    return (
        f"{len(real)} of {len(frame)} are more than noise; most so {safe(short(largest['factor'], BRIEF))}: "
        f"{safe(short(largest['level'], BRIEF))}, {largest['difference']:+.2g}."
    )


def critical_difference(frame: pd.DataFrame, least: float, blocks: int) -> go.Figure:
    """Average ranks; two configurations whose bars do not overlap differ by more than the critical difference.

    Args:
        frame: columns ``configuration`` and ``rank`` (1 is the best); the best `MOST_RANKED` are drawn.
        least: the critical difference of two average ranks, the length of each bar.
        blocks: in how many tasks and devices they were ranked.

    Raises:
        WorkbenchError: a column or a rank is missing.
    """
    frame = checked(frame, "critical-difference", words=["configuration"], positive=["rank"])
    frame = frame.sort_values("rank", kind="stable", ignore_index=True)
    tied = (frame["rank"] < frame["rank"].iloc[0] + least).to_numpy()
    shown = frame.iloc[:MOST_RANKED]
    first = safe(short(frame["configuration"].iloc[0], BRIEF))
    figure = blank(
        "Critical-difference ranking",
        _rank_message(first, int(tied.sum()) - 1, len(frame), len(shown)),
        x=f"Average rank in {plural(blocks, 'block')} (1 is best; bars: critical difference of {least:.2f} ranks)",
        y="Configuration",
        height=180 + ROW * len(shown),
    )
    edge = frame["rank"].iloc[0] + least / 2
    figure.add_vrect(shown["rank"].iloc[0] - least / 2, edge, fillcolor=SKY, opacity=0.14, line_width=0)
    for together, colour, label in ((True, BLUE, "not told from the best"), (False, MUTED, "worse than the best")):
        rows = shown[tied[: len(shown)] == together]
        if rows.empty:
            continue
        figure.add_scatter(
            x=rows["rank"], y=rows.index, mode="markers+text", name=label, showlegend=True,
            text=[f"{value:.2f}" for value in rows["rank"]], textposition="top center",
            textfont={"size": 11, "color": INK},
            marker={"color": colour, "size": 10, "line": {"color": PAPER, "width": 1}},
            error_x={"type": "constant", "value": least / 2, "color": colour, "thickness": 2.5, "width": 0},
            customdata=[safe(name) for name in rows["configuration"]],
            hovertemplate="<b>%{customdata}</b><br>average rank %{x:.2f}<extra></extra>",
        )  # fmt: skip
    return figure.update_yaxes(
        range=[len(shown) - 0.4, -0.75],
        tickvals=list(range(len(shown))),
        ticktext=[safe(short(name)) for name in shown["configuration"]],
        showgrid=False,
    )


def _rank_message(first: str, tied: int, count: int, shown: int) -> str:
    told = f"{first} ranks best; " + (
        f"{tied} of the other {count - 1} cannot be told from it" if tied else "all others are really apart from it"
    )
    return told + (f"; the best {shown} are drawn." if shown < count else ".")


def level_curves(frame: pd.DataFrame, factor: str, by: str, metric: str) -> go.Figure:
    """A metric over the levels of a factor that is a number, a line for each level of another factor.

    Args:
        frame: columns ``x`` (a level of ``factor``), ``line`` (a level of ``by``, as the legend has it) and ``value``.
        factor: what the axis is of.
        by: what the lines are of; "" if there is only one.
        metric: what the values are of.

    Raises:
        WorkbenchError: a column or a number is missing.
    """
    frame = checked(frame, "level-curves", words=["line"], numbers=["x", "value"])
    lines, levels = list(dict.fromkeys(frame["line"])), sorted(frame["x"].unique())
    logarithmic = bool(levels[0] > 0 and levels[-1] / levels[0] >= WIDE)
    unit = "count" if factor in COUNTED else split_unit(factor)[1] or "no unit"
    figure = blank(
        f"{metric_name(metric)} over {safe(spoken(factor)).lower()}",
        _levels_message(frame, factor),
        x=f"{safe(spoken(factor))} ({unit}{', logarithmic' if logarithmic else ''})",
        y=f"{metric_name(metric)} ({metric_unit(metric)})",
        height=420,
    )
    for place, line in enumerate(lines):
        course = frame[frame["line"] == line].sort_values("x")
        colour = COLOURS[place % len(COLOURS)]
        figure.add_scatter(
            x=course["x"], y=course["value"], mode="lines+markers", showlegend=bool(by),
            name=safe(short(line if not by or line[:1].isalpha() else f"{by} {line}")),
            line={"color": colour, "width": 2.2, "dash": DASHES[place // len(COLOURS) % len(DASHES)]},
            marker={"color": colour, "size": 8, "symbol": place % len(COLOURS), "line": {"color": PAPER, "width": 1}},
            hovertemplate=f"<b>{safe(line)}</b><br>{metric_name(metric)} %{{y:.4~g}} at %{{x}}<extra></extra>",
        )  # fmt: skip
    return figure.update_xaxes(
        type="log" if logarithmic else "linear", tickvals=levels, ticktext=[f"{level:g}" for level in levels]
    )


def _levels_message(frame: pd.DataFrame, factor: str) -> str:
    means = frame.groupby("x")["value"].mean()
    return (
        f"From {means.index[0]:g} to {means.index[-1]:g} {safe(short(factor, BRIEF))} the mean moves from "
        f"{means.iloc[0]:.3g} to {means.iloc[-1]:.3g}."
    )
