"""Toy devices whose law is known: every operator takes the longer of computing and moving, plus its launches.

A roofline (Williams et al. 2009) per operator, added up over the network: additive in milliseconds, as real devices
nearly are. Compute, memory and launches bind different networks, so a device is told by which of them it is short of.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from workbench.data.networks import Networks, encode
from workbench.describe.design import build_design
from workbench.devices.device import DeviceCard
from workbench.graphs.features import PHYSICS, op_physics
from workbench.predictor.hodm import HODMConfig
from workbench.predictor.method import Sources
from workbench.spaces import get_space
from workbench.training.adapted import AdaptedPredictor
from workbench.training.fit import FitConfig, pretrain
from workbench.training.transfer import choose_probes


@dataclass(frozen=True)
class Roofline:
    """A device with a peak in 10^9 FLOP/s, a bandwidth in 10^9 bytes/s and microseconds per launch."""

    gflops: float
    gbps: float
    launch_us: float

    def latency_ms(self, networks: Networks) -> np.ndarray:
        """`a` milliseconds of all ``networks``, exactly."""
        cost = dict(zip(PHYSICS, op_physics(networks.operators).T, strict=True))
        compute = sum(value for name, value in cost.items() if name.endswith("flops")) / (self.gflops * 1e6)
        traffic = (cost["bytes_read"] + cost["bytes_written"]) / (self.gbps * 1e6)
        return networks.counts @ (np.maximum(compute, traffic) + cost["launches"] * self.launch_us * 1e-3)


COMPUTE_BOUND, MEMORY_BOUND = Roofline(20, 500, 0.1), Roofline(5000, 2, 0.1)
LAUNCH_BOUND = Roofline(5000, 500, 30)
SOURCES = {
    "compute": COMPUTE_BOUND,
    "memory": MEMORY_BOUND,
    "launch": LAUNCH_BOUND,
    "edge": Roofline(40, 10, 5),
    "server": Roofline(300, 30, 4),
}
#: Devices that are no source: each between two of them, but none a multiple of one.
TARGETS = {"phone": Roofline(30, 4, 8), "accelerator": Roofline(400, 8, 15)}


@cache
def toy_networks(count: int = 200, space: str = "nasbench201", seed: int = 0) -> Networks:
    """``count`` random networks of a real space; nothing is left in the user's cache."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_CACHE", folder)
        return encode(space, get_space(space).sample(count, np.random.default_rng(seed)))


def toy_sources(
    networks: Networks, rows: np.ndarray | None = None, devices: Mapping[str, Roofline] = SOURCES
) -> Sources:
    """``devices`` measured on ``rows`` (all if None)."""
    rows = np.arange(len(networks)) if rows is None else rows
    latency_ms = np.stack([device.latency_ms(networks)[rows] for device in devices.values()], axis=1)
    return Sources(networks, rows, latency_ms, tuple(devices))


def toy_frame(networks: Networks, devices: Mapping[str, Roofline]) -> pd.DataFrame:
    """The latency table of ``devices`` on all ``networks``, indexed by arch."""
    columns = {name: device.latency_ms(networks) for name, device in devices.items()}
    return pd.DataFrame(columns, index=pd.Index(networks.archs, name="arch"))


def write_table(folder: Path, frame: pd.DataFrame, space: str = "nasbench201") -> Path:
    """Write ``frame`` as the table of ``space`` into ``folder``, in the format of DESIGN section 4."""
    folder.mkdir(parents=True, exist_ok=True)
    frame.reset_index().to_parquet(folder / f"{space}.parquet", index=False)
    return folder


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread: tests run in several processes, which would fight for the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@cache
def toy_predictor() -> AdaptedPredictor:
    """A hasty HODM that learnt 200 networks on `SOURCES`, adapted to `TARGETS`; the first of them has a card."""
    networks = toy_networks()
    sources = toy_sources(networks, np.arange(0, 200, 2))
    design = build_design(networks, sources.rows, sources.latency_ms)
    generator = np.random.default_rng(0)
    probes = choose_probes(design, 8, generator, None)
    config, size = FitConfig(steps=6, devices=6), HODMConfig(width=12, heads=2)
    with one_thread():
        pretrained = pretrain(sources, design, probes, generator, config, size)
        predictor = AdaptedPredictor.of(pretrained, networks, design)
        for name, device in TARGETS.items():
            card = DeviceCard("a phone", family="mobile-cpu", memory_bandwidth_gbps=4) if name == "phone" else None
            predictor = predictor.add(name, device.latency_ms(networks)[probes], card, 1.5)
    return predictor


def rae(actual_ms: np.ndarray, predicted_ms: np.ndarray, left_out: Sequence[int] | np.ndarray = ()) -> float:
    """Relative absolute error over all rows but ``left_out``."""
    keep = np.setdiff1d(np.arange(len(actual_ms)), left_out)
    actual, predicted = actual_ms[keep], predicted_ms[keep]
    return float(np.abs(actual - predicted).sum() / np.abs(actual - actual.mean()).sum())
