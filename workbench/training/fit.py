"""Pre-training HODM on source devices, and on devices that lie between them.

A handful of source devices is a handful of examples of "a device". Latency is additive in milliseconds, so a positive
mixture of devices is a plausible device too, and so is a mixture with one that is bound by a single physical quantity
(a roofline). Every step draws source devices and such mixtures; the model sees their signatures, with entries left out
at random, and has to predict their latencies. It thereby learns to read a signature, which is all that a new device
brings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from workbench.config import lookup
from workbench.data.networks import Networks
from workbench.describe.capability import ENTRIES, capability_vector
from workbench.describe.design import Design
from workbench.describe.signature import signature
from workbench.devices.device import DeviceCard
from workbench.predictor.hodm import HODM, Dialogue, Hardware, HODMConfig, Operators, totals_of
from workbench.predictor.method import Sources
from workbench.training.losses import LOSSES


@dataclass(frozen=True)
class FitConfig:
    """How HODM is trained.

    Args:
        steps: optimiser steps.
        devices: devices per step, half of them source devices and half mixtures.
        max_cells: bound on devices x distinct operators per step; larger spaces take fewer networks and devices.
        learning_rate, weight_decay: of AdamW under a one-cycle schedule.
        concentration: of the Dirichlet distribution that mixes devices.
        roofline: share of mixtures that also get a physically bound device mixed in.
        reading_noise: relative noise on signature entries.
        hide_signature, hide_capability: probability that an entry is left out.
        loss: key of `LOSSES`.
        huber: relative error beyond which that loss grows linearly, and the lead that a ranking asks for.
        capability: whether the model is shown what cards say.
    """

    steps: int = 500
    devices: int = 16
    max_cells: int = 4000
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    concentration: float = 0.4
    roofline: float = 0.5
    reading_noise: float = 0.03
    hide_signature: float = 0.15
    hide_capability: float = 0.5
    loss: str = "huber"
    huber: float = 0.2
    capability: bool = True


@dataclass(frozen=True)
class Pretrained:
    """A trained HODM together with the tokens it speaks about.

    Args:
        model: the module, in eval mode.
        operators: the `v` distinct operators' tensors.
        counts: `a x v` copies of each operator in each network.
        descriptors, hears: of the `h` hardware tokens, capability entries first, then one per probe.
        probes: `p` rows that the signature is read on.
        losses: loss of every training step.
    """

    model: HODM
    operators: Operators
    counts: Tensor
    descriptors: Tensor
    hears: Tensor
    probes: np.ndarray
    losses: tuple[float, ...]

    def hardware(self, probe_ms: np.ndarray, card: DeviceCard | None, known: np.ndarray | None = None) -> Hardware:
        """Hardware tokens of `d` readings of one device: ``probe_ms`` `d x p`, ``known`` `d x p`."""
        readings, _ = signature(probe_ms, known)
        known = np.ones(readings.shape, dtype=bool) if known is None else known
        capability = capability_vector(card)
        d = len(readings)
        values = np.concatenate([np.tile(capability.values, (d, 1)), readings], axis=1)
        mask = np.concatenate([np.tile(capability.known, (d, 1)), known], axis=1)
        return Hardware(self.descriptors, self.hears, torch.tensor(values, dtype=torch.float32), torch.tensor(mask))

    @torch.inference_mode()
    def dialogue(self, probe_ms: np.ndarray, card: DeviceCard | None, known: np.ndarray | None = None) -> Dialogue:
        """The dialogue of a device, given its probe latencies."""
        return self.model(self.operators, self.hardware(probe_ms, card, known))

    @torch.inference_mode()
    def predict(
        self,
        probe_ms: np.ndarray,
        card: DeviceCard | None,
        known: np.ndarray | None = None,
        rows: np.ndarray | slice = slice(None),
    ) -> np.ndarray:
        """Latency in ms of the networks in ``rows`` (all if absent) for `d` readings: `a x d`."""
        _, scale = signature(probe_ms, known)
        counts, asked = self.counts[rows], None
        if len(counts) < len(self.counts):
            asked = counts.any(0)
            counts = counts[:, asked]
        dialogue = self.model(self.operators, self.hardware(probe_ms, card, known).told(), asked)
        return self.model.latency(dialogue, counts, self._totals[rows]).double().numpy() * scale

    def ready(self) -> Pretrained:
        """Itself, with all worked out that predictions share, so that the first takes no longer than the next."""
        _ = self._totals  # kept from now on
        return self

    @cached_property
    def _totals(self) -> Tensor:
        return totals_of(self.operators, self.counts)


def token_tensors(networks: Networks, design: Design, probes: np.ndarray) -> tuple[Operators, Tensor, Tensor, Tensor]:
    """Operators, counts `a x v`, descriptors `h x g` and hears `h x v` of the hardware tokens."""
    operators = Operators(torch.tensor(networks.features), torch.tensor(networks.quantities))
    counts = torch.tensor(networks.counts)
    contents = np.concatenate([design.physics, design.census], axis=1)[probes]
    contents /= np.sqrt((contents**2).mean()) + 1e-12
    names = len(ENTRIES)
    descriptors = np.zeros((names + len(probes), names + contents.shape[1]))
    descriptors[:names, :names] = np.eye(names)
    descriptors[names:, names:] = contents
    hears = torch.cat([torch.ones(names, counts.shape[1]), counts[probes]])
    return operators, counts, torch.tensor(descriptors, dtype=torch.float32), hears


def pretrain(
    sources: Sources,
    design: Design,
    probes: np.ndarray,
    generator: np.random.Generator,
    config: FitConfig = FitConfig(),
    model_config: HODMConfig = HODMConfig(),
    progress: Callable[[int, float], None] | None = None,
    watch: Callable[[int, Pretrained], None] | None = None,
) -> Pretrained:
    """Train HODM on ``sources``; after every step call ``progress(step, loss)`` and ``watch(step, model so far)``."""
    measure = lookup("loss", LOSSES, config.loss)
    operators, counts, descriptors, hears = token_tensors(sources.networks, design, probes)
    batches = _Batches(sources, design, probes, config, generator)
    with torch.random.fork_rng(devices=[]):  # initial weights follow the generator and leave torch's own stream alone
        torch.manual_seed(int(generator.integers(2**31)))
        model = HODM(operators.features.shape[1], operators.quantities.shape[1], descriptors.shape[1], model_config)
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.learning_rate, total_steps=config.steps, pct_start=0.1 if config.steps > 10 else 0.3
    )
    losses = []
    for step in range(config.steps):
        batch = batches.draw()
        networks = counts[batch.rows]
        used = (networks.sum(0) + hears[len(ENTRIES) :].sum(0)) > 0
        ops = Operators(operators.features[used], operators.quantities[used])
        hardware = Hardware(descriptors, hears[:, used], batch.values, batch.known)
        predicted = model.latency(model(ops, hardware), networks[:, used], totals_of(ops, networks[:, used]))
        loss = measure(predicted, batch.latency, batch.measured, config.huber)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
        if progress:
            progress(step + 1, losses[-1])
        if watch:
            watch(step + 1, Pretrained(model, operators, counts, descriptors, hears, probes, tuple(losses)))
    return Pretrained(model.eval(), operators, counts, descriptors, hears, probes, tuple(losses)).ready()


@dataclass(frozen=True)
class _Batch:
    rows: np.ndarray  # r rows of the networks
    latency: Tensor  # r x d relative latency
    measured: Tensor  # r x d, 0 where not measured
    values: Tensor  # d x h
    known: Tensor  # d x h bool


class _Batches:
    """Draws devices (sources and mixtures) and networks for one training step."""

    def __init__(
        self, sources: Sources, design: Design, probes: np.ndarray, config: FitConfig, generator: np.random.Generator
    ) -> None:
        self.rows, self.config, self.generator = sources.rows, config, generator
        relative = sources.latency_ms / sources.mean_ms
        self.measured = ~np.isnan(relative)
        self.relative = np.where(self.measured, relative, design.source[sources.rows])  # s x d
        self.signature = design.source[probes].T  # d x p, smooth: a source need not have been measured on the probes
        bound = sources.networks.physics / sources.networks.physics.mean(axis=0)
        self.bound, self.bound_signature = bound[sources.rows], bound[probes]
        vectors = [capability_vector(sources.cards.get(device)) for device in sources.devices]
        self.capability = np.stack([vector.values for vector in vectors])
        self.capability_known = np.stack([vector.known for vector in vectors])
        operators = sources.networks.counts.shape[1]
        fits = max(config.max_cells // operators, 4)
        self.devices = min(config.devices, fits)
        small = operators * self.devices <= config.max_cells
        self.networks = len(self.rows) if small else min(64, len(self.rows))

    def draw(self) -> _Batch:
        """A batch of `r` networks on `d` devices."""
        draw, config = self.generator, self.config
        count, real = self.relative.shape[1], max(self.devices // 2, 1)
        picks = np.arange(len(self.rows))
        if self.networks < len(picks):
            picks = draw.choice(picks, self.networks, replace=False)
        mixture = draw.dirichlet(np.full(count, config.concentration), size=self.devices)
        chosen = draw.permutation(np.resize(draw.permutation(count), real))
        mixture[:real] = np.eye(count)[chosen]
        latency, readings = self.relative[picks] @ mixture.T, mixture @ self.signature
        measured = np.ones(latency.shape)
        measured[:, :real] = self.measured[np.ix_(picks, chosen)]
        for index in range(real, self.devices):
            if draw.random() < config.roofline:
                bound, share = draw.dirichlet(np.full(self.bound.shape[1], 0.3)), draw.random()
                latency[:, index] = (1 - share) * latency[:, index] + share * self.bound[picks] @ bound
                readings[index] = (1 - share) * readings[index] + share * self.bound_signature @ bound
        readings = np.maximum(readings * (1 + config.reading_noise * draw.standard_normal(readings.shape)), 1e-3)
        known = draw.random(readings.shape) > config.hide_signature
        known[~known.any(axis=1), 0] = True
        values, scale = signature(readings, known)
        capability, capability_known = (
            np.zeros((self.devices, len(ENTRIES))),
            np.zeros((self.devices, len(ENTRIES)), bool),
        )
        capability[:real] = self.capability[chosen]
        shown = draw.random((real, len(ENTRIES))) > config.hide_capability
        capability_known[:real] = self.capability_known[chosen] & shown & config.capability
        return _Batch(
            self.rows[picks],
            torch.tensor(latency / scale, dtype=torch.float32),
            torch.tensor(measured, dtype=torch.float32),
            torch.tensor(np.concatenate([capability, values], axis=1), dtype=torch.float32),
            torch.tensor(np.concatenate([capability_known, known], axis=1)),
        )
