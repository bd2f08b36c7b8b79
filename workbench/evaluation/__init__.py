"""Transfer tasks run under the ledger's rules: metrics, where they come from, and what is noise."""

from __future__ import annotations

from workbench.evaluation.breakdown import by_quantile, per_device, per_task, write_report
from workbench.evaluation.journal import Journal
from workbench.evaluation.metrics import METRICS, score
from workbench.evaluation.run import EvaluationResult, evaluate
from workbench.evaluation.setting import draw_sources
from workbench.evaluation.significance import differences, pairs
from workbench.evaluation.unit import Cell

__all__ = [
    "METRICS",
    "Cell",
    "EvaluationResult",
    "Journal",
    "by_quantile",
    "differences",
    "draw_sources",
    "evaluate",
    "pairs",
    "per_device",
    "per_task",
    "score",
    "write_report",
]
