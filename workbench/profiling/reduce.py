"""From raw rows to tables: views that can be recomputed at any time from what the journal holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from workbench.config import WorkbenchError, write_atomically
from workbench.devices.device import DeviceCard, read_cards, write_cards
from workbench.profiling.journal import REFERENCE, read_raw
from workbench.profiling.quality import QualityConfig, boosted, fastest_gap, quarantine
from workbench.profiling.timing import Estimate, reduce_samples

KEYS = ["platform", "arch", "role", "attempt"]
BURST = ["started_at", "pulse_ns", "foreign_load"]


class Reduced(NamedTuple):
    """What a campaign measured.

    Args:
        table: index ``arch``, one float64 column per platform, milliseconds, NaN where not measured.
        summary: one row per platform and arch: ``platform, arch, n_runs, estimate_ms, low_ms, high_ms,
            iqr_ms, min_ms, attempts, gap, quarantined, started_at``; ``gap`` is the relative distance between
            the two fastest attempts, ``quarantined`` says that no attempt was out of quarantine.
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

    Of several attempts the fastest counts, in quarantine or not: what disturbs a machine makes it slower, never
    faster, so a fast attempt in a disturbed stretch only shows that the others were disturbed more. Attempts beside
    references that were faster than usual (`boosted`) count only where there is no other.
    """
    attempts, config = reduce_attempts(raw), config or QualityConfig()
    attempts["quarantined"], attempts["boosted"] = quarantine(attempts, config), boosted(attempts, config)
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
    usable = group if group["boosted"].all() else group[~group["boosted"]]
    fastest = usable.loc[usable["estimate_ms"].idxmin()]
    return {
        **{name: fastest[name] for name in ("n_runs", "estimate_ms", "low_ms", "high_ms", "iqr_ms", "min_ms")},
        "attempts": len(group),
        "gap": fastest_gap(usable["estimate_ms"]) if len(usable) > 1 else np.nan,
        "quarantined": bool(group["quarantined"].all()),
        "started_at": group["started_at"].min(),
    }


class Tables(NamedTuple):
    """Where the tables of one space are; several spaces of a device share a folder and its cards."""

    latencies: Path
    summary: Path
    conditions: Path
    cards: Path
    raw: Path


def tables_in(folder: str | Path, space: str) -> Tables:
    """The paths below ``folder``."""
    folder = Path(folder)
    return Tables(
        latencies=folder / f"{space}.parquet",
        summary=folder / f"{space}_summary.parquet",
        conditions=folder / f"{space}_conditions.json",
        cards=folder / "devices.yaml",
        raw=folder / "raw" / space,
    )


def write_tables(
    out: str | Path,
    space: str,
    reduced: Reduced,
    cards: Mapping[str, DeviceCard],
    conditions: Mapping[str, Any],
) -> Tables:
    """Write everything but the raw rows to ``out``, each file atomically.

    What is there of other devices and other networks stays: an earlier call may have measured more.
    """
    files = tables_in(out, space)
    beside = read_cards(files.cards) if files.cards.is_file() else {}
    table, summary = _with_earlier(files, reduced)
    conditions = _with_earlier_devices(files.conditions, conditions)
    write_cards(files.cards, {**beside, **cards})
    for path, frame in ((files.summary, summary), (files.latencies, table.reset_index())):
        write_atomically(path, lambda file, frame=frame: frame.to_parquet(file, index=False, compression="zstd"))
    text = json.dumps(conditions, indent=1)
    write_atomically(files.conditions, lambda path: path.write_text(text, encoding="utf-8"))
    return files


def _with_earlier(files: Tables, reduced: Reduced) -> Reduced:
    """``reduced`` and, below and beside it, what the tables hold besides."""
    table, summary = reduced
    if files.latencies.is_file():
        earlier = _read(files.latencies, "arch").set_index("arch")
        rows, columns = (list(dict.fromkeys([*new, *old])) for new, old in zip(table.axes, earlier.axes, strict=True))
        table = table.combine_first(earlier).reindex(index=pd.Index(rows, name="arch"), columns=columns)
    if files.summary.is_file():
        both = pd.concat([summary, _read(files.summary, "platform", "arch")], ignore_index=True)
        summary = both.drop_duplicates(["platform", "arch"], ignore_index=True)
    return Reduced(table, summary)


def _read(path: Path, *needed: str) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(path)
        return frame.astype(dict.fromkeys(needed, str))
    except Exception as error:  # pyarrow raises many types for a damaged file, and a missing column is as bad
        raise WorkbenchError(
            f"{path} holds what was measured earlier, but cannot be read; move it away and run the same command again."
        ) from error


def _with_earlier_devices(path: Path, conditions: Mapping[str, Any]) -> dict[str, Any]:
    """``conditions`` and what the file says of other devices, by name."""
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
        earlier = earlier if isinstance(earlier, dict) else {}
    except (OSError, ValueError):
        earlier = {}  # none yet, or damaged: what is known now is written
    told = dict(conditions)
    for part in ("devices", "microbench"):
        if isinstance(told.get(part), Mapping) and isinstance(earlier.get(part), Mapping):
            told[part] = {**earlier[part], **told[part]}
    return told


def refuse_other_conditions(out: str | Path, passports: Mapping[str, str]) -> None:
    """Raise if ``out`` holds a device of one of these names (name -> passport) that was measured under others."""
    path = tables_in(out, "").cards
    for name, card in (read_cards(path) if path.is_file() else {}).items():
        if name in passports and card.passport not in (None, passports[name]):
            raise WorkbenchError(
                f"{path} holds '{name}' measured under other conditions (passport {card.passport}, now "
                f"{passports[name]}); use another output folder or another device name."
            )
