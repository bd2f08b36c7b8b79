"""Plausible devices: random rooflines over the operators of a space, as far as a card does not pin them down.

Before a device is measured, much is known of it all the same: it computes, it moves activations and weights, it
launches operators, and it does each of these better for some shapes than for others. A plausible device is one draw of
these limits. Of one copy of operator i it takes, in milliseconds,

    ((compute_i)^p + (activations_i)^p + (weights_i)^p)^(1/p) + launches_i,

a roofline (Williams et al. 2009) whose corner is rounded by p (1: nothing overlaps; large: everything does). Where
launches are queued, as on most GPUs, work hides behind the launch of what comes next, and the longer of both terms
counts instead of their sum. With a card, compute follows from peak and batch size, traffic from bandwidth, launches
from the family's usual overhead, each times a random efficiency; without one, the four take random shares of a relative
latency. How efficiency depends on channels, image size, kernel size and kind of operator is always random. The medians
below are general knowledge of inference on such hardware (an operator reaches a third of the peak, a framework needs
tens of microseconds to launch one on a GPU); no latency table was used to set them. That launches are queued, too, is
general knowledge; that it matters was seen on GPUs that are sources of the published tasks.

Shapes: `v` distinct operators, `a` networks, `s` drawn devices.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from workbench.data.networks import Networks
from workbench.devices.device import DeviceCard
from workbench.graphs.features import PHYSICS, op_physics
from workbench.graphs.graph import KINDS

#: Concentration of the Dirichlet distribution of compute, activations, weights and launches where no card is known.
SHARES = 0.5


class Guess(NamedTuple):
    """A positive figure that is not known: median, and standard deviation of its natural logarithm."""

    median: float
    spread: float

    def draw(self, generator: np.random.Generator) -> float:
        """One plausible value."""
        return self.median * float(np.exp(self.spread * generator.standard_normal()))


class Family(NamedTuple):
    """What is usual of a kind of device where its card is silent.

    Args:
        flops_per_cycle: of one core, fp32 (multiply-add counts as two).
        clock_ghz: where the card gives none.
        efficiency: share of the peak that a mean network reaches, at a batch that fills the device.
        launch_us: per launch, framework included.
    """

    flops_per_cycle: Guess
    clock_ghz: Guess
    efficiency: Guess
    launch_us: Guess


_CPU = Family(Guess(32, 0.5), Guess(2.5, 0.3), Guess(0.25, 0.7), Guess(10, 0.7))
_PHONE = Family(Guess(8, 0.5), Guess(2.2, 0.3), Guess(0.25, 0.7), Guess(15, 0.8))
_GPU = Family(Guess(128, 0.3), Guess(1.5, 0.3), Guess(0.35, 0.6), Guess(20, 0.7))
_CHIP = Family(Guess(2, 0.3), Guess(0.2, 0.5), Guess(0.4, 0.7), Guess(0.5, 1.5))
FAMILIES = {
    "desktop-gpu": _GPU, "server-gpu": _GPU, "laptop-gpu": _GPU, "embedded-gpu": _GPU,
    "desktop-cpu": _CPU, "server-cpu": _CPU, "laptop-cpu": _CPU,
    "mobile-cpu": _PHONE, "mobile-gpu": _PHONE, "mobile-dsp": _PHONE,
    "server-tpu": _CHIP, "edge-tpu": _CHIP, "edge-npu": _CHIP, "vpu": _CHIP, "fpga": _CHIP, "asic": _CHIP,
}  # fmt: skip
UNKNOWN_FAMILY = Family(Guess(16, 1.0), Guess(2.0, 0.5), Guess(0.3, 0.8), Guess(10, 1.2))

#: Microseconds per launch of runtimes that do not launch as a framework does. A CUDA graph pays the host's work once
#: for all its kernels (CUDA Programming Guide, 4.2); a microsecond for what the device itself takes between two small
#: kernels is an estimate, right to a factor of two either way.
LAUNCH_US = {"cuda_graphs": Guess(1.0, 0.7)}

#: Probability that work hides behind launches: kernels are queued (CUDA Programming Guide, 3.2.8), and so may be the
#: commands of an accelerator; of what nobody knows the family of, `HIDES[""]`.
HIDES = {"gpu": 0.8, "tpu": 0.5, "npu": 0.5, "cpu": 0.1, "": 0.1}

#: What a device without the figure may have: cores, and 10^9 bytes per second.
CORES, BANDWIDTH = Guess(8, 1.0), Guess(30, 1.2)
#: Plausible devices whose mean is what is usual: it lies .4 % beside that of many more on a network of FBNet, where
#: networks differ by 7 to 12 %.
USUAL = 100
#: Devices that are worked out together: their operators stay in the processor's cache.
AT_ONCE = 25
#: Share of the nominal bandwidth that activations and weights reach.
ACTIVATIONS, WEIGHTS = Guess(0.5, 0.5), Guess(0.6, 0.6)


def plausible_costs(
    networks: Networks,
    count: int,
    generator: np.random.Generator,
    card: DeviceCard | None = None,
    quirks: float = 1.0,
) -> np.ndarray:
    """`v x s` cost of one copy of each operator on ``count`` devices: milliseconds with a ``card``, else relative to
    the mean network; ``quirks`` is how peculiar single kinds and shapes are, relative to what is usual."""
    work, columns = _work(networks), []
    for first in range(0, count, AT_ONCE):
        drawn = [_Limits.draw(work, card, generator, quirks) for _ in range(min(AT_ONCE, count - first))]
        columns.append(_costs(work, networks.live, _Limits(*map(np.stack, zip(*drawn, strict=True)))))
    return np.concatenate(columns).T


def plausible_latencies(
    networks: Networks, count: int, generator: np.random.Generator, card: DeviceCard | None = None
) -> np.ndarray:
    """`a x s` latency of all networks on ``count`` plausible devices; see `plausible_costs`."""
    return networks.counts.astype(np.float64) @ plausible_costs(networks, count, generator, card)


def plausible_cost(networks: Networks) -> np.ndarray:
    """`usual_cost` on `USUAL` plausible devices: always the same ones, so that what follows from it is not random."""
    return usual_cost(networks, plausible_costs(networks, USUAL, np.random.default_rng(0)))


def usual_cost(networks: Networks, costs: np.ndarray) -> np.ndarray:
    """`v` mean of ``costs`` `v x s`, each device's relative to its mean network."""
    return costs @ (1.0 / (_work(networks).mean_count @ costs)) / costs.shape[1]


class _Work(NamedTuple):
    """What one copy of each of the `v` operators demands; ``total`` are FLOPs, activation bytes, weight bytes and
    launches of the mean network, all else is relative to it."""

    flops: np.ndarray  # 4 x v: dense, depthwise, grouped, elementwise
    activations: np.ndarray
    weights: np.ndarray
    launches: np.ndarray
    total: tuple[float, float, float, float]
    channels: np.ndarray  # 2 x v: in, out
    size: np.ndarray
    kernel: np.ndarray
    kind: np.ndarray
    mean_count: np.ndarray  # v copies in the mean network


@lru_cache(maxsize=4)  # asked for every card
def _work(networks: Networks) -> _Work:
    raw = dict(zip(PHYSICS, op_physics(networks.operators).T, strict=True))
    mean = networks.counts.mean(axis=0, dtype=np.float64)
    flops = np.stack([raw[f"{name}_flops"] for name in ("dense", "depthwise", "grouped", "elementwise")])
    activations = raw["bytes_read"] + raw["bytes_written"] - raw["weight_bytes"]
    parts = (flops[:3].sum(axis=0), activations, raw["weight_bytes"], raw["launches"])
    total = tuple(max(float(mean @ part), 1e-12) for part in parts)
    ops = networks.operators
    return _Work(
        flops / total[0], activations / total[1], raw["weight_bytes"] / total[2], raw["launches"] / total[3],
        total, np.array([[op.in_channels for op in ops], [op.out_channels for op in ops]], dtype=np.float64),
        np.array([op.out_size for op in ops], dtype=np.float64), np.array([op.kernel for op in ops]),
        np.array([KINDS[op.kind] for op in ops]), mean,
    )  # fmt: skip


class _Limits(NamedTuple):
    """What a plausible device is drawn from; of several devices, each with a first axis of `s`.

    Args:
        slower: `3` how much slower depthwise, grouped and elementwise work is than dense.
        wide, large: channels and image size at which half the peak is reached.
        taste: `2` of 5x5 and larger kernels, and of 1x1.
        shares: `4` of compute, activations, weights and launches in the mean network, or their milliseconds.
        corner: how sharp the roofline's corner is.
        kinds, shapes: how much slower each kind of operator, and each of the `v` operators, is than it ought to be.
        folds: whether the runtime folds away what cannot change the output.
        hides: whether work hides behind launches.
    """

    slower: np.ndarray
    wide: np.ndarray
    large: np.ndarray
    taste: np.ndarray
    shares: np.ndarray
    corner: np.ndarray
    kinds: np.ndarray
    shapes: np.ndarray
    folds: np.ndarray
    hides: np.ndarray

    @classmethod
    def draw(cls, work: _Work, card: DeviceCard | None, draw: np.random.Generator, quirks: float) -> _Limits:
        """One device."""
        slower = draw.uniform(0, (2.5, 2.0))  # depthwise and grouped convolutions reuse little
        slower = np.exp([*slower, draw.normal(-3, 1)])
        wide, large = np.exp(draw.uniform(np.log(0.5), np.log(128))), np.exp(draw.uniform(np.log(0.1), np.log(10)))
        taste = np.exp(draw.normal(0, (0.25, 0.35)))
        shares = draw.dirichlet([SHARES] * 4) if card is None else _milliseconds(work.total, card, draw)
        corner = np.exp(draw.uniform(0, 2.5))
        kinds = np.exp(0.3 * quirks * draw.standard_normal(len(KINDS)))  # some kinds are badly implemented somewhere
        shapes = 0.15 * quirks * draw.standard_normal(work.flops.shape[1])  # and so is any single shape
        kind_of_device = (card.family if card and card.family else "").rpartition("-")[2]
        folds, hides = draw.random(2) < (0.5, HIDES.get(kind_of_device, HIDES[""]))
        return cls(slower, wide, large, taste, shares, corner, kinds, shapes, folds, hides)


def _costs(work: _Work, live: np.ndarray, limits: _Limits) -> np.ndarray:
    """`s x v` cost of one copy of each operator on the devices of ``limits``."""
    compute, column = _compute(work, limits), limits.shares[..., None]
    demands = np.stack([column[:, 0] * compute, column[:, 1] * work.activations, column[:, 2] * work.weights])
    corner = limits.corner[:, None]
    scale = np.maximum(demands.max(axis=(0, 2)), 1e-30)[:, None]
    body = scale * ((demands / scale) ** corner).sum(axis=0) ** (1 / corner)
    launches = column[:, 3] * work.launches
    together = np.where(limits.hides[:, None], np.maximum(body, launches), body + launches)
    cost = together * limits.kinds[:, work.kind] * np.exp(limits.shapes)
    return np.where(live | ~limits.folds[:, None], cost, 0.0)


def _compute(work: _Work, limits: _Limits) -> np.ndarray:
    """`s x v` compute per operator relative to the mean network, with a random taste for shapes."""
    flops = work.flops[0] + limits.slower @ work.flops[1:]
    wide, large, taste = limits.wide[:, None], limits.large[:, None], limits.taste[..., None]
    into, out = work.channels
    used = into / (into + wide) * (out / (out + wide)) * (work.size / (work.size + large))
    flops = flops / used * np.where(work.kernel >= 5, taste[:, 0], 1.0) * np.where(work.kernel == 1, taste[:, 1], 1.0)
    return flops / np.maximum(flops @ work.mean_count, 1e-12)[:, None]


def _milliseconds(total: tuple[float, ...], card: DeviceCard, draw: np.random.Generator) -> np.ndarray:
    """Compute, activations, weights and launches of the mean network on a device with this card."""
    family = FAMILIES.get(card.family or "", UNKNOWN_FAMILY)
    batch = card.batch_size or 1
    peak = card.peak_fp32_gflops or (
        (card.cores or CORES.draw(draw))
        * (card.clock_ghz or family.clock_ghz.draw(draw))
        * family.flops_per_cycle.draw(draw)
    )
    bandwidth = card.memory_bandwidth_gbps or BANDWIDTH.draw(draw)
    launch = LAUNCH_US.get((card.runtime or "").partition(" ")[0], family.launch_us)
    launch_us = card.launch_overhead_us or launch.draw(draw)
    return np.array([
        batch * total[0] / (peak * family.efficiency.draw(draw) * 1e6),
        batch * total[1] / (bandwidth * ACTIVATIONS.draw(draw) * 1e6),
        total[2] / (bandwidth * WEIGHTS.draw(draw) * 1e6),
        total[3] * launch_us * 1e-3,
    ])  # fmt: skip
