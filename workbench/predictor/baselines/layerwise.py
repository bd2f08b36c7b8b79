"""Peers: layer-wise lookup tables: what each distinct operator costs, summed over the network.

In the field such a table is measured operator by operator on the device itself (the layer-wise baseline in BRP-NAS and
HELP), which a target with a few whole-network measurements does not allow. Here every source device's table is had from
its whole-network latencies by non-negative least squares on operator counts. The target takes the table that misses its
probes least: `layerwise` scaled by one factor; `layerwise_bias` with a factor and a constant, the usual correction
for what the sum leaves out (fusion, launch and framework overhead). Only our choice of the table is made few-shot.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from workbench.describe.design import Design
from workbench.devices.device import DeviceCard
from workbench.predictor.baselines.nearest import nearest_of
from workbench.predictor.baselines.scores import line
from workbench.predictor.method import Adapt, Estimate, Predict, Probed, Sources, gaussian_estimate, some_probes

NEARLY_NOTHING = 1e-3  # weight of "no constant" beside the probes: it decides where there is one probe only


def table_sums(sources: Sources, design: Design) -> np.ndarray:
    """`a x d` sums of the source devices' table entries over every network, relative to the device's mean latency."""
    counts = sources.networks.counts.astype(np.float64)
    size = counts[sources.rows].max(axis=0)
    kept = counts[:, size > 0] / size[size > 0]  # an operator that no source row has costs nothing by this table
    relative = sources.latency_ms / sources.mean_ms
    sums = np.empty((len(counts), relative.shape[1]))
    for device, column in enumerate(relative.T):
        measured = ~np.isnan(column)
        costs, _ = nnls(kept[sources.rows[measured]], column[measured])
        sums[:, device] = kept @ costs
    return sums


layerwise = nearest_of("layerwise", table_sums)


def layerwise_bias(sources: Sources, design: Design, pool: np.ndarray, generator: np.random.Generator) -> Adapt:
    """The best table with a factor and a constant."""
    sums = table_sums(sources, design)

    def adapt(probed: Probed, card: DeviceCard | None) -> Predict:
        rows, probe_ms = some_probes("layerwise_bias", probed)
        fits = np.array(
            [
                line(column[rows], probe_ms, probed.mean_ms / column[rows].mean(), NEARLY_NOTHING * column.var())
                for column in sums.T
            ]
        )  # d x 2, slope and constant
        estimates = sums * fits[:, 0] + fits[:, 1]
        misses = ((estimates[rows] - probe_ms[:, None]) ** 2).sum(axis=0)
        best = int(misses.argmin())
        deviation = np.sqrt(misses[best] / max(len(rows) - 2, 1))

        def predict() -> Estimate:
            return gaussian_estimate(estimates[:, best], deviation, probed.mean_ms)

        return predict

    return adapt
