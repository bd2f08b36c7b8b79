"""What comes back from a probe pack: one JSON file with raw samples, sealed by a hash, checked when it is read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from workbench.config import WorkbenchError, write_atomically
from workbench.devices.detect import passport
from workbench.profiling.calm import accepted_load
from workbench.profiling.probepack.checked import Fields, Malformed, check_whole, digest, parse
from workbench.profiling.probepack.pack import NETWORK, REFERENCE, Manifest, Pack
from workbench.profiling.timing import reduce_samples

FORMAT = "workbench probe pack result"
VERSION = 1
LARGEST_RESULT = 2**26
LONGEST_RUN_NS = 10**13  # almost three hours
MOST_PASSES = 10**6
RUNTIMES = ("onnxruntime", "provider", "numpy", "python")

_KEYS = (
    "format", "version", "pack", "space", "batch", "threads", "timing", "machine", "runtime", "rows", "begun",
    "foreign_load", "complete", "warnings",
)  # fmt: skip


class Task(NamedTuple):
    """One timing that a pack asks for; ``round`` counts from 0, for references it is the pass."""

    role: str
    arch: str
    threads: int
    round: int


class Row(NamedTuple):
    """One timing, or the reason why there is none.

    Args:
        task: what was timed.
        started_at: seconds since the epoch, UTC.
        warmup_runs: runs before the timed ones.
        samples_ns: nanoseconds of each timed run, in order; empty after a failure.
        failure: one sentence, or None.
    """

    task: Task
    started_at: float
    warmup_runs: int = 0
    samples_ns: tuple[int, ...] = ()
    failure: str | None = None

    @property
    def estimate_ms(self) -> float:
        """`reduce_samples` of the samples, milliseconds."""
        return reduce_samples(self.samples_ns).estimate_ms


@dataclass
class Result:
    """What was measured so far.

    Args:
        threads: numbers of threads that every network is measured with.
        machine: `detect.fingerprint`, with its hash as ``passport``.
        runtime: version (and provider) of each of `RUNTIMES`.
        rows: in the order in which they were measured.
        begun: how often each task was begun that has no row: the process died, or is still at it.
        foreign_load: processors that other programs used meanwhile, the most of all runs; 0 where that is unknown.
        complete: whether nothing is left to be measured.
    """

    threads: tuple[int, ...]
    machine: dict[str, Any]
    runtime: dict[str, str]
    rows: list[Row] = field(default_factory=list)
    begun: dict[Task, int] = field(default_factory=dict)
    foreign_load: float = 0.0
    complete: bool = False

    def of_role(self, role: str) -> list[Row]:
        """Its rows of one role, in order."""
        return [row for row in self.rows if row.task.role == role]

    def failed(self) -> dict[Task, str]:
        """The networks that no round could time (as the task of their last round), with the last reason."""
        rounds: dict[tuple[str, int], list[Row]] = {}
        for row in self.of_role(NETWORK):
            rounds.setdefault((row.task.arch, row.task.threads), []).append(row)
        return {rows[-1].task: str(rows[-1].failure) for rows in rounds.values() if all(row.failure for row in rows)}


def write_result(path: str | Path, result: Result, pack: Pack) -> Path:
    """Write ``result`` as JSON, atomically, with a hash over its content."""
    manifest = pack.manifest
    content = {
        "format": FORMAT,
        "version": VERSION,
        "pack": pack.hash,
        "space": manifest.space,
        "batch": manifest.batch,
        "threads": result.threads,
        "timing": manifest.timing,
        "machine": result.machine,
        "runtime": result.runtime,
        "rows": [{**row.task._asdict(), **dict(zip(Row._fields[1:], row[1:], strict=True))} for row in result.rows],
        "begun": [{**task._asdict(), "starts": starts} for task, starts in result.begun.items()],
        "foreign_load": result.foreign_load,
        "complete": result.complete,
        "warnings": warnings(result, manifest) if result.complete else [],
    }
    text = json.dumps({"content": content, "sha256": digest(content)}, separators=(",", ":"))
    return write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read_result(path: str | Path, pack: Pack) -> Result:
    """The result in ``path``, every field checked; complete or not.

    Raises:
        WorkbenchError: the file cannot be read, is too large, was changed, belongs to another pack, or holds
            anything that a run of ``pack`` does not write.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > LARGEST_RESULT:
            raise Malformed(f"it has {size} bytes, at most {LARGEST_RESULT} are expected")
        return _parse_result(path.read_bytes(), pack)
    except OSError as error:
        raise WorkbenchError(f"Cannot read the result {path}: {error.strerror}; check the path.") from error
    except Malformed as error:
        raise WorkbenchError(
            f"{path} is not a sound result of this probe pack: {error}; ask for it to be sent or measured again."
        ) from error


def _parse_result(text: bytes, pack: Pack) -> Result:
    sealed = Fields(parse(text), "the file", ("content", "sha256"))
    fields, manifest = Fields(sealed["content"], "the result", _KEYS), pack.manifest
    fields.equals("format", FORMAT)
    fields.equals("version", VERSION)
    if sealed["sha256"] != digest(sealed["content"]):
        raise Malformed("its content was changed, since its hash is another one")
    fields.equals("pack", pack.hash)
    for name in ("space", "batch"):
        fields.equals(name, getattr(manifest, name))
    fields.equals("timing", manifest.timing)
    threads = fields.wholes("threads", 1, 2**12)
    rows = [_row(entry, number, manifest, threads) for number, entry in enumerate(fields.list("rows"), start=1)]
    if len({row.task for row in rows}) < len(rows):
        raise Malformed("it holds the same timing twice")
    begun = dict(_begun(entry, manifest, threads) for entry in fields.list("begun"))
    return Result(
        threads=threads,
        machine=_machine(fields),
        runtime=_runtime(fields["runtime"]),
        rows=rows,
        begun=begun,
        foreign_load=fields.number("foreign_load", 0, 2**20),
        complete=fields.flag("complete"),
    )


def _machine(fields: Fields) -> dict[str, Any]:
    """The fingerprint: any facts, but those that a card states are of the right kind."""
    machine = fields.plain("machine")
    if machine.get("passport") != passport(machine):
        raise Malformed("the machine's passport is not the hash of what is said about it")
    facts = Fields(machine, "the machine", {*machine, "cpu_model", "memory_gib", "cache_kib"})
    if facts["cpu_model"] is not None:
        facts.text("cpu_model")
    if facts["memory_gib"] is not None:
        facts.number("memory_gib", 1e-6, 1e9)
    caches = Fields(facts["cache_kib"], "the machine's cache_kib", facts["cache_kib"])
    for name in facts["cache_kib"]:
        caches.number(name, 1e-6, 1e9)
    return machine


def _runtime(content: object) -> dict[str, str]:
    fields = Fields(content, "the runtime", RUNTIMES)
    found = {name: fields.text(name) for name in RUNTIMES}
    for name, version in found.items():
        if not re.fullmatch(r"[A-Za-z0-9.+_-]{1,60}", version):
            raise Malformed(f"the runtime: {name} expects a version, got {version[:60]!a}")
    return found


def _row(entry: object, number: int, manifest: Manifest, threads: Sequence[int]) -> Row:
    where = f"row {number}"
    fields = Fields(entry, where, (*Task._fields, *Row._fields[1:]))
    task = _task(fields, where, manifest, threads)
    started_at, warmup_runs = fields.number("started_at", 0, 1e11), fields.whole("warmup_runs", 0, 2**40)
    if fields["failure"] is not None:
        fields.equals("samples_ns", [])
        return Row(task, started_at, warmup_runs, failure=fields.text("failure"))
    samples = fields.list("samples_ns")
    for sample in samples:
        check_whole(sample, 1, LONGEST_RUN_NS, f"{where}: samples_ns")
    if not 1 <= len(samples) <= manifest.timing.get("max_runs", len(samples)):
        raise Malformed(f"{where}: samples_ns holds {len(samples)} samples, which its timing settings do not allow")
    return Row(task, started_at, warmup_runs, tuple(samples))


def _task(fields: Fields, where: str, manifest: Manifest, threads: Sequence[int]) -> Task:
    role, arch = fields["role"], fields["arch"]
    if not any((role, arch) == network[:2] for network in manifest.networks):
        raise Malformed(f"{where} is of a network that is not in the pack: {str(arch)[:90]!a}")
    if fields["threads"] not in threads:
        raise Malformed(f"{where}: threads expects one of {list(threads)}, got {str(fields['threads'])[:20]}")
    rounds = manifest.rounds if role == NETWORK else MOST_PASSES
    return Task(role, arch, fields.whole("threads", 1, 2**12), fields.whole("round", 0, rounds - 1))


def _begun(entry: object, manifest: Manifest, threads: Sequence[int]) -> tuple[Task, int]:
    where = "a task that was begun"
    fields = Fields(entry, where, (*Task._fields, "starts"))
    return _task(fields, where, manifest, threads), fields.whole("starts", 1, 2**20)


def network_tasks(manifest: Manifest, threads: Iterable[int]) -> list[Task]:
    """Every timing of a network, in the order in which they are to be done: each round in its own random order."""
    archs, counts = [network.arch for network in manifest.of_role(NETWORK)], list(threads)
    return [
        Task(NETWORK, archs[index], count, turn)
        for turn in range(manifest.rounds)
        for index in np.random.default_rng(turn).permutation(len(archs))
        for count in counts
    ]


def missing_tasks(result: Result, manifest: Manifest) -> set[Task]:
    """What a finished result must hold and this one does not: every network, the references before and behind."""
    archs = [network.arch for network in manifest.of_role(REFERENCE)]
    passes = {Task(REFERENCE, arch, count, turn) for arch in archs for count in result.threads for turn in (0, 1)}
    return {*network_tasks(manifest, result.threads), *passes} - {row.task for row in result.rows}


def reference_drift(result: Result) -> dict[tuple[int, int], float]:
    """How far each pass over the references lies from the usual, by number of threads and pass.

    It is the median over the references of the latency divided by that reference's median over all passes, minus one.
    """
    timed = [(row.task, row.estimate_ms) for row in result.of_role(REFERENCE) if row.failure is None]
    series: dict[tuple[str, int], list[float]] = {}
    for task, estimate in timed:
        series.setdefault((task.arch, task.threads), []).append(estimate)
    usual = {key: np.median(estimates) for key, estimates in series.items()}
    ratios: dict[tuple[int, int], list[float]] = {}
    for task, estimate in timed:
        ratios.setdefault((task.threads, task.round), []).append(estimate / usual[task.arch, task.threads])
    return {key: float(np.median(found)) - 1 for key, found in ratios.items()}


def warnings(result: Result, manifest: Manifest) -> list[str]:
    """What a reader should know, one sentence each: a machine that was not quiet, failures."""
    found, drift = [], reference_drift(result)
    far = [abs(share) for share in drift.values() if abs(share) > manifest.drift]
    if far:
        found.append(
            f"The references drifted by up to {max(far):.0%} in {len(far)} of {len(drift)} passes (accepted: "
            f"{manifest.drift:.0%}), so the machine was not quiet; measuring again would be safer."
        )
    if result.foreign_load > accepted_load():
        found.append(
            f"Other programs used {result.foreign_load:.1f} processors meanwhile, so that every latency may be too "
            f"high; measuring again without them would be safer."
        )
    lost = len([row for row in result.of_role(REFERENCE) if row.failure])
    if lost or not drift:
        found.append(f"{lost} timings of reference networks failed, so that drift is known less well.")
    if failures := result.failed():
        found.append(f"{len(failures)} of the pack's networks could not be measured; their reasons are in the rows.")
    return found
