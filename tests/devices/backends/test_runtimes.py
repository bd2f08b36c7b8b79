"""What is particular to one runtime: the shared ONNX models, int8, threads, recompilation, TF32."""

from __future__ import annotations

import copy
import logging

import pytest
import torch
from torch import nn

from workbench.devices.backends import BACKENDS, Network, Platform, check_output, onnx_model
from workbench.devices.backends.torch_cuda import cuda_settings, cuda_stopwatch
from workbench.spaces import get_space
from workbench.spaces.modules import Zero

FBNET = "|".join(["k3_e1", "k3_e6", "k5_e3", "k5_e1_g2"] + ["k3_e3"] * 18)
NASBENCH201 = "|nor_conv_3x3~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|"
DEGENERATE = [
    f"|{op}~0|+|{op}~0|{op}~1|+|{op}~0|{op}~1|{op}~2|"
    for op in ("none", "skip_connect", "avg_pool_3x3")
]  # fmt: skip
ONNX_KINDS = [("onnxruntime", "fp32"), ("onnxruntime", "int8"), ("openvino", "fp32"), ("openvino", "int8")]


def of_space(space: str, arch: str) -> Network:
    return Network(get_space(space).module(arch), get_space(space).input_shape(arch))


def test_one_export_serves_all_runtimes(monkeypatch, usable, network):
    made = []
    for name in ("export_onnx", "quantize_onnx"):
        original = getattr(onnx_model, name)
        monkeypatch.setattr(onnx_model, name, lambda *a, n=name, f=original: made.append(n) or f(*a))
    for name, precision in ONNX_KINDS:
        usable(name).prepare(network, Platform(name, precision))
    assert sorted(made) == ["export_onnx", "quantize_onnx"]


def test_every_convolution_is_quantised_silently(usable, capfd):
    """Also those that share one bias, as convolutions with a folded batch norm do."""
    import onnx

    usable("onnxruntime")
    layers = [layer for _ in range(3) for layer in (nn.Conv2d(3, 3, 3, bias=False), nn.BatchNorm2d(3), nn.ReLU())]
    handlers, level = list(logging.root.handlers), logging.root.manager.disable
    graph = onnx.load_from_string(Network(nn.Sequential(*layers).eval(), (3, 12, 12)).onnx_int8).graph
    assert capfd.readouterr() == ("", "")
    assert (logging.root.handlers, logging.root.manager.disable) == (handlers, level)
    source = {output: node.op_type for node in graph.node for output in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 3
    assert {source[name] for node in convolutions for name in node.input} == {"DequantizeLinear"}


@pytest.mark.parametrize(("space", "arch"), [("nasbench201", arch) for arch in DEGENERATE] + [("fbnet", FBNET)])
def test_int8_serves_every_batch_and_networks_that_compute_nothing(usable, space, arch):
    network = of_space(space, arch)
    for name in ("onnxruntime", "openvino"):
        for batch in (1, 8):
            usable(name).prepare(network, Platform(name, "int8", 1, batch))


@pytest.mark.parametrize(
    ("space", "arch", "path"),
    [
        ("fbnet", FBNET, "8.body"),
        ("fbnet", FBNET, "20.body"),
        ("nasbench201", NASBENCH201, "7.operations.4"),
        ("nasbench201", NASBENCH201, "17.operations.5"),
    ],
)
def test_int8_tells_a_network_from_the_same_without_one_operator(usable, refusal, space, arch, path):
    network = of_space(space, arch)
    without = copy.deepcopy(network.module)
    without.set_submodule(path, Zero(), strict=True)
    other = Network(without, network.input_shape)
    for name in ("onnxruntime", "openvino"):
        platform = Platform(name, "int8")
        run = usable(name).prepare(other, platform)
        assert "relative error" in refusal(check_output, run(), network, platform)


def test_openvino_refuses_threads_that_it_would_not_use(usable, refusal, network):
    message = refusal(usable("openvino").prepare, network, Platform("openvino", "fp32", 4096))
    assert "INFERENCE_NUM_THREADS" in message


def test_more_networks_of_one_class_compile_than_torch_allows(usable):
    limit = 2  # by default 8, which would take half a minute
    with torch._dynamo.config.patch(recompile_limit=limit):
        for width in range(1, limit + 3):
            network = Network(nn.Sequential(nn.Linear(2, width), nn.ReLU()).eval(), (1, 1, 2))
            run = usable("torch_compile").prepare(network, Platform("torch_compile"))
            assert torch.as_tensor(run()).shape == (1, 1, 1, width)


def test_torch_compile_without_a_compiler_says_so(monkeypatch, refusal):
    monkeypatch.setenv("CXX", "a-compiler-that-nobody-has")
    assert "needs a C++ compiler, found no 'a-compiler-that-nobody-has'" in refusal(BACKENDS["torch_compile"].require)


@pytest.mark.parametrize("name", ["torch_cuda", "cuda_graphs"])
def test_without_a_gpu_cuda_says_so(monkeypatch, refusal, network, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for action, arguments in ((BACKENDS[name].require, ()), (BACKENDS[name].prepare, (network, Platform(name)))):
        assert f"'{name}' needs an NVIDIA GPU that torch can use, found none; " in refusal(action, *arguments)


def test_fp32_on_cuda_is_not_tf32():
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    with cuda_settings(1):
        assert torch.get_float32_matmul_precision() == "highest"
        assert not torch.backends.cudnn.allow_tf32
        assert torch.get_num_threads() == 1
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == before


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["torch_cuda", "cuda_graphs"])
def test_the_cuda_stopwatch_waits_for_the_device(usable, network, name):
    backend = usable(name)
    run = backend.prepare(network, Platform(name, "fp32", 1, 32))
    with backend.threads(1):
        assert cuda_stopwatch(run) > 0
    assert torch.cuda.current_stream().query(), "nothing is left to be done"


@pytest.mark.gpu
def test_a_cuda_graph_reads_its_input_anew(usable, network):
    """A replay computes; it does not hand out what the capture computed."""
    run = usable("cuda_graphs").prepare(network, Platform("cuda_graphs", batch=2))
    output = run()
    first = output.clone()
    output.zero_()
    assert torch.equal(run(), first)
