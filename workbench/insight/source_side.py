"""The source side of a table, and the same as it speaks about a part of its networks: what a panel has to be fast with.

Shapes: `a` networks, `s` of them learnt from, `d` source devices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from workbench.config import WorkbenchError
from workbench.data.networks import Networks, encode
from workbench.data.table import LatencyTable
from workbench.data.tasks import Task
from workbench.describe.design import Design, build_design
from workbench.evaluation.setting import draw_sources
from workbench.predictor.method import Sources


def source_side(
    table: LatencyTable, devices: Sequence[str], samples: int, generator: np.random.Generator
) -> tuple[Sources, Design]:
    """What ``devices`` say of all networks of ``table``, learnt from ``samples`` of them; a device that was hardly
    measured is left out.

    Raises:
        WorkbenchError: fewer than two networks to learn from.
    """
    networks = encode(table.space, table.archs)
    task = Task("this transfer", table.space, tuple(devices), (), samples)
    drawn = draw_sources(task, table, networks, generator)
    taught = (~np.isnan(drawn.latency_ms)).sum(axis=0) > 1
    if not taught.any():
        raise WorkbenchError(
            f"A source device expects at least 2 measured networks, got fewer on each of {', '.join(devices)}; measure "
            f"more."
        )
    kept = tuple(name for name, there in zip(devices, taught, strict=True) if there)
    sources = replace(drawn, latency_ms=drawn.latency_ms[:, taught], devices=kept)
    return sources, build_design(networks, sources.rows, sources.latency_ms)


def narrowed(sources: Sources, design: Design, rows: np.ndarray) -> tuple[Sources, Design]:
    """The source side as it speaks about ``rows`` alone, in this order: measurements of other networks are left out,
    what was learnt from them is not."""
    networks = sources.networks
    fewer = networks_at(networks, rows)
    kept = np.isin(sources.rows, rows)
    places = fewer.rows([networks.archs[row] for row in sources.rows[kept]])
    return replace(sources, networks=fewer, rows=places, latency_ms=sources.latency_ms[kept]), design_at(design, rows)


def networks_at(networks: Networks, rows: np.ndarray) -> Networks:
    """These ``rows`` alone; operators and what their quantities are relative to stay."""
    archs = tuple(networks.archs[row] for row in rows)
    parts = {name: getattr(networks, name)[rows] for name in ("counts", "physics", "roots", "census")}
    return replace(networks, archs=archs, row={arch: place for place, arch in enumerate(archs)}, **parts)


def design_at(design: Design, rows: np.ndarray) -> Design:
    """``design`` of these networks alone."""
    return design._replace(**{name: getattr(design, name)[rows] for name in Design._fields if name != "interactions"})
