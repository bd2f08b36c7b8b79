"""Execution backends: ways to run one torch module, each a device of its own.

A `Platform` names a backend with its precision, threads and batch size. ``BACKENDS[...].prepare`` turns a
module into a callable that does one inference, after its output has been compared with eager fp32: a backend
that computes something else is refused, because its latency would be that of another network.
"""

from __future__ import annotations

import copy
import difflib
import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING, Any

from workbench.config import WorkbenchError, lookup

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Run = Callable[[], Any]

#: Largest accepted norm of (output - eager fp32 output) as a share of the latter's norm.
TOLERANCES = {"fp32": 1e-3, "bf16": 0.05}


@dataclass(frozen=True)
class Platform:
    """A backend with everything that changes its speed.

    Example: ``Platform("torch_eager", "bf16", threads=2, batch=8).name == "torch-eager_bf16_t2_b8"``.
    """

    backend: str
    precision: str = "fp32"
    threads: int = 1
    batch: int = 1

    def __post_init__(self) -> None:
        backend = lookup("backend", BACKENDS, self.backend)
        if self.precision not in backend.precisions:
            raise WorkbenchError(
                f"Backend '{self.backend}' runs {' or '.join(backend.precisions)}, got '{self.precision}'; "
                f"choose one of these."
            )
        for name in ("threads", "batch"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise WorkbenchError(
                    f"Platform: {name} expects a whole number of at least 1, got {value!r}; correct it."
                )

    @property
    def name(self) -> str:
        """Column name in a latency table."""
        return f"{self.backend.replace('_', '-')}_{self.precision}_t{self.threads}_b{self.batch}"


def parse_platform(name: str) -> Platform:
    """The platform called ``name``, such as ``onnxruntime_fp32_t1_b8``."""
    found = re.fullmatch(r"([a-z0-9-]+)_([a-z0-9]+)_t(\d+)_b(\d+)", name)
    if not found:
        near = difflib.get_close_matches(name, [platform.name for platform in PLATFORMS], n=1)
        raise WorkbenchError(
            f"Malformed platform '{name}': expected BACKEND_PRECISION_tTHREADS_bBATCH such as "
            f"{near[0] if near else PLATFORMS[0].name}; correct it."
        )
    spelled, precision, threads, batch = found.groups()
    backend = lookup("backend", {key.replace("_", "-"): key for key in BACKENDS}, spelled)
    return Platform(backend, precision, int(threads), int(batch))


@dataclass(frozen=True)
class Backend:
    """One way to run a module.

    Args:
        name: its key in `BACKENDS`.
        precisions: those it has.
        package: the distribution that runs the network; a card states its version.
        load: ``(module, input_shape) -> (platform -> run)``; what platforms share (an export) is done once,
            in the first call.
        threads: context manager that sets a number of threads and restores the old one.
        needs: further distributions, such as an exporter's.
    """

    name: str
    precisions: tuple[str, ...]
    package: str
    load: Callable[[nn.Module, tuple[int, ...]], Callable[[Platform], Run]]
    threads: Callable[[int], Any]
    needs: tuple[str, ...] = ()

    def prepare(self, module: nn.Module, input_shape: tuple[int, ...], platform: Platform) -> Run:
        """A callable that does one inference of ``module`` on ``platform``, checked once against eager fp32.

        Args:
            module: in eval mode, fp32; left as it is.
            input_shape: `c x h x w`, without the batch.
            platform: of this backend.

        Raises:
            WorkbenchError: the output is no finite tensor, or not that of eager fp32.
        """
        return self.loader(module, input_shape)(platform)

    def loader(self, module: nn.Module, input_shape: tuple[int, ...]) -> Callable[[Platform], Run]:
        """`prepare` for several platforms of one module, sharing what they can."""
        self.require()
        load = self.load(module, input_shape)

        def prepare(platform: Platform) -> Run:
            if platform.backend != self.name:
                raise WorkbenchError(
                    f"Backend '{self.name}' cannot run platform '{platform.name}'; use '{platform.backend}'."
                )
            run = load(platform)
            with self.threads(platform.threads):
                check_output(run(), module, input_shape, platform)
            return run

        return prepare

    def require(self) -> str:
        """The installed version of the backend's package; a missing one raises with the line that installs
        what it needs."""
        for package in (*self.needs, self.package):
            try:
                version = metadata.version(package)
            except metadata.PackageNotFoundError as error:
                line = " ".join(("pip install", *self.needs, self.package))
                raise WorkbenchError(f"Backend '{self.name}' needs the package {package}; run: {line}") from error
        return version


def example_input(input_shape: tuple[int, ...], batch: int) -> Tensor:
    """The same `batch x c x h x w` input for every backend: standard normal, seed 0."""
    import torch

    return torch.randn(batch, *input_shape, generator=torch.Generator().manual_seed(0))


def check_output(output: Any, module: nn.Module, input_shape: tuple[int, ...], platform: Platform) -> None:
    """Raise unless ``output`` is what ``module`` computes in eager fp32, within `TOLERANCES` of the
    platform's precision."""
    import numpy as np
    import torch

    if isinstance(output, np.ndarray):
        output = torch.from_numpy(output)
    if not isinstance(output, torch.Tensor):
        raise WorkbenchError(
            f"The network's output on {platform.name} is {type(output).__name__}, expected one tensor; wrap "
            f"the network so that it returns one."
        )
    with torch.no_grad():
        expected = module(example_input(input_shape, platform.batch))
    got = output.float()
    if not (torch.isfinite(got).all() and torch.isfinite(expected).all()):
        raise WorkbenchError(
            f"The network's output on {platform.name} is not finite; check its weights before timing it."
        )
    if got.shape != expected.shape:
        raise WorkbenchError(
            f"Platform {platform.name} returns shape {tuple(got.shape)}, expected {tuple(expected.shape)}; "
            f"it runs another network."
        )
    scale = float(torch.linalg.vector_norm(expected))
    error = float(torch.linalg.vector_norm(got - expected))
    limit = TOLERANCES[platform.precision]
    if error > limit * scale:
        raise WorkbenchError(
            f"Platform {platform.name} computes something else than eager fp32: relative error "
            f"{error / max(scale, 1e-30):.2g}, at most {limit:g} is accepted; do not use its latency."
        )


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


def _dtype(precision: str) -> torch.dtype:
    import torch

    return {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]


def _load_torch_eager(module: nn.Module, input_shape: tuple[int, ...]) -> Callable[[Platform], Run]:
    import torch

    variants = {"fp32": module}

    def load(platform: Platform) -> Run:
        dtype = _dtype(platform.precision)
        if platform.precision not in variants:
            variants[platform.precision] = copy.deepcopy(module).to(dtype)
        network = variants[platform.precision]
        x = example_input(input_shape, platform.batch).to(dtype)

        def run() -> Tensor:
            with torch.no_grad():
                return network(x)

        return run

    return load


def _load_onnxruntime(module: nn.Module, input_shape: tuple[int, ...]) -> Callable[[Platform], Run]:
    model = export_onnx(module, input_shape)

    def load(platform: Platform) -> Run:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = platform.threads
        options.inter_op_num_threads = 1
        options.add_free_dimension_override_by_name("batch", platform.batch)
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        feed = {session.get_inputs()[0].name: example_input(input_shape, platform.batch).numpy()}
        return partial(_run_session, session, feed)

    return load


def _run_session(session: Any, feed: dict[str, Any]) -> Any:
    outputs = session.run(None, feed)
    return outputs[0] if len(outputs) == 1 else outputs


def export_onnx(module: nn.Module, input_shape: tuple[int, ...]) -> bytes:
    """``module`` as an ONNX model with a free batch dimension named ``batch``.

    The TorchScript exporter is used because it takes 0.3 s where the newer one takes 4 s for a network of 100
    operators. It fuses batch norms into convolutions, as ONNX Runtime would; operators that change no output
    stay for the runtime to judge.
    """
    import torch

    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter warns on every call that it is the older one
        torch.onnx.export(
            module,
            (example_input(input_shape, 2),),
            buffer,
            input_names=["input"],
            output_names=["output"],
            dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}},
            dynamo=False,
        )
    return buffer.getvalue()


@contextmanager
def _threads_of_session(count: int) -> Iterator[None]:
    """A session has threads of its own; torch gets one so that its pool keeps still beside them."""
    with torch_threads(1):
        yield


#: Every backend by name; one more is one more entry.
BACKENDS: dict[str, Backend] = {
    backend.name: backend
    for backend in (
        Backend("torch_eager", ("fp32", "bf16"), "torch", _load_torch_eager, torch_threads),
        Backend(
            "onnxruntime",
            ("fp32",),
            "onnxruntime",
            _load_onnxruntime,
            _threads_of_session,
            needs=("onnx",),
        ),
    )
}

#: The platforms of the bundled measurements.
PLATFORMS: tuple[Platform, ...] = (
    *(Platform("torch_eager", "fp32", threads, batch) for threads in (1, 2) for batch in (1, 8)),
    *(Platform("torch_eager", "bf16", threads, batch) for threads, batch in ((1, 1), (1, 8), (2, 8))),
    *(Platform("onnxruntime", "fp32", threads, batch) for threads, batch in ((1, 1), (2, 1), (1, 8))),
)


def get_platforms(names: Sequence[str] | None) -> list[Platform]:
    """The platforms called ``names``, each once; those of the bundled measurements if None."""
    if names is None:
        return list(PLATFORMS)
    if not names:
        raise WorkbenchError("Expected at least one platform, got none; name one such as torch-eager_fp32_t1_b1.")
    return list(dict.fromkeys(parse_platform(name) for name in names))
