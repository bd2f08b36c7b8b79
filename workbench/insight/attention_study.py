"""What a trained HODM looks at: one model, its devices, and any network of its space.

A device is looked at once (one forward pass, one adaptation, both kept); after that an explanation is a matter of
picking the operators that a network consists of, fast enough to follow a slider.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.config import WorkbenchError, lookup
from workbench.describe.design import LEAST, Design
from workbench.describe.plausible import plausible_latencies
from workbench.devices.device import DeviceCard
from workbench.insight import figures
from workbench.insight.explain import ALL, DeviceView, Explanation, explain_on, view_device
from workbench.insight.labels import short_arch
from workbench.insight.plots.attention_difference import ROW_SHARE
from workbench.insight.quickstart import Tracker
from workbench.predictor.roofline import DRAWS, SEED, ZeroShot
from workbench.spaces import get_space
from workbench.training.adapted import AdaptedPredictor
from workbench.training.fit import Pretrained
from workbench.training.lesson import Lesson

#: Networks that are drawn from the space, to be ranked and to tell operators' shares from.
POOL = 1000

#: What to ask for instead of an arch string -> its place in the ranking on the device.
RANKS = {"fastest": 0.0, "median": 0.5, "slowest": 1.0}
RANDOM = re.compile(r"random\s*(\d{0,9})")

LATENCY_SHARE = "% of the latency"


class AttentionStudy:
    """See the module's docstring.

    Args:
        predictor: the model, adapted to at least one device.
        archs: networks at hand, besides the probes; `POOL` random ones if none. Others may be asked for, too.
        seed: of the draw.

    Example::

        study = AttentionStudy(checkpoint.load_predictor("reports/training/model"))
        why = study.explain(study.find("median", "phone"), "phone")
        figures.attention_map(why.attention, why.operators, why.hardware, why.faithfulness)
    """

    def __init__(self, predictor: AdaptedPredictor, archs: Sequence[str] = (), seed: int = 0) -> None:
        if not predictor.devices:
            raise WorkbenchError("A study of attention expects a model with a device, got none; add one to the model.")
        self.predictor = predictor
        self.space = get_space(predictor.terms.space)
        pool = list(archs) or self.space.sample(POOL, np.random.default_rng(seed))
        self._speak_about([*predictor.probes, *pool])

    @property
    def devices(self) -> list[str]:
        """Names of the devices that the model knows."""
        return list(self.predictor.devices)

    @property
    def archs(self) -> tuple[str, ...]:
        """The networks at hand, the probes first."""
        return self.networks.archs

    @property
    def rounds(self) -> int:
        """Rounds of dialogue."""
        return self.model.model.config.rounds

    @property
    def heads(self) -> int:
        """Heads of each round."""
        return self.model.model.config.heads

    def view(self, device: str) -> DeviceView:
        """``device`` as the model sees it."""
        known = lookup("device of this model", self.predictor.devices, device)
        if device not in self._views:
            adapted = known.adapt(self.model, self.networks, self._design)
            operators = self.predictor.terms.operators
            self._views[device] = view_device(self.model, self.networks, adapted, known.probe_ms, known.card, operators)
        return self._views[device]

    def find(self, wish: str, device: str) -> str:
        """The network that ``wish`` names.

        Args:
            wish: one of `RANKS` on ``device``, ``random`` (or ``random 7``, always the same one), the short name of a
                network at hand, or an arch string.

        Raises:
            WorkbenchError: none of these.
        """
        wish = wish.strip()
        if wish in RANKS:
            order = np.argsort(self.view(device).predicted_ms, kind="stable")
            return self.archs[order[round(RANKS[wish] * (len(order) - 1))]]
        if drawn := RANDOM.fullmatch(wish):
            return self.archs[np.random.default_rng(int(drawn[1] or 0)).integers(len(self.archs))]
        if wish in self._short:
            return self._short[wish]
        try:
            return self.space.format(self.space.parse(wish))
        except WorkbenchError as error:
            raise WorkbenchError(f"{str(error).rstrip('.')}, or ask for {', '.join(RANKS)} or 'random 1'.") from error

    def explain(self, arch: str, device: str) -> Explanation:
        """``arch`` on ``device``, taken apart."""
        if arch not in self.networks.row:
            self._speak_about([*self.archs, arch])
        if (arch, device) not in self._explained:
            self._explained[arch, device] = explain_on(self.view(device), arch)
        return self._explained[arch, device]

    @property
    def charges(self) -> pd.DataFrame:
        """What HODM charges each device for: share of the mean network's latency per physical quantity, in percent."""
        return pd.DataFrame({device: self.view(device).charged for device in self.devices}).T.rename_axis("device")

    @property
    def trust(self) -> pd.DataFrame:
        """One row per device: ``device, tokens`` (hardware tokens that are known), and faithfulness over the networks:
        ``low, median, high`` (tenth, fiftieth and ninetieth percentile)."""
        rows = []
        for device in self.devices:
            view = self.view(device)
            values = view.faithfulness[np.isfinite(view.faithfulness)]
            spread = np.percentile(values, (10, 50, 90)) if len(values) else np.full(3, np.nan)
            rows.append((device, int(view.hardware["known"].sum()), *spread))
        return pd.DataFrame(rows, columns=["device", "tokens", "low", "median", "high"])

    def figures(self, arch: str, device: str, other: str = "") -> dict[str, go.Figure]:
        """Every figure about ``arch`` on ``device``, by name; with an ``other`` device, the difference, too."""
        why = self.explain(arch, device)
        drawn = {
            "attention_map": figures.attention_map(why.attention, why.operators, why.hardware, why.faithfulness),
            "attention_faithfulness": figures.attention_faithfulness(why.tokens(why.weights()), why.faithfulness),
            "operator_costs": figures.operator_costs(why.costs),
        }
        if other:
            apart = difference(why, self.explain(arch, other))
            drawn["attention_difference"] = figures.attention_difference(*apart.parts, (device, other), apart.unit)
        return drawn

    def keep(self, run: Tracker, arch: str, device: str, other: str = "") -> None:
        """Log what is to be said about ``arch`` on ``device`` to ``run``; its attention map also as a picture."""
        why = self.explain(arch, device)
        run.log_metrics(
            {
                "predicted_ms": why.predicted_ms,
                "faithfulness": why.faithfulness,
                **{f"share_bound_by_{name}": share for name, share in why.bounds.items()},
                **{f"faithfulness_on_{row.device}": row.median for row in self.trust.itertuples()},
            }
        )
        for name, table in (("operators", why.operators), ("trust", self.trust)):
            run.log_table(table, f"{name}.csv")
        run.log_table(self.charges.reset_index(), "charges.csv")
        for name, figure in self.figures(arch, device, other).items():
            run.log_figure(figure, f"figures/{name}", html=False, image=name == "attention_map")

    def _speak_about(self, archs: Sequence[str]) -> None:
        self.model, self.networks = self.predictor.about(list(dict.fromkeys(archs)))
        self._design: Design = self.predictor.design(self.networks)
        self._views: dict[str, DeviceView] = {}
        self._explained: dict[tuple[str, str], Explanation] = {}
        self._short = {short_arch(arch): arch for arch in self.archs}


@dataclass(frozen=True)
class Difference:
    """Two explanations of one study, operator by operator.

    Args:
        operators: `n` rows ``name, shape, where (both|first|second), first_ms, second_ms, first, second``; the last two
            are the operator's place in either explanation, -1 where it is not there.
        hardware: `h` rows ``name, where (both|first|second|neither)``: of which device it is known.
        maps: `2 x n x h` attention, zero where an operator is not there.
        unit: of ``maps``. One network on two devices: attention as it is. HODM looks at an operator in the same
            way whichever network it is part of, so between two networks it is weighted by the operator's share of
            the latency.
    """

    operators: pd.DataFrame
    hardware: pd.DataFrame
    maps: np.ndarray
    unit: str

    @property
    def values(self) -> np.ndarray:
        """`n x h`, the first minus the second."""
        return self.maps[0] - self.maps[1]

    @property
    def parts(self) -> tuple[np.ndarray, pd.DataFrame, pd.DataFrame]:
        """What `figures.attention_difference` draws."""
        return self.maps, self.operators, self.hardware


def difference(first: Explanation, second: Explanation, rounds: str | int = ALL, heads: str | int = ALL) -> Difference:
    """Where the attention of one round and head (or their mean) differs between two explanations of one study."""
    weighted = first.arch != second.arch
    pair = (first, second)
    maps = [why.weights(rounds, heads) * (100 * why.shares[:, None] if weighted else 1.0) for why in pair]
    places = np.array(_matched(first, second)).T  # 2 x n; -1 is the row of zeros at the end
    maps = [np.concatenate([weights, np.zeros((1, weights.shape[1]))]) for weights in maps]
    names = [np.append(why.operators[["name", "shape"]].to_numpy(), [["", ""]], axis=0) for why in pair]
    ms = [np.append(why.operators["predicted_ms"], 0.0)[rows] for why, rows in zip(pair, places, strict=True)]
    alone = places < 0
    chosen = np.where(alone[0][:, None], names[1][places[1]], names[0][places[0]])
    operators = pd.DataFrame(
        {
            "name": chosen[:, 0],
            "shape": chosen[:, 1],
            "where": np.select([alone[1], alone[0]], ["first", "second"], "both"),
            "first_ms": ms[0],
            "second_ms": ms[1],
            "first": places[0],
            "second": places[1],
        }
    )
    one, other = (why.hardware["known"].to_numpy(dtype=bool) for why in pair)
    where = np.select([one & other, one, other], ["both", "first", "second"], "neither")
    return Difference(
        operators,
        first.hardware[["name"]].assign(where=where),
        np.stack([weights[rows] for weights, rows in zip(maps, places, strict=True)]),
        LATENCY_SHARE if weighted else ROW_SHARE,
    )


def known_devices(lesson: Lesson, pretrained: Pretrained) -> AdaptedPredictor:
    """``pretrained`` with every device of the ``lesson``: the targets with what was measured on the probes, the sources
    with what is known of them there."""
    predictor = AdaptedPredictor.of(pretrained, lesson.sources.networks, lesson.design)
    readings = {split.target: np.array(split.ledger().measure_all(lesson.probe_archs)) for split in lesson.splits}
    described = np.maximum(lesson.source_readings(), LEAST * lesson.sources.mean_ms[:, None])  # a ridge may say less
    readings |= dict(zip(lesson.sources.devices, described, strict=True))
    zero_shot = ZeroShot(lesson.sources, lesson.design)
    for device, probe_ms in readings.items():
        card = lesson.table.cards.get(device)
        predictor = predictor.add(device, probe_ms, card, expectation=zero_shot.expectation(card))
    return predictor


def with_card(predictor: AdaptedPredictor, card: DeviceCard) -> AdaptedPredictor:
    """``predictor`` with a device that nobody measured: its probe readings are what plausible devices with ``card``
    take, so it is looked at as a roofline would be, and no better."""
    networks = predictor.terms.describe(predictor.probes)
    drawn = plausible_latencies(networks, DRAWS, np.random.default_rng(SEED), card)
    guessed_ms = np.exp(np.log(np.maximum(drawn, 1e-3 * drawn.mean(axis=0))).mean(axis=1))
    return predictor.add(card.name, guessed_ms, card)


def _matched(first: Explanation, second: Explanation) -> list[tuple[int, int]]:
    """Places of equal operators (kind, shapes and whether they are dead) in both, -1 where there is none; those at the
    same place in the network first. In the order in which they come."""
    found: dict[int, int] = {}
    for named in (True, False):
        waiting = defaultdict(deque)
        taken = set(found.values())
        for row, key in enumerate(_keys(second, named)):
            if row not in taken:
                waiting[key].append(row)
        for row, key in enumerate(_keys(first, named)):
            if row not in found and waiting[key]:
                found[row] = waiting[key].popleft()
    sizes = len(first.distinct), len(second.distinct)
    pairs = [(row, found.get(row, -1)) for row in range(sizes[0])]
    pairs += [(-1, row) for row in range(sizes[1]) if row not in set(found.values())]
    return sorted(pairs, key=lambda pair: pair[0] / sizes[0] if pair[0] >= 0 else pair[1] / sizes[1])


def _keys(why: Explanation, named: bool) -> list[tuple[int, str]]:
    return [(int(key), name if named else "") for key, name in zip(why.distinct, why.operators["name"], strict=True)]
