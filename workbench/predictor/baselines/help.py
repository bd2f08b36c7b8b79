"""Peer: HELP (Lee et al., NeurIPS 2021): meta-learning with a hardware embedding of reference latencies.

As in the paper: a device is described by its latencies on the reference networks; the description enters the predictor
beside the architecture's code, and it modulates the initial weights of the last layers; two gradient steps on the
support set, whose step sizes are learnt per weight (Meta-SGD, second order), adapt the predictor to the device.
Architectures are encoded by four graph convolutions (cells) or two dense layers (chains), of width 100.

Differences: the support set is the references, which are the probes (the paper measures ten more networks and scales
labels by the minimum and maximum of about 700 latencies of the target; here references scale them); the modulation is
the mean instead of a sum over ten samples from a distribution; 800 episodes with a higher learning rate, and weight
decay in place of validation devices to stop on; milliseconds follow from a line through the probes. References of a
source device are the design's view of it, because source devices need not have been measured there, and some of them
are hidden at random, so that fewer probes than references can be used.

Shapes: `t` devices of an episode, `p` references, `q` query networks, `c` width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from workbench.config import WorkbenchError
from workbench.describe.design import Design
from workbench.devices.device import DeviceCard
from workbench.predictor.baselines.encodings import arch_graphs
from workbench.predictor.baselines.scores import Scorer, calibrated, scale_of, source_labels
from workbench.predictor.baselines.torch_fit import GCN, dense, minimise, seeded
from workbench.predictor.method import Adapt, Predict, Pretrain, Probed, Sources, some_probes

CHUNK = 1024  # networks that are predicted at once
Weights = dict[str, Tensor]


@dataclass(frozen=True)
class HELPConfig:
    """Size and training.

    Args:
        width: of every layer; the last ones have twice as much.
        episodes: meta-training steps, each with at most ``tasks`` source devices and ``queries`` networks.
        meta_rate, weight_decay: of meta-training; the decay, relative to ``meta_rate`` as in AdamW, keeps 900 source
            networks from being learnt by heart.
        inner_steps, inner_rate: gradient steps on the support set, and where their step sizes start.
        modulation: how strongly a device's description changes the initial weights.
        folds: parts that the probes are cut into for the interval.
    """

    width: int = 100
    episodes: int = 800
    tasks: int = 6
    queries: int = 128
    meta_rate: float = 3e-3
    weight_decay: float = 3.0
    inner_steps: int = 2
    inner_rate: float = 1e-3
    modulation: float = 0.01
    folds: int = 10


class Task(NamedTuple):
    """One device: ``description`` `2p` (standardised latencies, then 1 if known), ``labels`` `p`, ``known`` `p`."""

    description: Tensor
    labels: Tensor
    known: Tensor


class Predictor(nn.Module):
    """Architecture code and device description -> a score.

    Args:
        encoder: inputs of `b` networks -> `b x c`.
        references: `p`.
    """

    def __init__(self, encoder: nn.Module, references: int, width: int) -> None:
        super().__init__()
        self.encoder, self.device = encoder, dense((2 * references, width, width))
        self.head = dense((2 * width, 2 * width, 2 * width, 1))

    def forward(self, networks: Tensor, description: Tensor) -> Tensor:
        """Inputs of `b` networks, ``description`` `2p` -> `b`."""
        code, device = self.encoder(networks).relu(), self.device(description).relu()
        return self.head(torch.cat([code, device.expand(len(code), -1)], -1)).squeeze(-1)


class MetaLearner(nn.Module):
    """The predictor's initial weights, the modulator that shifts them, and the step sizes that adapt them."""

    def __init__(self, predictor: Predictor, references: int, config: HELPConfig) -> None:
        super().__init__()
        self.predictor, self.config = predictor, config
        self.modulated = [name for name, _ in predictor.named_parameters() if name.startswith("head.")]
        sizes = [value.shape[1] if value.ndim > 1 else 1 for value in map(predictor.get_parameter, self.modulated)]
        self.sizes, self.modulator = sizes, dense((2 * references, 10, sum(sizes)))
        self.rates = nn.ParameterList(
            torch.full_like(value, config.inner_rate) for value in predictor.parameters()
        )  # in the order of the predictor's parameters

    def call(self, weights: Weights, networks: Tensor, description: Tensor) -> Tensor:
        """The predictor with other weights."""
        return functional_call(self.predictor, weights, (networks, description))

    def adapt(self, support: Tensor, task: Task) -> Weights:
        """Weights for the device of ``task``, whose references have the inputs ``support`` `p x ...`."""
        weights = dict(self.predictor.named_parameters())
        shifts = self.config.modulation * self.modulator(task.description)
        for name, shift in zip(self.modulated, shifts.split(self.sizes), strict=True):
            weights[name] = weights[name] * (1 + shift) if name.endswith("weight") else weights[name] + shift

        def miss(weights: Weights) -> Tensor:
            errors = self.call(weights, support, task.description) - task.labels
            return (errors**2 * task.known).sum() / task.known.sum()

        for _ in range(self.config.inner_steps):
            slopes = grad(miss)(weights)
            rates = dict(zip(weights, self.rates, strict=True))
            weights = {name: value - rates[name] * slopes[name] for name, value in weights.items()}
        return weights


def help_learner(config: HELPConfig) -> Pretrain:
    """The method."""

    def pretrain(sources: Sources, design: Design, pool: np.ndarray, generator: np.random.Generator) -> Adapt:
        spread = source_labels(sources, design).spread
        with seeded(generator):
            inputs, encoder = _encoder(sources, config.width)
            learner = MetaLearner(Predictor(encoder, len(pool), config.width), len(pool), config)
        _meta_train(learner, inputs, sources, design, pool, spread, generator)
        place = {row: index for index, row in enumerate(pool.tolist())}

        def learn(part: Probed) -> Scorer:
            known, ms = np.zeros(len(pool), dtype=bool), np.full(len(pool), np.nan)
            at = [place[row] for row in part.rows.tolist()]
            known[at], ms[at] = True, part.ms
            task, _, _ = _task(ms, known, spread)
            weights = {name: value.detach() for name, value in learner.adapt(inputs[pool], task).items()}

            @torch.no_grad()
            def scorer(rows: np.ndarray) -> np.ndarray:
                cuts = range(0, len(rows), CHUNK)
                parts = [learner.call(weights, inputs[rows[at : at + CHUNK]], task.description) for at in cuts]
                return torch.cat(parts).double().numpy()

            return scorer

        def adapt(probed: Probed, card: DeviceCard | None) -> Predict:
            some_probes("help", probed)
            if strangers := set(probed.rows.tolist()) - set(place):
                raise WorkbenchError(
                    f"Method 'help' expects probes from the pool it was pre-trained for, got {len(strangers)} others; "
                    "pre-train it with a pool that holds them."
                )
            return calibrated(learn, probed, sources, spread, config.folds)

        return adapt

    return pretrain


def _encoder(sources: Sources, width: int) -> tuple[Tensor, nn.Module]:
    """Inputs `a x ...` of all networks and the module that turns them into codes of ``width``."""
    graphs = arch_graphs(sources.networks)
    if graphs.is_chain:
        one_hot = graphs.one_hot()
        return torch.tensor(one_hot), dense((one_hot.shape[1], width, width))
    features, propagation = graphs.with_global_node()
    return torch.tensor(features), GCN(features.shape[2], width, 4, propagation)


def _task(latency: np.ndarray, known: np.ndarray, spread: float) -> tuple[Task, float, float]:
    """A `Task` from `p` reference latencies in any unit, and the mean and deviation that standardise this device."""
    scale = scale_of(latency[known], spread)
    labels = torch.tensor(np.where(known, scale.standardise(latency), 0.0), dtype=torch.float32)
    shown = torch.tensor(known, dtype=torch.float32)
    return Task(torch.cat([labels, shown]), labels, shown), *scale


def _meta_train(
    learner: MetaLearner,
    inputs: Tensor,
    sources: Sources,
    design: Design,
    pool: np.ndarray,
    spread: float,
    generator: np.random.Generator,
) -> None:
    config = learner.config
    relative = sources.latency_ms / sources.mean_ms
    measured = ~np.isnan(relative)
    references, support = design.source[pool], inputs[pool]
    devices, queries = min(config.tasks, relative.shape[1]), min(config.queries, len(relative))

    def on_an_episode() -> Tensor:
        picks = generator.choice(len(relative), queries, replace=False)
        tasks, wanted, counts = [], [], []
        for device in generator.choice(relative.shape[1], devices, replace=False):
            task, mean, deviation = _task(references[:, device], _some(len(pool), generator), spread)
            tasks.append(task)
            wanted.append(np.where(measured[picks, device], (relative[picks, device] - mean) / deviation, 0.0))
            counts.append(measured[picks, device])
        labels = torch.tensor(np.array(wanted), dtype=torch.float32)  # t x q
        counted = torch.tensor(np.array(counts))
        query = inputs[sources.rows[picks]]

        def predict(task: Task) -> Tensor:
            return learner.call(learner.adapt(support, task), query, task.description)

        scores = vmap(predict)(Task(*map(torch.stack, zip(*tasks, strict=True))))  # t x q
        return ((scores - labels) ** 2 * counted).sum() / counted.sum().clamp(min=1)

    minimise(learner.parameters(), on_an_episode, config.episodes, config.meta_rate, config.weight_decay)


def _some(count: int, generator: np.random.Generator) -> np.ndarray:
    """`p` bool: all references in half of the cases, otherwise a random number of them."""
    known = np.ones(count, dtype=bool)
    if generator.random() < 0.5:
        known[generator.permutation(count)[generator.integers(1, count + 1) :]] = False
    return known
