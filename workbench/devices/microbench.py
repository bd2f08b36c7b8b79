"""What this machine reaches, measured: peak FLOP/s, bandwidth at each level of the memory hierarchy, dispatch
overhead.

Every figure is the median of repeated runs of one torch operator, so it says what a network can reach here,
not what the vendor promises. The whole takes at most about 15 s on two cores.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from workbench.devices.backends import torch_threads
from workbench.devices.detect import Machine, detect

if TYPE_CHECKING:
    from torch import Tensor

PRECISIONS = {"peak_fp32_gflops": "float32", "peak_bf16_gflops": "bfloat16"}
MATMUL_SIZES = (
    384,
    768,
    1152,
)  # the largest rate counts: small ones fit the caches, large ones feed more cores
DEFAULT_CACHE_KIB = {"l1": 32, "l2": 512, "l3": 8192}  # geometric, where the caches are unknown
ROUNDS = 2  # at separate times, so that a disturbance of a second does not become a property of the machine
READ_BYTES = 8 << 20  # read per call of the sweep, so that a call's overhead does not count


class Figure(NamedTuple):
    """One measured figure.

    Args:
        name: the capability field of a card, whose name ends in the unit.
        threads: number of threads it was measured with.
        value: median over the runs of the better round.
        spread: inter-quartile range over the runs as a share of ``value``.
        n_runs: number of runs.
    """

    name: str
    threads: int
    value: float
    spread: float
    n_runs: int


class SweepPoint(NamedTuple):
    """Read bandwidth at one working-set size."""

    threads: int
    working_set_kib: float
    bandwidth_gbps: float
    spread: float
    n_runs: int


class MicroBench(NamedTuple):
    """All figures, and the sweep behind the bandwidths.

    Example: ``microbench().at(threads=1)["peak_fp32_gflops"]``.
    """

    figures: tuple[Figure, ...]
    sweep: tuple[SweepPoint, ...]
    seconds: float

    def at(self, threads: int) -> dict[str, float]:
        """The values for ``threads`` threads, by capability field; nothing where that number was not
        measured."""
        return {figure.name: figure.value for figure in self.figures if figure.threads == threads}


def microbench(
    threads: Iterable[int] | None = None, machine: Machine | None = None, seconds: float = 8.0
) -> MicroBench:
    """Measure this machine.

    Args:
        threads: thread counts; powers of two up to the available cores, and these, if None.
        machine: detected if None.
        seconds: about how long the timed runs take together.
    """
    machine = machine or detect()
    counts = sorted(set(threads or _thread_counts(machine.available_cores)))
    levels = _levels(machine.cache_kib)
    tasks = len(PRECISIONS) * len(MATMUL_SIZES) + sum(map(len, levels.values())) + 1
    share = seconds / (ROUNDS * len(counts) * tasks)
    started = time.perf_counter()
    figures: list[Figure] = []
    sweep: list[SweepPoint] = []
    for _ in range(ROUNDS):
        for count in counts:
            with torch_threads(count):
                figures += [_peak(name, count, share) for name in PRECISIONS]
                for name, sizes in levels.items():
                    points = [_read_bandwidth(size, count, share) for size in sizes]
                    best = max(points, key=lambda point: point.bandwidth_gbps)
                    figures.append(Figure(name, count, best.bandwidth_gbps, best.spread, best.n_runs))
                    sweep += points
                figures.append(_overhead(count, share))
    return MicroBench(_best(figures), tuple(sweep), time.perf_counter() - started)


def _best(figures: Iterable[Figure]) -> tuple[Figure, ...]:
    """Of the rounds' figures the best one each: what disturbs a measurement never makes it better."""
    found: dict[tuple[str, int], Figure] = {}
    for figure in figures:
        key = (figure.name, figure.threads)
        lower_is_better = figure.name.endswith("_us")
        if key not in found or (figure.value < found[key].value) == lower_is_better:
            found[key] = figure
    return tuple(found.values())


def _thread_counts(cores: int) -> list[int]:
    return sorted({2**power for power in range(cores.bit_length()) if 2**power <= cores} | {cores})


def _levels(cache_kib: dict[str, int]) -> dict[str, tuple[float, ...]]:
    """Capability field to working sets in KiB that lie well inside that level and well outside the one
    before."""
    known = cache_kib if "l1" in cache_kib and "l2" in cache_kib else DEFAULT_CACHE_KIB
    first, second, third = known["l1"], known["l2"], known.get("l3")
    levels = {
        "l1_bandwidth_gbps": (first / 3, first / 2, first / 1.5),
        "l2_bandwidth_gbps": (second / 4, second / 3, second / 2),
    }
    if third and third >= 4 * second:
        levels["l3_bandwidth_gbps"] = (
            max(2 * second, third / 8),
            max(2.5 * second, third / 6),
            max(3 * second, third / 4),
        )
    last = max(third or 0, second)
    levels["memory_bandwidth_gbps"] = tuple(max(4 * last, 64 * 1024) * factor for factor in (1.0, 1.25, 1.5))
    return levels


def _samples(run: Callable[[], object], seconds: float, least: int = 5) -> np.ndarray:
    """Nanoseconds per call, after two calls to warm up."""
    run(), run()
    found: list[int] = []
    stop = time.perf_counter() + seconds
    while len(found) < least or time.perf_counter() < stop:
        before = time.perf_counter_ns()
        run()
        found.append(time.perf_counter_ns() - before)
    return np.array(found, dtype=np.float64)


def _median_and_spread(values: np.ndarray) -> tuple[float, float]:
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75))
    return float(median), float((high - low) / median)


def _peak(name: str, threads: int, seconds: float) -> Figure:
    """10^9 FLOP/s of the square matrix product whose median rate is highest."""
    import torch

    dtype = getattr(torch, PRECISIONS[name])
    found = []
    for size in MATMUL_SIZES:
        a, b = (torch.ones(size, size, dtype=dtype) for _ in range(2))
        out = torch.empty(size, size, dtype=dtype)
        rates = 2 * size**3 / _samples(lambda a=a, b=b, out=out: torch.mm(a, b, out=out), seconds)
        found.append(Figure(name, threads, *_median_and_spread(rates), len(rates)))
    return max(found, key=lambda figure: figure.value)


def _read_bandwidth(working_set_kib: float, threads: int, seconds: float) -> SweepPoint:
    """10^9 bytes/s read by a sum over a working set that is read again and again within one call.

    Each thread sums rows of its own, all of them the same memory: shared caches are read by all threads, and
    so is main memory, where the rows are far larger than any cache.
    """
    import torch

    numbers = max(1024, int(working_set_kib * 256))
    rows = max(threads, READ_BYTES // (4 * numbers))
    values: Tensor = torch.ones(numbers).expand(rows, numbers)
    rates = rows * numbers * 4 / _samples(lambda: values.sum(1), seconds, least=3)
    return SweepPoint(threads, numbers / 256, *_median_and_spread(rates), len(rates))


def _overhead(threads: int, seconds: float) -> Figure:
    """Microseconds that one operator takes on a single number: dispatch, allocation and return."""
    import torch

    x = torch.ones(1)

    def hundred() -> None:
        with torch.no_grad():
            for _ in range(100):
                torch.relu(x)

    samples = _samples(hundred, seconds) / 100 * 1e-3
    return Figure("launch_overhead_us", threads, *_median_and_spread(samples), len(samples))
