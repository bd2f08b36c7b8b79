"""Independent readings beside the micro-benchmark's: a triad in NumPy, on a GPU the driver's own copy, and what the
system says of its caches.

NumPy has no triad in one pass. Its two passes, ``a = s c`` and ``a += b``, move six arrays, where one pass moves four:
each reads what it overwrites, and ``a = b + s c`` has to as well, because a cache fetches a line before it writes to
it. Of these four STREAM counts three. So the two passes count as 6 x 3 / 4 = 4.5 arrays.

``check(microbench(references=[REFERENCES["cpu"]]))`` times the triad in the same rounds as the figures, which is fair
on a machine whose neighbours change.
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


def _copy(_: int, arena: Tensor) -> tuple[float, Run]:
    """One array to another; torch leaves that to the driver. Both move."""
    a, b, _ = thirds(arena)
    return 2.0 * a.nbytes, lambda: a.copy_(b)


TRIAD = Kernel("triad_gbps", (1,), _triad)
#: The independent reading of main memory by the type of the device, for `microbench`'s argument of this name.
REFERENCES = {"cpu": TRIAD, "cuda": Kernel("copy_gbps", (1,), _copy)}


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
    """The figures of ``bench`` that this machine can be asked for in another way, one row each.

    Main memory is to be within 20 % of NumPy's triad, a GPU's of the driver's copy, and the size of a cache within a
    factor of two of what the system says; a cache of which the system says nothing has no row.

    Args:
        bench: of this machine, with its device's reading of `REFERENCES`; a CPU's is made here if it is not there.
        machine: detected if None.
    """
    reference = REFERENCES[bench.device].name
    independent = {found.threads: found.value for found in bench.references if found.name == reference}
    if bench.device != "cpu" and not independent:
        raise WorkbenchError(
            f"The check of a GPU expects '{reference}' among the micro-benchmark's references; measure it with "
            f"references=[REFERENCES['{bench.device}']]."
        )
    rows = []
    for threads in sorted({found.threads for found in bench.figures}):
        beside = independent.get(threads) or triad_gbps(threads)
        limits = (1 - TRIAD_TOLERANCE, 1 + TRIAD_TOLERANCE)
        rows.append(_row(bench, "memory_bandwidth_gbps", threads, beside, limits))
    caches = _gpu_caches() if bench.device == "cuda" else (machine or detect()).cache_kib
    for field, unit in SIZES.items():
        if field[:2] in caches:
            told = caches[field[:2]] / unit
            rows.append(_row(bench, field, rows[0].threads, told, (1 / SIZE_FACTOR, SIZE_FACTOR)))
    return tuple(rows)


def _gpu_caches() -> dict[str, float]:
    """KiB by level, as the driver says."""
    import torch

    return {"l2": torch.cuda.get_device_properties(torch.cuda.current_device()).L2_cache_size / 1024}


def _row(bench: MicroBench, name: str, threads: int, independent: float, limits: tuple[float, float]) -> Check:
    ours = bench.at(threads).get(name)
    ratio = ours / independent if ours is not None else None
    accepted = ratio is not None and limits[0] <= ratio <= limits[1]
    return Check(name, threads, ours, independent, ratio, limits, accepted)
