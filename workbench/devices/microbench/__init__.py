"""What this machine reaches, measured: FLOP/s, bandwidth at each level of memory, the caches, overheads.

Every figure is what torch reaches, so it says what a network can reach here, not what the vendor promises. All of them
are measured in rounds, one after the other, so that a disturbance of some seconds does not become a property of the
machine; the interval of a figure is that of its rounds. The same code runs on CPU and GPU.

``memory_bandwidth_gbps`` is STREAM's triad (McCalpin 1995), ``a = b + s c`` on arrays larger than any cache, counted as
STREAM counts: three arrays, not what a cache reads in order to write. ``reduction_gbps`` beside it is a pure read. The
bandwidths of the caches are reads, from a sweep of the working set in which the caches themselves are found.
``peak_fp32_gflops`` is the better of a matrix product and a dense 3 x 3 convolution, the other peaks are products.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from workbench.config import WorkbenchError
from workbench.devices.backends import eager_on
from workbench.devices.detect import Machine, detect
from workbench.devices.microbench.figures import Figure, SweepPoint, speed_up
from workbench.devices.microbench.rates import GPU_KERNELS, KERNELS, PEAK, Kernel, Reading, readings, summary, with_peak
from workbench.devices.microbench.sweep import SIZES, hierarchy, read_sweep, working_sets

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Figure", "MicroBench", "MicroBenchConfig", "Progress", "SweepPoint", "microbench"]

MEMORY_SHARE = 8  # at most this part of the main memory is taken
FAR_MIB = 1024  # a sweep goes on beyond this only as far as twice the largest cache


@dataclass(frozen=True)
class MicroBenchConfig:
    """How thoroughly a machine is measured.

    Args:
        min_rounds, max_rounds: bounds on the number of rounds, whatever the time.
        share_s: each kernel is timed this long at each scale, in each round.
        call_s: problems grow until one call takes this long.
        sweep_from_kib, sweep_to_mib: working sets of the sweep; it goes on to ``beyond`` times the largest cache that
            the system tells of, where that is further, but see `FAR_MIB`.
        per_octave: working sets per doubling.
        beyond: each array of STREAM is as many times as large as the largest cache, if there is memory for it.
    """

    min_rounds: int = 3
    max_rounds: int = 12
    share_s: float = 0.01
    call_s: float = 0.003
    sweep_from_kib: float = 4.0
    sweep_to_mib: float = 256.0
    per_octave: int = 4
    beyond: float = 4.0

    def __post_init__(self) -> None:
        if not 1 <= self.min_rounds <= self.max_rounds:
            raise WorkbenchError(
                f"MicroBenchConfig: expected 1 <= min_rounds <= max_rounds, got {self.min_rounds} and "
                f"{self.max_rounds}; correct them."
            )

    @classmethod
    def hasty(cls) -> MicroBenchConfig:
        """A few seconds, to see that everything works: one round, and hardly beyond the caches, so that bandwidths may
        be those of a cache."""
        return cls(min_rounds=1, max_rounds=1, sweep_to_mib=64.0, per_octave=2, beyond=0.2)


class Progress(NamedTuple):
    """How far the measurement is: ``done`` of ``total`` seconds, and what comes next."""

    done: float
    total: float
    stage: str


class MicroBench(NamedTuple):
    """All figures, and the sweep behind the caches.

    Args:
        seconds: how long it took.
        device: ``cpu`` or ``cuda``.
        references: readings of kernels that were given as further ones, in no card.

    Example: ``microbench().at(threads=1)["peak_fp32_gflops"]``.
    """

    figures: tuple[Figure, ...]
    sweep: tuple[SweepPoint, ...]
    seconds: float
    device: str = "cpu"
    references: tuple[Figure, ...] = ()

    def at(self, threads: int) -> dict[str, float]:
        """The values for ``threads`` threads, by the field of a card; nothing where that number was not measured."""
        return {figure.name: figure.value for figure in self.figures if figure.threads == threads}

    def caches_kib(self) -> dict[str, float]:
        """The sizes found, in KiB, by level (``l1``, ``l2``, ``l3``)."""
        return {figure.name[:2]: figure.value * SIZES[figure.name] for figure in self.figures if figure.name in SIZES}


def microbench(
    threads: Iterable[int] | None = None,
    machine: Machine | None = None,
    seconds: float = 20.0,
    device: str = "cpu",
    config: MicroBenchConfig | None = None,
    progress: Callable[[Progress], object] | None = None,
    references: Sequence[Kernel] = (),
) -> MicroBench:
    """Measure this machine.

    Args:
        threads: thread counts; powers of two up to the available cores, and these, if None; on a GPU 1, the host's.
        machine: detected if None.
        seconds: rounds are repeated for about this long, three at least (6 s on two cores of a server, half a minute
            where these two have a cache of 480 MiB before them).
        device: ``cpu`` or ``cuda``.
        config: see `MicroBenchConfig`.
        progress: called before each stage, and at the end.
        references: further kernels to time in the same rounds.

    Raises:
        WorkbenchError: no such device, or thread counts that are no whole numbers from 1.
    """
    import torch

    backend = eager_on(device)
    machine, config = machine or detect(), config or MicroBenchConfig()
    cores = machine.available_cores if device == "cpu" else 1
    wanted = _checked(_thread_counts(cores) if threads is None else threads)
    sizes, numbers = _plan(machine, device, config)
    kernels = (*KERNELS, *(GPU_KERNELS if device == "cuda" else ()), *references)
    sweeps: dict[int, list[np.ndarray]] = {count: [] for count in sorted({1, *wanted})}
    found: list[Reading] = []
    started, rounds = time.perf_counter(), 0
    while rounds < config.min_rounds or (rounds < config.max_rounds and _time_left(started, rounds, seconds)):
        rounds += 1
        arena = torch.ones(numbers, device=device)  # new pages in each round: where they lie makes a difference
        for count in sorted({1, cores, *wanted}):
            if progress:
                progress(Progress(min(time.perf_counter() - started, seconds), seconds, f"round {rounds}"))
            with backend.threads(count), torch.no_grad():
                if count in sweeps:
                    sweeps[count].append(read_sweep(sizes, count, arena, backend.stopwatch))
                for kernel in kernels if count in wanted else (PEAK,):
                    found += readings(kernel, count, arena, backend.stopwatch, config.share_s, config.call_s)
        del arena  # before the next one is made
    if progress:
        progress(Progress(seconds, seconds, "done"))
    rates, (levels, points) = summary(found, rounds), hierarchy(sizes, sweeps, device)
    extra = {kernel.name for kernel in references}
    figures = [*with_peak(rates), *levels, *_parallel(rates, cores, wanted)]
    return MicroBench(
        tuple(figure for figure in figures if figure.threads in wanted and figure.name not in extra),
        tuple(points),
        time.perf_counter() - started,
        device,
        tuple(rate for rate in rates if rate.name in extra),
    )


def _checked(threads: Iterable[int]) -> list[int]:
    counts = sorted(set(threads))
    if not counts or any(isinstance(count, bool) or not isinstance(count, int) or count < 1 for count in counts):
        raise WorkbenchError(
            f"The micro-benchmark expects whole numbers of threads from 1, got {counts}; name at least one."
        )
    return counts


def _thread_counts(cores: int) -> list[int]:
    return sorted({2**power for power in range(cores.bit_length()) if 2**power <= cores} | {cores})


def _time_left(started: float, rounds: int, seconds: float) -> bool:
    """Whether one more round like those so far ends within ``seconds``."""
    return (time.perf_counter() - started) * (1 + 1 / rounds) < seconds


def _plan(machine: Machine, device: str, config: MicroBenchConfig) -> tuple[np.ndarray, int]:
    """The working sets in KiB, and how many numbers the arena needs for them and for three arrays beyond any cache.

    What the system tells of its caches decides only how far the measurement goes beyond them.
    """
    import torch

    cache_mib, memory_mib = max(machine.cache_kib.values(), default=0) / 1024, (machine.memory_gib or 8) * 1024
    if device == "cuda":
        gpu = torch.cuda.get_device_properties(0)
        cache_mib, memory_mib = gpu.L2_cache_size / 2**20, gpu.total_memory / 2**20
    most, far = memory_mib / MEMORY_SHARE, config.beyond * cache_mib
    largest = min(max(config.sweep_to_mib, min(far, max(2 * cache_mib, FAR_MIB))), most)
    arena_mib = min(max(largest, 3 * far), most)
    return working_sets(config.sweep_from_kib, largest, config.per_octave), int(arena_mib * 2**18)


def _parallel(rates: Iterable[Figure], cores: int, wanted: Iterable[int]) -> list[Figure]:
    """`speed_up` of the matrix product on this machine, beside every thread count; nothing where there is one core, or
    where all of them were slower than one: then another process had a core, and threads that wait for each other
    waited for it."""
    products = {rate.threads: rate for rate in rates if rate.name == PEAK.name}
    if cores < 2 or products[cores].value < products[1].value:
        return []
    return [speed_up(products[1], products[cores])._replace(threads=count) for count in wanted]
