"""An unseen device, predicted again and again: with more probes, with other ones, by another method.

The rules are those of `evaluate`: every prediction has a ledger of its own, reads the probes through it and nothing
else, and only then the other latencies are revealed, for scoring. What does not depend on the probes is done once: what
the source devices say (the design), the order in which networks are worth measuring, how far intervals have to be
stretched. After that a prediction takes as long as the adaptation alone, and follows a slider.

Shapes: `a` networks of the table, `s` of them learnt from, `d` source devices, `p` probes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.config import WorkbenchError, lookup
from workbench.data.networks import Networks
from workbench.data.table import LatencyTable
from workbench.data.tasks import Split
from workbench.describe.design import Design
from workbench.evaluation import METRICS, score
from workbench.insight import figures
from workbench.insight.doubts import doubts
from workbench.insight.hodm_training import DRAWN
from workbench.insight.labels import plural, short_arch
from workbench.insight.source_side import design_at, narrowed, source_side
from workbench.predictor.adapt import HeadConfig, Posterior
from workbench.predictor.adapt import adapt as fit_head
from workbench.predictor.baselines import FLOORS
from workbench.predictor.calibrate import interval_factor
from workbench.predictor.method import Adapt, Estimate, Probed, Sources, gaussian_estimate, some_probes
from workbench.predictor.opinions import PriorMean, opinions
from workbench.predictor.roofline import ZeroShot
from workbench.training.adapted import AdaptedPredictor
from workbench.training.adaptive import SEARCH_HEAD
from workbench.training.fit import Pretrained
from workbench.training.lesson import choose_sources
from workbench.training.transfer import METHODS, choose_probes, own_opinion

HEAD, HODM, ZERO_SHOT = "head", "hodm", "roofline"
MOST = 50  # probes that are put in order
SAMPLE = 1000  # networks that a prediction is scored on, at most
LEAST = 3  # networks measured on the target: one to measure, two to be predicted
KEPT = 200  # looks, the last ones

#: Numbers of probes for which the stretch of the intervals is found; between them it is interpolated.
RUNGS = (2, 5, 10, 20)
#: Networks on which each source device plays the target for that.
PLAYED = 300


@dataclass(frozen=True)
class Look:
    """The target, as it is predicted from some probes.

    Args:
        target: its name.
        method: which predicts; `ZERO_SHOT` where nothing was measured.
        frame: ``arch, role (probe|check), measured_ms, predicted_ms, low_ms, high_ms``: the probes in the order in
            which they were measured, then the checks, always in the same random order.
        scores: one row per method, the floors included: ``method`` and `METRICS`, on the checks.
        reads: latencies that were read before the truth was revealed.
        doubts: what is odd about them, see `doubts`.
    """

    target: str
    method: str
    frame: pd.DataFrame
    scores: pd.DataFrame
    reads: int
    doubts: str = ""

    @property
    def checks(self) -> pd.DataFrame:
        """The networks that were not measured for the prediction."""
        return self.frame[self.frame["role"] == "check"]

    @property
    def drawn(self) -> pd.DataFrame:
        """What a figure with an error bar for each network can show: the probes and the first checks."""
        return self.frame.head(len(self.frame) - len(self.checks) + DRAWN)

    @property
    def least_certain(self) -> str:
        """The check with the widest interval, in milliseconds."""
        checks = self.checks
        return str(checks["arch"].iloc[int((checks["high_ms"] - checks["low_ms"]).argmax())])

    @cached_property
    def figures(self) -> dict[str, go.Figure]:
        """Every figure, by name."""
        return {
            "predicted_against_measured": figures.predicted_against_measured(self.drawn),
            "error_by_quantile": figures.error_by_quantile(self.checks),
        }


class TransferStudy:
    """See the module's docstring.

    Args:
        table: latencies of the target and of its sources.
        target: a device of ``table``; nothing is learnt from it.
        sources: devices to learn from; none: see `choose_sources`.
        samples: networks to learn from, fewer where there are not so many.
        seed: draws these, and the networks that predictions are scored on.
        model: a HODM that has not seen the target; its own probes come first, and it is one more method.

    Example::

        study = TransferStudy(load_table("nasbench201"), "torch-eager_fp32_t1_b1")
        study.look(10).figures["predicted_against_measured"]

    Raises:
        WorkbenchError: an unknown device, no source device, too few measured networks.
    """

    def __init__(
        self,
        table: LatencyTable,
        target: str,
        sources: Sequence[str] = (),
        samples: int = 900,
        seed: int = 0,
        model: AdaptedPredictor | None = None,
    ) -> None:
        measured = table.column(target)
        chosen = tuple(name for name in sources if name != target) or choose_sources(table, [target])
        if not chosen:
            raise WorkbenchError(
                f"A transfer to '{target}' expects a source device beside it, got none; measure one, or give another "
                f"table."
            )
        self.split = Split(table.select([*chosen, target]), chosen, target, named=True)
        self.table, self.target, self.card = self.split.table, target, table.cards.get(target)
        candidates = np.flatnonzero(measured.notna())
        if len(candidates) < LEAST:
            raise WorkbenchError(
                f"A transfer expects at least {LEAST} networks measured on '{target}', got {len(candidates)}; measure "
                f"more, or choose another device."
            )
        generator = np.random.default_rng(seed)
        whole, design = source_side(self.table, chosen, samples, generator)
        order = _order(whole, design, candidates, generator, model)
        checks = generator.permutation(candidates)[:SAMPLE]
        visible = np.array(list(dict.fromkeys([*order.tolist(), *checks.tolist()])))
        rows = np.concatenate([visible, np.setdiff1d(whole.rows, visible)])
        self.sources, self.design = narrowed(whole, design, rows)
        self.order = np.arange(len(order))
        self.model = model
        self._head_design = design_at(design, visible)
        self._checks = self.networks.rows([whole.networks.archs[row] for row in checks])
        self._visible = len(visible)
        expected = ZeroShot(self.sources, self.design).expect(self.card)
        self._expected = expected.take(np.arange(self._visible)) if expected else None
        self._adapts: dict[str, Adapt] = {}
        self._factors: dict[int, float] = {}
        self._looks: dict[tuple[object, ...], Look] = {}

    @property
    def networks(self) -> Networks:
        """The networks at hand: those in the order of probes, those scored on, those learnt from."""
        return self.sources.networks

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods that can predict the target."""
        return (*((HODM,) if self.model else ()), HEAD, ZERO_SHOT, *FLOORS)

    @property
    def most(self) -> int:
        """The largest number of probes."""
        return len(self.order)

    @property
    def origin(self) -> str:
        """One sentence on what is learnt from, and how foreign the target is to it."""
        devices, shared = plural(len(self.sources.devices), "source device"), len(self.split.shared)
        kin = f"{shared} of them on its hardware" if shared else "none of them known to be on its hardware"
        learnt = f"{plural(len(self.sources.rows), 'network')} learnt from"
        measured = plural(int(self._truth.notna().sum()), "network")
        scored = f"scored on {len(self._checks):,} of {measured}, less probes"
        return f"{self.target} from {devices}, {kin}; {learnt}, {scored}."

    def knows(self, arch: str) -> bool:
        """Whether ``arch`` can be a probe: it is at hand and was measured on the target."""
        return self.networks.row.get(arch, self._visible) < self._visible

    def probes(self, count: int, extra: Sequence[str] = ()) -> np.ndarray:
        """`p` rows of the networks at hand: the first ``count`` in order, then those of ``extra`` that are not among
        them.

        Raises:
            WorkbenchError: more than there are in order, or an arch that cannot be a probe.
        """
        if not 0 <= count <= self.most:
            raise WorkbenchError(
                f"A transfer to '{self.target}' expects 0 to {self.most} probes, got {count}; correct the number."
            )
        for arch in extra:
            if not self.knows(arch):
                raise WorkbenchError(
                    f"Network {short_arch(arch)} is not among the {self._visible:,} that can be measured on "
                    f"'{self.target}' here; choose one of those that are drawn."
                )
        added = [row for row in dict.fromkeys(self.networks.rows(extra).tolist()) if row >= count]
        rows = np.concatenate([self.order[:count], np.array(added, dtype=np.int64)])
        if (left := np.setdiff1d(self._checks, rows).size) < LEAST - 1:
            raise WorkbenchError(
                f"A transfer to '{self.target}' expects at least {LEAST - 1} networks to be scored on, got {left} "
                f"beside {len(rows)} probes; measure fewer."
            )
        return rows

    def look(self, count: int, method: str = HEAD, extra: Sequence[str] = ()) -> Look:
        """Measure ``count`` probes and ``extra`` networks, predict, reveal the others, score.

        Without any measurement the method is `ZERO_SHOT`, and there are no floors, which need one.
        """
        lookup("method", dict.fromkeys(self.methods), method)
        key = (count, method, tuple(extra))
        if key not in self._looks:
            if len(self._looks) >= KEPT:
                del self._looks[next(iter(self._looks))]
            self._looks[key] = self._look(self.probes(count, extra), method)
        return self._looks[key]

    def estimate(self, method: str, probed: Probed) -> Estimate:
        """What ``method`` says of all networks that can be measured on the target."""
        if method in (HEAD, HODM):
            return self._stretched(self._posterior(probed, own=method == HODM))
        if method not in self._adapts:
            generator = np.random.default_rng(0)
            self._adapts[method] = METHODS[method](self.sources, self.design, self.order, generator)
        estimate = self._adapts[method](probed, self.card)()
        return Estimate(*(part[: self._visible] for part in estimate))

    def factor(self, count: int) -> float:
        """How far the head's intervals are stretched with ``count`` probes, see `interval_factor`."""
        place = float(np.interp(np.log(count), np.log(RUNGS), np.arange(len(RUNGS))))
        below, above = int(place), int(np.ceil(place))
        return (1 - place + below) * self._factor(RUNGS[below]) + (place - below) * self._factor(RUNGS[above])

    @property
    def _truth(self) -> pd.Series:
        return self.table.frame[self.target]

    def _look(self, rows: np.ndarray, method: str) -> Look:
        archs, ledger = self.networks.archs, self.split.ledger()
        probed = Probed(rows, np.array(ledger.measure_all(archs[row] for row in rows), dtype=np.float64))
        names = list(dict.fromkeys([method, *FLOORS])) if len(rows) else [ZERO_SHOT]
        posterior = self._posterior(probed, method == HODM) if len(rows) and method in (HEAD, HODM) else None
        estimates = {method: self._stretched(posterior)} if posterior else {}
        estimates |= {name: self.estimate(name, probed) for name in names if name not in estimates}
        reads, truth = ledger.reads, ledger.reveal()
        checks = self._checks[~np.isin(self._checks, rows)]
        actual_ms = truth.loc[[archs[row] for row in checks]].to_numpy()
        both, measured_ms = np.concatenate([rows, checks]), np.concatenate([probed.ms, actual_ms])
        main = Estimate(*(part[both] for part in estimates[names[0]]))
        frame = pd.DataFrame(
            {
                "arch": [archs[row] for row in both],
                "role": ["probe"] * len(rows) + ["check"] * len(checks),
                "measured_ms": measured_ms,
                "predicted_ms": main.ms,
                "low_ms": main.low_ms,
                "high_ms": main.high_ms,
            }
        )
        scores = [
            {"method": name, **score(actual_ms, Estimate(*(part[checks] for part in estimate)))}
            for name, estimate in estimates.items()
        ]
        told = doubts(posterior) if posterior else ""
        return Look(self.target, names[0], frame, pd.DataFrame(scores)[["method", *METRICS]], reads, told)

    def _posterior(self, probed: Probed, own: bool) -> Posterior:
        design, probed = self._head_design, some_probes(HEAD, probed)
        priors = opinions(design.shapes, *probed, self._expected)
        if own and (opinion := self._model_opinion(probed)):
            priors.append(opinion)
        return fit_head(design.blocks, *probed, priors, HeadConfig())

    def _stretched(self, posterior: Posterior) -> Estimate:
        mean, deviation = posterior.predict()
        return gaussian_estimate(mean, self.factor(len(posterior.probes)) * deviation, posterior.probe_ms.mean())

    def _model_opinion(self, probed: Probed) -> PriorMean | None:
        """What the model says; it has seen nothing of probes that are none of its own, so what it says there counts."""
        speaking, place = self._spoken
        inside = np.flatnonzero(place[probed.rows] < len(speaking.probes))
        if len(inside) < 2:
            return None
        known = Probed(place[probed.rows[inside]], probed.ms[inside])
        opinion = own_opinion(speaking, known, self.card)
        ms = opinion.ms[place]
        probe_ms = ms[probed.rows]
        probe_ms[inside] = opinion.probe_ms
        return opinion._replace(ms=ms, probe_ms=probe_ms)

    @cached_property
    def _spoken(self) -> tuple[Pretrained, np.ndarray]:
        """The model as it speaks about the networks that can be measured, and the row of each in that."""
        archs = self.networks.archs[: self._visible]
        speaking, networks = self.model.about(list(dict.fromkeys([*self.model.probes, *archs])))
        return speaking, networks.rows(archs)

    def _factor(self, count: int) -> float:
        if count not in self._factors:
            rows = np.random.default_rng(0).permutation(self.sources.rows)[:PLAYED]
            played, design = narrowed(self.sources, self.design, np.sort(rows))
            zero_shot = ZeroShot(played, design)
            self._factors[count] = interval_factor(
                played, design, count, np.random.default_rng(0), SEARCH_HEAD, zero_shot
            )
        return self._factors[count]


def _order(
    sources: Sources,
    design: Design,
    candidates: np.ndarray,
    generator: np.random.Generator,
    model: AdaptedPredictor | None,
) -> np.ndarray:
    """The rows that are worth measuring, the most informative first; a model's own probes before all others."""
    count = min(MOST, len(candidates) - LEAST + 1)
    order = choose_probes(design, count, generator, None, candidates)
    row = sources.networks.row
    own = [row[arch] for arch in model.probes if arch in row] if model else []
    kept = set(candidates.tolist())
    return np.array([place for place in dict.fromkeys([*own, *order.tolist()]) if place in kept][:count])
