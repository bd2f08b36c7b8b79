"""Names beside points, each where it covers neither a point nor another name; a thin line leads there from afar."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from workbench.insight.template import GREY

LETTER = (6.6, 15.0)  # pixels that a letter takes, at a size of 11.5
MARKER = 7.0  # pixels from a point to its rim
GAP = 5.0  # from there to its name
REACHES = (18.0, 36.0, 58.0, 84.0)  # pixels from a rim to a name that has no room beside its point
DIAGONAL = 0.7
THREAD = 8  # boxes that a line is checked by

Box = tuple[float, float, float, float]  # left, low, right, high, in pixels


class Place(NamedTuple):
    """Where a name stands: its ``anchor`` so many pixels to the right of and above its point."""

    anchor: str
    right: float
    up: float
    led: bool  # there by a line


def place_names(
    pixels: np.ndarray,
    groups: Sequence[Sequence[int]],
    texts: Sequence[str],
    area: tuple[float, float],
    rims: Sequence[float] = (),
    over: float = 0.0,
) -> list[Place | None]:
    """A place for each text, or None where there is no room; the first ones choose first.

    Args:
        pixels: `n x 2` points, to the right and upwards, in an area that begins at 0.
        groups: the points that each text names; it stands beside the first of them.
        area: its width and height.
        over: so much of the area, a name may reach beyond it on every side.
        rims: pixels from each point to its rim; `MARKER` if none are given.
    """
    rims = list(rims) or [MARKER] * len(pixels)
    points = [_box(pixels[[index]], rim) for index, rim in enumerate(rims)]
    taken: list[Box] = []
    places: list[Place | None] = []
    for group, text in zip(groups, texts, strict=True):
        own = _box(pixels[list(group)], rims[group[0]])
        others = [*taken, *(point for index, point in enumerate(points) if index not in group)]
        beyond = [other for other in others if not _overlap(own, other)]  # what touches the point, no line can spare
        found = None
        for anchor, box, led in _candidates(own, LETTER[0] * len(text), LETTER[1]):
            parts = list(_thread(pixels[group[0]], anchor, box)) if led else []
            free = not any(_overlap(box, other) for other in others)
            if free and _inside(box, area, over) and not any(_overlap(part, o) for part in parts for o in beyond):
                edge = {"left": box[0], "right": box[2], "center": (box[0] + box[2]) / 2}[anchor]
                x, y = pixels[group[0]]
                found = Place(anchor, float(edge - x), float((box[1] + box[3]) / 2 - y), led)
                taken += [box, *parts]
                break
        places.append(found)
    return places


def write_name(
    figure: go.Figure, x: float, y: float, text: str, place: Place, *, size: float = 11.5, colour: str
) -> None:
    """Write ``text`` at its ``place`` beside the point ``x``, ``y`` (logarithms, where an axis is logarithmic)."""
    where = {"ax": place.right, "ay": -place.up} if place.led else {"xshift": place.right, "yshift": place.up}
    figure.add_annotation(
        x=x, y=y, text=text, xanchor=place.anchor, **where, showarrow=place.led, arrowhead=0, arrowwidth=1,
        arrowcolor=GREY, standoff=MARKER - 1, font={"size": size, "color": colour},
    )  # fmt: skip


def _candidates(own: Box, width: float, height: float) -> Iterator[tuple[str, Box, bool]]:
    """Anchors and boxes around ``own``, the best first."""
    left, low, right, high = own
    middle_x, middle_y = (left + right) / 2, (low + high) / 2
    for reach in (GAP, *REACHES):
        led, slant = reach > GAP, DIAGONAL * reach
        above, below = high + reach + height / 2, low - reach - height / 2
        spots = [
            ("left", right + reach + width / 2, middle_y),
            ("right", left - reach - width / 2, middle_y),
            ("center", middle_x, above),
            ("center", middle_x, below),
        ]
        if led:
            above, below = high + slant + height / 2, low - slant - height / 2
            spots += [("left", right + slant + width / 2, y) for y in (above, below)]
            spots += [("right", left - slant - width / 2, y) for y in (above, below)]
        for anchor, x, y in spots:
            yield anchor, (x - width / 2, y - height / 2, x + width / 2, y + height / 2), led


def _thread(point: np.ndarray, anchor: str, box: Box) -> Iterator[Box]:
    """The line from ``point`` to the name at ``box``, as small boxes."""
    end = np.array([{"left": box[0], "right": box[2], "center": (box[0] + box[2]) / 2}[anchor], (box[1] + box[3]) / 2])
    for share in np.linspace(0.1, 0.9, THREAD):
        yield _box((point + share * (end - point))[None], 1.0)


def _box(pixels: np.ndarray, margin: float) -> Box:
    """Around `n x 2` points."""
    (left, low), (right, high) = pixels.min(axis=0) - margin, pixels.max(axis=0) + margin
    return float(left), float(low), float(right), float(high)


def _inside(box: Box, area: tuple[float, float], over: float) -> bool:
    (width, height), (left, low, right, high) = area, box
    return min(left / width, low / height) >= -over and max(right / width, high / height) <= 1 + over


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
