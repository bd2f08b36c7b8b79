"""Backends: each runs a real network, and refuses to be timed when it computes something else."""

from __future__ import annotations

import copy
from importlib import metadata

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from workbench.config import WorkbenchError
from workbench.devices import backends as module
from workbench.devices.backends import (
    BACKENDS,
    PLATFORMS,
    TOLERANCES,
    Backend,
    Platform,
    check_output,
    example_input,
    get_platforms,
    parse_platform,
    torch_threads,
)

SHAPE = (3, 8, 8)
KINDS = [(name, precision) for name, backend in BACKENDS.items() for precision in backend.precisions]


def refusal(action, *arguments, **keywords) -> str:
    """The one sentence with which bad input is refused."""
    with pytest.raises(WorkbenchError) as caught:
        action(*arguments, **keywords)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def network() -> nn.Module:
    """A small convolutional network whose batch norm is not the identity."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, stride=2, groups=8),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 5),
        )
        layers[1].running_mean.normal_(0, 0.1)
    return layers.eval()


@pytest.fixture
def usable(missing):
    """Refuses to test a backend whose package is not there: a skip, or a failure in CI."""

    def need(name: str) -> Backend:
        try:
            BACKENDS[name].require()
        except WorkbenchError as error:
            missing(str(error))
        return BACKENDS[name]

    return need


@pytest.mark.parametrize(("name", "precision"), KINDS)
@pytest.mark.parametrize("batch", [1, 3])
def test_a_backend_computes_what_eager_computes(usable, network, name, precision, batch):
    before = copy.deepcopy(network.state_dict())
    threads = torch.get_num_threads()
    run = usable(name).prepare(network, SHAPE, Platform(name, precision, 1, batch))
    with torch.no_grad():
        expected = network(example_input(SHAPE, batch))
    got = torch.as_tensor(run()).float()
    assert got.shape == expected.shape == (batch, 5)
    assert torch.linalg.vector_norm(got - expected) <= TOLERANCES[precision] * torch.linalg.vector_norm(expected)
    assert torch.equal(torch.as_tensor(run()).float(), got), "one inference must not change the next"
    assert torch.get_num_threads() == threads
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize(("name", "precision"), KINDS)
def test_a_loader_serves_several_platforms(usable, network, name, precision):
    load = usable(name).loader(network, SHAPE)
    for platform in (Platform(name, precision, threads, batch) for threads in (1, 2) for batch in (1, 2)):
        assert len(load(platform)()) == platform.batch


@pytest.mark.parametrize("name", BACKENDS)
def test_a_loader_refuses_the_platform_of_another_backend(usable, network, name):
    other = next(platform for platform in PLATFORMS if platform.backend != name)
    assert other.name in refusal(usable(name).prepare, network, SHAPE, other)


class Pair(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x * 2, x * 3


class NotFinite(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / (x - x)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_network_with_several_outputs_is_refused(usable, name):
    assert "expected one tensor" in refusal(usable(name).prepare, Pair().eval(), SHAPE, Platform(name))


@pytest.mark.parametrize("name", BACKENDS)
def test_a_network_whose_output_is_not_finite_is_refused(usable, name):
    assert "not finite" in refusal(usable(name).prepare, NotFinite().eval(), SHAPE, Platform(name))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda y: y * 1.01, "relative error"),
        (lambda y: y.roll(1, dims=-1), "relative error"),
        (lambda y: torch.zeros_like(y), "relative error"),
        (lambda y: y[:, :1], "shape"),
        (lambda y: y * float("nan"), "not finite"),
        (lambda y: [y], "list"),
        (lambda y: None, "NoneType"),
    ],
)
def test_a_backend_that_computes_something_else_is_refused(monkeypatch, network, wrong, message):
    def load(given: nn.Module, shape: tuple[int, ...]):
        return lambda platform: lambda: wrong(given(example_input(shape, platform.batch)).detach())

    monkeypatch.setitem(BACKENDS, "wrong", Backend("wrong", ("fp32",), "torch", load, torch_threads))
    assert message in refusal(BACKENDS["wrong"].prepare, network, SHAPE, Platform("wrong"))


def test_nothing_equals_a_reference_that_is_not_finite():
    platform = Platform("torch_eager")
    finite = torch.zeros(1, *SHAPE)
    assert "not finite" in refusal(check_output, finite, NotFinite().eval(), SHAPE, platform)


def test_an_output_of_zeros_equals_zeros():
    class Zeros(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 0

    check_output(np.zeros((1, *SHAPE), dtype=np.float32), Zeros(), SHAPE, Platform("torch_eager"))


@pytest.mark.parametrize("name", BACKENDS)
def test_a_missing_package_answers_with_the_line_that_installs_it(monkeypatch, network, name):
    backend, version = BACKENDS[name], metadata.version

    def absent(package: str) -> str:
        if package == lacking:
            raise metadata.PackageNotFoundError(package)
        return version(package)

    monkeypatch.setattr(module.metadata, "version", absent)
    for lacking in (backend.package, *backend.needs):
        check_install_line(backend, lacking, network)


def check_install_line(backend: Backend, lacking: str, network: nn.Module) -> None:
    platform = Platform(backend.name)
    for action, arguments in ((backend.require, ()), (backend.prepare, (network, SHAPE, platform))):
        message = refusal(action, *arguments)
        assert lacking in message
        assert message.endswith(" ".join(("pip install", *backend.needs, backend.package)))


def test_a_backend_states_its_version():
    assert BACKENDS["torch_eager"].require() == metadata.version("torch")


@given(
    st.sampled_from(KINDS),
    st.integers(1, 512),
    st.integers(1, 4096),
)
def test_platform_names_round_trip(kind, threads, batch):
    platform = Platform(*kind, threads, batch)
    assert parse_platform(platform.name) == platform


def test_bundled_platforms_are_distinct_and_supported():
    assert len({platform.name for platform in PLATFORMS}) == len(PLATFORMS) >= 8
    assert get_platforms(None) == list(PLATFORMS)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torch-eage_fp32_t1_b1", "did you mean 'torch-eager'"),
        ("onxruntime_fp32_t1_b1", "did you mean 'onnxruntime'"),
        ("onnxruntime_bf16_t1_b1", "onnxruntime' runs fp32"),
        ("torch-eager_fp31_t1_b1", "fp31"),
        ("torch-eager_fp32_t0_b1", "threads"),
        ("torch-eager_fp32_t1_b0", "batch"),
        ("torch-eager_fp32", "torch-eager_fp32_t"),
        ("onnxruntime", "such as onnxruntime"),
        ("fast", "BACKEND_PRECISION_tTHREADS_bBATCH"),
        ("", "BACKEND_PRECISION_tTHREADS_bBATCH"),
    ],
)
def test_an_unknown_platform_is_refused_with_the_nearest(name, message):
    assert message in refusal(parse_platform, name)
    assert message in refusal(get_platforms, [PLATFORMS[0].name, name])


def test_platforms_are_wanted_and_counted_once():
    name = PLATFORMS[0].name
    assert get_platforms([name, PLATFORMS[1].name, name]) == list(PLATFORMS[:2])
    assert "platform" in refusal(get_platforms, [])


@pytest.mark.parametrize("value", [0, -1, 1.5, "2", None, True])
def test_threads_and_batch_are_whole_numbers(value):
    for name in ("threads", "batch"):
        assert name in refusal(Platform, "torch_eager", **{name: value})


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
    assert first.shape == (2, *SHAPE)
