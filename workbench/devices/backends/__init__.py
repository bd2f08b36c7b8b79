"""Execution backends: ways to run one torch module, each a device of its own.

A `Platform` names a backend with its precision, threads and batch size. ``BACKENDS[...].prepare`` turns a
`Network` into a callable that does one inference, after its output has been compared with eager fp32: a backend
that computes something else is refused, because its latency would be that of another network. Importing this
imports no runtime.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from workbench.config import WorkbenchError, lookup
from workbench.devices.backends import cuda_graphs, onnx_runtime, open_vino, torch_compile, torch_cuda, torch_eager
from workbench.devices.backends.base import (
    CHECKED,
    TOLERANCES,
    Backend,
    Network,
    Run,
    check_output,
    example_input,
    host_stopwatch,
    torch_threads,
)
from workbench.devices.backends.onnx_model import export_onnx

__all__ = [
    "BACKENDS",
    "CHECKED",
    "PLATFORMS",
    "TOLERANCES",
    "Backend",
    "Network",
    "Platform",
    "Run",
    "available",
    "check_output",
    "eager_on",
    "example_input",
    "export_onnx",
    "get_platforms",
    "host_stopwatch",
    "parse_platform",
    "torch_threads",
]

#: Every backend by name; one more is one more file and one more entry.
BACKENDS: dict[str, Backend] = {
    module.BACKEND.name: module.BACKEND
    for module in (torch_eager, torch_compile, onnx_runtime, open_vino, torch_cuda, cuda_graphs)
}


#: torch eager by the type of the device: what measures the device itself.
EAGER = {"cpu": "torch_eager", "cuda": "torch_cuda"}


def eager_on(device: str) -> Backend:
    """The backend that runs torch eager on ``device`` (``cpu`` or ``cuda``), if this machine has one."""
    backend = BACKENDS[lookup("device", EAGER, device)]
    backend.require()
    return backend


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
    def device(self) -> str:
        """``cpu`` or ``cuda``: what computes."""
        return BACKENDS[self.backend].device

    @property
    def name(self) -> str:
        """Column name in a latency table."""
        return f"{self.backend.replace('_', '-')}_{self.precision}_t{self.threads}_b{self.batch}"


#: What a campaign measures if it is not told otherwise, where this machine can.
PLATFORMS: tuple[Platform, ...] = (
    *(Platform("torch_eager", "fp32", threads, batch) for threads in (1, 2) for batch in (1, 8)),
    *(Platform("torch_eager", "bf16", threads, batch) for threads, batch in ((1, 1), (1, 8), (2, 8))),
    *(Platform("onnxruntime", "fp32", threads, batch) for threads, batch in ((1, 1), (2, 1), (1, 8))),
    Platform("onnxruntime", "int8"),
    *(Platform("openvino", "fp32", batch=batch) for batch in (1, 8)),
    Platform("openvino", "bf16"),
)


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


def get_platforms(names: Sequence[str] | None) -> list[Platform]:
    """The platforms called ``names``, each once; if None, those of `PLATFORMS` that can run here."""
    if names is None:
        usable = available({platform.backend for platform in PLATFORMS})
        return [platform for platform in PLATFORMS if platform.backend in usable]
    if not names:
        raise WorkbenchError("Expected at least one platform, got none; name one such as torch-eager_fp32_t1_b1.")
    return list(dict.fromkeys(parse_platform(name) for name in names))


def available(names: Iterable[str] = BACKENDS) -> dict[str, str]:
    """Those of the backends that this machine can run, with the versions of their packages."""
    found = {}
    for name in names:
        try:
            found[name] = BACKENDS[name].require()
        except WorkbenchError:  # it is what the caller asks for
            continue
    return found
