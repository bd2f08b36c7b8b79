"""A small network, and backends that this machine may lack."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from workbench.config import WorkbenchError
from workbench.devices.backends import BACKENDS, Backend, Network

SHAPE = (3, 8, 8)


@pytest.fixture
def refusal() -> Callable[..., str]:
    """Calls with bad input; the one sentence with which it is refused."""

    def call(action, *arguments, **keywords) -> str:
        with pytest.raises(WorkbenchError) as caught:
            action(*arguments, **keywords)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return call


@pytest.fixture
def network() -> Network:
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
    return Network(layers.eval(), SHAPE)


@pytest.fixture
def usable(missing):
    """A backend by name: without its package a skip, or a failure in CI; without its GPU a skip."""

    def need(name: str) -> Backend:
        if "cuda" in name and not torch.cuda.is_available():
            pytest.skip("no CUDA device")
        try:
            BACKENDS[name].require()
        except WorkbenchError as error:
            missing(str(error))
        return BACKENDS[name]

    return need
