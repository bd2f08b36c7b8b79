"""Names stand beside their points, over nothing else."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from workbench.insight.plots.names import LETTER, MARKER, place_names

AREA = (600.0, 400.0)


def boxes(pixels, texts, places):
    for (x, y), text, place in zip(pixels, texts, places, strict=True):
        if place:
            width = LETTER[0] * len(text)
            left = x + place.right - {"left": 0, "right": width, "center": width / 2}[place.anchor]
            yield left, y + place.up - LETTER[1] / 2, left + width, y + place.up + LETTER[1] / 2


@given(st.lists(st.tuples(st.floats(0, 600), st.floats(0, 400)), min_size=1, max_size=25))
def test_a_name_covers_no_point_and_no_other_name(points):
    pixels, texts = np.array(points), [f"device number {place}" for place in range(len(points))]
    places = place_names(pixels, [[place] for place in range(len(points))], texts, AREA)
    found = list(boxes(pixels, texts, places))
    for place, (left, low, right, high) in enumerate(found):
        inside = (pixels[:, 0] > left) & (pixels[:, 0] < right) & (pixels[:, 1] > low) & (pixels[:, 1] < high)
        assert not inside.any()
        for other in found[:place]:
            apart = (left - other[2], other[0] - right, low - other[3], other[1] - high)
            assert max(apart) > -1e-6


@given(st.floats(0, 600), st.floats(0, 400), st.integers(1, 5))
def test_points_at_one_place_leave_room_for_a_name(x, y, count):
    texts = [f"device number {place}" for place in range(count)]
    first, *_ = place_names(np.array([(x, y)] * count), [[place] for place in range(count)], texts, AREA)
    assert first is not None


def test_where_there_is_no_room_a_line_leads_to_the_name():
    around = [(300 + x, 200 + y) for x in (-40, 0, 40) for y in (-22, 0, 22) if x or y]
    near, far = place_names(np.array([(300, 200), (100, 300), *around]), [[0], [1]], ["crowded", "alone"], AREA)
    assert near.led
    assert np.hypot(near.right, near.up) > 3 * MARKER
    assert far == ("left", 12.0, 0.0, False)
