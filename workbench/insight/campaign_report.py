"""What a campaign did, for people: its timeline, what cannot be trusted, what failed, under which conditions."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.insight.labels import plural
from workbench.insight.plots.timeline import reference_timeline
from workbench.insight.report import KeyFigure, Section, card_html, write_report
from workbench.profiling.calm import quiet_level
from workbench.profiling.campaign import CampaignSummary
from workbench.profiling.journal import REFERENCE
from workbench.profiling.passes import CampaignConfig
from workbench.profiling.quality import quarantine, reference_drift
from workbench.profiling.reduce import reduce_attempts

OVERHEAD = 0.15  # of the time, at most, outside warm-ups and timed runs
DOUBTED = 0.02  # share of the latencies in quarantine that is worth no second look
LISTED = 200  # failures at most

CAPTION = (
    "Top: how far the reference networks lie from their median over all passes, one line per platform. Below: what "
    "was put in quarantine, because the references around it had drifted or because something disturbed the machine at "
    "that moment, and when networks were measured again. Bottom: how much slower a tiny fixed job (the pulse) ran than "
    "on the undisturbed machine, and how many processors others used; the worst of each moment."
)


def watched_attempts(raw: pd.DataFrame, config: CampaignConfig) -> pd.DataFrame:
    """`reduce_attempts` of ``raw`` with what the report asks of each: ``reference``, ``quarantined`` and ``again`` (a
    repetition) as bool, ``slower`` (of the pulse, as a share of its quiet level)."""
    attempts = reduce_attempts(raw)
    quiet = quiet_level(attempts["pulse_ns"].to_numpy()) if len(attempts) else 1.0
    return attempts.assign(
        reference=attempts["role"] == REFERENCE,
        quarantined=quarantine(attempts, config.quality),
        again=attempts["attempt"] >= config.passes,
        slower=attempts["pulse_ns"] / quiet - 1,
    )


def timeline(attempts: pd.DataFrame, config: CampaignConfig) -> go.Figure:
    """The `reference_timeline` of `watched_attempts`, also of a campaign that is still running."""
    quality = config.quality
    limits = {"drift": quality.drift, "slower": quality.calm.pulse - 1, "foreign_load": quality.calm.foreign_load}
    return reference_timeline(reference_drift(attempts), attempts, **limits)


def platform_table(summary: CampaignSummary, attempts: pd.DataFrame) -> pd.DataFrame:
    """One row per device: networks, median latency, median half interval, and what had to be repeated, is left in
    doubt, or failed (if anything did).

    Args:
        summary: of the campaign.
        attempts: `watched_attempts` of its raw rows.
    """
    names = _device_of(summary.raw)
    found = summary.reduced.summary
    half = (found["high_ms"] - found["low_ms"]) / 2 / found["estimate_ms"]
    groups = found.assign(half=100 * half).groupby("platform", sort=False)
    bursts = attempts[~attempts["reference"]]
    bursts = bursts.assign(device=bursts["platform"].map(names)).groupby("device")
    failures = summary.failures["platform"].map(names).value_counts()
    table = pd.DataFrame(
        {
            "networks": groups.size(),
            "median (ms)": groups["estimate_ms"].median(),
            "± (%)": groups["half"].median(),
            "timings": bursts.size(),
            "quarantined": bursts["quarantined"].sum(),
            "again": bursts["again"].sum(),
            "in doubt": groups["quarantined"].sum(),
            "failed": failures,
        }
    )
    wanted = [name for name in dict.fromkeys(names.values()) if name in groups.groups or name in failures.index]
    table = table.loc[wanted].rename_axis("device").reset_index()
    counts = [name for name in table if name not in ("device", "median (ms)", "± (%)")]
    table = table.fillna(dict.fromkeys(counts, 0)).astype(dict.fromkeys(counts, int))
    return table if table["failed"].any() else table.drop(columns="failed")


def campaign_report(
    summary: CampaignSummary,
    space: str,
    path: str | Path,
    config: CampaignConfig | None = None,
    further: Sequence[Section] = (),
) -> Path:
    """Write one self-contained page about a campaign.

    Args:
        summary: of the campaign.
        space: name of the search space.
        path: the HTML file.
        config: of the campaign; the usual one if None.
        further: more sections, before those on failures and conditions.

    Raises:
        WorkbenchError: ``path`` cannot be written.
    """
    config = config or CampaignConfig()
    attempts = watched_attempts(summary.raw, config)
    table = platform_table(summary, attempts)
    doubted = int(table["in doubt"].sum())
    measured = int(table["networks"].sum())
    wanted = measured + len(summary.failures) + summary.missing
    files = summary.files
    about = json.loads(files.conditions.read_text(encoding="utf-8"))
    return write_report(
        path,
        f"{measured - doubted:,} of {wanted:,} latencies can be trusted",
        _lead(summary, attempts, space, about.get("cpu_model") or "this machine"),
        [
            Section("Timeline", "", timeline(attempts, config), CAPTION),
            Section("Devices", _devices_text(config), table=table.round(3)),
            *further,
            _failures(summary),
            _conditions(about),
        ],
        headline=_headline(summary, attempts, table, config),
        eyebrow="Measuring campaign",
        footer=f"Tables: `{files.latencies.name}`, `{files.summary.name}`. Raw rows, one per timed run: "
        f"`{files.raw.relative_to(files.latencies.parent)}`.",
    )


def _device_of(raw: pd.DataFrame) -> dict[str, str]:
    """Platform -> what the latency table calls it."""
    return dict(raw[["platform", "device"]].drop_duplicates().itertuples(index=False))


def _lead(summary: CampaignSummary, attempts: pd.DataFrame, space: str, machine: str) -> str:
    networks, devices = summary.reduced.table.shape
    begun, ended = (time.gmtime(attempts["started_at"].agg(end)) for end in ("min", "max"))
    until = "%H:%M" if begun[:3] == ended[:3] else "%Y-%m-%d %H:%M"
    when = f"{time.strftime('%Y-%m-%d %H:%M', begun)} to {time.strftime(until, ended)} UTC"
    return (
        f"**{machine}**, {plural(networks, 'network')} of {space}, {plural(devices, 'device')}, {when}. A latency is "
        f"trusted if at least one of its timings lies outside quarantine.\n\n{summary.stability.reason}"
    )


def _headline(
    summary: CampaignSummary, attempts: pd.DataFrame, table: pd.DataFrame, config: CampaignConfig
) -> list[KeyFigure]:
    networks, devices = summary.reduced.table.shape
    timings, again = int(table["timings"].sum()), int(table["again"].sum())
    doubted, measured = int(table["in doubt"].sum()), int(table["networks"].sum())
    found = summary.reduced.summary
    half = float(((found["high_ms"] - found["low_ms"]) / 2 / found["estimate_ms"]).median())
    quality, drift, overhead = config.quality, summary.remaining_drift, summary.overhead
    runs = int(attempts.loc[~attempts["reference"], "n_runs"].sum())
    rest = len(summary.failures) + summary.missing
    return [
        KeyFigure("Networks", f"{networks:,}", note=f"on {plural(devices, 'device')}"),
        KeyFigure("Timings", f"{timings:,}", note=f"with {runs:,} timed runs"),
        KeyFigure("Measured again", f"{again:,}", note="timings that were in doubt before"),
        KeyFigure("Half interval", f"{100 * half:.1f} %", note="95 % interval of the latency, median"),
        KeyFigure(
            "Not measured", f"{rest:,}", _status(rest == 0),
            f"{plural(len(summary.failures), 'failure')}, {summary.missing:,} left undone",
        ),
        KeyFigure(
            "In quarantine", f"{doubted:,}", _status(doubted <= DOUBTED * measured),
            f"of {measured:,} latencies, goal: at most {DOUBTED:.0%}",
        ),
        KeyFigure(
            "Remaining drift", _percent(drift), _status(drift <= quality.drift),
            f"of references beside what counts, accepted: {quality.drift:.0%}",
        ),
        KeyFigure(
            "Largest drift", _percent(float(summary.drift["drift"].abs().max())),
            note="of any pass over the references",
        ),
        KeyFigure(
            "Overhead", _percent(overhead), _status(overhead <= OVERHEAD) if overhead == overhead else "plain",
            f"of the time neither warm-up nor timed, goal: at most {OVERHEAD:.0%}",
        ),
        KeyFigure(
            "At the start", "quiet" if summary.stability.stable else "noisy", _status(summary.stability.stable),
            "what the stability gate heard",
        ),
    ]  # fmt: skip


def _status(good: bool) -> str:
    return "ok" if good else "attention"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if np.isfinite(share) else "unknown"


def _devices_text(config: CampaignConfig) -> str:
    quality = config.quality
    return (
        f"Every network was timed in {config.passes} {'pass' if config.passes == 1 else 'passes'}, with the references "
        f"before, after every {config.reference_every} networks and at the end. What fell into quarantine, disagreed "
        f"with itself by more than {quality.disagreement:.0%} or had a single timing with a half interval above "
        f"{quality.half_width:.0%} was measured again, at most {quality.max_attempts} times. `±` is half the 95 % "
        "interval, the median over the networks; `in doubt` are latencies of which every timing is in quarantine."
    )


def _failures(summary: CampaignSummary) -> Section:
    failures = summary.failures
    damaged = (
        f" Damaged and set aside, measured again: {', '.join(f'`{name}`' for name in summary.damaged)}."
        if summary.damaged
        else ""
    )
    if failures.empty:
        return Section("Failures", f"None: every network that was begun was measured.{damaged}")
    rest = f" The first {LISTED} of {len(failures):,}." if len(failures) > LISTED else ""
    return Section(
        "Failures",
        f"Tried again in a fresh process and failed again; the table holds no number for them.{rest}{damaged}",
        table=failures[["platform", "failure", "arch"]].head(LISTED),
    )


def _conditions(about: dict) -> Section:
    """The passport: what decided the numbers."""
    devices = pd.DataFrame(
        [
            {
                "device": name,
                **{key: entry.get(key) for key in ("backend", "version", "precision", "threads", "passport")},
            }
            for name, entry in about.get("devices", {}).items()
        ]
    )
    return Section(
        "Conditions",
        f"The passport of this machine is `{about.get('passport')}`; tables with other passports are not merged "
        "silently. Each device has its own, of the machine and of the one runtime that it needs.",
        html=card_html(passport_fields(about)),
        table=devices if len(devices) else None,
    )


def passport_fields(about: dict) -> dict:
    """What `detect.fingerprint` says of a machine as a flat card: caches and runtimes by name, lists as text."""
    card = {}
    for name, value in about.items():
        if name in ("devices", "microbench", "stability"):
            continue
        if name == "cache_kib":
            card |= {f"{level}_cache_kib": size for level, size in value.items()}
        elif name == "isa":
            card["vector_extensions"] = ", ".join(value)
        elif name == "runtimes":
            card |= value
        else:
            card[name] = value
    return card
