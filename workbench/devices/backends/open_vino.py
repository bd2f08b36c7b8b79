"""OpenVINO on the CPU."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from workbench.config import WorkbenchError
from workbench.devices.backends.base import Backend, Network, Run, session_threads

if TYPE_CHECKING:
    from workbench.devices.backends import Platform

# int8 layers are those that the model quantises; the hint is for the others.
_HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}


@cache
def _core() -> Any:
    """One for the process: the first compilation of each loads the plugin."""
    # On import OpenVINO reports to its makers, from a thread that forks, unless it finds no telemetry package.
    sys.modules.setdefault("openvino_telemetry", None)
    import openvino

    return openvino.Core()


def load(network: Network) -> Callable[[Platform], Run]:
    """Runs of one compiled model per platform: one stream, tuned for latency, batch size fixed."""
    models: dict[bool, Any] = {}

    def prepare(platform: Platform) -> Run:
        int8 = platform.precision == "int8"
        if int8 not in models:
            models[int8] = _core().read_model(network.onnx_int8 if int8 else network.onnx)
        model = models[int8].clone()
        model.reshape([platform.batch, *network.input_shape])
        request = _compile(model, platform).create_infer_request()
        request.infer([network.input(platform.batch).numpy()])  # copied to the request's own input
        return partial(_run, request)

    return prepare


def _compile(model: Any, platform: Platform) -> Any:
    wanted = {
        # Stated for fp32 too: where the processor has bf16, OpenVINO prefers it.
        "INFERENCE_PRECISION_HINT": _HINTS[platform.precision],
        "INFERENCE_NUM_THREADS": platform.threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = _core().compile_model(model, "CPU", {**wanted, "ENABLE_CPU_PINNING": False})
    for name in ("INFERENCE_PRECISION_HINT", "INFERENCE_NUM_THREADS"):
        got = compiled.get_property(name)
        got = got if isinstance(got, int) else got.to_string()
        if got != wanted[name]:
            raise WorkbenchError(
                f"OpenVINO was asked for {name} {wanted[name]} on {platform.name} and takes {got}: this processor "
                f"cannot do it; choose another platform."
            )
    return compiled


def _run(request: Any) -> Any:
    outputs = list(request.infer(share_outputs=True).values())
    return outputs[0] if len(outputs) == 1 else outputs


# onnxruntime quantises the int8 model, and so is needed here too.
BACKEND = Backend(
    "openvino",
    ("fp32", "bf16", "int8"),
    "openvino",
    load,
    session_threads,
    needs=("onnx", "onnxruntime"),
    extra="openvino",
)
