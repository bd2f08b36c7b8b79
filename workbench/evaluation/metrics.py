"""How good a prediction is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from workbench.predictor.method import Estimate

METRICS = ("spearman", "kendall", "rae", "mape", "mdape", "acc5", "acc10", "coverage90", "width90")


def score(actual_ms: np.ndarray, estimate: Estimate) -> dict[str, float]:
    """`METRICS` of an estimate against `n` measured latencies.

    ``rae`` is sum|y - p| / sum|y - mean(y)|; ``acc10`` the share within 10 %; ``coverage90`` the share of latencies
    inside the interval and ``width90`` its median width relative to the prediction. A rank correlation with a constant
    is undefined and given as 0: a constant ranks nothing.
    """
    error = np.abs(actual_ms - estimate.ms)
    relative = error / actual_ms
    inside = (estimate.low_ms <= actual_ms) & (actual_ms <= estimate.high_ms)
    spread = np.abs(actual_ms - actual_ms.mean()).sum()
    return {
        "spearman": _rank_correlation(stats.spearmanr, actual_ms, estimate.ms),
        "kendall": _rank_correlation(stats.kendalltau, actual_ms, estimate.ms),
        "rae": float(error.sum() / spread) if spread > 0 else float("nan"),
        "mape": float(relative.mean()),
        "mdape": float(np.median(relative)),
        "acc5": float((relative <= 0.05).mean()),
        "acc10": float((relative <= 0.10).mean()),
        "coverage90": float(inside.mean()),
        "width90": float(np.median((estimate.high_ms - estimate.low_ms) / estimate.ms)),
    }


def _rank_correlation(statistic: Callable[..., Any], actual: np.ndarray, predicted: np.ndarray) -> float:
    if np.ptp(actual) == 0 or np.ptp(predicted) == 0:
        return 0.0
    return float(statistic(actual, predicted).statistic)
