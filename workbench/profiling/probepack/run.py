"""Measuring a pack's networks on this machine, with ONNX Runtime and NumPy alone."""

from __future__ import annotations

import io
import os
import platform
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from workbench.config import WorkbenchError
from workbench.devices.detect import detect, fingerprint
from workbench.profiling.calm import SHORTEST_S, keep_freed_memory
from workbench.profiling.conditions import pinned
from workbench.profiling.probepack.pack import NETWORK, REFERENCE, Pack, PackedNetwork
from workbench.profiling.probepack.result import (
    Result,
    Row,
    Task,
    network_tasks,
    read_result,
    warnings,
    write_result,
)
from workbench.profiling.timing import TimingConfig, time_runs

PROVIDER = "CPUExecutionProvider"
MOST_STARTS = 2  # a network in whose company the process died this often is not begun again

Say = Callable[[str], None]


def run_pack(pack: Pack, out: str | Path, threads: Sequence[int] | None, say: Say) -> Result:
    """Measure what ``out`` lacks of ``pack`` and write it there after every timing.

    Args:
        pack: compared with its manifest before anything is measured.
        out: JSON file; what an interrupted run has left there is continued.
        threads: in place of the pack's own numbers of threads.
        say: gets one line of progress after the other.

    Raises:
        WorkbenchError: no ONNX Runtime, a damaged pack, more threads than processors, an ``out`` that holds
            anything but an unfinished result of this pack, these threads and this machine.
    """
    runtime, machine, manifest = _runtime(), detect(), pack.manifest
    wanted = tuple(dict.fromkeys(threads or manifest.threads))
    _check_threads(wanted, machine.available_cores)
    pack.verify()
    result = _begun(pack, Path(out), Result(wanted, fingerprint(machine), runtime))
    if result.complete:
        say(f"{out} is complete already.")
        return result
    keep_freed_memory()
    _Run(pack, Path(out), result, say).run()
    for sentence in warnings(result, manifest):
        say(f"Warning: {sentence}")
    return result


def _runtime() -> dict[str, str]:
    try:
        import onnxruntime
    except ImportError as error:
        reason = str(error).splitlines()[0][:200]
        raise WorkbenchError(
            f"This needs the package onnxruntime, which Python cannot import ({reason}); "
            f"run: python -m pip install onnxruntime"
        ) from error
    return {
        "onnxruntime": onnxruntime.__version__,
        "provider": PROVIDER,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def _check_threads(threads: Sequence[int], available: int) -> None:
    for count in threads:
        if not 1 <= count <= available:
            raise WorkbenchError(
                f"{count} threads were asked for, this machine has processors for 1 to {available}; use --threads."
            )


def _begun(pack: Pack, out: Path, new: Result) -> Result:
    """What an earlier run left in ``out``, else ``new``."""
    if not out.exists():
        return new
    old = read_result(out, pack)
    for name in ("threads", "machine", "runtime"):
        if getattr(old, name) != getattr(new, name):
            raise WorkbenchError(
                f"{out} was begun with other {name} than now; use the same ones or choose another file with --out."
            )
    return old


class _Run:
    """One process's share of the work; ``result`` grows, and ``out`` with it."""

    def __init__(self, pack: Pack, out: Path, result: Result, say: Say) -> None:
        self.pack, self.out, self.result, self.say = pack, out, result, say
        self.manifest = pack.manifest
        self.timing = TimingConfig(**self.manifest.timing)
        self.networks = {network[:2]: network for network in self.manifest.networks}
        self.finished = {row.task for row in result.rows}
        self.load = _ForeignLoad()

    def run(self) -> None:
        """Measure what is lacking, with the references before, between and behind it."""
        tasks = [task for task in network_tasks(self.manifest, self.result.threads) if task not in self.finished]
        self._announce(len(tasks))
        started, every = time.monotonic(), self.manifest.reference_every * len(self.result.threads)
        try:
            for done, task in enumerate(tasks):
                if done % every == 0:
                    self._references()
                row = self._measure(task)
                left = (time.monotonic() - started) / (done + 1) * (len(tasks) - done - 1)
                said = row.failure or f"{row.estimate_ms:.3f} ms"
                where = f"{task.arch}, threads {task.threads}"
                self.say(f"[{done + 1}/{len(tasks)}] {where}: {said} (about {left / 60:.1f} min left)")
            self._references()
            self.result.complete = True
        except KeyboardInterrupt:
            self.result.begun.clear()  # stopped by a person, not by a network
            raise
        finally:
            self.result.foreign_load = max(self.result.foreign_load, self.load.processors())
            self._save()

    def _announce(self, left: int) -> None:
        manifest, counts = self.manifest, ", ".join(map(str, self.result.threads))
        self.say(
            f"{len(manifest.of_role(NETWORK))} networks of {manifest.space} in {manifest.rounds} rounds, batch "
            f"{manifest.batch}, threads {counts}: {left} timings. Please leave the machine alone meanwhile."
        )

    def _references(self) -> None:
        """One pass, or the rest of one that was cut short."""
        archs = [network.arch for network in self.manifest.of_role(REFERENCE)]
        turn = 0
        while not (
            tasks := [
                task
                for arch in archs
                for threads in self.result.threads
                if (task := Task(REFERENCE, arch, threads, turn)) not in self.finished
            ]
        ):
            turn += 1
        for task in tasks:
            self._measure(task)

    def _measure(self, task: Task) -> Row:
        """Time ``task`` and add its row; the file then holds all rows before it, and that it was begun."""
        starts = self.result.begun.get(task, 0) + 1
        self.result.begun[task] = starts
        self._save()
        if starts > MOST_STARTS:
            row = Row(task, time.time(), failure=f"The process ended {MOST_STARTS} times while this network ran.")
        else:
            row = self._timed(task)
        self.result.rows.append(row)
        self.finished.add(task)
        del self.result.begun[task]
        return row

    def _timed(self, task: Task) -> Row:
        network = self.networks[task.role, task.arch]
        try:
            with pinned(task.threads):
                run = self._prepared(network, task.threads)
                timing = time_runs(run, self.timing)
        except Exception as error:  # noqa: BLE001 - it is this network's recorded result, not the end
            return Row(task, time.time(), failure=_reason(error))
        return Row(task, timing.started_at, timing.warmup_runs, tuple(timing.samples_ns))

    def _prepared(self, network: PackedNetwork, threads: int) -> Callable[[], Any]:
        """One inference of ``network``, after comparing its output with the expected one."""
        import onnxruntime

        batch = self.manifest.batch
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_free_dimension_override_by_name("batch", batch)
        session = onnxruntime.InferenceSession(self.pack.read(network.model), options, providers=[PROVIDER])
        feed = {session.get_inputs()[0].name: np.repeat(self._array(network.input), batch, axis=0)}
        run = partial(session.run, None, feed)
        self._compare(run(), np.repeat(self._array(network.output), batch, axis=0))
        return run

    def _array(self, name: str) -> np.ndarray:
        return np.load(io.BytesIO(self.pack.read(name)), allow_pickle=False)

    def _compare(self, outputs: list[Any], expected: np.ndarray) -> None:
        got = outputs[0]
        if len(outputs) != 1 or got.shape != expected.shape or not np.isfinite(got).all():
            raise WorkbenchError(f"expected one finite output of shape {expected.shape}, got another; it is not timed.")
        error, scale = float(np.linalg.norm(got - expected)), float(np.linalg.norm(expected))
        if error > self.manifest.tolerance * scale:
            raise WorkbenchError(
                f"its output is off by a relative {error / max(scale, 1e-30):.2g}, at most "
                f"{self.manifest.tolerance:g} is accepted; it is not timed."
            )

    def _save(self) -> None:
        write_result(self.out, self.result, self.pack)


class _ForeignLoad:
    """Processors that other processes use, from the making of this object on; as in `calm`, without its packages."""

    def __init__(self) -> None:
        self._busy, self._own, self._wall = _processor_seconds(), time.process_time(), time.monotonic()

    def processors(self) -> float:
        """Their mean number until now; 0 where the system does not tell."""
        foreign = _processor_seconds() - self._busy - (time.process_time() - self._own)
        return max(0.0, foreign) / max(time.monotonic() - self._wall, SHORTEST_S)


def _processor_seconds() -> float:
    """Seconds that all processors have been busy since the system started, as Linux tells them."""
    try:
        user, nice, system = map(int, Path("/proc/stat").read_text().split()[1:4])
    except (OSError, ValueError):
        return 0.0  # another system: unknown throughout
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def _reason(error: Exception) -> str:
    text = "".join(sign for sign in " ".join(str(error).split()) if sign.isprintable())
    return f"{type(error).__name__}: {text[:300]}"
