"""What every backend is made of: the network that it runs, the check of its output, threads and stopwatch."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib import metadata
from typing import TYPE_CHECKING, Any

from workbench.config import WorkbenchError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from workbench.devices.backends import Platform

Run = Callable[[], Any]

#: Largest accepted norm of (output - eager fp32 output) as a share of the latter's norm. Observed over 24 networks
#: each of NAS-Bench-201 and FBNet, batch 1 and 8: fp16 up to 0.003 where it
#: does not overflow, bf16 0.020, int8 0.070 (median 0.02 and 0.04).
TOLERANCES = {"fp32": 1e-3, "fp16": 0.01, "bf16": 0.05, "int8": 0.1}

#: Of a larger batch only so many examples are computed in eager fp32 on the CPU, where batch 256 takes seconds.
CHECKED = 8


@dataclass(frozen=True, eq=False)
class Network:
    """A module with what backends make of it, each made once, when it is first asked for.

    Args:
        module: in eval mode, fp32, on the CPU; left as it is.
        input_shape: `c x h x w`, without the batch.
    """

    module: nn.Module
    input_shape: tuple[int, ...]
    _made: dict[Any, Any] = field(default_factory=dict, repr=False)

    def input(self, batch: int, precision: str = "fp32", device: str = "cpu") -> Tensor:
        """`example_input` of this network, `batch x c x h x w`."""
        return example_input(self.input_shape, batch, precision, device)

    def expected(self, batch: int) -> Any:
        """What eager fp32 computes for the first `CHECKED` examples of `input`; one tensor if the network can be
        measured at all."""
        import torch

        if batch not in self._made:
            with torch.no_grad():
                self._made[batch] = self.module(self.input(batch)[:CHECKED])
        return self._made[batch]

    def cast(self, dtype: torch.dtype, device: str = "cpu") -> nn.Module:
        """The module in ``dtype`` on ``device``; the module itself where nothing changes."""
        import torch

        if (dtype, device) == (torch.float32, "cpu"):
            return self.module
        if (dtype, device) not in self._made:
            self._made[dtype, device] = copy.deepcopy(self.module).to(device, dtype)
        return self._made[dtype, device]

    @cached_property
    def onnx(self) -> bytes:
        """The ONNX model in fp32, see `export_onnx`."""
        from workbench.devices.backends.onnx_model import export_onnx

        return export_onnx(self.module, self.input_shape)

    @cached_property
    def onnx_int8(self) -> bytes:
        """The ONNX model in int8, see `quantize_onnx`."""
        from workbench.devices.backends.onnx_model import quantize_onnx

        return quantize_onnx(self.onnx, self.input(8).numpy())


def host_stopwatch(run: Run) -> int:
    """Nanoseconds of one ``run()`` that returns when it is done, by the host's clock."""
    before = time.perf_counter_ns()
    run()
    return time.perf_counter_ns() - before


def nothing_lacks() -> None:
    """For a backend that runs wherever its packages do."""


@dataclass(frozen=True)
class Backend:
    """One way to run a module.

    Args:
        name: its key in `BACKENDS`.
        precisions: those it has.
        package: the distribution that runs the network; a card states its version.
        load: ``network -> (platform -> run)``, called under ``threads``.
        threads: context manager that sets a number of threads, and whatever else decides the result, and
            restores what was before; to be entered around every run.
        needs: further distributions, such as an exporter's.
        extra: the extra of this package that installs them all.
        lacks: what else this machine lacks, as the rest of a sentence after the backend's name.
        stopwatch: nanoseconds of one run, after which the run is done. On the host's clock a run must return
            only when it is done.
        device: ``cpu`` or ``cuda``: what computes, and whose conditions decide the time.
        dispatches: the host starts every operator, so that a slow host makes a slow run.
    """

    name: str
    precisions: tuple[str, ...]
    package: str
    load: Callable[[Network], Callable[[Platform], Run]]
    threads: Callable[[int], AbstractContextManager[None]]
    needs: tuple[str, ...] = ()
    extra: str | None = None
    lacks: Callable[[], str | None] = nothing_lacks
    stopwatch: Callable[[Run], int] = host_stopwatch
    device: str = "cpu"
    dispatches: bool = True

    def prepare(self, network: Network, platform: Platform) -> Run:
        """A callable that does one inference of ``network`` on ``platform``, checked once against eager fp32.

        Its output may be a buffer that the next inference overwrites.

        Raises:
            WorkbenchError: a package or device is missing, or the output is no finite tensor, or not that of
                eager fp32.
        """
        return self.loader(network)(platform)

    def loader(self, network: Network) -> Callable[[Platform], Run]:
        """`prepare` for several platforms of one network."""
        self.require()
        load = self.load(network)

        def prepare(platform: Platform) -> Run:
            if platform.backend != self.name:
                raise WorkbenchError(
                    f"Backend '{self.name}' cannot run platform '{platform.name}'; use '{platform.backend}'."
                )
            # Before anything is exported or compiled, and on all threads.
            _checked(network.expected(platform.batch), platform)
            with self.threads(platform.threads):
                run = load(platform)
                check_output(run(), network, platform)
            return run

        return prepare

    def require(self) -> str:
        """The installed version of the backend's package; what is missing raises with what to do."""
        for package in (*self.needs, self.package):
            try:
                version = metadata.version(package)
            except metadata.PackageNotFoundError as error:
                wanted = f'"workbench-latency[{self.extra}]"' if self.extra else package
                raise WorkbenchError(
                    f"Backend '{self.name}' needs the package {package}; run: pip install {wanted}"
                ) from error
        lack = self.lacks()
        if lack:
            raise WorkbenchError(f"Backend '{self.name}' {lack}")
        return version


def example_input(input_shape: tuple[int, ...], batch: int, precision: str = "fp32", device: str = "cpu") -> Tensor:
    """The same `batch x c x h x w` input for every backend: standard normal, seed 0."""
    return _drawn(tuple(input_shape), batch, precision, device).clone()  # a network may write into its input


@lru_cache(maxsize=8)  # a campaign's networks share their input, and at batch 256 it takes a third of a second
def _drawn(input_shape: tuple[int, ...], batch: int, precision: str, device: str) -> Tensor:
    import torch

    if (precision, device) != ("fp32", "cpu"):
        return _drawn(input_shape, batch, "fp32", "cpu").to(device, dtype_of(precision))
    return torch.randn(batch, *input_shape, generator=torch.Generator().manual_seed(0))


def dtype_of(precision: str) -> torch.dtype:
    """torch's type of a floating precision."""
    import torch

    return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]


def check_output(output: Any, network: Network, platform: Platform) -> None:
    """Raise unless ``output`` is what ``network`` computes in eager fp32, within `TOLERANCES` of the platform's
    precision; of its values, those of the first `CHECKED` examples."""
    import torch

    expected = _checked(network.expected(platform.batch), platform)
    got = _checked(output, platform)
    shape = (platform.batch, *expected.shape[1:]) if platform.batch > CHECKED else tuple(expected.shape)
    if tuple(got.shape) != shape:
        raise WorkbenchError(
            f"Platform {platform.name} returns shape {tuple(got.shape)}, expected {shape}; it runs another network."
        )
    got = got[: len(expected)] if platform.batch > CHECKED else got
    scale = float(torch.linalg.vector_norm(expected))
    error = float(torch.linalg.vector_norm(got - expected))
    limit = TOLERANCES[platform.precision]
    if error > limit * scale:
        raise WorkbenchError(
            f"Platform {platform.name} computes something else than eager fp32: relative error "
            f"{error / max(scale, 1e-30):.2g}, at most {limit:g} is accepted; do not use its latency."
        )


def _checked(output: Any, platform: Platform) -> Tensor:
    """``output`` in fp32 on the CPU, if it is one finite tensor."""
    import numpy as np
    import torch

    if isinstance(output, np.ndarray):
        output = torch.from_numpy(output)
    if not isinstance(output, torch.Tensor):
        raise WorkbenchError(
            f"The network's output on {platform.name} is {type(output).__name__}, expected one tensor; wrap "
            f"the network so that it returns one."
        )
    if not torch.isfinite(output).all():
        raise WorkbenchError(
            f"The network's output on {platform.name} is not finite; check its weights before timing it."
        )
    return output.float().cpu()


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Run torch's operators on ``count`` threads, then on as many as before."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def session_threads(count: int) -> Iterator[None]:
    """A session has threads of its own; torch gets one so that its pool keeps still beside them."""
    with torch_threads(1):
        yield
