"""Made-up runs, with tables of results and courses."""

from __future__ import annotations

import numpy as np
import pandas as pd

DEVICES = ("phone", "gpu", "cpu", "dsp")


def some_runs(count: int = 6) -> pd.DataFrame:
    """``count`` runs, the newest first: run ``r0`` is the best; the last one failed and has no metric."""
    places = np.arange(count)
    good = 0.95 - 0.01 * places
    return pd.DataFrame(
        {
            "run_id": [f"r{place}" for place in places],
            "name": [f"run {place // 2}" for place in places],
            "experiment": ["first", "second"] * (count // 2) + ["first"] * (count % 2),
            "status": ["FINISHED"] * (count - 1) + ["FAILED"],
            "start": pd.Timestamp("2026-01-02", tz="UTC") - pd.to_timedelta(places, unit="h"),
            "duration_s": 10.0 + places,
            "parent": "",
            "params.probes": [str(5 * (place % 3 + 1)) for place in places],
            "params.space": "nasbench201",
            "params.note": ["<b>", *[np.nan] * (count - 1)],
            "metrics.spearman": np.where(places < count - 1, good, np.nan),
            "metrics.loss": np.where(places < count - 1, 1 - good, np.nan),
            "metrics.nothing": np.nan,
            "tags.sweep": "s",
        }
    )


def some_tables(count: int = 6, seeds: int = 3) -> dict[str, pd.DataFrame]:
    """Results of the runs `some_runs` but the last two, floors beside each."""
    tables = {}
    for place in range(count - 2):
        generator = np.random.default_rng(7)  # the same for all: devices and seeds differ more than runs do
        rows = [
            {"task": "T", "device": device, "seed": seed, "spearman": 0.95 - 0.01 * place + generator.normal(0, 0.05)}
            for device in DEVICES
            for seed in range(seeds)
        ]
        own = pd.DataFrame(rows).assign(method="hodm")
        tables[f"r{place}"] = pd.concat([own, own.assign(method="linear", spearman=0.0)], ignore_index=True)
    return tables


def some_history(count: int = 6) -> pd.DataFrame:
    """A loss over ten steps of every run but the last, and a metric of the first run alone."""
    parts = [
        pd.DataFrame(
            {"run_id": f"r{place}", "metric": "loss", "step": range(10), "value": np.exp(-np.arange(10)) + place}
        )
        for place in range(count - 1)
    ]
    alone = pd.DataFrame({"run_id": "r0", "metric": "a", "step": [1, 2], "value": [1.0, np.nan]})
    return pd.concat([*parts, alone], ignore_index=True)
