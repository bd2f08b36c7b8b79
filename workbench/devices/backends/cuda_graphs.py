"""CUDA graphs: the kernels of one inference are captured once and launched together, without the host's gaps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from workbench.devices.backends import torch_cuda
from workbench.devices.backends.base import Network, Run
from workbench.devices.backends.torch_cuda import on_gpu

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from workbench.devices.backends import Platform

WARM_UP = 3  # inferences before the capture, as PyTorch's guide to CUDA graphs does


def load(network: Network) -> Callable[[Platform], Run]:
    """Runs that replay the captured graph on its own input and return its output buffer, before it is filled."""
    import torch

    def prepare(platform: Platform) -> Run:
        module, x = on_gpu(network, platform)
        with torch.no_grad():
            graph, output = capture(lambda: module(x))

        def run(keep: tuple[object, Tensor] = (module, x)) -> object:  # the graph holds addresses, not references
            graph.replay()
            return output

        return run

    return prepare


def capture(call: Callable[[], object]) -> tuple[torch.cuda.CUDAGraph, object]:
    """The graph of the kernels that ``call`` queues, and what it returned: the buffer that each replay fills."""
    import torch

    # Libraries make their handles and plans per stream, and may not do so during a capture: one stream
    # for both, not the default one, which cannot be captured.
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        output = call()
    return graph, output


BACKEND = replace(torch_cuda.BACKEND, name="cuda_graphs", load=load, dispatches=False)
