"""Independent readings beside the micro-benchmark's: a triad in NumPy, and what the system says of its caches.

NumPy has no triad in one pass. Its two passes, ``a = s c`` and ``a += b``, move six arrays, where one pass moves four:
each reads what it overwrites, and ``a = b + s c`` has to as well, because a cache fetches a line before it writes to
it. Of these four STREAM counts three. So the two passes count as 6 x 3 / 4 = 4.5 arrays.

``check(microbench(references=REFERENCES))`` times the triad in the same rounds as the figures, which is fair on a
machine whose neighbours change.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from workbench.config import WorkbenchError
from workbench.devices.backends import Run, host_stopwatch, torch_threads
from workbench.devices.detect import Machine, detect
from workbench.devices.microbench import MicroBench
from workbench.devices.microbench.figures import better_half
from workbench.devices.microbench.rates import TRIAD_SCALAR, Kernel, samples, thirds
from workbench.devices.microbench.sweep import SIZES

if TYPE_CHECKING:
    from torch import Tensor

COUNTED = 6 * 3 / 4  # arrays
SIZE_FACTOR, TRIAD_TOLERANCE = 2.0, 0.2


class Check(NamedTuple):
    """One figure beside an independent reading of the same.

    Args:
        figure: the field of the card; ours, independent: in its unit; ours is None where nothing was found.
        ratio: ours over independent.
        accepted: whether the ratio is within ``limits``.
    """

    figure: str
    threads: int
    ours: float | None
    independent: float
    ratio: float | None
    limits: tuple[float, float]
    accepted: bool


def _triad(_: int, arena: Tensor) -> tuple[float, Run]:
    """The two passes over all of each array, on as many threads as torch has."""
    import torch

    threads = torch.get_num_threads()
    parts = list(zip(*(np.array_split(part.numpy(), threads) for part in thirds(arena)), strict=True))

    def two_passes(part: tuple[np.ndarray, ...]) -> None:
        a, b, c = part
        np.multiply(c, np.float32(TRIAD_SCALAR), out=a)
        np.add(a, b, out=a)

    def run() -> None:
        with ThreadPoolExecutor(threads) as pool:  # NumPy holds no lock while it computes
            list(pool.map(two_passes, parts))

    return COUNTED * thirds(arena)[0].nbytes, run


TRIAD = Kernel("triad_gbps", (1,), _triad)
#: For `microbench`'s argument of this name.
REFERENCES = (TRIAD,)


def triad_gbps(threads: int = 1, array_mib: float = 128, seconds: float = 1.0) -> float:
    """10^9 bytes/s of STREAM's triad in NumPy: the mean of the better half of the runs.

    Args:
        array_mib: size of each of the three arrays; four times the largest cache at least.
    """
    import torch

    with torch_threads(threads):
        work, run = TRIAD.build(1, torch.ones(int(array_mib * 2**18) * 3))
        return better_half(work / np.array(samples(run, host_stopwatch, seconds)))


def check(bench: MicroBench, machine: Machine | None = None) -> tuple[Check, ...]:
    """The figures of ``bench`` that this CPU can be asked for in another way, one row each.

    Main memory is to be within 20 % of NumPy's triad, and the size of a cache within a factor of two of what the
    system says; a cache of which the system says nothing has no row.

    Args:
        bench: of this CPU, with or without `REFERENCES`.
        machine: detected if None.
    """
    if bench.device != "cpu":
        raise WorkbenchError(f"NumPy runs on the CPU, got a micro-benchmark of '{bench.device}'; check one of the CPU.")
    machine = machine or detect()
    triads = {found.threads: found.value for found in bench.references if found.name == TRIAD.name}
    rows = []
    for threads in sorted({found.threads for found in bench.figures}):
        triad = triads.get(threads) or triad_gbps(threads)
        limits = (1 - TRIAD_TOLERANCE, 1 + TRIAD_TOLERANCE)
        rows.append(_row(bench, "memory_bandwidth_gbps", threads, triad, limits))
    for field, unit in SIZES.items():
        if field[:2] in machine.cache_kib:
            told = machine.cache_kib[field[:2]] / unit
            rows.append(_row(bench, field, rows[0].threads, told, (1 / SIZE_FACTOR, SIZE_FACTOR)))
    return tuple(rows)


def _row(bench: MicroBench, name: str, threads: int, independent: float, limits: tuple[float, float]) -> Check:
    ours = bench.at(threads).get(name)
    ratio = ours / independent if ours is not None else None
    accepted = ratio is not None and limits[0] <= ratio <= limits[1]
    return Check(name, threads, ours, independent, ratio, limits, accepted)
