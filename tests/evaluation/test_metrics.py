"""Metrics by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from workbench.evaluation import METRICS, score
from workbench.predictor.method import Estimate


def test_metrics_by_hand():
    actual, predicted = np.array([1.0, 2.0, 4.0, 5.0]), np.array([1.04, 1.84, 6.0, 5.0])
    scores = score(
        actual, Estimate(predicted, predicted - np.array([0.1, 0.1, 1, 1]), predicted + np.array([0.1, 0.2, 1, 1]))
    )
    assert tuple(scores) == METRICS
    assert scores["rae"] == pytest.approx((0.04 + 0.16 + 2) / (2 + 1 + 1 + 2))
    assert scores["mape"] == pytest.approx((0.04 + 0.08 + 0.5 + 0) / 4)
    assert scores["mdape"] == pytest.approx(0.06)
    assert (scores["acc5"], scores["acc10"]) == (0.5, 0.75)
    assert scores["coverage90"] == 0.75
    assert scores["width90"] == pytest.approx(np.median([0.2 / 1.04, 0.3 / 1.84, 2 / 6, 2 / 5]))
    assert scores["spearman"] == pytest.approx(0.8)
    assert scores["kendall"] == pytest.approx(4 / 6)


def test_a_perfect_prediction():
    actual = np.array([3.0, 1.0, 2.0])
    scores = score(actual, Estimate(actual, actual, actual))
    expected = dict.fromkeys(METRICS, 1.0) | {"rae": 0.0, "mape": 0.0, "mdape": 0.0, "width90": 0.0}
    assert scores == pytest.approx(expected)


def test_the_mean_has_an_rae_of_one_and_ranks_nothing():
    actual = np.array([1.0, 2.0, 6.0])
    mean = np.full(3, 3.0)
    scores = score(actual, Estimate(mean, mean - 1, mean + 1))
    assert (scores["rae"], scores["spearman"], scores["kendall"]) == (pytest.approx(1), 0, 0)


def test_ties_are_ranked_as_scipy_ranks_them():
    draw = np.random.default_rng(0)
    actual, predicted = draw.integers(1, 9, 60).astype(float), draw.integers(1, 9, 60).astype(float)
    scores = score(actual, Estimate(predicted, predicted, predicted))
    ranks = [stats.rankdata(values) for values in (actual, predicted)]
    assert scores["spearman"] == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert scores["kendall"] == pytest.approx(stats.kendalltau(actual, predicted).statistic)


def test_equal_latencies_have_no_rae():
    actual = np.array([2.0, 2.0])
    assert np.isnan(score(actual, Estimate(actual + 1, actual, actual + 2))["rae"])
