"""Read bandwidth over the size of the working set, from a few KiB to beyond every cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.devices.backends import Run
from workbench.devices.microbench.caches import find_caches
from workbench.devices.microbench.figures import Figure, SweepPoint, figure, sweep_point
from workbench.devices.microbench.rates import Stopwatch

if TYPE_CHECKING:
    from torch import Tensor

RUNS = 2  # per size and round, after one that brings the set into the caches
READ_BYTES = 16 << 20  # on a CPU at least, per call: the call's own time must not count
PRIVATE_BYTES = 1 << 20  # below, every thread reads the set as often as one thread would
GATHER_BYTES = 256 << 20  # on a GPU, per call
ROW, ROWS = 64, 64  # numbers per row, rows per sum on a GPU
#: Names of the caches by the type of the device: of a GPU's the last is the L2 of the whole chip.
LEVELS = {"cpu": ("l1", "l2", "l3"), "cuda": ("l1", "l2")}
LARGEST_L1_KIB = 256  # of a processor: if the first step lies beyond, the one of the L1 was too small to see
SIZES = {"l1_kib": 1, "l2_kib": 1, "l3_mib": 1024}  # field of the card -> KiB in its unit


def working_sets(smallest_kib: float, largest_mib: float, per_octave: int) -> np.ndarray:
    """`s` sizes in KiB, equally spaced on the logarithmic scale."""
    octaves = np.log2(largest_mib * 1024 / smallest_kib)
    return smallest_kib * 2.0 ** (np.arange(int(octaves * per_octave) + 1) / per_octave)


def read_sweep(sizes_kib: np.ndarray, threads: int, arena: Tensor, stopwatch: Stopwatch) -> np.ndarray:
    """`s` bandwidths in 10^9 bytes/s: the best of `RUNS` reads of each working set at the start of ``arena``."""
    found = []
    for kib in sizes_kib:
        numbers = int(kib * 256) // ROW * ROW
        read = _gathering if arena.device.type == "cuda" else _streaming
        nbytes, run = read(arena[:numbers], threads)
        run()
        found.append(nbytes / min(stopwatch(run) for _ in range(RUNS)))
    return np.array(found)


def _streaming(values: Tensor, threads: int) -> tuple[int, Run]:
    """Sums the set from its beginning to its end, several times in one call if it is small.

    A set that is larger than `READ_BYTES` is read once and shared out among the threads: if each read it all, they
    would read main memory once for all of them. One smaller than `PRIVATE_BYTES` is read by each thread as often as by
    one alone, so that the caches of all cores work.
    """
    copies = threads if values.nbytes <= PRIVATE_BYTES else 1
    rows = values.expand(max(1, READ_BYTES * copies // values.nbytes), -1)
    return rows.numel() * rows.itemsize, lambda: rows.sum(1)


def _gathering(values: Tensor, threads: int) -> tuple[int, Run]:
    """Sums rows of the set in random order: a GPU works on many rows at once, and if these were copies of the whole
    set, it would read main memory once for all of them."""
    import torch

    table = values.view(-1, ROW)
    generator = torch.Generator(values.device).manual_seed(0)
    shape = (GATHER_BYTES // (table[0].nbytes * ROWS), ROWS)
    rows = torch.randint(len(table), shape, device=values.device, generator=generator)
    return rows.numel() * table[0].nbytes, lambda: torch.nn.functional.embedding_bag(rows, table, mode="sum")


def hierarchy(
    sizes_kib: np.ndarray, sweeps: dict[int, list[np.ndarray]], device: str
) -> tuple[list[Figure], list[SweepPoint]]:
    """The caches that one thread's sweep shows, and every thread count's bandwidth in each of them.

    Args:
        sizes_kib: `s` working sets.
        sweeps: thread count, 1 among them -> one sweep of `s` bandwidths per round.
        device: ``cpu`` or ``cuda``.
    """
    names = LEVELS[device]
    found = find_caches(sizes_kib, sweeps[1], len(names))
    if device == "cuda":
        names = names[-len(found) :]
    elif found and found[0].size_kib > LARGEST_L1_KIB:
        names = names[1:]
    points, figures = [], []
    for threads, rounds in sweeps.items():
        runs = RUNS * len(rounds)
        readings = np.array(rounds)
        points += [sweep_point(threads, float(kib), readings[:, i], runs) for i, kib in enumerate(sizes_kib)]
        before = 0.0
        for name, cache in zip(names, found, strict=False):
            field = next(field for field in SIZES if field.startswith(name))
            size = (kib / SIZES[field] for kib in cache)
            figures.append(Figure(field, threads, *size, RUNS * len(sweeps[1])))
            inside = _inside(sizes_kib, before, cache.size_kib)
            before = cache.size_kib
            if device == "cpu":  # a GPU's gathering is slower than its caches, see rates.py
                level = np.median(readings[:, inside], axis=1)
                figures.append(figure(f"{name}_bandwidth_gbps", threads, level, runs * int(inside.sum())))
    return figures, points


def _inside(sizes_kib: np.ndarray, before_kib: float, size_kib: float) -> np.ndarray:
    """`s` bool: the working sets between the cache before and this one, an octave away from both if there are any."""
    inside = (sizes_kib >= 2 * before_kib) & (sizes_kib <= size_kib / 2)
    if inside.any():
        return inside
    middle = np.sqrt(max(before_kib, sizes_kib[0]) * size_kib)
    return np.arange(len(sizes_kib)) == np.abs(np.log(sizes_kib / middle)).argmin()
