"""Honest interval widths: every source device plays the target once, and the misses set the width (split conformal)."""

from __future__ import annotations

import numpy as np

from workbench.describe.dbsel import DEFAULT_SELECTOR, select_probes
from workbench.describe.design import Design
from workbench.predictor.adapt import HeadConfig, adapt
from workbench.predictor.method import Z90, Sources
from workbench.predictor.opinions import opinions
from workbench.predictor.roofline import ZeroShot

#: Block scales at which probes are chosen: the middle of what adaptation then averages over.
SELECTION_WEIGHTS = (0.5, 0.4, 0.5)

#: Probes with which a source device is played at most: 60 (a pool for adaptive probing) would take minutes per task.
MOST_PROBES = 20


def interval_factor(
    sources: Sources,
    design: Design,
    count: int,
    generator: np.random.Generator,
    config: HeadConfig = HeadConfig(),
    zero_shot: ZeroShot | None = None,
) -> float:
    """How much wider than the posterior's own 90 % intervals the right ones are, at least 1.

    For each source device the design is built without it and without its siblings (devices with the same hardware,
    which a target does not have; where all are siblings, they stay), ``count`` probes (at most `MOST_PROBES`) are
    chosen among its measured networks, the head is adapted to them, and the standardised misses on its other networks
    are collected. The factor puts their 90 % quantile where it belongs, but never narrows: that the sources could be
    predicted more precisely is no promise for a device unlike them. HODM's prior mean has seen the device and is left
    out; what its card lets expect is asked of ``zero_shot``.
    """
    count, scores = min(count, MOST_PROBES), []
    for device in range(len(sources.devices) if len(sources.devices) > 1 else 0):
        measured = np.nonzero(~np.isnan(sources.latency_ms[:, device]))[0]
        if len(measured) < 2 * count + 10:
            continue
        siblings = sources.siblings(device)
        gone = siblings if len(siblings) < len(sources.devices) else [device]
        held_out = design.without(gone)
        rows = sources.rows[measured]
        latency_ms = sources.latency_ms[measured, device]
        pool = held_out.candidates(SELECTION_WEIGHTS).take(rows)
        picks = select_probes(DEFAULT_SELECTOR, pool, count, generator)
        probe_ms = latency_ms[picks]
        shapes, expected = {name: shape[rows] for name, shape in held_out.shapes.items()}, None
        if zero_shot and (told := zero_shot.expectation(sources.cards.get(sources.devices[device]), gone)):
            expected = told(sources.networks.counts[rows], held_out.source[rows], held_out.deviations[rows])
        priors = opinions(shapes, picks, probe_ms, expected)
        posterior = adapt([block[rows] for block in held_out.blocks], picks, probe_ms, priors, config)
        others = np.setdiff1d(np.arange(len(rows)), picks)
        mean, deviation = posterior.predict(others)
        scores.append(np.abs(latency_ms[others] - mean) / (Z90 * deviation))
    return max(1.0, float(np.quantile(np.concatenate(scores), 0.9))) if scores else 1.0
