"""PyTorch eager on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workbench.devices.backends.base import Backend, Network, Run, dtype_of, torch_threads

if TYPE_CHECKING:
    from torch import Tensor

    from workbench.devices.backends import Platform


def run_without_grad(module: Callable[[Tensor], Any], x: Tensor) -> Run:
    """``module(x)`` without recording for gradients."""
    import torch

    def run() -> Any:
        with torch.no_grad():
            return module(x)

    return run


def load(network: Network) -> Callable[[Platform], Run]:
    """Runs of the module itself, in the platform's type."""

    def prepare(platform: Platform) -> Run:
        dtype = dtype_of(platform.precision)
        return run_without_grad(network.cast(dtype), network.input(platform.batch, platform.precision))

    return prepare


BACKEND = Backend("torch_eager", ("fp32", "bf16"), "torch", load, torch_threads)
