"""CUDA graphs: the kernels of one inference are captured once and launched together, without the host's gaps."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from workbench.devices.backends.base import Backend, Network, Run
from workbench.devices.backends.torch_cuda import PRECISIONS, cuda_settings, cuda_stopwatch, lacks_gpu, on_gpu

if TYPE_CHECKING:
    from torch import Tensor

    from workbench.devices.backends import Platform

WARM_UP = 3  # inferences before the capture, as PyTorch's guide to CUDA graphs does


def load(network: Network) -> Callable[[Platform], Run]:
    """Runs that replay the captured graph on its own input and return its output buffer, before it is filled."""
    import torch

    def prepare(platform: Platform) -> Run:
        module, x = on_gpu(network, platform)
        # Libraries make their handles and plans per stream, and may not do so during a capture: one stream
        # for both, not the default one, which cannot be captured.
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.no_grad():
            with torch.cuda.stream(stream):
                for _ in range(WARM_UP):
                    module(x)
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=stream):
                output = module(x)

        def run(keep: tuple[object, Tensor] = (module, x)) -> object:  # the graph holds addresses, not references
            graph.replay()
            return output

        return run

    return prepare


BACKEND = Backend(
    "cuda_graphs", PRECISIONS, "torch", load, cuda_settings, lacks=lacks_gpu, stopwatch=cuda_stopwatch, device="cuda"
)
