"""The story of a transfer: how well a device that nothing was learnt from is predicted, with how many measurements."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.config import WorkbenchError, cache_folder
from workbench.data.sources import load_table
from workbench.data.table import LatencyTable
from workbench.data.tasks import Split, Task, write_tasks
from workbench.evaluation import METRICS, EvaluationResult, Journal, evaluate
from workbench.insight import figures
from workbench.insight.hodm_training import thinned
from workbench.insight.labels import short_arch
from workbench.insight.quickstart import Tracker
from workbench.training.lesson import choose_sources

#: Transfers that are kept, those of the last days: what was interrupted goes on, and what was seen is there at once.
KEPT = 150


@dataclass(frozen=True)
class TransferCurve:
    """What `transfer_curve` found out.

    Args:
        task: source devices and the one target.
        table: milliseconds on all of them.
        results: a row per method, number of probes and seed: ``method, probes, seed``, `METRICS`, ``target_reads``.
        predictions: ``probes`` and ``seed`` beside ``arch, role (probe|check), predicted_ms, low_ms, high_ms,
            measured_ms``, for every measured network.
        detail: the number of probes that is looked at closely.
    """

    task: Task
    table: LatencyTable
    results: pd.DataFrame
    predictions: pd.DataFrame
    detail: int

    @property
    def target(self) -> str:
        """Name of the target device."""
        return self.task.target[0]

    @property
    def origin(self) -> str:
        """One sentence on what was learnt from, and how foreign the target is to it."""
        count = len(self.task.source)
        shared = len(Split(self.table, self.task.source, self.target, named=True).shared)
        kind = "a transfer between ways of running it" if shared else "a transfer to hardware that was not seen"
        return f"{count} source devices, {shared} of them on the hardware of {self.target}: {kind}."

    @property
    def main(self) -> pd.DataFrame:
        """The predictions with ``detail`` probes and the first seed."""
        frame = self.predictions[self.predictions["probes"] == self.detail]
        return frame[frame["seed"] == frame["seed"].min()].drop(columns=["probes", "seed"])

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per number of probes: HODM's metrics and those of the best floor, as means over the seeds."""
        means = self.results.groupby(["method", "probes"])[list(METRICS)].mean()
        floors = means["rae"].drop("hodm").unstack("probes")
        best = {"floor": floors.idxmin(), "floor_rae": floors.min()}
        shown = ["spearman", "rae", "mdape", "acc10", "coverage90", "width90"]
        return means.loc["hodm"][shown].assign(**best).reset_index()

    @cached_property
    def probes(self) -> pd.DataFrame:
        """The networks that were measured, the most informative first: ``network, measured_ms, predicted_ms, ...``."""
        frame = self.main[self.main["role"] == "probe"]
        order = self.table.frame[self.target].rank(pct=True)
        return pd.DataFrame(
            {
                "network": frame["arch"].map(short_arch),
                "measured_ms": frame["measured_ms"],
                "slower than (%)": (100 * order.reindex(frame["arch"]).to_numpy()).round(),
                "predicted_ms": frame["predicted_ms"],
            }
        ).reset_index(drop=True)

    @cached_property
    def figures(self) -> dict[str, go.Figure]:
        """Every figure, by name."""
        checks = self.main[self.main["role"] == "check"]
        return {
            "learning_curve": figures.learning_curve(self.results),
            "predicted_against_measured": figures.predicted_against_measured(thinned(self.main)),
            "error_by_quantile": figures.error_by_quantile(checks),
            "signature": figures.signature(self._signatures()),
        }

    def _signatures(self) -> pd.DataFrame:
        archs = self.main.loc[self.main["role"] == "probe", "arch"]
        wide = self.table.frame.loc[archs, [*self.task.source, self.target]].dropna(axis=1)
        frame = wide.reset_index().melt("arch", var_name="device", value_name="latency_ms")
        return frame.assign(role=np.where(frame["device"] == self.target, "target", "source"))

    def keep(self, run: Tracker) -> None:
        """Log metrics (the number of probes is the step), tables and figures to ``run``."""
        run.log_history(self.summary.drop(columns="floor").rename(columns={"probes": "step"}))
        for name, table in (("results", self.results), ("summary", self.summary), ("probes", self.probes)):
            run.log_table(table, f"{name}.csv")
        run.log_table(self.main, "predictions.parquet")
        for name, figure in self.figures.items():
            run.log_figure(figure, f"figures/{name}", html=False)


def transfer_curve(
    space: str,
    target: str,
    sources: Sequence[str] = (),
    folders: Sequence[str | Path] = (),
    samples: int = 900,
    probes: Sequence[int] = (3, 5, 10, 20),
    seeds: Sequence[int] = (0,),
    detail: int = 10,
    workers: int = 1,
    watch: Callable[[pd.DataFrame], None] | None = None,
) -> TransferCurve:
    """Predict ``target`` again and again, with more and more measurements, under the rules of `evaluate`.

    Finished transfers are kept in the cache: the same call goes on where it was interrupted, or is done at once.

    Args:
        space: search space.
        target: a device of the tables; nothing is learnt from it.
        sources: devices to learn from; none: see `choose_sources`.
        folders: of latency tables, see `load_table`.
        samples: networks to learn from.
        probes: numbers of measurements.
        seeds: each draws other networks and other initial weights.
        detail: the number of measurements to look at closely; the nearest of ``probes`` above 0 is taken.
        workers: processes side by side, with a core each.
        watch: called after every transfer with the ``results`` so far.

    Raises:
        WorkbenchError: an unknown space or device, or a prediction that could not be made.
    """
    whole = load_table(space, None, folders)
    whole.column(target)
    chosen = tuple(sources) or choose_sources(whole, [target])
    task = Task(target, space, chosen, (target,), samples)
    if not any(count > 0 for count in probes):
        raise WorkbenchError(f"A curve of a transfer expects a number of probes above 0, got {list(probes)}; add one.")
    with tempfile.TemporaryDirectory() as folder:
        file = write_tasks(Path(folder) / "task.json", [task])
        journal = Journal(cache_folder() / "transfers")
        found = evaluate(
            file,
            folders,
            probes=tuple(probes),
            seeds=seeds,
            journal=journal,
            workers=workers,
            watch=lambda so_far: watch(_rows(so_far)) if watch else None,
        )
        journal.trim(KEPT)
    for failure in found.failures.values():
        raise WorkbenchError(f"{target} could not be predicted: {failure}")
    table = whole.select([*chosen, target])
    frame = found.predictions.assign(measured_ms=found.predictions["arch"].map(table.column(target)))
    frame["role"] = frame["role"].replace("test", "check")
    columns = ["probes", "seed", "arch", "role", "predicted_ms", "low_ms", "high_ms", "measured_ms"]
    nearest = min((count for count in probes if count > 0), key=lambda count: abs(count - detail))
    return TransferCurve(task, table, _rows(found), frame[columns], nearest)


def _rows(found: EvaluationResult) -> pd.DataFrame:
    return pd.DataFrame([*found.results, *found.floors])[["method", "probes", "seed", *METRICS, "target_reads"]]
