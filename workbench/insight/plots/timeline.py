"""How a campaign went: the drift of its references, what was put in quarantine, what was measured again, and why."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.insight.frames import checked, finite
from workbench.insight.labels import plural, safe
from workbench.insight.template import (
    AXIS,
    COLOURS,
    GREEN,
    GREY,
    INK,
    MUTED,
    PAPER,
    TOP_MARGIN,
    VERMILION,
    dress,
    subplots,
)

DASHES = ("solid", "dash", "dot")  # where there are more platforms than colours
# Vermilion means quarantine, green what is accepted.
PLATFORM_COLOURS = tuple(colour for colour in COLOURS if colour not in (VERMILION, GREEN))
KEYED = 4  # platforms, at most, have a key of their own beside the square at their lane
PAUSE_S = 120.0  # a longer one is cut out of the axis and marked
CUT_S = 15.0  # what is left of it
BINS = 300  # a point of the lower panels is the worst of its share of the time
SHORTEST = 0.004  # of the axis: a single burst in quarantine could not be seen otherwise
HEIGHTS = {"drift": 230, "lane": 22, "lanes": 44, "sign": 78, "gaps": 60}  # pixels


def reference_timeline(
    frame: pd.DataFrame,
    bursts: pd.DataFrame,
    *,
    drift: float = 0.10,
    slower: float = 0.15,
    foreign_load: float = 0.25,
) -> go.Figure:
    """The references' drift over time, one line per platform; below it quarantine and repetitions, and what disturbed.

    Args:
        frame: one row per platform and pass over the references: ``platform``, ``started_at`` (seconds) and ``drift``
            (a share).
        bursts: one row per burst: ``platform``, ``started_at``, ``reference``, ``quarantined`` and ``again`` (bool: a
            reference's, not to be trusted, a repetition), ``slower`` (of the pulse, a share; NaN where it was not read)
            and ``foreign_load`` (processors; NaN where it was too short to tell).
        drift, slower, foreign_load: what is accepted of each.

    Raises:
        WorkbenchError: a column or a number is missing, or a limit is not above zero.
    """
    name = "reference-timeline"
    passes = checked(frame, name, words=["platform"], numbers=["started_at", "drift"])
    bursts = checked(bursts, name, words=["platform", "reference", "quarantined", "again"], numbers=["started_at"])
    limits = finite([drift, slower, foreign_load], f"The {name} figure", "limits", positive=True)
    bursts = bursts.sort_values("started_at", kind="stable", ignore_index=True)
    platforms = list(dict.fromkeys([*bursts["platform"], *passes["platform"]]))
    cuts = _cuts(np.concatenate([bursts["started_at"], passes["started_at"]]))
    passes, bursts = (part.assign(minute=_minutes(part["started_at"], cuts)) for part in (passes, bursts))
    figure = _panels(len(platforms))
    legend = len(platforms) <= KEYED
    for place, platform in enumerate(platforms):
        figure.add_trace(_drift_line(passes[passes["platform"] == platform], platform, place, legend), 1, 1)
    for trace in (*_spans(bursts, platforms), _stretches(bursts, platforms), _repetitions(bursts, platforms)):
        figure.add_trace(trace, 2, 1)
    figure.add_trace(_worst(bursts, 100 * bursts["slower"], 100 * slower, " % slower"), 3, 1)
    figure.add_trace(_worst(bursts, bursts["foreign_load"], foreign_load, " processors"), 4, 1)
    _mark_limits(figure, limits)
    for minute, pause in _pauses(cuts):
        figure.add_vline(minute, line={"color": AXIS, "width": 1, "dash": "dot"})
        figure.add_annotation(
            x=minute, y=1, yref="y domain", xref="x", yanchor="top", xanchor="left", xshift=3, showarrow=False,
            text=f"pause, {pause}", font={"size": 11, "color": MUTED},
        )  # fmt: skip
    _axes(figure, platforms, passes, bursts, limits)
    return dress(figure, "Reference timeline", _message(passes, bursts), height=_height(len(platforms)))


def _height(platforms: int) -> int:
    lanes = HEIGHTS["lanes"] + HEIGHTS["lane"] * platforms
    return TOP_MARGIN + HEIGHTS["drift"] + lanes + 2 * HEIGHTS["sign"] + HEIGHTS["gaps"] + 56


def _panels(platforms: int) -> go.Figure:
    lanes = HEIGHTS["lanes"] + HEIGHTS["lane"] * platforms
    total = HEIGHTS["drift"] + lanes + 2 * HEIGHTS["sign"] + HEIGHTS["gaps"]
    return subplots(
        4,
        1,
        shared_xaxes=True,
        vertical_spacing=HEIGHTS["gaps"] / 3 / total,
        row_heights=(HEIGHTS["drift"], lanes, HEIGHTS["sign"], HEIGHTS["sign"]),
    )


def _style(place: int) -> tuple[str, str]:
    return PLATFORM_COLOURS[place % len(PLATFORM_COLOURS)], DASHES[place // len(PLATFORM_COLOURS) % len(DASHES)]


def _drift_line(passes: pd.DataFrame, platform: str, place: int, legend: bool) -> go.Scatter:
    colour, dash = _style(place)
    passes = passes.sort_values("minute")
    return go.Scatter(
        x=passes["minute"], y=100 * passes["drift"], name=safe(platform), showlegend=legend, mode="lines+markers",
        line={"color": colour, "width": 2, "dash": dash},
        marker={"color": colour, "size": 7, "line": {"color": PAPER, "width": 1}},
        hovertemplate=f"<b>{safe(platform)}</b><br>%{{y:+.1f}} % after %{{x:.1f}} min<extra></extra>",
    )  # fmt: skip


def _spans(bursts: pd.DataFrame, platforms: list[str]) -> Iterator[go.Scatter]:
    """From the first to the last burst of each platform."""
    for place, platform in enumerate(platforms):
        mine = bursts.loc[bursts["platform"] == platform, "minute"]
        yield go.Scatter(
            x=[mine.min(), mine.max()] if len(mine) else [], y=[place] * min(2, len(mine)), mode="lines",
            line={"color": GREY, "width": 1.5}, showlegend=False, hoverinfo="skip",
        )  # fmt: skip


def _stretches(bursts: pd.DataFrame, platforms: list[str]) -> go.Scatter:
    """Thick lines from the first burst in quarantine to the next one that is not."""
    least = SHORTEST * max(float(bursts["minute"].max() - bursts["minute"].min()), 0.1)
    x: list[float | None] = []
    y: list[float | None] = []
    for place, platform in enumerate(platforms):
        mine = bursts[bursts["platform"] == platform]
        minutes, marked = mine["minute"].to_numpy(), mine["quarantined"].to_numpy(dtype=bool)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], marked, [False]]).astype(int)))
        for first, end in edges.reshape(-1, 2):
            stop = minutes[end] if end < len(minutes) else minutes[-1]
            x += [minutes[first], max(stop, minutes[first] + least), None]
            y += [place, place, None]
    return go.Scatter(
        x=x, y=y, mode="lines", line={"color": VERMILION, "width": 11}, name="in quarantine", hoverinfo="name"
    )


def _repetitions(bursts: pd.DataFrame, platforms: list[str]) -> go.Scatter:
    again = bursts[bursts["again"].astype(bool) & ~bursts["reference"].astype(bool)]
    return go.Scatter(
        x=again["minute"], y=again["platform"].map(platforms.index), mode="markers", name="measured again",
        marker={"symbol": "diamond", "size": 8, "color": INK, "line": {"color": PAPER, "width": 1}},
        hovertemplate="measured again after %{x:.1f} min<extra></extra>",
    )  # fmt: skip


def _worst(bursts: pd.DataFrame, values: pd.Series, limit: float, unit: str) -> go.Bar:
    """The largest value in each of `BINS` parts of the time; those above ``limit`` stand out."""
    width = max(float(bursts["minute"].max()), 0.1) / BINS
    worst = values.groupby((bursts["minute"] / width).astype(int)).max().dropna()
    return go.Bar(
        x=(worst.index + 0.5) * width, y=worst, width=width, showlegend=False,
        marker={"color": np.where(worst > limit, VERMILION, GREY), "line": {"width": 0}},
        hovertemplate=f"%{{y:.2~f}}{unit} after %{{x:.1f}} min<extra></extra>",
    )  # fmt: skip


def _mark_limits(figure: go.Figure, limits: np.ndarray) -> None:
    drift, slower, load = limits
    figure.add_hrect(-100 * drift, 100 * drift, row=1, col=1, fillcolor=GREEN, opacity=0.08, line_width=0)
    for row, limit, text in (
        (1, 100 * drift, f"±{100 * drift:g} %"),
        (1, -100 * drift, ""),
        (3, 100 * slower, f"{100 * slower:g} %"),
        (4, load, f"{load:g}"),
    ):
        figure.add_hline(limit, row=row, col=1, line={"color": GREEN, "width": 1, "dash": "dot"})
        figure.add_annotation(
            x=1, y=limit, xref=f"x{row if row > 1 else ''} domain", yref=f"y{row if row > 1 else ''}", xanchor="left",
            xshift=5, align="left", showarrow=False, font={"size": 11, "color": MUTED},
            text=f"accepted:<br>{text}" if text else "",
        )  # fmt: skip
    figure.update_layout(margin_r=76)


def _axes(
    figure: go.Figure, platforms: list[str], passes: pd.DataFrame, bursts: pd.DataFrame, limits: np.ndarray
) -> None:
    drift, slower, load = limits
    least, most = 1.15 * passes["drift"].min(), 1.15 * passes["drift"].max()
    reach = [100 * min(-1.35 * drift, least), 100 * max(1.35 * drift, most)]
    figure.update_yaxes(title_text="Drift of the<br>references (%)", range=reach, zeroline=True, row=1)
    figure.update_yaxes(zerolinecolor=AXIS, row=1)
    names = [f"{safe(name)} <span style='color:{_style(place)[0]}'>■</span>" for place, name in enumerate(platforms)]
    figure.update_yaxes(
        title_text="Platform", tickvals=list(range(len(platforms))), ticktext=names, showgrid=False, ticks="",
        range=[len(platforms) - 0.4, -0.6], row=2,
    )  # fmt: skip
    for row, column, title, limit, scale in (
        (3, "slower", "Slower<br>pulse (%)", slower, 100),
        (4, "foreign_load", "Others' load<br>(processors)", load, 1),
    ):
        most = bursts[column].max()
        top = scale * max(1.6 * limit, 1.1 * (most if most == most else 0))
        figure.update_yaxes(title_text=title, range=[min(0, scale * bursts[column].min()), top], nticks=4, row=row)
    figure.update_yaxes(title_font_size=12)
    figure.update_xaxes(title_text="Time since the first burst (minutes)", row=4)


def _message(passes: pd.DataFrame, bursts: pd.DataFrame) -> str:
    worst = passes.loc[passes["drift"].abs().idxmax()]
    networks = bursts[~bursts["reference"].astype(bool)]
    marked, again = int(networks["quarantined"].sum()), int(networks["again"].sum())
    return (
        f"References drifted by at most {100 * abs(worst['drift']):.1f} %; of {plural(len(networks), 'timing')} "
        f"{marked:,} fell into quarantine, {again:,} were repetitions."
    )


Cut = tuple[float, float]  # a pause: from, to, in seconds


def _cuts(started_at: np.ndarray) -> tuple[float, list[Cut]]:
    """The first time, and the pauses that are longer than `PAUSE_S`."""
    times = np.sort(started_at)
    long = np.flatnonzero(np.diff(times) > PAUSE_S)
    return float(times[0]), [(float(times[i]), float(times[i + 1])) for i in long]


def _minutes(started_at: pd.Series, cuts: tuple[float, list[Cut]]) -> pd.Series:
    """Minutes since the beginning, of each pause only `CUT_S` counted."""
    start, pauses = cuts
    lost = sum((started_at >= end) * (end - begin - CUT_S) for begin, end in pauses)
    return (started_at - start - lost) / 60


def _pauses(cuts: tuple[float, list[Cut]]) -> Iterator[tuple[float, str]]:
    """Where on the axis a pause is, and how long it took."""
    for begin, end in cuts[1]:
        hours = (end - begin) / 3600
        length = f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.0f} min"
        yield float(_minutes(pd.Series([begin]), cuts).iloc[0] + CUT_S / 120), length
