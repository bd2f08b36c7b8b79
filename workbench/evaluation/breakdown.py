"""Where a method is good and where it is not: per task, per device, per latency quintile, and as small CSV files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from workbench.config import write_atomically
from workbench.evaluation.metrics import METRICS
from workbench.evaluation.run import EvaluationResult
from workbench.evaluation.significance import differences, pairs
from workbench.evaluation.unit import Cell

QUANTILES = 5

COSTS = ("target_reads", "pretrain_s", "select_s", "adapt_s", "predict_s")


def per_task(result: EvaluationResult) -> pd.DataFrame:
    """Means over devices and seeds: a row per task, method and number of probes, floors marked as such."""
    return _means(result, ["task", "method", "floor", "selector", "probes"])


def per_device(result: EvaluationResult) -> pd.DataFrame:
    """Means over seeds: a row per task, device, method and number of probes, floors marked as such."""
    return _means(result, ["task", "device", "method", "floor", "selector", "probes"])


def _means(result: EvaluationResult, keys: list[str]) -> pd.DataFrame:
    asked, floors = pd.DataFrame(result.results), pd.DataFrame(result.floors)
    frame = pd.concat([part.assign(floor=floor) for part, floor in ((asked, False), (floors, True)) if len(part)])
    groups = frame.groupby(keys, sort=False)
    counts = groups[["device", "seed"]].nunique().rename(columns={"device": "devices", "seed": "seeds"})
    return counts.join(groups[[*METRICS, *COSTS]].mean()).reset_index()


def by_quantile(cells: Iterable[Cell]) -> pd.DataFrame:
    """Errors from the fastest to the slowest fifth of each device's test architectures, means over devices and seeds.

    Returns:
        Columns ``task, method, probes, quintile`` (1 is the fastest), ``mape, mdape, bias`` (median signed relative
        error, above 0 where predictions are too long), ``coverage90, width90``.
    """
    rows = []
    for cell in cells:
        order = np.argsort(cell.actual_ms, kind="stable")
        for quintile, members in enumerate(np.array_split(order, QUANTILES), start=1):
            if not len(members):
                continue
            actual = cell.actual_ms[members]
            for method, estimate in cell.estimates.items():
                ms, low, high = (part[members] for part in estimate)
                error = ms / actual - 1
                inside, width = (low <= actual) & (actual <= high), (high - low) / ms
                figures = (np.abs(error).mean(), np.median(np.abs(error)), np.median(error), inside.mean())
                rows.append((cell.task, method, cell.probes, quintile, *figures, np.median(width)))
    names = ["task", "method", "probes", "quintile", "mape", "mdape", "bias", "coverage90", "width90"]
    return pd.DataFrame(rows, columns=names).groupby(names[:4], sort=False).mean().reset_index()


def write_report(
    result: EvaluationResult, folder: str | Path, methods: Sequence[str], compared: pd.DataFrame | None = None
) -> list[Path]:
    """Write ``per_task.csv``, ``per_device.csv``, ``by_quantile.csv`` and ``significance.csv`` into ``folder``.

    Args:
        result: with at least one record.
        folder: made if it is not there.
        methods: those asked for.
        compared: of `differences`, if that has been computed.
    """
    tables = {
        "per_task": per_task(result),
        "per_device": per_device(result),
        "by_quantile": by_quantile(result.cells),
        "significance": differences(result.cells, pairs(methods)) if compared is None else compared,
    }
    written = []
    for name, table in tables.items():
        text = table.to_csv(index=False, float_format="%.6g")
        path = Path(folder) / f"{name}.csv"
        written.append(write_atomically(path, lambda temporary, text=text: temporary.write_text(text)))
    return written
