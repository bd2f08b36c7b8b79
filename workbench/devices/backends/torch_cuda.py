"""PyTorch eager on a CUDA device. "fp32" is true fp32: TF32 is off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from workbench.devices.backends.base import Backend, Network, Run, dtype_of, torch_threads
from workbench.devices.backends.torch_eager import run_without_grad

if TYPE_CHECKING:
    from torch import Tensor, nn

    from workbench.devices.backends import Platform

PRECISIONS = ("fp32", "fp16", "bf16")


def on_gpu(network: Network, platform: Platform) -> tuple[nn.Module, Tensor]:
    """The module and its `b x c x h x w` input on the GPU, in the platform's type."""
    module = network.cast(dtype_of(platform.precision), "cuda")
    return module, network.input(platform.batch, platform.precision, "cuda")


def load(network: Network) -> Callable[[Platform], Run]:
    """Runs that queue the module's kernels and return before they are done."""
    return lambda platform: run_without_grad(*on_gpu(network, platform))


def cuda_stopwatch(run: Run) -> int:
    """Nanoseconds of one ``run()`` by the device's clock (resolution about 500 ns).

    Events measure from the moment the device reaches the first to the moment it reaches the last. Both are
    queued around the call, on an idle device: where the host queues kernels more slowly than the device runs
    them, as it does at batch 1, its gaps are part of the time, as they are part of the latency.
    """
    import torch

    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    for event in (start, end):
        event.record()  # the first record creates the event, which is not to be timed
    torch.cuda.synchronize()
    start.record()
    run()
    end.record()
    torch.cuda.synchronize()
    return round(start.elapsed_time(end) * 1e6)


@contextmanager
def cuda_settings(threads: int) -> Iterator[None]:
    """``threads`` for the host's part, and no TF32 in convolutions and matrix products."""
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch_threads(threads), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def lacks_gpu() -> str | None:
    """A CUDA build of torch, its driver and a device."""
    import torch

    if torch.cuda.is_available():
        return None
    return (
        "needs an NVIDIA GPU that torch can use, found none; install its driver and a CUDA build of torch, or "
        "choose a backend for the CPU."
    )


BACKEND = Backend(
    "torch_cuda", PRECISIONS, "torch", load, cuda_settings, lacks=lacks_gpu, stopwatch=cuda_stopwatch, device="cuda"
)
