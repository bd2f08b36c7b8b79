"""Every backend runs a real network, and refuses to be timed when it computes something else."""

from __future__ import annotations

import copy
import dataclasses
import time
from importlib import metadata

import numpy as np
import pytest
import torch
from torch import nn

from workbench.devices.backends import (
    BACKENDS,
    CHECKED,
    PLATFORMS,
    TOLERANCES,
    Backend,
    Network,
    Platform,
    available,
    base,
    check_output,
    example_input,
    host_stopwatch,
    torch_threads,
)

SHAPE = (3, 8, 8)


def marked(name: str, *values: str):
    return pytest.param(name, *values, marks=[pytest.mark.gpu] if "cuda" in name else [])


NAMES = [marked(name) for name in BACKENDS]
KINDS = [marked(name, precision) for name, backend in BACKENDS.items() for precision in backend.precisions]


def skip_unless_the_processor_can(backend: Backend, network: Network, precision: str) -> None:
    """OpenVINO refuses bf16 where the processor has none."""
    if (backend.name, precision) == ("openvino", "bf16"):
        try:
            backend.prepare(network, Platform(backend.name, precision))
        except ValueError as error:
            if "INFERENCE_PRECISION_HINT" not in str(error):
                raise
            pytest.skip(str(error))


@pytest.mark.parametrize(("name", "precision"), KINDS)
def test_a_backend_computes_what_eager_computes(usable, network, name, precision):
    backend = usable(name)
    skip_unless_the_processor_can(backend, network, precision)
    before, count = copy.deepcopy(network.module.state_dict()), torch.get_num_threads()
    load = backend.loader(network)
    for threads, batch in ((1, 1), (2, 2)) if name == "torch_compile" else ((1, 1), (1, 2), (2, 1), (2, 2)):
        run = load(Platform(name, precision, threads, batch))
        assert torch.get_num_threads() == count
        with backend.threads(threads):
            got = torch.as_tensor(run()).float().cpu().clone()
            assert backend.stopwatch(run) > 0
            assert torch.equal(torch.as_tensor(run()).float().cpu(), got), "one inference must not change the next"
        with torch.no_grad():
            expected = network.module(example_input(SHAPE, batch))
        assert got.shape == expected.shape == (batch, 5)
        assert torch.linalg.vector_norm(got - expected) <= TOLERANCES[precision] * torch.linalg.vector_norm(expected)
    assert torch.get_num_threads() == count
    assert all(torch.equal(value, before[key]) for key, value in network.module.state_dict().items())


@pytest.mark.parametrize(("name", "precision"), KINDS)
def test_a_network_without_one_of_its_operators_is_refused(usable, refusal, network, name, precision):
    backend = usable(name)
    skip_unless_the_processor_can(backend, network, precision)
    layers = copy.deepcopy(network.module)
    layers[2] = nn.Identity()
    forgetful = dataclasses.replace(backend, load=lambda _: backend.load(Network(layers, SHAPE)))
    assert "relative error" in refusal(forgetful.prepare, network, Platform(name, precision))


@pytest.mark.parametrize("name", NAMES)
def test_a_loader_refuses_the_platform_of_another_backend(usable, refusal, network, name):
    other = next(platform for platform in PLATFORMS if platform.backend != name)
    assert other.name in refusal(usable(name).prepare, network, other)


class Pair(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x * 2, x * 3


class NotFinite(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / (x - x)


@pytest.mark.parametrize(("name", "precision"), KINDS)
@pytest.mark.parametrize(("module", "message"), [(Pair(), "expected one tensor"), (NotFinite(), "not finite")])
def test_a_network_without_one_finite_output_is_refused(usable, refusal, name, precision, module, message):
    assert message in refusal(usable(name).prepare, Network(module.eval(), SHAPE), Platform(name, precision))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda y: y * 1.01, "relative error"),
        (lambda y: y.roll(1, dims=-1), "relative error"),
        (lambda y: torch.zeros_like(y), "relative error"),
        (lambda y: y[:, :1], "shape"),
        (lambda y: y * float("nan"), "not finite"),
        (lambda y: y.numpy() * np.inf, "not finite"),
        (lambda y: [y], "list"),
        (lambda y: None, "NoneType"),
    ],
)
def test_a_backend_that_computes_something_else_is_refused(monkeypatch, refusal, network, wrong, message):
    def load(given: Network):
        return lambda platform: lambda: wrong(given.expected(platform.batch))

    monkeypatch.setitem(BACKENDS, "wrong", Backend("wrong", ("fp32",), "torch", load, torch_threads))
    assert message in refusal(BACKENDS["wrong"].prepare, network, Platform("wrong"))


@pytest.mark.parametrize("wrong", [lambda y: y[:8], lambda y: y * 1.01])
def test_of_a_large_batch_the_shape_and_the_first_examples_are_checked(refusal, network, wrong):
    batch = CHECKED + 3
    assert len(network.expected(batch)) == CHECKED
    with torch.no_grad():
        whole = network.module(example_input(SHAPE, batch))
    check_output(whole, network, Platform("torch_eager", batch=batch))
    assert refusal(check_output, wrong(whole), network, Platform("torch_eager", batch=batch))


def test_an_output_of_zeros_equals_zeros():
    class Zeros(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 0

    output = np.zeros((1, *SHAPE), dtype=np.float32)
    check_output(output, Network(Zeros(), SHAPE), Platform("torch_eager"))


@pytest.mark.parametrize("name", BACKENDS)
def test_a_missing_package_answers_with_the_line_that_installs_it(monkeypatch, refusal, network, name):
    backend, version = BACKENDS[name], metadata.version
    line = f'"workbench-latency[{backend.extra}]"' if backend.extra else backend.package

    for lacking in (backend.package, *backend.needs):

        def absent(package: str, lacking: str = lacking) -> str:
            if package == lacking:
                raise metadata.PackageNotFoundError(package)
            return version(package)

        monkeypatch.setattr(base.metadata, "version", absent)
        for action, arguments in ((backend.require, ()), (backend.prepare, (network, Platform(name)))):
            message = refusal(action, *arguments)
            assert lacking in message
            assert message.endswith(f"pip install {line}")


def test_a_backend_states_its_version():
    assert BACKENDS["torch_eager"].require() == metadata.version("torch")


def test_available_are_the_backends_that_can_run(monkeypatch):
    monkeypatch.setenv("CXX", "a-compiler-that-nobody-has")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = available()
    assert found["torch_eager"] == metadata.version("torch")
    assert not {"torch_compile", "torch_cuda", "cuda_graphs"} & set(found)
    assert set(found) <= set(BACKENDS)


def test_the_host_stopwatch_times_one_run():
    calls = []

    def run() -> None:
        calls.append(1)
        time.sleep(0.01)

    assert host_stopwatch(run) >= 10_000_000
    assert len(calls) == 1


def test_threads_are_restored_even_after_a_failure():
    before = torch.get_num_threads()

    def fail() -> None:
        with torch_threads(before + 1):
            assert torch.get_num_threads() == before + 1
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        fail()
    assert torch.get_num_threads() == before


def test_the_example_input_is_always_the_same():
    first, second = example_input(SHAPE, 2), example_input(SHAPE, 2)
    assert torch.equal(first, second)
    second.zero_()  # as a network may do that writes into its input
    assert torch.equal(first, example_input(SHAPE, 2))
    assert torch.equal(first.bfloat16(), example_input(SHAPE, 2, "bf16"))
    assert first.shape == (2, *SHAPE)
