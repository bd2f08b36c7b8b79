"""Sweeps whose truth is known."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workbench.insight.sweep_table import Sweep, sweep_of

FACTORS = {"case": ["full", "no dialogue"], "probes": [5, 10, 20]}


def made_up(
    effects: Mapping[str, Mapping[object, float]],
    factors: Mapping[str, Sequence[object]] = FACTORS,
    seeds: Sequence[int] = (0, 1, 2),
    units: Sequence[tuple[str, str]] = tuple(itertools.product(("T1", "T2"), ("phone", "gpu", "cpu"))),
    noise: float = 0.01,
    seed: int = 0,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Manifest and rows of a grid: a score is that of its task and device, plus ``effects``, plus noise."""
    generator = np.random.default_rng(seed)
    bases = {unit: generator.normal(0.8, 0.1) for unit in units}
    rows = []
    for number, (levels, run_seed) in enumerate(itertools.product(itertools.product(*factors.values()), seeds)):
        told = dict(zip(factors, levels, strict=True))
        plus = sum(effects.get(name, {}).get(value, 0.0) for name, value in told.items())
        for task, device in units:
            score = bases[task, device] + plus + generator.normal(0, noise)
            about = {"key": f"{number:016x}", "run_id": "", **told, "seed": run_seed, "task": task, "device": device}
            rows.append(
                {**about, "spearman": score, "rae": 1 - score, "pretrain_s": 2.0, "seconds": 3.0, "worker": "w"}
            )
    count = int(np.prod([len(levels) for levels in factors.values()])) * len(seeds)
    manifest = {
        "name": "made up", "sweep_file": "", "notebook": "notebooks/90_ablation.ipynb",
        "command": ["workbench", "ablate", "experiments/made up.yaml", "--workers", "2"],
        "metric": "spearman", "direction": "maximize", "factors": list(factors), "groups": list(factors),
        "levels": {name: list(levels) for name, levels in factors.items()}, "reference": {}, "seeds": list(seeds),
        "parameters": {"space": "nasbench201"}, "runs": count, "finished": count, "failed": 0, "code": "c0de",
        "data": {"data/table.parquet": "da7a"}, "versions": {"python": "3.11", "torch": "2.13"},
        "started": "2026-01-01T00:00:00+00:00", "ended": "2026-01-01T01:00:00+00:00", "workers": 2,
        "tracking_uri": None,
    }  # fmt: skip
    return manifest, pd.DataFrame(rows)


def sweep(effects: Mapping[str, Mapping[object, float]], **more: Any) -> Sweep:
    """`made_up` as a `Sweep`."""
    return sweep_of(*made_up(effects, **more))


def written(folder: Path, manifest: Mapping[str, Any], rows: pd.DataFrame) -> Path:
    """The two files of a sweep in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sweep.json").write_text(json.dumps(manifest))
    rows.to_parquet(folder / "results.parquet", index=False)
    return folder
