"""Sweeps: many runs of one notebook, on all cores or a cluster, that survive anything and end in one table."""

from __future__ import annotations

from workbench.sweep.cluster import ClusterConfig, cores
from workbench.sweep.definition import Sweep, read_sweep
from workbench.sweep.plan import Plan, PlannedRun, make_plan
from workbench.sweep.run import Options, SweepReport, run_sweep
from workbench.sweep.store import Store
from workbench.sweep.table import SweepResults, load

__all__ = [
    "ClusterConfig",
    "Options",
    "Plan",
    "PlannedRun",
    "Store",
    "Sweep",
    "SweepReport",
    "SweepResults",
    "cores",
    "load",
    "make_plan",
    "read_sweep",
    "run_sweep",
]
