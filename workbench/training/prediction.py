"""Predicting networks on a device of the tables, from its own measurements and those of all others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from workbench.config import WorkbenchError, lookup
from workbench.data.networks import Networks, encode
from workbench.data.sources import load_table
from workbench.describe.design import build_design
from workbench.devices.device import DeviceCard
from workbench.predictor.method import Estimate, Probed, Sources
from workbench.spaces import get_space
from workbench.training.transfer import METHODS, choose_probes

SOURCE_NETWORKS, PROBES = 900, 50


class DevicePrediction(NamedTuple):
    """All networks at hand, predicted on one device.

    Args:
        networks: those of the tables and those asked for.
        estimate: milliseconds with 90 % intervals, in their order.
        measured_ms: of those that were measured on the device, by arch.
        probes: rows of ``networks`` that the model was adapted to, the most informative first.
        card: of the device, None if there is none.
    """

    networks: Networks
    estimate: Estimate
    measured_ms: pd.Series
    probes: np.ndarray
    card: DeviceCard | None

    def of(self, archs: Sequence[str]) -> Estimate:
        """The estimates of ``archs``, in their order."""
        rows = self.networks.rows(archs)
        return Estimate(*(part[rows] for part in self.estimate))


def predict_device(
    space: str, archs: Sequence[str], device: str, folders: Sequence[str | Path] = (), method: str = "hodm"
) -> DevicePrediction:
    """Learn from all other devices, adapt to ``device`` with up to `PROBES` of its measurements, predict.

    Args:
        space, archs: the networks.
        device: a column of the tables.
        folders: see `load_table`.
        method: key of `METHODS`.

    Raises:
        WorkbenchError: a malformed arch, an unknown device or method, too few measurements.
    """
    lookup("method", METHODS, method)
    for arch in archs:
        get_space(space).parse(arch)
    table = load_table(space, None, folders)
    measured = table.column(device).dropna()
    others = tuple(name for name in table.devices if name != device)
    if len(measured) < 2 or not others:
        raise WorkbenchError(
            f"A prediction on '{device}' expects at least 2 of its networks and another device, got {len(measured)} "
            f"networks and {len(others)} devices; measure more with 'workbench profile'."
        )
    networks = encode(space, list(dict.fromkeys([*table.archs, *archs])))
    generator = np.random.default_rng(0)
    pool = np.nonzero(table.frame[list(others)].notna().any(axis=1).to_numpy())[0]
    rows = np.sort(generator.permutation(pool)[:SOURCE_NETWORKS])
    latency_ms = table.frame[list(others)].to_numpy()[rows]
    measured_somewhere = ~np.isnan(latency_ms).all(axis=0)
    kept = tuple(name for name, there in zip(others, measured_somewhere, strict=True) if there)
    sources = Sources(networks, rows, latency_ms[:, measured_somewhere], kept, table.cards)
    design = build_design(networks, sources.rows, sources.latency_ms)
    candidates = networks.rows(list(measured.index))
    probes = choose_probes(design, min(PROBES, len(candidates) - 1), generator, None, candidates)
    probed = Probed(probes, measured[[networks.archs[row] for row in probes]].to_numpy())
    card = table.cards.get(device)
    estimate = METHODS[method](sources, design, probes, generator)(probed, card)()
    return DevicePrediction(networks, estimate, measured, probes, card)
