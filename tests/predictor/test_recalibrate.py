"""A prediction under other conditions: one factor is found exactly, and doubt only ever widens the intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.config import WorkbenchError
from workbench.predictor.method import Estimate
from workbench.predictor.recalibrate import recalibrate

PREDICTED = np.array([2.0, 3.0, 5.0, 8.0, 13.0])


def estimate(ms: np.ndarray, width: float = 0.05) -> Estimate:
    return Estimate(ms, ms * (1 - width), ms * (1 + width))


@given(st.floats(0.1, 10), st.floats(0.01, 0.3))
def test_a_pure_factor_is_found_and_changes_no_relative_width(factor, width):
    before = estimate(PREDICTED, width)
    found = recalibrate(before, factor * PREDICTED)
    after = found.apply(before)
    assert found.factor == pytest.approx(factor)
    np.testing.assert_allclose(after.ms, factor * PREDICTED)
    np.testing.assert_allclose(after.low_ms, factor * before.low_ms, rtol=1e-6)
    np.testing.assert_allclose(after.high_ms, factor * before.high_ms, rtol=1e-6)


@given(st.lists(st.floats(0.5, 2.0), min_size=5, max_size=5))
def test_misses_only_ever_widen(ratios):
    before = estimate(PREDICTED)
    after = recalibrate(before, PREDICTED * np.array(ratios)).apply(before)
    assert (after.ms / after.low_ms >= before.ms / before.low_ms - 1e-9).all()
    assert (after.high_ms / after.ms >= before.high_ms / before.ms - 1e-9).all()


def test_one_wild_measurement_does_not_move_the_factor_far_but_shows_in_the_width():
    measured = 1.2 * PREDICTED
    calm = recalibrate(estimate(PREDICTED), measured)
    measured[2] *= 3
    wild = recalibrate(estimate(PREDICTED), measured)
    assert wild.factor == pytest.approx(calm.factor)
    assert wild.spread > 0.3
    assert wild.factor_error > calm.factor_error


def test_intervals_cover_the_truth_as_often_as_they_say():
    """Devices that changed by a factor, with misses of 5 %, predicted with intervals that know nothing of both."""
    generator, hits = np.random.default_rng(0), []
    for _ in range(400):
        truth = PREDICTED * generator.uniform(0.7, 1.5) * np.exp(generator.normal(0, 0.05, len(PREDICTED)))
        other = 7.0 * np.median(truth / PREDICTED)
        after = recalibrate(estimate(PREDICTED, 0.01), truth).apply(estimate(np.array([7.0]), 0.01))
        hits.append(after.low_ms[0] <= other * np.exp(generator.normal(0, 0.05)) <= after.high_ms[0])
    assert 0.85 <= np.mean(hits) <= 1.0


@pytest.mark.parametrize("measured", [[1.0], [1.0, 0.0], [1.0, float("nan")], [1.0, -2.0], []])
def test_too_little_or_impossible_measurements_are_refused(measured):
    with pytest.raises(WorkbenchError, match="recalibration expects"):
        recalibrate(estimate(PREDICTED[: len(measured)]), measured)
