"""Pre-train a network on the source devices, fine-tune a copy on the target's probes: what most peers do.

Shapes: `a` networks, `s` source rows, `d` source devices, `b` networks of a batch, `m` devices of a batch.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn

from workbench.describe.design import Design
from workbench.devices.device import DeviceCard
from workbench.predictor.baselines.scores import Labels, Scorer, calibrated, scale_of, source_labels
from workbench.predictor.baselines.torch_fit import minimise, seeded
from workbench.predictor.method import Adapt, Predict, Pretrain, Probed, Sources, some_probes

CHUNK = 1024  # networks that are scored at once


@dataclass(frozen=True)
class Schedule:
    """How a peer is trained.

    Args:
        steps: of pre-training, each on ``networks`` random networks and at most ``devices`` random source devices.
        learning_rate, weight_decay: of pre-training.
        tune_steps, tune_rate: of fine-tuning, each step on all probes.
        folds: parts that the probes are cut into for the interval: so many more fine-tunings.
    """

    steps: int = 2000
    networks: int = 64
    devices: int = 16
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    tune_steps: int = 50
    tune_rate: float = 1e-3
    folds: int = 4


class Peer(NamedTuple):
    """What is trained.

    Args:
        inputs: tensors with one row per network, `a x ...`.
        model: called with the inputs of `b` networks and `m` device numbers, gives scores `b x m`. If it embeds
            devices, the table is its attribute ``hardware``, `(d+1) x c`, and the target is its last row.
    """

    inputs: tuple[Tensor, ...]
    model: nn.Module


#: Sources and design -> an untrained peer.
Build = Callable[[Sources, Design], Peer]
#: Scores `b x m`, labels `b x m`, measured `b x m` bool -> the loss.
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def absolute(scores: Tensor, labels: Tensor, measured: Tensor) -> Tensor:
    """Mean absolute error."""
    return ((scores - labels).abs() * measured).sum() / measured.sum().clamp(min=1)


def squared(scores: Tensor, labels: Tensor, measured: Tensor) -> Tensor:
    """Mean squared error."""
    return ((scores - labels) ** 2 * measured).sum() / measured.sum().clamp(min=1)


def transferred(name: str, build: Build, loss: Loss, schedule: Schedule) -> Pretrain:
    """The method called ``name`` that pre-trains what ``build`` gives with ``loss`` and fine-tunes it on the probes."""

    def pretrain(sources: Sources, design: Design, pool: np.ndarray, generator: np.random.Generator) -> Adapt:
        labels = source_labels(sources, design)
        with seeded(generator):
            peer = build(sources, design)
        _pretrain(peer, sources.rows, labels, loss, schedule, generator)

        def adapt(probed: Probed, card: DeviceCard | None) -> Predict:
            def learn(part: Probed) -> Scorer:
                return _tuned(peer, part, labels, loss, schedule)

            return calibrated(learn, some_probes(name, probed), sources, labels.spread, schedule.folds)

        return adapt

    return pretrain


def _pretrain(
    peer: Peer, rows: np.ndarray, labels: Labels, loss: Loss, schedule: Schedule, generator: np.random.Generator
) -> None:
    values, measured = torch.tensor(labels.values, dtype=torch.float32), torch.tensor(labels.measured)
    networks, devices = min(schedule.networks, len(rows)), min(schedule.devices, values.shape[1])

    def on_a_batch() -> Tensor:
        picks = generator.choice(len(rows), networks, replace=False)
        chosen = torch.tensor(generator.choice(values.shape[1], devices, replace=False))
        scores = peer.model(_take(peer.inputs, rows[picks]), chosen)
        return loss(scores, values[picks][:, chosen], measured[picks][:, chosen])

    minimise(peer.model.parameters(), on_a_batch, schedule.steps, schedule.learning_rate, schedule.weight_decay)


def _tuned(peer: Peer, probed: Probed, labels: Labels, loss: Loss, schedule: Schedule) -> Scorer:
    """Scores of a copy of the model that was fine-tuned on the probes; the model itself stays as it is."""
    model = deepcopy(peer.model)
    target = torch.tensor([labels.values.shape[1]])
    if hasattr(model, "hardware"):
        with torch.no_grad():
            model.hardware.weight[-1] = model.hardware.weight[closest(probed, labels.described)]
    standardised = scale_of(probed.ms, labels.spread).standardise(probed.ms)
    wanted = torch.tensor(standardised, dtype=torch.float32)[:, None]
    inputs, measured = _take(peer.inputs, probed.rows), torch.ones_like(wanted, dtype=torch.bool)
    minimise(
        model.parameters(),
        lambda: loss(model(inputs, target), wanted, measured),
        schedule.tune_steps,
        schedule.tune_rate,
        schedule.weight_decay,
    )

    @torch.no_grad()
    def scorer(rows: np.ndarray) -> np.ndarray:
        parts = [model(_take(peer.inputs, rows[at : at + CHUNK]), target) for at in range(0, len(rows), CHUNK)]
        return torch.cat(parts)[:, 0].double().numpy()

    return scorer


def closest(probed: Probed, described: np.ndarray) -> int:
    """The source device (column of ``described`` `a x d`) whose ranking of the probes is most like the target's."""
    if len(probed.ms) < 2 or np.ptp(probed.ms) == 0:
        return 0
    ranks = stats.rankdata(probed.ms)
    columns = stats.rankdata(described[probed.rows], axis=0)
    centred, others = ranks - ranks.mean(), columns - columns.mean(axis=0)
    return int((centred @ others / np.sqrt((others**2).sum(axis=0) + 1e-12)).argmax())


def _take(inputs: tuple[Tensor, ...], rows: np.ndarray) -> tuple[Tensor, ...]:
    return tuple(part[rows] for part in inputs)
