"""Reading what a colleague sends back: a latency table, a card, and what should be known about them."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from workbench.config import WorkbenchError
from workbench.devices.backends import Platform
from workbench.devices.detect import Machine, platform_conditions
from workbench.devices.device import DeviceCard, check_device_name
from workbench.profiling.machine import family
from workbench.profiling.probepack.pack import NETWORK, Manifest, Pack
from workbench.profiling.probepack.result import (
    Result,
    Row,
    missing_tasks,
    read_result,
    reference_drift,
    warnings,
)
from workbench.profiling.reduce import SUMMARY_COLUMNS, Reduced, refuse_other_conditions, tables_in, write_tables
from workbench.profiling.timing import reduce_samples
from workbench.spaces import get_space

BACKEND = "onnxruntime"


class Received(NamedTuple):
    """What came back.

    Args:
        table_path: the latency table that was written.
        reduced: its content, one column per number of threads.
        cards: one per column.
        failures: reason by column and network.
        drift: largest deviation of a pass over the references; NaN if none was timed.
        warnings: one sentence each.
    """

    table_path: Path
    reduced: Reduced
    cards: dict[str, DeviceCard]
    failures: dict[tuple[str, str], str]
    drift: float
    warnings: list[str]


def receive(result_path: str | Path, pack_path: str | Path, device: str, out: str | Path) -> Received:
    """Check the result of a probe pack and write its tables to ``out``, as `write_tables` does.

    Nothing in either file is executed; latencies are computed here, from the raw samples. A network's latency is that
    of its fastest round, as `measure_archs` takes it.

    Args:
        result_path: the JSON file that was sent back.
        pack_path: the pack that was sent out.
        device: name of the machine; the column is ``<device>``, or ``<device>_<platform>`` for several numbers of
            threads.
        out: folder that holds no table of this space yet; other spaces may lie there.

    Raises:
        WorkbenchError: a damaged pack or result, one that does not belong to the other, an unfinished one, one
            without any timing, an ``out`` that holds such a table, or the same device under other conditions.
    """
    check_device_name(device)
    pack, out = Pack(pack_path), Path(out)
    pack.verify()
    manifest = pack.manifest
    for arch in (network.arch for network in manifest.networks):
        get_space(manifest.space).parse(arch)
    _check_free(out, manifest.space)
    result = read_result(result_path, pack)
    missing = len(missing_tasks(result, manifest))
    if missing or not result.complete:
        raise WorkbenchError(
            f"{result_path} is unfinished ({missing} timings are missing); ask for the same command to be run "
            f"again where it was measured."
        )
    names = _names(manifest, result, device)
    reduced = _reduced(manifest, result, names)
    if reduced.table.empty:
        raise WorkbenchError(
            f"{result_path} holds no latency: every network failed, the first one because of "
            f"'{next(iter(result.failed().values()))}'; correct this there and measure again."
        )
    conditions = {name: _conditions(result, count) for count, name in names.items() if name in reduced.table}
    refuse_other_conditions(out, {name: entry["passport"] for name, entry in conditions.items()})
    cards = {name: _card(manifest, result, name, entry) for name, entry in conditions.items()}
    about = {**result.machine, "devices": conditions, "probe_pack": pack.hash, "runtime": result.runtime}
    drift = [abs(share) for share in reference_drift(result).values()]
    return Received(
        table_path=write_tables(out, manifest.space, reduced, cards, about).latencies,
        reduced=reduced,
        cards=cards,
        failures={(names[task.threads], task.arch): reason for task, reason in result.failed().items()},
        drift=max(drift, default=float("nan")),
        warnings=warnings(result, manifest),
    )


def _check_free(out: Path, space: str) -> None:
    files = tables_in(out, space)
    for path in (files.latencies, files.summary, files.conditions):
        if path.exists():
            raise WorkbenchError(f"{path} exists already; choose another folder with --out.")


def _names(manifest: Manifest, result: Result, device: str) -> dict[int, str]:
    """Column name by number of threads."""
    if len(result.threads) == 1:
        return {result.threads[0]: device}
    return {
        count: f"{device}_{Platform(BACKEND, threads=count, batch=manifest.batch).name}" for count in result.threads
    }


def _reduced(manifest: Manifest, result: Result, names: dict[int, str]) -> Reduced:
    doubtful = _doubtful(manifest, result)
    timed: dict[tuple[str, int], list[tuple[int, Row]]] = {}
    for position, row in enumerate(result.rows):
        if row.task.role == NETWORK and row.failure is None:
            timed.setdefault((row.task.arch, row.task.threads), []).append((position, row))
    rows = [
        {"platform": names[count], "arch": network.arch, **_fastest(timed[network.arch, count], doubtful)}
        for network in manifest.of_role(NETWORK)
        for count in result.threads
        if (network.arch, count) in timed
    ]
    summary = pd.DataFrame(rows, columns=SUMMARY_COLUMNS)
    table = summary.pivot(index="arch", columns="platform", values="estimate_ms").astype("float64")
    order = dict.fromkeys(summary["arch"])
    return Reduced(table.reindex(list(order)).rename_axis("arch").rename_axis(columns=None), summary)


def _fastest(rounds: list[tuple[int, Row]], doubtful: set[int]) -> dict[str, Any]:
    """The columns of a summary for one network, from the rounds that succeeded."""
    ordered = sorted(rounds, key=lambda one: one[1].estimate_ms)
    position, row = ordered[0]
    estimate = reduce_samples(row.samples_ns)
    second = ordered[1][1].estimate_ms if len(ordered) > 1 else float("nan")
    return {
        **estimate._asdict(),
        "attempts": len(ordered),
        "gap": second / estimate.estimate_ms - 1,
        "quarantined": position in doubtful,
        "started_at": row.started_at,
    }


def _doubtful(manifest: Manifest, result: Result) -> set[int]:
    """Positions of the rows between two passes over the references of which one drifted too far."""
    drift, found = reference_drift(result), set()
    for threads in result.threads:
        stretch: list[int] = []
        before = False
        for position, row in enumerate(result.rows):
            if row.task.threads != threads:
                continue
            if row.task.role == NETWORK:
                stretch.append(position)
                continue
            behind = abs(drift.get((threads, row.task.round), 0.0)) > manifest.drift
            if before or behind:
                found.update(stretch)
            stretch, before = [], behind
    return found


def _conditions(result: Result, threads: int) -> dict[str, Any]:
    """What decided the numbers of one column, with its passport; as a campaign over there would state it."""
    facts = {
        field.name: result.machine.get(field.name) for field in fields(Machine)
    }  # a pack may be of another version
    return platform_conditions(Machine(**facts), BACKEND, result.runtime["onnxruntime"], "fp32", threads)


def _card(manifest: Manifest, result: Result, name: str, conditions: dict[str, Any]) -> DeviceCard:
    """What was detected of the machine; its rates were not measured."""
    machine, threads = result.machine, conditions["threads"]
    caches = machine["cache_kib"]
    return DeviceCard(
        name=name,
        hardware=machine["cpu_model"],
        family=family(machine["cpu_model"], "cpu"),
        batch_size=manifest.batch,
        precision="fp32",
        runtime=f"{BACKEND} {conditions['version']}",
        threads=threads,
        cores=threads,
        l1_kib=caches.get("l1"),
        l2_kib=caches.get("l2"),
        l3_mib=caches["l3"] / 1024 if "l3" in caches else None,
        memory_gib=machine["memory_gib"],
        source="detected by a probe pack",
        passport=conditions["passport"],
    )
