"""How fast this machine computes: one kernel per figure, the same on CPU and GPU.

A kernel is tried at growing scales until one call takes long enough, and the scale with the highest rate counts: a
small problem is all overhead, a large one leaves the caches. FLOPs are those of the definition (a multiply-add is
two), whatever the library does.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from workbench.devices.backends import Run
from workbench.devices.microbench.figures import Figure, figure, lower_is_better

if TYPE_CHECKING:
    import torch
    from torch import Tensor

LEAST_RUNS = 3
OPERATORS = 100  # per call of the overhead kernel: more than the clock's resolution
CHANNELS, SIDE = 128, 28  # of the convolutions: a middle layer of an image network
PASSES = 100  # over a GPU's working set per call
TRIAD_SCALAR = 3.0  # STREAM's
Stopwatch = Callable[[Run], int]


class Kernel(NamedTuple):
    """What is timed for one figure.

    Args:
        name: field of the card.
        scales: sizes of the problem to try, growing.
        build: ``scale, arena -> (work per call, call)``. Work is FLOPs, bytes or, for a time, operators; ``arena`` is
            a one-dimensional float32 tensor on the device, larger than its caches.
        optional: the device may refuse it, and then the figure is unknown.
    """

    name: str
    scales: tuple[int, ...]
    build: Callable[[int, Tensor], tuple[float, Run]]
    optional: bool = False


class Reading(NamedTuple):
    """One kernel at one scale in one round: the median over the runs, in the figure's unit."""

    name: str
    threads: int
    scale: int
    value: float
    n_runs: int


def _matmul(dtype: str) -> Callable[[int, Tensor], tuple[float, Run]]:
    def build(size: int, arena: Tensor) -> tuple[float, Run]:
        import torch

        a, b = (_random(arena.device, size, size).to(getattr(torch, dtype)) for _ in range(2))
        if dtype == "int8":
            b = b.t() if arena.is_cuda else b  # the only layout that a GPU's int8 units read
            return 2.0 * size**3, lambda: torch._int_mm(a, b)
        out = torch.empty_like(a)
        return 2.0 * size**3, lambda: torch.mm(a, b, out=out)

    return build


def _convolution(groups: int) -> Callable[[int, Tensor], tuple[float, Run]]:
    """A 3 x 3 convolution that keeps its `b x c x h x w` shape."""

    def build(batch: int, arena: Tensor) -> tuple[float, Run]:
        import torch

        x = _random(arena.device, batch, CHANNELS, SIDE, SIDE)
        weight = _random(arena.device, CHANNELS, CHANNELS // groups, 3, 3)
        work = 2.0 * batch * CHANNELS * SIDE * SIDE * CHANNELS // groups * 9
        return work, lambda: torch.nn.functional.conv2d(x, weight, padding=1, groups=groups)

    return build


def thirds(arena: Tensor) -> list[Tensor]:
    """Three arrays of the same size in ``arena``."""
    return [part[: arena.numel() // 3] for part in arena.tensor_split(3)]


def _triad(_: int, arena: Tensor) -> tuple[float, Run]:
    """``a = b + s c``; three arrays move, as STREAM counts: what a cache reads in order to write is not counted."""
    import torch

    a, b, c = thirds(arena)
    return 3.0 * a.nbytes, lambda: torch.add(b, c, alpha=TRIAD_SCALAR, out=a)


def _addition(_: int, arena: Tensor) -> tuple[float, Run]:
    import torch

    a, b, c = thirds(arena)
    return 3.0 * a.nbytes, lambda: torch.add(b, c, out=a)


def _sum(_: int, arena: Tensor) -> tuple[float, Run]:
    import torch

    part = thirds(arena)[0]
    return float(part.nbytes), lambda: torch.sum(part)


def _dispatch(operators: int, arena: Tensor) -> tuple[float, Run]:
    import torch

    one = torch.ones(1, device=arena.device)

    def run() -> None:
        for _ in range(operators):
            torch.relu(one)

    return float(operators), run


def _passes(set_mib: int, arena: Tensor) -> tuple[float, Run]:
    """Additions over one working set again and again, replayed as a CUDA graph so that the host's gaps do not count."""
    import torch

    from workbench.devices.backends.cuda_graphs import capture

    a, b, c = thirds(arena[: set_mib << 18])

    def add() -> None:
        for _ in range(PASSES):
            torch.add(b, c, out=a)

    graph, _ = capture(add)
    return 3.0 * a.nbytes * PASSES, graph.replay


DENSE = "conv_fp32_gflops"
PEAK = Kernel("peak_fp32_gflops", tuple(320 * 2**power for power in range(6)), _matmul("float32"))

KERNELS = (
    PEAK,
    PEAK._replace(name="peak_bf16_gflops", build=_matmul("bfloat16"), optional=True),
    PEAK._replace(name="peak_fp16_gflops", build=_matmul("float16"), optional=True),
    PEAK._replace(name="peak_int8_gops", build=_matmul("int8"), optional=True),
    Kernel(DENSE, tuple(2**power for power in range(11)), _convolution(groups=1)),
    Kernel("depthwise_fp32_gflops", tuple(2**power for power in range(11)), _convolution(groups=CHANNELS)),
    Kernel("elementwise_gbps", (1,), _addition),
    Kernel("reduction_gbps", (1,), _sum),
    Kernel("memory_bandwidth_gbps", (1,), _triad),
    Kernel("launch_overhead_us", (OPERATORS,), _dispatch),
)

#: Of a GPU only. A CPU's caches are read in the sweep that finds them; on a GPU no one kernel reads a small set fast
#: enough, and so the fastest of these sets, some of which its L2 holds, stands for it.
GPU_KERNELS = (Kernel("l2_bandwidth_gbps", tuple(2**power for power in range(7)), _passes),)

#: Products that count only where they are faster than fp32: slower ones are emulated, and no backend uses them. (An
#: emulated bf16 product is what bf16 networks get.)
NATIVE = ("peak_fp16_gflops", "peak_int8_gops")


def samples(run: Run, stopwatch: Stopwatch, seconds: float) -> list[int]:
    """Nanoseconds per run, for ``seconds`` and at least `LEAST_RUNS`, after one to warm up."""
    run()
    found: list[int] = []
    stop = time.perf_counter() + seconds
    while len(found) < LEAST_RUNS or time.perf_counter() < stop:
        found.append(stopwatch(run))
    return found


def readings(
    kernel: Kernel, threads: int, arena: Tensor, stopwatch: Stopwatch, share_s: float, call_s: float
) -> Iterator[Reading]:
    """``kernel`` at growing scales, ``share_s`` seconds each, up to the one whose call takes ``call_s`` seconds.

    An optional kernel that the device refuses gives nothing.
    """
    for scale in kernel.scales:
        try:
            work, run = kernel.build(scale, arena)
            found = samples(run, stopwatch, share_s)
        except (RuntimeError, NotImplementedError):
            if kernel.optional:
                return  # unknown, as the card says it
            raise
        median = statistics.median(found)
        value = median * 1e-3 / work if lower_is_better(kernel.name) else work / median
        yield Reading(kernel.name, threads, scale, value, len(found))
        if median >= call_s * 1e9:
            return


def summary(found: list[Reading], rounds: int) -> list[Figure]:
    """One figure per name and thread count: that of the scale which reads best, of those in all rounds."""
    best: dict[tuple[str, int], Figure] = {}
    for name, threads, scale in dict.fromkeys(reading[:3] for reading in found):
        same = [reading for reading in found if reading[:3] == (name, threads, scale)]
        if len(same) < rounds:
            continue  # the ladder ends a scale earlier when the machine is slower
        new = figure(name, threads, [reading.value for reading in same], sum(reading.n_runs for reading in same))
        old = best.get((name, threads))
        if old is None or (new.value < old.value) == lower_is_better(name):
            best[name, threads] = new
    fp32 = {threads: peak.value for (name, threads), peak in best.items() if name == PEAK.name}
    return [rate for rate in best.values() if rate.name not in NATIVE or rate.value > fp32[rate.threads]]


def with_peak(rates: Iterable[Figure]) -> list[Figure]:
    """``rates``, the fp32 peak being that of the dense convolution where this is faster than the matrix product.

    A library may be tuned for one of them only, and a peak that convolutions exceed would be none.
    """
    products = {rate[:2]: rate for rate in rates}
    for (name, threads), rate in list(products.items()):
        if name == DENSE and rate.value > products[PEAK.name, threads].value:
            products[PEAK.name, threads] = rate._replace(name=PEAK.name)
    return list(products.values())


def _random(device: torch.device, *shape: int) -> Tensor:
    """Whole numbers from -4 to 3 in fp32, which every precision holds: on zeros or ones a GPU would run cooler."""
    import torch

    generator = torch.Generator(device).manual_seed(0)
    return torch.randint(-4, 4, shape, device=device, generator=generator).float()
