"""From raw rows to tables: views that can be recomputed at any time from what the journal holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from workbench.config import write_atomically
from workbench.devices.device import DeviceCard, write_cards
from workbench.profiling.journal import REFERENCE, read_raw
from workbench.profiling.quality import QualityConfig, quarantine, smallest_gap
from workbench.profiling.timing import Estimate, reduce_samples

KEYS = ["platform", "arch", "role", "attempt"]
BURST = ["started_at", "pulse_ns", "foreign_load"]


class Reduced(NamedTuple):
    """What a campaign measured.

    Args:
        table: index ``arch``, one float64 column per platform, milliseconds, NaN where not measured.
        summary: one row per platform and arch: ``platform, arch, n_runs, estimate_ms, low_ms, high_ms,
            iqr_ms, min_ms, attempts, gap, quarantined, started_at``; ``gap`` is the relative distance between
            the two attempts that count.
    """

    table: pd.DataFrame
    summary: pd.DataFrame


def reduce_attempts(raw: pd.DataFrame) -> pd.DataFrame:
    """One row per burst of runs: `KEYS`, the fields of `Estimate` and `BURST`; failures are left out."""
    timed = raw[raw["failure"].isna()].sort_values([*KEYS, "repeat"])
    rows = []
    for keys, burst in timed.groupby(KEYS, sort=False):
        estimate = reduce_samples(burst["latency_ns"].to_numpy(dtype=np.float64))
        first = burst.iloc[0]
        rows.append((*keys, *estimate, *(first[name] for name in BURST)))
    frame = pd.DataFrame(rows, columns=[*KEYS, *Estimate._fields, *BURST])
    kinds = dict.fromkeys(frame, "float64") | dict.fromkeys(KEYS, "str") | {"attempt": "int64", "n_runs": "int64"}
    return frame.astype(kinds)  # the same kinds where nothing was measured yet


def reduce_raw(folder: str | Path, config: QualityConfig | None = None) -> Reduced:
    """`Reduced` of the raw rows in ``folder``."""
    return reduce_rows(read_raw(folder), config)


def reduce_rows(raw: pd.DataFrame, config: QualityConfig | None = None) -> Reduced:
    """`Reduced` of ``raw``.

    Attempts in quarantine count only where there is no other. Of several attempts the two that agree best
    count, by their mean; the interval then spans both of theirs.
    """
    attempts = reduce_attempts(raw)
    attempts["quarantined"] = quarantine(attempts, config or QualityConfig())
    networks = attempts[attempts["role"] != REFERENCE]
    rows = [
        {"platform": p, "arch": a, **_combine(group)}
        for (p, a), group in networks.groupby(["platform", "arch"], sort=False)
    ]
    summary = pd.DataFrame(rows, columns=SUMMARY_COLUMNS)
    table = summary.pivot(index="arch", columns="platform", values="estimate_ms").astype("float64")
    return Reduced(table.rename_axis(columns=None), summary)


SUMMARY_COLUMNS = [
    "platform",
    "arch",
    "n_runs",
    "estimate_ms",
    "low_ms",
    "high_ms",
    "iqr_ms",
    "min_ms",
    "attempts",
    "gap",
    "quarantined",
    "started_at",
]


def _combine(group: pd.DataFrame) -> dict[str, Any]:
    usable = group if group["quarantined"].all() else group[~group["quarantined"]]
    ordered = usable.sort_values("estimate_ms")
    gap = np.nan
    if len(ordered) > 1:
        values = ordered["estimate_ms"].to_numpy()
        best = int(np.argmin(values[1:] / values[:-1]))
        gap = smallest_gap(ordered["estimate_ms"])
        ordered = ordered.iloc[best : best + 2]
    return {
        "n_runs": int(ordered["n_runs"].sum()),
        "estimate_ms": ordered["estimate_ms"].mean(),
        "low_ms": ordered["low_ms"].min(),
        "high_ms": ordered["high_ms"].max(),
        "iqr_ms": ordered["iqr_ms"].max(),
        "min_ms": ordered["min_ms"].min(),
        "attempts": len(group),
        "gap": gap,
        "quarantined": bool(group["quarantined"].all()),
        "started_at": group["started_at"].min(),
    }


def write_tables(
    out: str | Path,
    space: str,
    reduced: Reduced,
    cards: Mapping[str, DeviceCard],
    fingerprint: Mapping[str, Any],
) -> Path:
    """Write ``<space>.parquet``, ``devices.yaml``, ``raw_summary.parquet`` and ``fingerprint.json`` to
    ``out``, each atomically.

    Returns:
        The path of the latency table.
    """
    out = Path(out)
    summary = reduced.summary
    write_cards(out / "devices.yaml", cards)
    write_atomically(
        out / "raw_summary.parquet", lambda path: summary.to_parquet(path, index=False, compression="zstd")
    )
    text = json.dumps(fingerprint, indent=1)
    write_atomically(out / "fingerprint.json", lambda path: path.write_text(text, encoding="utf-8"))
    table = reduced.table.reset_index()
    return write_atomically(
        out / f"{space}.parquet", lambda path: table.to_parquet(path, index=False, compression="zstd")
    )
