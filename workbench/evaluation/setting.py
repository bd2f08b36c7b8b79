"""A task with all that it is run on, and the source side that a seed draws from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from workbench.config import WorkbenchError
from workbench.data.networks import Networks, encode
from workbench.data.sources import load_table
from workbench.data.table import LatencyTable
from workbench.data.tasks import Split, Task
from workbench.graphs.features import op_physics
from workbench.predictor.method import Sources


@dataclass(frozen=True)
class Setting:
    """What a task is run on.

    Args:
        task: its devices and its number of source samples.
        table: latencies of ``task.space``, on the targets and (if they are not known from elsewhere) the sources.
        networks: the networks of ``table``, in its order.
        splits: one per target.
        elsewhere: tables and networks of ``task.source_spaces``.
    """

    task: Task
    table: LatencyTable
    networks: Networks
    splits: tuple[Split, ...]
    elsewhere: tuple[tuple[LatencyTable, Networks], ...] = ()

    @property
    def notes(self) -> list[str]:
        """A sentence for every target that is not wholly unseen."""
        name, sentences = self.task.name, []
        for split in self.splits:
            if split.shared:
                shared = ", ".join(split.shared)
                sentences.append(f"{name}: {split.target} shares hardware with source {shared}, as the task says.")
            if split.target in self.task.source:
                spaces = ", ".join(self.task.source_spaces)
                sentences.append(f"{name}: {split.target} is known from {spaces}, as the task says.")
        return sentences

    def draw(self, generator: np.random.Generator) -> Sources:
        """The source side: random measured architectures on the source devices, nothing of the targets."""
        if not self.elsewhere:
            return draw_sources(self.task, self.table, self.networks, generator)
        return borrow_sources(self.task, self.networks, self.elsewhere, self.table, generator)


def prepare(task: Task, data: Sequence[str | Path]) -> Setting:
    """Read the tables of ``task``.

    Raises:
        WorkbenchError: a table, a device or a hardware split that is not as the task says.
    """
    own = () if task.source_spaces else task.source
    table = load_table(task.space, [*own, *task.target], data)
    networks = encode(task.space, table.archs)
    splits = []
    for target in task.target:
        others = [name for name in task.source if name != target] if task.source_spaces else task.source
        splits.append(Split(table, tuple(others), target, named=True))
    tables = [load_table(space, task.source, data) for space in task.source_spaces]
    elsewhere = tuple((other, encode(other.space, other.archs)) for other in tables)
    return Setting(task, table, networks, tuple(splits), elsewhere)


def draw_sources(task: Task, table: LatencyTable, networks: Networks, generator: np.random.Generator) -> Sources:
    """``task.source_samples`` random architectures on the source devices; nothing of the targets."""
    measured = table.frame[list(task.source)].notna().any(axis=1).to_numpy()
    pool = np.nonzero(measured)[0]
    if len(pool) < 2:
        raise WorkbenchError(
            f"Task {task.name} expects at least 2 measured source architectures, got {len(pool)}; add some."
        )
    rows = np.sort(generator.permutation(pool)[: task.source_samples])
    latency_ms = table.frame[list(task.source)].to_numpy()[rows]
    return Sources(networks, rows, latency_ms, task.source, table.cards)


def borrow_sources(
    task: Task,
    networks: Networks,
    elsewhere: Sequence[tuple[LatencyTable, Networks]],
    table: LatencyTable,
    generator: np.random.Generator,
) -> Sources:
    """The source devices on ``networks`` of a space in which they were never measured.

    What spaces share is physics: each source device gets a time per unit of each physical sum (dense FLOPs, bytes,
    launches, ...), at least 0 and fitted to its measurements in the other spaces with relative errors. The latencies
    that follow for ``task.source_samples`` random ``networks`` take the place of measurements.
    """
    sums, latency_ms = [], []
    for other, known in elsewhere:
        drawn = draw_sources(task, other, known, generator)
        sums.append(_sums(known)[drawn.rows])
        latency_ms.append(drawn.latency_ms)
    rates = _rates(np.concatenate(sums), np.concatenate(latency_ms))
    rows = np.sort(generator.permutation(len(networks))[: task.source_samples])
    predicted_ms = _sums(networks)[rows] @ rates
    dark = ~(predicted_ms > 0).all(axis=0)
    if dark.any():
        names = ", ".join(name for name, without in zip(task.source, dark, strict=True) if without)
        raise WorkbenchError(
            f"Task {task.name} expects source devices whose latency follows from physical sums, which {names} does not "
            f"in {', '.join(task.source_spaces)}; take it out."
        )
    return Sources(networks, rows, predicted_ms, task.source, table.cards)


def _sums(networks: Networks) -> np.ndarray:
    """`a x q` physical sums of all operators, which mean the same in every space."""
    return networks.counts @ op_physics(networks.operators)


def _rates(sums: np.ndarray, latency_ms: np.ndarray) -> np.ndarray:
    """`q x d` milliseconds per unit of each of the ``sums`` `s x q`, for latencies `s x d` with NaN for unmeasured."""
    scale = sums.mean(axis=0) + 1e-12
    rates = np.zeros((sums.shape[1], latency_ms.shape[1]))
    for device, measured_ms in enumerate(latency_ms.T):
        there = np.isfinite(measured_ms)
        # next to nothing is what a folded network takes, and its relative error would outweigh everything else
        weight = 1 / np.maximum(measured_ms[there], 0.1 * np.median(measured_ms[there]))
        solution, _ = nnls(sums[there] / scale * weight[:, None], measured_ms[there] * weight)
        rates[:, device] = solution / scale
    return rates
