"""ONNX models of a torch module: fp32, and int8 made of it."""

from __future__ import annotations

import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workbench.devices.backends.base import example_input

if TYPE_CHECKING:
    from torch import nn

INPUT = "input"


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
            input_names=[INPUT],
            output_names=["output"],
            dynamic_axes={INPUT: {0: "batch"}, "output": {0: "batch"}},
            dynamo=False,
        )
    return buffer.getvalue()


def quantize_onnx(model: bytes, samples: np.ndarray) -> bytes:
    """``model`` in int8 with explicit quantise and dequantise nodes (QDQ), which several runtimes read.

    Weights per output channel in signed, activations per tensor in unsigned bytes, whose ranges are the
    extremes seen on ``samples`` (`b x c x h x w`). Linear layers stay in fp32: OpenVINO cannot compile an int8
    one whose input is constant, which is what a classifier gets in a network without a path. Takes 0.3 to
    1.1 s for a network of 60 to 110 layers, most of it for the channels' scales.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.quant_utils import add_pre_process_metadata

    with tempfile.TemporaryDirectory() as folder, _root_logger_silenced():
        simplified, quantized = Path(folder) / "simplified.onnx", Path(folder) / "quantized.onnx"
        _simplify(model, simplified)
        ready = onnx.load(simplified)
        add_pre_process_metadata(ready)
        quantize_static(
            ready,
            quantized,
            _calibration(samples),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=[node.name for node in ready.graph.node if node.op_type == "Gemm"],
        )
        return quantized.read_bytes()


def _simplify(model: bytes, path: Path) -> None:
    """Write ``model`` without its redundant nodes: the exporter lets convolutions with equal biases share one
    through ``Identity`` nodes, and such biases, and with them the convolutions, would stay in fp32."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _calibration(samples: np.ndarray) -> object:
    from onnxruntime.quantization import CalibrationDataReader

    class Samples(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = iter([{INPUT: samples}])

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.batches, None)

    return Samples()


@contextmanager
def _root_logger_silenced() -> Iterator[None]:
    """The quantiser warns through the root logger, and would install a handler in it if it had none."""
    root, handler, before = logging.getLogger(), logging.NullHandler(), logging.root.manager.disable
    root.addHandler(handler)
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
        root.removeHandler(handler)
