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

    def at(self, luck: np.ndarray) -> np.ndarray:
        """Plausible values, so many standard deviations above the median."""
        return self.median * np.exp(self.spread * luck)


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
#: Share of the nominal bandwidth that activations and weights reach.
ACTIVATIONS, WEIGHTS = Guess(0.5, 0.5), Guess(0.6, 0.6)


class Luck(NamedTuple):
    """Standard normal numbers, `s` each: how far a device lies from what is usual where its card is silent."""

    cores: np.ndarray
    clock: np.ndarray
    flops_per_cycle: np.ndarray
    efficiency: np.ndarray
    bandwidth: np.ndarray
    activations: np.ndarray
    weights: np.ndarray
    launch: np.ndarray


class Plausible(NamedTuple):
    """`s` plausible devices without what a card says, so that one draw serves every card.

    Args:
        networks: of the space.
        compute: `s x v` compute of one copy of each operator, relative to the mean network's.
        slower: `s x v` how much slower it is than it ought to be, as its kind and its shape may be.
        corner: `s` how sharp the roofline's corner is.
        shares: `s x 4` of compute, activations, weights and launches in the mean network, if no card is known.
        folds: `s` whether the runtime folds away what cannot change the output.
        queues: `s` between 0 and 1; work hides behind launches where it is below the kind's probability in `HIDES`.
        luck: see `Luck`.
    """

    networks: Networks
    compute: np.ndarray
    slower: np.ndarray
    corner: np.ndarray
    shares: np.ndarray
    folds: np.ndarray
    queues: np.ndarray
    luck: Luck

    @classmethod
    def draw(cls, networks: Networks, count: int, generator: np.random.Generator, quirks: float = 1.0) -> Plausible:
        """``count`` devices; ``quirks`` is how peculiar single kinds and shapes are, relative to what is usual."""
        work, normal = _work(networks), generator.standard_normal
        compute = _compute(work, count, generator)
        kinds = 0.3 * normal((count, len(KINDS)))  # some kinds are badly implemented somewhere
        shapes = 0.15 * normal(compute.shape)  # and so is any single shape
        slower = np.exp(quirks * (kinds[:, work.kind] + shapes))
        corner = np.exp(generator.uniform(0, 2.5, count))
        shares = generator.dirichlet([SHARES] * 4, count)
        folds, queues = generator.random((2, count))
        luck = Luck(*normal((len(Luck._fields), count)))
        return cls(networks, compute, slower, corner, shares, folds < 0.5, queues, luck)

    def costs(self, card: DeviceCard | None = None) -> np.ndarray:
        """`v x s` cost of one copy of each operator: milliseconds with a ``card``, else relative to the mean
        network."""
        work = _work(self.networks)
        parts = self.shares.T if card is None else _milliseconds(work.total, card, self.luck)
        hides = self.queues < HIDES.get(card.kind if card else "", HIDES[""])
        costs = np.empty_like(self.compute)
        for device in range(len(costs)):  # one at a time, so that its operators stay in the processor's cache
            compute, activations, weights, launches = parts[:, device]
            demands = np.stack([compute * self.compute[device], activations * work.activations, weights * work.weights])
            corner, scale = self.corner[device], max(demands.max(), 1e-30)
            body, launch = scale * ((demands / scale) ** corner).sum(axis=0) ** (1 / corner), launches * work.launches
            costs[device] = np.maximum(body, launch) if hides[device] else body + launch
        costs *= self.slower
        costs[np.ix_(self.folds, ~self.networks.live)] = 0.0
        return costs.T


def plausible_costs(
    networks: Networks,
    count: int,
    generator: np.random.Generator,
    card: DeviceCard | None = None,
    quirks: float = 1.0,
) -> np.ndarray:
    """`v x s` cost of one copy of each operator on ``count`` devices with this ``card``; see `Plausible`."""
    return Plausible.draw(networks, count, generator, quirks).costs(card)


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


def _compute(work: _Work, count: int, draw: np.random.Generator) -> np.ndarray:
    """`s x v` compute per operator relative to the mean network, with a random taste for shapes."""
    depthwise, grouped = draw.uniform(0, 2.5, count), draw.uniform(0, 2.0, count)  # they reuse little
    slower = np.exp(np.stack([depthwise, grouped, draw.normal(-3, 1, count)], axis=1))  # than dense work
    wide = np.exp(draw.uniform(np.log(0.5), np.log(128), count))[:, None]  # channels that reach half the peak
    large = np.exp(draw.uniform(np.log(0.1), np.log(10), count))[:, None]  # image size that does
    big, tiny = np.exp(draw.normal(0, (0.25, 0.35), (count, 2))).T[..., None]  # kernels of 5x5 and more, and of 1x1
    into, out = work.channels
    used = into / (into + wide) * (out / (out + wide)) * (work.size / (work.size + large))
    flops = (work.flops[0] + slower @ work.flops[1:]) / used
    flops = flops * np.where(work.kernel >= 5, big, 1.0) * np.where(work.kernel == 1, tiny, 1.0)
    return flops / np.maximum(flops @ work.mean_count, 1e-12)[:, None]


def _milliseconds(total: tuple[float, ...], card: DeviceCard, luck: Luck) -> np.ndarray:
    """`4 x s` compute, activations, weights and launches of the mean network on devices with this card."""
    family = FAMILIES.get(card.family or "", UNKNOWN_FAMILY)
    batch = card.batch_size or 1
    peak = card.peak_fp32_gflops or (
        (card.cores or CORES.at(luck.cores))
        * (card.clock_ghz or family.clock_ghz.at(luck.clock))
        * family.flops_per_cycle.at(luck.flops_per_cycle)
    )
    bandwidth = card.memory_bandwidth_gbps or BANDWIDTH.at(luck.bandwidth)
    launch = LAUNCH_US.get((card.runtime or "").partition(" ")[0], family.launch_us)
    launch_us = card.launch_overhead_us or launch.at(luck.launch)
    return np.stack([
        batch * total[0] / (peak * family.efficiency.at(luck.efficiency) * 1e6),
        batch * total[1] / (bandwidth * ACTIVATIONS.at(luck.activations) * 1e6),
        total[2] / (bandwidth * WEIGHTS.at(luck.weights) * 1e6),
        np.broadcast_to(total[3] * launch_us * 1e-3, luck.launch.shape),
    ])  # fmt: skip
