"""ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from workbench.devices.backends.base import Backend, Network, Run, session_threads
from workbench.devices.backends.onnx_model import INPUT

if TYPE_CHECKING:
    from workbench.devices.backends import Platform


def load(network: Network) -> Callable[[Platform], Run]:
    """Runs of one session per platform, with the batch size fixed so that it can be optimised for."""

    def prepare(platform: Platform) -> Run:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = platform.threads
        options.inter_op_num_threads = 1
        options.add_free_dimension_override_by_name("batch", platform.batch)
        model = network.onnx_int8 if platform.precision == "int8" else network.onnx
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return partial(_run, session, {INPUT: network.input(platform.batch).numpy()})

    return prepare


def _run(session: Any, feed: dict[str, Any]) -> Any:
    outputs = session.run(None, feed)
    return outputs[0] if len(outputs) == 1 else outputs


BACKEND = Backend("onnxruntime", ("fp32", "int8"), "onnxruntime", load, session_threads, needs=("onnx",), extra="onnx")
