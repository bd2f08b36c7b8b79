"""The reference timeline: nothing that was in doubt may be missing from it, and pauses may not stretch it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.config import WorkbenchError
from workbench.insight.figures import reference_timeline
from workbench.insight.plots.timeline import PAUSE_S


def trace(figure: go.Figure, name: str) -> go.Scatter:
    return next(one for one in figure.data if one.name == name)


def stretches(figure: go.Figure) -> list[tuple[float, float, float]]:
    """From, to, lane."""
    marked = trace(figure, "in quarantine")
    return [(marked.x[i], marked.x[i + 1], marked.y[i]) for i in range(0, len(marked.x), 3)]


def test_drift_is_drawn_in_per_cent_and_the_worst_is_named(passes, bursts):
    figure = reference_timeline(passes, bursts)
    assert max(trace(figure, "slow").y) == pytest.approx(30)
    assert list(trace(figure, "slow").x) == pytest.approx([0, 1, 2, 3])
    assert "at most 30.0 %" in figure.layout.title.subtitle.text
    low, high = figure.layout.yaxis.range
    drawn = [value for line in figure.data if line.yaxis in (None, "y") for value in line.y if value is not None]
    assert low < min(drawn)  # everything that drifted is seen, and the accepted band
    assert high > max(drawn)
    assert low < -10 < 10 < high


def test_every_burst_in_quarantine_lies_in_a_stretch_of_its_platform_and_no_other_does(passes, bursts):
    figure = reference_timeline(passes, bursts)
    lanes = [name.split(" ")[0] for name in figure.layout.yaxis2.ticktext]
    found = [(low, high, lanes[int(lane)]) for low, high, lane in stretches(figure)]
    minutes = (bursts["started_at"] - 1e9) / 60
    for minute, burst in zip(minutes, bursts.itertuples(), strict=True):
        inside = any(low <= minute < high + 1e-9 and lane == burst.platform for low, high, lane in found)
        assert inside == burst.quarantined
    assert "20 fell into quarantine, 5 were repetitions" in figure.layout.title.subtitle.text


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_stretches_are_the_runs_of_marked_bursts(marked):
    bursts = pd.DataFrame({"platform": "p", "started_at": 60.0 * np.arange(len(marked)), "quarantined": marked})
    bursts = bursts.assign(reference=False, again=False, slower=0.0, foreign_load=np.nan)
    passes = pd.DataFrame({"platform": ["p"], "started_at": [0.0], "drift": [0.0]})
    figure = reference_timeline(passes, bursts)
    runs = sum(now and not before for before, now in zip([False, *marked], marked, strict=False))
    if runs:
        assert len(stretches(figure)) == runs
        assert all(high > low for low, high, _ in stretches(figure))
    else:
        assert len(trace(figure, "in quarantine").x) == 0


def test_repetitions_stand_on_their_platform_and_references_are_none(passes, bursts):
    again = trace(reference_timeline(passes, bursts), "measured again")
    assert len(again.x) == 5
    assert set(again.y) == {1}
    assert len(trace(reference_timeline(passes, bursts.assign(reference=True)), "measured again").x) == 0


def test_a_pause_is_cut_out_and_marked(passes, bursts):
    hours = 14
    late = bursts["started_at"] > 1e9 + 90
    bursts["started_at"] += np.where(late, 3600.0 * hours, 0)
    passes["started_at"] += np.where(passes["started_at"] > 1e9 + 90, 3600.0 * hours, 0)
    figure = reference_timeline(passes, bursts)
    assert max(trace(figure, "slow").x) < 5
    assert list(trace(figure, "slow").x) == sorted(trace(figure, "slow").x)
    assert any("pause, 14.0 h" in (note.text or "") for note in figure.layout.annotations)
    close = bursts.iloc[:2].assign(started_at=[0.0, PAUSE_S - 1])
    short = reference_timeline(passes.iloc[:1].assign(started_at=0.0), close)
    assert not any("pause" in (note.text or "") for note in short.layout.annotations)


def test_the_lower_panels_keep_the_worst_and_mark_what_is_too_much(passes, bursts):
    figure = reference_timeline(passes, bursts, slower=0.15, foreign_load=0.01)
    slower, load = (one for one in figure.data if isinstance(one, go.Bar))
    assert max(slower.y) == pytest.approx(40)
    assert len(set(slower.marker.color)) == 2
    assert len(set(load.marker.color)) == 1
    assert np.isfinite(load.y).all()


def test_many_bursts_make_no_large_figure(passes):
    bursts = pd.DataFrame({"platform": "steady", "started_at": 1e9 + np.arange(20_000) / 10})
    bursts = bursts.assign(reference=False, again=False, quarantined=False, slower=0.01, foreign_load=0.1)
    assert len(reference_timeline(passes, bursts).to_json()) < 60_000


def test_limits_must_be_above_zero(passes, bursts):
    with pytest.raises(WorkbenchError, match="limits"):
        reference_timeline(passes, bursts, drift=0.0)
