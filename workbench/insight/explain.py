"""Why a network takes as long as it does: cost per operator, attention, and whether the attention can be trusted.

HODM's dialogue is between a device and operators, not networks. So a device is looked at once (`view_device`), and what
is to be said of any network there follows from the operators that it consists of (`explain_on`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy.optimize import nnls
from scipy.stats import rankdata

from workbench.config import WorkbenchError
from workbench.data.networks import Networks
from workbench.describe.capability import ENTRIES
from workbench.devices.device import DeviceCard
from workbench.graphs.features import PHYSICS, op_physics, physics
from workbench.graphs.graph import Op
from workbench.insight.bounds import bound, card_terms, charge_terms
from workbench.insight.labels import short_arch, split_unit, spoken
from workbench.insight.roofs import op_words
from workbench.predictor.hodm import Dialogue, Hardware
from workbench.spaces import get_space
from workbench.training.fit import Pretrained
from workbench.training.transfer import Transferred

#: Weight of "stay near HODM's own costs" against "reproduce the predicted latencies".
PULL, SAMPLE = 1e-3, 2000

#: Every round, or every head: their mean is meant.
ALL = "all"

#: A rank correlation over fewer tokens says nothing.
LEAST_TOKENS = 3

#: What tells what binds an operator.
BY_CARD, BY_CHARGES = "roofline of the device's card", "largest of HODM's charges"


@dataclass(frozen=True)
class Explanation:
    """One network on one device, taken apart.

    Args:
        arch: the network.
        operators: `n` rows ``name, kind, shape, predicted_ms, flops, bytes, launches, repeat, bound``, from input to
            output; ``bound`` is ``compute``, ``memory``, ``launch`` or ``nothing``.
        bound_by: what ``bound`` follows from.
        correction_ms: what belongs to no single operator.
        attention: `rounds x heads x n x h`, operators to hardware tokens.
        hardware: `h` rows ``name, known, value, unit``.
        distinct: `n` which distinct operator of the networks at hand each is.
        own: `n` what HODM itself charges for each, relative latency.
        effects: `h` by how much these charges change when a token is dropped, relative latency; NaN for an unknown one.
    """

    arch: str
    operators: pd.DataFrame
    bound_by: str
    correction_ms: float
    attention: np.ndarray
    hardware: pd.DataFrame
    distinct: np.ndarray
    own: np.ndarray
    effects: np.ndarray

    @property
    def predicted_ms(self) -> float:
        """The predicted latency."""
        return float(self.operators["predicted_ms"].sum() + self.correction_ms)

    @property
    def costs(self) -> pd.DataFrame:
        """``name, predicted_ms, kind, shape, bound``, a row per operator and one for the correction: they add up to the
        latency."""
        rest = {"name": "correction (whole graph)", "predicted_ms": self.correction_ms, "kind": "correction"}
        columns = ["name", "predicted_ms", "kind", "shape", "bound"]
        return pd.concat([self.operators[columns], pd.DataFrame([rest])], ignore_index=True)

    @property
    def shares(self) -> np.ndarray:
        """`n` shares of the operators' latency; they sum to one."""
        ms = self.operators["predicted_ms"].to_numpy()
        return ms / max(ms.sum(), np.finfo(float).tiny)

    @property
    def bounds(self) -> pd.Series:
        """Share of the operators' latency by what binds them, the largest first."""
        return pd.Series(self.shares).groupby(self.operators["bound"].to_numpy()).sum().sort_values(ascending=False)

    def weights(self, rounds: str | int = ALL, heads: str | int = ALL) -> np.ndarray:
        """`n x h` attention of one round and head (from 1), or the mean of `ALL`.

        Raises:
            WorkbenchError: there is no such round or head.
        """
        places = zip(("round", "head"), (rounds, heads), self.attention.shape[:2], strict=True)
        chosen = [_chosen(what, wish, count) for what, wish, count in places]
        return self.attention[chosen[0]][:, chosen[1]].mean(axis=(0, 1))

    def tokens(self, weights: np.ndarray) -> pd.DataFrame:
        """Known hardware tokens: ``name, kind (capability|probe), attention_percent, effect_percent``.

        Attention is that of ``weights`` (`n x h`), every operator counting as much as HODM charges for it; it sums to
        100. The effect of dropping a token is the change of the charges, summed over operators without sign.
        """
        known = self.hardware["known"].to_numpy(dtype=bool)
        whole = max(self.own.sum(), np.finfo(float).tiny)
        frame = self.hardware.loc[known, ["name"]].reset_index(drop=True)
        kinds = np.where(np.arange(len(known)) < len(ENTRIES), "capability", "probe")
        return frame.assign(
            kind=kinds[known],
            attention_percent=100 * (self.own @ weights)[known] / whole,
            effect_percent=100 * self.effects[known] / whole,
        )

    def faithfulness_of(self, weights: np.ndarray) -> float:
        """How far ``weights`` (`n x h`) can be trusted: the rank correlation over hardware tokens between the attention
        that a token gets and the effect of dropping it (see `tokens`); NaN with fewer than `LEAST_TOKENS`."""
        tokens = self.tokens(weights)
        pair = tokens[["attention_percent", "effect_percent"]].to_numpy().T
        return float(rank_correlation(*pair))

    @property
    def faithfulness(self) -> float:
        """`faithfulness_of` the mean of all rounds and heads."""
        return self.faithfulness_of(self.weights())


@dataclass(frozen=True)
class DeviceView:
    """One device as HODM sees it, whichever network is to run there.

    Args:
        networks: what HODM speaks about: `a` networks of `v` distinct operators.
        predicted_ms: `a` milliseconds of the adapted model.
        costs_ms: `v` milliseconds per copy, see `operator_costs`.
        charges: `v x q` relative latency that HODM itself charges per copy for each physical quantity.
        quantities: names of the `q` quantities.
        attention: `rounds x heads x v x h`, operators to hardware tokens.
        dropped: `h x v` HODM's charges per copy without each token; NaN for an unknown one.
        hardware: `h` rows ``name, known, value, unit``.
        card: of the device, None if there is none.
    """

    networks: Networks
    predicted_ms: np.ndarray
    costs_ms: np.ndarray
    charges: np.ndarray
    quantities: tuple[str, ...]
    attention: np.ndarray
    dropped: np.ndarray
    hardware: pd.DataFrame
    card: DeviceCard | None

    @property
    def charged(self) -> pd.Series:
        """Share of the mean network's charges by physical quantity, in percent."""
        charged = self.networks.counts.mean(axis=0) @ self.charges
        return pd.Series(100 * charged / charged.sum(), index=[f"{spoken(name)} (%)" for name in self.quantities])

    @property
    def faithfulness(self) -> np.ndarray:
        """`a` values of `Explanation.faithfulness`, one per network."""
        known, counts = self.hardware["known"].to_numpy(dtype=bool), self.networks.counts.astype(np.float64)
        if not known.any():
            return np.full(len(counts), np.nan)
        own = self.charges.sum(axis=1)
        looked = (counts * own) @ self.attention.mean(axis=(0, 1))[:, known]
        return rank_correlation(looked, counts @ np.abs(self.dropped[known] - own).T)


def operator_costs(
    pretrained: Pretrained, networks: Networks, transferred: Transferred, probe_ms: np.ndarray, card: DeviceCard | None
) -> np.ndarray:
    """Milliseconds per copy of each of the `v` distinct operators on the adapted device.

    Predicted latency is (nearly) linear in operator counts, but not every operator's share can be told from latencies
    alone: all networks have one stem. Among the non-negative costs that reproduce the predictions, these are the
    nearest to what HODM's dialogue says: non-negative least squares, pulled towards HODM's costs.
    """
    scale = probe_ms.mean()
    own = pretrained.dialogue(probe_ms[None], card).costs[0].sum(-1).double().numpy()  # v, relative
    counts = networks.counts.astype(np.float64)
    weight = np.maximum(counts.mean(axis=0), 1e-6)  # compare what an operator contributes, not what one copy costs
    rows = np.random.default_rng(0).permutation(len(counts))[:SAMPLE]
    pull = np.sqrt(PULL * len(rows))
    left = np.concatenate([counts[rows] / weight, pull * np.eye(len(weight))])
    right = np.concatenate([transferred.estimate.ms[rows] / scale, pull * own * weight])
    contribution, _ = nnls(left, right)
    return contribution / weight * scale


def view_device(
    pretrained: Pretrained,
    networks: Networks,
    transferred: Transferred,
    probe_ms: np.ndarray,
    card: DeviceCard | None,
    operators: Sequence[Op] | None = None,
) -> DeviceView:
    """Look at the device that ``pretrained`` was ``transferred`` to, whose probes take ``probe_ms`` (`p`).

    Args:
        operators: those that the model learnt, if ``networks`` have others, too.
    """
    hardware = pretrained.hardware(probe_ms[None], card)
    said, known = _with_each_dropped(pretrained, hardware)
    costs = said.costs.double().numpy()  # (1 + known tokens) x v x q
    dropped = np.full((hardware.known.shape[1], costs.shape[1]), np.nan)
    dropped[known] = costs[1:].sum(-1)
    there = op_physics(operators or networks.operators).any(axis=0)
    return DeviceView(
        networks=networks,
        predicted_ms=transferred.estimate.ms,
        costs_ms=operator_costs(pretrained, networks, transferred, probe_ms, card),
        charges=costs[0],
        quantities=tuple(name for name, seen in zip(PHYSICS, there, strict=True) if seen),
        attention=said.op_attention[0].numpy(),
        dropped=dropped,
        hardware=_hardware_frame(pretrained, networks, hardware, probe_ms, card),
        card=card,
    )


def explain_on(view: DeviceView, arch: str) -> Explanation:
    """Take the prediction for ``arch``, one of the networks at hand, on a device apart."""
    networks = view.networks
    graph = get_space(networks.space).graph(arch)
    distinct = networks.tokens(graph)
    repeat = np.array([op.repeat for op in graph.ops])
    costs, work = view.costs_ms[distinct] * repeat, [physics(op) for op in graph.ops]
    terms = card_terms(graph.ops, view.card)
    by = BY_CHARGES if terms is None else BY_CARD
    terms = charge_terms(view.charges[distinct], view.quantities) if terms is None else terms
    operators = pd.DataFrame(
        {
            "name": [
                op.name if live else f"{op.name} (unused)" for op, live in zip(graph.ops, graph.live, strict=True)
            ],
            "kind": [op.kind for op in graph.ops],
            "shape": [op_words(op) for op in graph.ops],
            "predicted_ms": costs,
            "flops": [cost.flops for cost in work] * repeat,
            "bytes": [cost.bytes_read + cost.bytes_written for cost in work] * repeat,
            "launches": [cost.launches for cost in work] * repeat,
            "repeat": repeat,
            "bound": bound(terms),
        }
    )
    own = view.charges.sum(axis=1)
    return Explanation(
        arch=arch,
        operators=operators,
        bound_by=by,
        correction_ms=float(view.predicted_ms[networks.row[arch]] - costs.sum()),
        attention=view.attention[:, :, distinct],
        hardware=view.hardware,
        distinct=distinct,
        own=own[distinct] * repeat,
        effects=np.abs(view.dropped - own)[:, distinct] @ repeat,
    )


def explain(
    arch: str,
    pretrained: Pretrained,
    networks: Networks,
    transferred: Transferred,
    probe_ms: np.ndarray,
    card: DeviceCard | None,
) -> Explanation:
    """Take the prediction for ``arch`` apart; see `Explanation`."""
    return explain_on(view_device(pretrained, networks, transferred, probe_ms, card), arch)


def rank_correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Spearman's correlation along the last axis; NaN where that is shorter than `LEAST_TOKENS` or all is equal."""
    if one.shape[-1] < LEAST_TOKENS:
        return np.full(one.shape[:-1], np.nan)
    ranks = [rankdata(values, axis=-1) for values in (one, other)]
    centred = [values - values.mean(axis=-1, keepdims=True) for values in ranks]
    scale = np.sqrt((centred[0] ** 2).sum(axis=-1) * (centred[1] ** 2).sum(axis=-1))
    product = (centred[0] * centred[1]).sum(axis=-1)
    return np.where(scale > 0, product / np.where(scale > 0, scale, 1.0), np.nan)


@torch.no_grad()
def _with_each_dropped(pretrained: Pretrained, hardware: Hardware) -> tuple[Dialogue, np.ndarray]:
    """The dialogue of one device as it is, then without each of its known tokens; and which those are."""
    known = np.flatnonzero(hardware.known[0].numpy())
    masks = hardware.known.repeat(len(known) + 1, 1)
    masks[np.arange(1, len(known) + 1), known] = False
    every = hardware._replace(values=hardware.values.expand(len(masks), -1), known=masks)
    return pretrained.model(pretrained.operators, every), known


def _chosen(what: str, wish: str | int, count: int) -> slice:
    """``wish``, counted from 1, as a slice of ``count`` rounds or heads."""
    if wish == ALL:
        return slice(None)
    if isinstance(wish, bool) or not isinstance(wish, int) or not 1 <= wish <= count:
        raise WorkbenchError(f"Attention expects '{ALL}' or a {what} from 1 to {count}, got {wish!r}; choose another.")
    return slice(wish - 1, wish)


def _hardware_frame(
    pretrained: Pretrained, networks: Networks, hardware: Hardware, probe_ms: np.ndarray, card: DeviceCard | None
) -> pd.DataFrame:
    entries = [(spoken(entry), getattr(card, entry, None), split_unit(entry)[1]) for entry in ENTRIES]
    probes = [
        (f"probe {short_arch(networks.archs[row])}", value, "ms")
        for row, value in zip(pretrained.probes, probe_ms, strict=True)
    ]
    frame = pd.DataFrame([*entries, *probes], columns=["name", "value", "unit"])
    return frame.assign(known=hardware.known[0].numpy())
