"""Why a network takes as long as it does: cost per operator, attention, and whether the attention can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy.optimize import nnls
from scipy.stats import spearmanr

from workbench.data.networks import Networks
from workbench.describe.capability import ENTRIES
from workbench.devices.device import DeviceCard
from workbench.graphs.features import physics
from workbench.insight.labels import short_arch, split_unit, spoken
from workbench.predictor.hodm import Hardware
from workbench.spaces import get_space
from workbench.training.fit import Pretrained
from workbench.training.transfer import Transferred

#: Weight of "stay near HODM's own costs" against "reproduce the predicted latencies".
PULL, SAMPLE = 1e-3, 2000


@dataclass(frozen=True)
class Explanation:
    """One network on one device, taken apart.

    Args:
        arch: the network.
        operators: `n` rows ``name, kind, predicted_ms, flops, bytes, launches, repeat``, from input to output.
        correction_ms: what belongs to no single operator.
        attention: `rounds x heads x n x h`, operators to hardware tokens.
        hardware: `h` rows ``name, known, value, unit``.
        faithfulness: rank correlation over hardware tokens between the attention that a token gets (operators weighted
            by their cost) and how much the operators' costs change when the token is dropped. NaN with fewer than three
            known tokens.
    """

    arch: str
    operators: pd.DataFrame
    correction_ms: float
    attention: np.ndarray
    hardware: pd.DataFrame
    faithfulness: float

    @property
    def costs(self) -> pd.DataFrame:
        """``name, predicted_ms, kind``, one row per operator and one for the correction: they add up to the latency."""
        rest = {"name": "correction (whole graph)", "predicted_ms": self.correction_ms, "kind": "correction"}
        return pd.concat([self.operators[["name", "predicted_ms", "kind"]], pd.DataFrame([rest])], ignore_index=True)


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


def explain(
    arch: str,
    pretrained: Pretrained,
    networks: Networks,
    transferred: Transferred,
    probe_ms: np.ndarray,
    card: DeviceCard | None,
) -> Explanation:
    """Take the prediction for ``arch`` apart; see `Explanation`."""
    graph = get_space(networks.space).graph(arch)
    tokens = networks.tokens(graph)
    repeat = np.array([op.repeat for op in graph.ops])
    costs = operator_costs(pretrained, networks, transferred, probe_ms, card)[tokens] * repeat
    dialogue = pretrained.dialogue(probe_ms[None], card)
    attention = dialogue.op_attention[0][:, :, tokens].numpy()
    work = [physics(op) for op in graph.ops]
    operators = pd.DataFrame(
        {
            "name": [op.name if live else f"{op.name} (dead)" for op, live in zip(graph.ops, graph.live, strict=True)],
            "kind": [op.kind for op in graph.ops],
            "predicted_ms": costs,
            "flops": [cost.flops for cost in work] * repeat,
            "bytes": [cost.bytes_read + cost.bytes_written for cost in work] * repeat,
            "launches": [cost.launches for cost in work] * repeat,
            "repeat": repeat,
        }
    )
    hardware = pretrained.hardware(probe_ms[None], card)
    return Explanation(
        arch=arch,
        operators=operators,
        correction_ms=float(transferred.estimate.ms[networks.row[arch]] - costs.sum()),
        attention=attention,
        hardware=_hardware_frame(pretrained, networks, hardware, probe_ms, card),
        faithfulness=faithfulness(pretrained, hardware, tokens, repeat),
    )


@torch.no_grad()
def faithfulness(pretrained: Pretrained, hardware: Hardware, tokens: np.ndarray, repeat: np.ndarray) -> float:
    """Spearman correlation between attention to each known token and the effect of dropping it; see `Explanation`."""
    known = np.nonzero(hardware.known[0].numpy())[0]
    if len(known) < 3:
        return float("nan")
    masks = hardware.known.repeat(len(known) + 1, 1)
    masks[np.arange(1, len(known) + 1), known] = False
    every = hardware._replace(values=hardware.values.expand(len(masks), -1), known=masks)
    dialogue = pretrained.model(pretrained.operators, every)
    costs = dialogue.costs.sum(-1)[:, tokens].numpy() * repeat  # (1 + tokens) x n
    looked = (costs[0][:, None] * dialogue.op_attention[0].mean((0, 1))[tokens].numpy()).sum(axis=0)[known]
    effect = np.abs(costs[1:] - costs[0]).sum(axis=1)
    return float(spearmanr(looked, effect).statistic)


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
