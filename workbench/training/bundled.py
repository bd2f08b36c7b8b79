"""The bundled measurements as a source side: what the quick start trains on, and what it must not see."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from workbench.config import WorkbenchError
from workbench.data.networks import Networks, encode
from workbench.data.sources import BUNDLED, load_table
from workbench.predictor.method import Sources
from workbench.spaces import get_space

#: The platform and the number of networks that the quick start holds out of its training.
HELD_OUT_PLATFORM, HELD_OUT_NETWORKS = "torch-eager_fp32_t1_b1", 100


class BundledSources(NamedTuple):
    """Bundled measurements, split.

    Args:
        sources: the other platforms of the same machine on all but the last 100 measured networks; its ``networks`` are
            the whole space.
        held_out: rows of ``sources.networks`` that were measured, too, but take no part in training.
    """

    sources: Sources
    held_out: np.ndarray


def bundled_sources(platform: str = HELD_OUT_PLATFORM, space: str = "nasbench201") -> BundledSources:
    """The bundled measurements of ``space`` on the machine of ``platform``, without this and the last 100 networks.

    The rows of the bundled table are in random order, so its last rows are a random sample of the space.
    """
    table = load_table(space, folders=[BUNDLED])
    hardware = table.cards[platform].hardware if platform in table.cards else None
    others = (device for device in table.devices if device != platform)
    devices = tuple(name for name in others if hardware is None or table.cards[name].hardware == hardware)
    networks = encode(space, get_space(space).all())
    rows = networks.rows(table.archs)
    kept = len(rows) - HELD_OUT_NETWORKS
    if not devices or kept < 2:
        raise WorkbenchError(
            f"The bundled measurements expect more than {HELD_OUT_NETWORKS} networks and a platform besides "
            f"{platform}, got {len(rows)} networks on {len(table.devices)}; measure more with 'workbench profile'."
        )
    latency_ms = table.frame[list(devices)].to_numpy()[:kept]
    return BundledSources(Sources(networks, rows[:kept], latency_ms, devices, table.cards), rows[kept:])


def check_networks(networks: Networks, held_out: np.ndarray, probes: np.ndarray, count: int, seed: int) -> np.ndarray:
    """``count`` random rows of ``held_out`` that are not probes: what a prediction is checked on."""
    pool = np.setdiff1d(held_out, probes)
    if not 2 <= count <= len(pool):
        raise WorkbenchError(f"A check expects 2 to {len(pool)} networks, got {count}; correct the number.")
    return np.random.default_rng(seed).permutation(pool)[:count]
