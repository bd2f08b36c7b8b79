"""torch.compile on the CPU: TorchInductor in its default mode, the whole network one graph, fixed shapes."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from workbench.devices.backends.base import Backend, Network, Run, dtype_of, torch_threads
from workbench.devices.backends.torch_eager import run_without_grad

if TYPE_CHECKING:
    from workbench.devices.backends import Platform


def load(network: Network) -> Callable[[Platform], Run]:
    """Runs of the compiled module.

    Compiling, in the first run, takes 10 to 40 s. A network that breaks the graph raises. The number of
    threads is compiled in: a run on another number compiles again.
    """
    import torch

    def prepare(platform: Platform) -> Run:
        # Dynamo counts compilations per code object, which all networks of a class share, and refuses the
        # ninth. The price: a run prepared earlier compiles again if it is called after this.
        torch._dynamo.reset()
        dtype = dtype_of(platform.precision)
        compiled = torch.compile(network.cast(dtype), fullgraph=True, dynamic=False)
        return run_without_grad(compiled, network.input(platform.batch, platform.precision))

    return prepare


def lacks_compiler() -> str | None:
    """TorchInductor compiles C++ at run time; the same search as torch's own."""
    default = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    compiler = os.environ.get("CXX", default)
    if shutil.which(compiler):
        return None
    return f"needs a C++ compiler, found no '{compiler}'; install one, or name one in the environment variable CXX."


BACKEND = Backend("torch_compile", ("fp32", "bf16"), "torch", load, torch_threads, lacks=lacks_compiler)
