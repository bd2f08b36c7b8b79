"""What a device is like: its behaviour signature beside those of others, and all of them on a map."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.config import WorkbenchError
from workbench.insight.frames import checked, one_of
from workbench.insight.labels import milliseconds, plural, safe, safe_arch
from workbench.insight.plots.names import MARKER, place_names, write_name
from workbench.insight.template import AMBER, BLUE, COLOURS, FAINT, GREY, INK, MUTED, PAPER, VERMILION, blank

SOURCE, TARGET = "source", "target"
FAMILY_COLOURS = tuple(colour for colour in COLOURS if colour != VERMILION)  # that one is the new device's
FAMILY_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "pentagon", "hexagon", "triangle-down")
MAP_HEIGHT = 600  # pixels
MAP_AREA = (690, 370)  # pixels between the outermost points, about: decides which names have room
MAP_MARGIN = 0.08  # of the area on every side of it
NEAR = 15  # pixels between points that share a name
STAR = 19  # pixels, of a new device


def signature(frame: pd.DataFrame) -> go.Figure:
    """A device's behaviour signature: what the probes take relative to its mean, beside the source devices.

    Args:
        frame: one row per device and probe; columns ``device``, ``role`` (``source`` or ``target``; one
            target), ``arch`` and ``latency_ms``. Every device has every probe.

    Raises:
        WorkbenchError: a column or a number is missing, not exactly one target, or a probe missing on a
            device.
    """
    frame, target = _one_target(frame)
    table = frame.pivot(index="arch", columns="device", values="latency_ms")
    if table.isna().any(axis=None):
        raise WorkbenchError(
            "The signature figure expects every probe on every device, got gaps; "
            "leave out the devices that lack a probe."
        )
    relative = table / table.mean(axis=0)
    sources = relative.drop(columns=target)
    relative = relative.loc[(sources if sources.shape[1] else relative).mean(axis=1).sort_values().index]
    distance = sources.sub(relative[target], axis=0).abs().mean().sort_values()
    nearest = distance.index[0] if len(distance) else None
    message = f"{plural(len(relative), 'probe')} on {safe(target)}"
    if nearest is not None:
        message += (
            f"; most alike is {safe(nearest)}: {100 * distance.iloc[0]:.0f} % apart on average, "
            f"the least alike {100 * distance.iloc[-1]:.0f} %."
        )
    figure = blank(
        "Behaviour signature", message, x="Probe network, ordered by the source devices' mean",
        y="Latency relative to the device's mean (ratio)", height=480,
    )  # fmt: skip
    for position, device in enumerate(distance.index[:0:-1]):
        figure.add_trace(_signature_line(relative[device], table[device], GREY, 0.9, "source devices", position == 0))
    if nearest is not None:
        figure.add_trace(
            _signature_line(relative[nearest], table[nearest], AMBER, 2.2, f"most alike: {safe(nearest)}", True)
        )
    figure.add_trace(_signature_line(relative[target], table[target], BLUE, 3, f"this device: {safe(target)}", True))
    figure.add_hline(1, line={"color": MUTED, "width": 1, "dash": "dot"})
    return figure.update_xaxes(tickangle=-45, tickfont_size=11, showgrid=True, type="category")


def _one_target(frame: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The checked table of a signature, and the name of its target device."""
    frame = checked(frame, "signature", words=["device", "role", "arch"], positive=["latency_ms"])
    one_of(frame, "signature", "role", (SOURCE, TARGET))
    twice = frame.duplicated(["device", "arch"])
    if twice.any():
        row = frame.loc[twice].iloc[0]
        raise WorkbenchError(
            f"The signature figure expects one latency per device and probe, got two for '{row['device']}' "
            f"and '{row['arch']}'; average them first."
        )
    targets = frame.loc[frame["role"] == TARGET, "device"].unique()
    if len(targets) != 1:
        raise WorkbenchError(
            f"The signature figure expects one target device, got {len(targets)}; "
            "give one device the role 'target' and all others 'source'."
        )
    return frame, targets[0]


def _signature_line(
    relative: pd.Series, latency: pd.Series, colour: str, width: float, label: str, legend: bool
) -> go.Scatter:
    focus = colour != GREY
    device = safe(relative.name)
    return go.Scatter(
        x=[safe_arch(arch) for arch in relative.index],
        y=relative,
        mode="lines+markers",
        name=label,
        legendgroup=label,
        showlegend=legend,
        line={"color": colour, "width": width},
        marker={
            "color": colour,
            "size": 8 if focus else 3,
            "symbol": "circle" if colour == BLUE else "diamond",
            "line": {"color": PAPER, "width": 1 if focus else 0},
        },
        customdata=[[device, milliseconds(value)] for value in latency.reindex(relative.index)],
        hovertemplate="<b>%{customdata[0]}</b><br>%{x}: %{y:.2f} of mean, %{customdata[1]}<extra></extra>",
    )


def device_map(frame: pd.DataFrame, x_title: str, y_title: str, new_ones: str = "this machine") -> go.Figure:
    """Devices in the plane of their signatures' two main axes, new ones joined with the known one most like them.

    Args:
        frame: one row per device: ``device``, ``role`` (``source`` is known, ``target`` new; at least one of each),
            ``family``, ``hardware``, ``x`` and ``y`` (shares); of new ones also ``nearest`` (a known device) and
            ``apart`` (a share).
        x_title, y_title: what the axes mean; the unit is added.
        new_ones: what the legend calls the new devices.

    Raises:
        WorkbenchError: a column or a number is missing, no new device, or a nearest one that is not on the map.
    """
    frame = checked(frame, "device-map", words=["device", "role", "family", "hardware"], numbers=["x", "y"])
    one_of(frame, "device-map", "role", (SOURCE, TARGET))
    known, new = frame[frame["role"] == SOURCE], frame[frame["role"] == TARGET]
    new = checked(new, "device-map", words=["nearest"], numbers=["apart"])
    one_of(new, "device-map", "nearest", list(known["device"]))
    closest = new.loc[new["apart"].idxmin()]
    figure = blank(
        "Device map",
        f"{safe(closest['device'])} is most like {safe(closest['nearest'])}: once scaled, a network takes "
        f"{100 * np.expm1(closest['apart']):.0f} % more or less.",
        x=f"{x_title} (%)", y=f"{y_title} (%)", height=MAP_HEIGHT,
    )  # fmt: skip
    for trace in (*_ties(known, new), *_families(known), _arrivals(new, new_ones)):
        figure.add_trace(trace)
    _write_names(figure, known, new)
    spans = [(100 * frame[axis].min(), 100 * frame[axis].max()) for axis in ("x", "y")]
    (left, right), (low, high) = ((a - MAP_MARGIN * (b - a or 1), b + MAP_MARGIN * (b - a or 1)) for a, b in spans)
    figure.update_xaxes(range=[left, right], zeroline=True, zerolinecolor=FAINT)
    return figure.update_yaxes(range=[low, high], zeroline=True, zerolinecolor=FAINT)


def _families(known: pd.DataFrame) -> Iterator[go.Scatter]:
    order = known["family"].value_counts(sort=True).index
    for place, family in enumerate(order):
        rows = known[known["family"] == family]
        yield go.Scatter(
            x=100 * rows["x"], y=100 * rows["y"], mode="markers", name=safe(family), text=rows["device"].map(safe),
            marker={
                "color": FAMILY_COLOURS[place % len(FAMILY_COLOURS)], "size": 10, "opacity": 0.85,
                "symbol": FAMILY_SYMBOLS[place % len(FAMILY_SYMBOLS)], "line": {"color": PAPER, "width": 1},
            },
            customdata=rows["hardware"].map(safe),
            hovertemplate=f"<b>%{{text}}</b><br>%{{customdata}}, {safe(family)}<extra></extra>",
        )  # fmt: skip


def _ties(known: pd.DataFrame, new: pd.DataFrame) -> Iterator[go.Scatter]:
    places = known.set_index("device")
    for row in new.itertuples():
        there = places.loc[row.nearest]
        yield go.Scatter(
            x=[100 * row.x, 100 * there["x"]], y=[100 * row.y, 100 * there["y"]], mode="lines", showlegend=False,
            line={"color": VERMILION, "width": 1.5, "dash": "dot"}, hoverinfo="skip",
        )  # fmt: skip


def _arrivals(new: pd.DataFrame, called: str) -> go.Scatter:
    return go.Scatter(
        x=100 * new["x"], y=100 * new["y"], mode="markers", name=called,
        marker={"color": VERMILION, "symbol": "star", "size": STAR, "line": {"color": PAPER, "width": 1.5}},
        customdata=[
            [safe(row.device), safe(row.nearest), 100 * np.expm1(row.apart)] for row in new.itertuples()
        ],
        hovertemplate="<b>%{customdata[0]}</b><br>most like %{customdata[1]}, %{customdata[2]:.1f} % apart"
        "<extra></extra>",
    )  # fmt: skip


def _write_names(figure: go.Figure, known: pd.DataFrame, new: pd.DataFrame) -> None:
    """New devices first, then those that they are most like, then groups of known ones from the loneliest on, as long
    as there is room."""
    both = pd.concat([new, known], ignore_index=True)
    pixels = _in_pixels(both[["x", "y"]].to_numpy())
    groups = [[index] for index in range(len(new))]
    alike = set(np.flatnonzero(both["device"].isin(new["nearest"])).tolist())
    found = _groups(pixels, range(len(new), len(both)))
    found = [sorted(group, key=lambda index: index not in alike) for group in found]  # the first gives the name
    groups += sorted(found, key=lambda group: (group[0] not in alike, -_loneliness(pixels, group)))
    texts = [
        safe(both["device"][group[0]]) + (f" and {len(group) - 1} more" if len(group) > 1 else "") for group in groups
    ]
    rims = [STAR / 2] * len(new) + [MARKER] * len(known)
    places = place_names(pixels, groups, texts, MAP_AREA, rims, MAP_MARGIN)
    for group, text, place in zip(groups, texts, places, strict=True):
        if place:
            row, fresh = both.loc[group[0]], group[0] < len(new)
            text, colour = (f"<b>{text}</b>", INK) if fresh else (text, MUTED)
            write_name(figure, 100 * row["x"], 100 * row["y"], text, place, colour=colour)


def _loneliness(pixels: np.ndarray, group: list[int]) -> float:
    """Distance of a group's first point to the nearest one outside the group."""
    others = np.delete(pixels, group, axis=0)
    return float(np.abs(others - pixels[group[0]]).sum(axis=1).min())


def _in_pixels(places: np.ndarray) -> np.ndarray:
    """`n x 2` places on a map of `MAP_AREA`, upwards."""
    span = np.ptp(places, axis=0)
    return (places - places.min(axis=0)) / np.where(span > 0, span, 1) * np.array(MAP_AREA)


def _groups(pixels: np.ndarray, members: Iterable[int]) -> Iterator[list[int]]:
    """``members`` that lie within `NEAR` pixels of one another, directly or by way of others."""
    left = set(members)
    while left:
        group = [min(left)]
        left.discard(group[0])
        for member in group:
            near = [other for other in left if np.abs(pixels[other] - pixels[member]).max() < NEAR]
            left.difference_update(near)
            group += near
        yield group
