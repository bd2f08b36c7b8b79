"""The story of a training: what HODM makes of the devices it learnt from, and of one that was only probed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.data.terms import Terms
from workbench.devices.device import DeviceCard
from workbench.evaluation import score
from workbench.graphs.features import PHYSICS
from workbench.insight import figures
from workbench.insight.explain import Explanation, explain
from workbench.insight.labels import spoken
from workbench.insight.quickstart import Tracker
from workbench.predictor.baselines import FLOORS
from workbench.predictor.calibrate import interval_factor
from workbench.predictor.method import Estimate, Probed
from workbench.predictor.roofline import ZeroShot
from workbench.training import checkpoint
from workbench.training.adapted import AdaptedPredictor
from workbench.training.fit import Pretrained
from workbench.training.lesson import Course, Lesson, read_sources
from workbench.training.transfer import Transferred, transfer

#: Networks that a figure with an error bar for each can show.
DRAWN = 150

#: Metrics that make sense without an interval.
ALONE = ("spearman", "rae", "mdape", "acc10")


@dataclass(frozen=True)
class Target:
    """A device that HODM was adapted to, and the truth about it.

    Args:
        card: None if there is none.
        probe_ms: `p` measured milliseconds of the probes.
        transferred: HODM adapted to them.
        rows: `n` test networks, all that were measured and are no probes.
        actual_ms: their measured latencies.
        reads: latencies that were read before the truth was revealed.
    """

    card: DeviceCard | None
    probe_ms: np.ndarray
    transferred: Transferred
    rows: np.ndarray
    actual_ms: np.ndarray
    reads: int


@dataclass(frozen=True)
class HODMTraining:
    """A lesson with the HODM that was trained on it.

    Args:
        lesson: what it learnt from.
        pretrained: the model.
        course: of the training.
    """

    lesson: Lesson
    pretrained: Pretrained
    course: Course

    @cached_property
    def targets(self) -> dict[str, Target]:
        """HODM adapted to every target, by name; each is read on the probes only, then revealed."""
        lesson, found = self.lesson, {}
        networks, generator = lesson.sources.networks, np.random.default_rng(0)
        factor = interval_factor(
            lesson.sources, lesson.design, len(lesson.probes), generator, zero_shot=self._zero_shot
        )
        for split in lesson.splits:
            ledger, card = split.ledger(), lesson.table.cards.get(split.target)
            probe_ms = np.array(ledger.measure_all(lesson.probe_archs))
            expected, probed = self._zero_shot.expect(card), Probed(lesson.probes, probe_ms)
            adapted = transfer(self.pretrained, lesson.design, probed, card, factor, expected=expected)
            truth = ledger.reveal()
            rows = networks.rows(list(truth.index))
            found[split.target] = Target(card, probe_ms, adapted, rows, truth.to_numpy(), ledger.reads)
        return found

    @cached_property
    def _zero_shot(self) -> ZeroShot:
        return ZeroShot(self.lesson.sources, self.lesson.design)

    @cached_property
    def learnt(self) -> pd.DataFrame:
        """One row per source device: how well HODM alone, without its head, predicts the held-out networks."""
        actual, predicted = self.lesson.held_out_ms, read_sources(self.pretrained, self.lesson)
        rows = []
        for column, device in enumerate(self.lesson.sources.devices):
            there = ~np.isnan(actual[:, column])
            if there.sum() > 1:
                ms = predicted[there, column]
                scores = score(actual[there, column], Estimate(ms, ms, ms))
                rows.append({"device": device, "networks": int(there.sum()), **{name: scores[name] for name in ALONE}})
        return pd.DataFrame(rows)

    @cached_property
    def results(self) -> pd.DataFrame:
        """One row per method and target: ``method, device``, `METRICS`, ``target_reads``; all saw the same probes."""
        lesson, rows = self.lesson, []
        estimates = {("hodm", device): target.transferred.estimate for device, target in self.targets.items()}
        for name, learn in FLOORS.items():
            adapt = learn(lesson.sources, lesson.design, lesson.probes, np.random.default_rng(0))
            for device, target in self.targets.items():
                estimates[name, device] = adapt(Probed(lesson.probes, target.probe_ms), target.card)()
        for (name, device), estimate in estimates.items():
            target = self.targets[device]
            scores = score(target.actual_ms, Estimate(*(part[target.rows] for part in estimate)))
            rows.append({"method": name, "device": device, **scores, "target_reads": target.reads})
        return pd.DataFrame(rows)

    @property
    def metrics(self) -> dict[str, float]:
        """HODM's metrics, and the floors' errors, as means over the targets."""
        means = self.results.drop(columns="device").groupby("method").mean()
        floors = {f"{name}_rae": means.loc[name, "rae"] for name in means.index.drop("hodm")}
        return {**means.loc["hodm"], **floors, "validation_rae": self.learnt["rae"].mean()}

    @cached_property
    def charges(self) -> pd.DataFrame:
        """What HODM charges each device for: share of the mean network's latency per physical quantity, in percent."""
        networks, cards = self.lesson.sources.networks, self.lesson.table.cards
        totals = Terms.of(networks).totals
        names = [f"{spoken(name)} (%)" for name, total in zip(PHYSICS, totals, strict=True) if total > 0]
        readings = dict(zip(self.lesson.sources.devices, self.lesson.source_readings(), strict=True))
        readings |= {device: target.probe_ms for device, target in self.targets.items()}
        rows = {}
        for device, probe_ms in readings.items():
            costs = self.pretrained.dialogue(probe_ms[None], cards.get(device)).costs[0].double().numpy()  # v x q
            charged = networks.counts.mean(axis=0) @ costs
            rows[device] = 100 * charged / charged.sum()
        return pd.DataFrame(rows, index=names).T.rename_axis("device")

    def predictions(self, device: str) -> pd.DataFrame:
        """``arch, role (probe|check), predicted_ms, low_ms, high_ms, measured_ms``: what was measured on a target."""
        target, probes = self.targets[device], self.lesson.probes
        rows = np.concatenate([probes, target.rows])
        estimate = Estimate(*(part[rows] for part in target.transferred.estimate))
        frame = pd.DataFrame({"arch": [self.lesson.sources.networks.archs[row] for row in rows]})
        frame["role"] = ["probe"] * len(probes) + ["check"] * len(target.rows)
        frame = frame.assign(predicted_ms=estimate.ms, low_ms=estimate.low_ms, high_ms=estimate.high_ms)
        return frame.assign(measured_ms=np.concatenate([target.probe_ms, target.actual_ms]))

    @cached_property
    def explanation(self) -> Explanation:
        """The test network of median latency on the first target, taken apart."""
        target = next(iter(self.targets.values()))
        row = target.rows[np.argsort(target.actual_ms)[len(target.rows) // 2]]
        networks = self.lesson.sources.networks
        return explain(networks.archs[row], self.pretrained, networks, target.transferred, target.probe_ms, target.card)

    @cached_property
    def figures(self) -> dict[str, go.Figure]:
        """Every figure, by name; those of one device show the first target."""
        why, main = self.explanation, self.predictions(next(iter(self.targets)))
        measured = main.set_index("arch").loc[why.arch, "measured_ms"]
        return {
            "training_curve": figures.training_curve(self.course.smooth()),
            "floors": figures.floors(self.results),
            "predicted_against_measured": figures.predicted_against_measured(thinned(main)),
            "operator_costs": figures.operator_costs(why.costs, measured_ms=measured),
            "attention_map": figures.attention_map(why.attention, why.operators, why.hardware, why.faithfulness),
        }

    @cached_property
    def predictor(self) -> AdaptedPredictor:
        """HODM with all targets, as it is kept."""
        predictor = AdaptedPredictor.of(self.pretrained, self.lesson.sources.networks, self.lesson.design)
        for device, target in self.targets.items():
            expectation, factor = self._zero_shot.expectation(target.card), target.transferred.factor
            predictor = predictor.add(device, target.probe_ms, target.card, factor, expectation)
        return predictor

    def keep(self, run: Tracker, folder: str | Path) -> str:
        """Write the model into ``folder``, log it and everything else to ``run``; returns the model's address."""
        run.log_metrics(self.metrics)
        run.log_history(self.course.history)
        for name, table in (("devices", self.lesson.devices), ("results", self.results), ("learnt", self.learnt)):
            run.log_table(table, f"{name}.csv")
        run.log_table(self.charges.reset_index(), "charges.csv")
        for name, figure in self.figures.items():
            run.log_figure(figure, f"figures/{name}", html=name == "attention_map")
        model = checkpoint.save_predictor(Path(folder) / "model", self.predictor)
        return run.log_model(model, checkpoint.load_predictor, self.predictor.example())


def thinned(frame: pd.DataFrame, most: int = DRAWN) -> pd.DataFrame:
    """All probes of ``frame`` and at most ``most`` of its checks, drawn at random."""
    checks = np.flatnonzero(frame["role"] == "check")
    drawn = np.random.default_rng(0).permutation(checks)[:most]
    return frame.iloc[np.sort(np.concatenate([np.flatnonzero(frame["role"] == "probe"), drawn]))]
