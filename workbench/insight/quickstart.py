"""The quick start's story: one machine measured, predicted, checked and explained, as tables, figures and a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.data.sources import data_folders
from workbench.describe.design import Design
from workbench.devices.device import DeviceCard
from workbench.evaluation import score
from workbench.insight import figures
from workbench.insight.doubts import doubts
from workbench.insight.explain import Explanation, explain
from workbench.insight.labels import NASBENCH201_KEY, short_arch
from workbench.insight.report import Section, card_html, key_figures, write_report
from workbench.predictor.baselines import FLOORS
from workbench.predictor.method import Estimate, Probed, Sources
from workbench.predictor.roofline import ZeroShot
from workbench.training import checkpoint
from workbench.training.adapted import AdaptedPredictor
from workbench.training.fit import Pretrained
from workbench.training.transfer import Transferred

#: Columns of the report's table of methods.
REPORTED = ["spearman", "rae", "mdape", "acc10", "coverage90", "width90"]

#: Training steps that a point of the loss curve averages: every step draws other devices, so single ones jump.
SMOOTHING = 25

#: What the device is called in figures and in the model.
THIS_MACHINE = "this machine"


#: Makes of a folder with a model a function from table to table.
Load = Callable[[Path], Callable[[pd.DataFrame], pd.DataFrame]]


class Tracker(Protocol):
    """Where results are kept; `workbench.tracking.Run` is one."""

    run_id: str

    def log_metrics(self, metrics: Mapping[str, float]) -> None: ...
    def log_history(self, history: pd.DataFrame) -> None: ...
    def log_table(self, table: pd.DataFrame, name: str) -> None: ...
    def log_figure(self, figure: go.Figure, name: str, html: bool, image: bool = False) -> None: ...
    def log_file(self, path: Path) -> None: ...
    def log_model(self, folder: Path, load: Load, example: pd.DataFrame) -> str: ...


@dataclass(frozen=True)
class QuickStart:
    """Everything that a quick start found out.

    Args:
        card: this machine.
        quiet: one sentence on how quiet it was.
        sources, design: what was known before it was measured.
        pretrained, transferred: HODM, and HODM adapted to this machine.
        probe_ms: `p` measured latencies of the probes.
        checks: rows of networks that were measured only to check the prediction.
        check_ms: their measured latencies.
    """

    card: DeviceCard
    quiet: str
    sources: Sources
    design: Design
    pretrained: Pretrained
    transferred: Transferred
    probe_ms: np.ndarray
    checks: np.ndarray
    check_ms: np.ndarray

    @cached_property
    def methods(self) -> pd.DataFrame:
        """Metrics of HODM and of every floor on the check networks; all saw the same probes."""
        estimates = {"hodm": self.transferred.estimate}
        for name, pretrain in FLOORS.items():
            adapt = pretrain(self.sources, self.design, self.pretrained.probes, np.random.default_rng(0))
            estimates[name] = adapt(Probed(self.pretrained.probes, self.probe_ms), self.card)()
        rows = {
            name: score(self.check_ms, Estimate(*(part[self.checks] for part in estimate)))
            for name, estimate in estimates.items()
        }
        return pd.DataFrame(rows).T.rename_axis("method").reset_index()

    @property
    def metrics(self) -> dict[str, float]:
        """HODM's metrics on the check networks."""
        return self.methods.set_index("method").loc["hodm"].to_dict()

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """One row per network of the space: ``arch, predicted_ms, low_ms, high_ms, measured_ms, role``."""
        estimate, networks = self.transferred.estimate, self.sources.networks
        frame = pd.DataFrame({"arch": networks.archs, "predicted_ms": estimate.ms})
        frame = frame.assign(low_ms=estimate.low_ms, high_ms=estimate.high_ms, measured_ms=np.nan, role="")
        for role, rows, values in (
            ("probe", self.pretrained.probes, self.probe_ms),
            ("check", self.checks, self.check_ms),
        ):
            frame.loc[rows, "measured_ms"], frame.loc[rows, "role"] = values, role
        return frame

    @cached_property
    def explanation(self) -> Explanation:
        """The check network of median latency, taken apart."""
        row = self.checks[np.argsort(self.check_ms)[len(self.check_ms) // 2]]
        arch = self.sources.networks.archs[row]
        parts = (self.sources.networks, self.transferred, self.probe_ms, self.card)
        return explain(arch, self.pretrained, *parts)

    @cached_property
    def predictor(self) -> AdaptedPredictor:
        """HODM adapted to this machine, as it is kept."""
        whole = AdaptedPredictor.of(self.pretrained, self.sources.networks, self.design)
        expectation = ZeroShot(self.sources, self.design).expectation(self.card)
        return whole.add(THIS_MACHINE, self.probe_ms, self.card, self.transferred.factor, expectation)

    @property
    def history(self) -> pd.DataFrame:
        """Loss per training step: ``step, loss``."""
        return pd.DataFrame({"step": range(1, len(self.pretrained.losses) + 1), "loss": self.pretrained.losses})

    def _smooth_history(self) -> pd.DataFrame:
        history = self.history
        return history.assign(loss=history["loss"].rolling(SMOOTHING, min_periods=1).mean())

    @cached_property
    def figures(self) -> dict[str, go.Figure]:
        """Every figure of the report, by name."""
        measured = self.predictions[self.predictions["role"] != ""]
        objective, pareto = self._objective
        why = self.explanation
        return {
            "predicted_against_measured": figures.predicted_against_measured(measured),
            "floors": figures.floors(self.methods),
            "signature": figures.signature(self._signatures()),
            "ranking": figures.ranking(self.predictions.drop(columns="role")),
            "pareto": figures.pareto(pareto, objective),
            "attention_map": figures.attention_map(why.attention, why.operators, why.hardware, why.faithfulness),
            "operator_costs": figures.operator_costs(why.costs, measured_ms=self._measured(why.arch)),
            "training_curve": figures.training_curve(self._smooth_history()),
        }

    def _measured(self, arch: str) -> float:
        return float(self.check_ms[list(self.checks).index(self.sources.networks.row[arch])])

    def _signatures(self) -> pd.DataFrame:
        probes = self.pretrained.probes
        archs = [self.sources.networks.archs[row] for row in probes]
        columns = self.design.source[probes] * self.sources.mean_ms
        devices = [*self.sources.devices, THIS_MACHINE]
        values = np.concatenate([columns, self.probe_ms[:, None]], axis=1)
        frame = pd.DataFrame(values, index=archs, columns=devices).rename_axis("arch").reset_index()
        frame = frame.melt("arch", var_name="device", value_name="latency_ms")
        return frame.assign(role=np.where(frame["device"] == THIS_MACHINE, "target", "source"))

    @property
    def _objective(self) -> tuple[str, pd.DataFrame]:
        """Accuracy where a table of it is at hand, parameters otherwise."""
        frame = self.predictions[["arch", "predicted_ms"]]
        for folder in data_folders():
            path = folder / f"{self.sources.networks.space}_accuracy.parquet"
            if path.is_file():
                accuracy = pd.read_parquet(path, columns=["arch", "cifar100"])
                accuracy = accuracy.rename(columns={"cifar100": "accuracy_percent"})
                return "accuracy_percent", frame.merge(accuracy, on="arch")
        return "parameters", frame.assign(parameters=self.sources.networks.parameters)

    def keep(self, run: Tracker, folder: str | Path) -> Path:
        """Write model and report into ``folder``, log them and everything else to ``run``; returns the report."""
        folder = Path(folder)
        run.log_metrics(self.metrics)
        run.log_history(self.history)
        run.log_table(self.methods, "methods.csv")
        run.log_table(self.predictions, "predictions.parquet")
        for name, figure in self.figures.items():
            run.log_figure(figure, f"figures/{name}", html=name == "attention_map")
        model = checkpoint.save_predictor(folder / "model", self.predictor)
        run.log_model(model, checkpoint.load_predictor, self.predictor.example())
        report = self.write_report(folder / "report.html", {"MLflow run": run.run_id})
        run.log_file(report)
        return report

    def write_report(self, path: str | Path, runs: Mapping[str, str] | None = None) -> Path:
        """One HTML file that works offline; ``runs`` (name -> value) is listed at the end."""
        metrics, drawn = self.metrics, self.figures
        floors = self.methods.set_index("method")["rae"].drop("hodm").to_dict()
        total, probes = len(self.sources.networks), len(self.probe_ms)
        hardware = self.card.hardware or "this machine"
        return write_report(
            path,
            f"How long {total:,} networks take on this machine",
            f"**{hardware}**, {self.card.runtime}, {self.card.precision}, {self.card.threads} thread(s), batch "
            f"{self.card.batch_size}. {probes} probe networks were timed here; the other {total - probes:,} latencies "
            f"are predictions with 90 % intervals. {len(self.checks)} further networks, drawn at random before "
            f"anything was predicted, were timed only to check them.\n\n{self.quiet}",
            self._sections(drawn),
            headline=key_figures(metrics, floors),
            eyebrow="Quick start",
            footer=" · ".join(f"{name}: `{value}`" for name, value in (runs or {}).items()),
        )

    def _sections(self, drawn: Mapping[str, go.Figure]) -> list[Section]:
        why, shared = self.explanation, self._shared_hardware()
        trusted = f"{self.transferred.posterior.trust['hodm']:.0%}"
        return [
            Section(
                "How right it is",
                "Every floor saw the same probes. An error bar is the 90 % interval.",
                [drawn["predicted_against_measured"], drawn["floors"]],
                "Left of the line is faster than predicted. Floors: a line in FLOPs, the most similar source device "
                "times a factor, and Bayesian ridge regression.",
                table=self.methods[["method", *REPORTED]].round(3),
            ),
            Section("This machine", "What was detected, and what was measured.", html=card_html(self.card)),
            Section(
                "Its behaviour signature",
                f"How long each probe takes relative to their mean, beside the {len(self.sources.devices)} execution "
                f"platforms that the model was trained on. {shared} {doubts(self.transferred.posterior)}".strip(),
                drawn["signature"],
                NASBENCH201_KEY,
            ),
            Section(
                "All networks, ranked",
                "The band is the 90 % interval; dots are check networks as measured.",
                drawn["ranking"],
            ),
            Section("What to choose", "", drawn["pareto"], "The whole space as a cloud, the best of it as a line."),
            Section(
                "Why",
                f"The check network of median latency, `{short_arch(why.arch)}`, taken apart. The dialogue gives every "
                "operator a cost; the costs shown are the nearest to these that add up to the adapted prediction.",
                [drawn["operator_costs"], drawn["attention_map"]],
                "A map alone proves nothing: the number above it says how well attention agrees with what happens when "
                "a hardware token is dropped (1: perfectly, 0: not at all).",
            ),
            Section(
                "How it was made",
                f"HODM was trained on {len(self.sources.rows)} networks on {len(self.sources.devices)} platforms, then "
                f"adapted in closed form. Its own prediction was trusted to {trusted}, the Bayesian head did the rest; "
                f"calibration made the intervals {self.transferred.factor:.2f} times as wide.",
                drawn["training_curve"],
            ),
        ]

    def _shared_hardware(self) -> str:
        cards = self.sources.cards
        shared = [name for name in self.sources.devices if name in cards and cards[name].hardware == self.card.hardware]
        if shared and self.card.hardware:
            return (
                f"Note: {len(shared)} of them ran on the same processor model in another configuration, so this is a "
                "transfer between ways of running, not to unseen silicon."
            )
        return "None of them ran on this processor model."
