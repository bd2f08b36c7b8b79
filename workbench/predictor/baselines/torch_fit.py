"""The one training loop of the peers that are neural networks, and the layers several of them use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

CLIP = 1.0  # gradient norm


@contextmanager
def seeded(generator: np.random.Generator) -> Iterator[None]:
    """Initial weights made inside follow ``generator``; torch's own stream is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(generator.integers(2**31)))
        yield


def minimise(
    parameters: Iterable[Tensor], loss: Callable[[], Tensor], steps: int, learning_rate: float, weight_decay: float
) -> None:
    """AdamW under a cosine schedule; ``loss`` draws its own batch. Changes ``parameters`` in place."""
    parameters = list(parameters)
    optimiser = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps, 1))
    for _ in range(steps):
        optimiser.zero_grad()
        loss().backward()
        nn.utils.clip_grad_norm_(parameters, CLIP)
        optimiser.step()
        schedule.step()


def dense(sizes: Sequence[int]) -> nn.Sequential:
    """Linear layers of these widths with a ReLU between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class GCN(nn.Module):
    """Graph convolutions (Kipf & Welling 2017) over networks that share their edges, read at the global node.

    Args:
        features: `f` node features.
        width: `c` of every layer.
        layers: how many.
        propagation: `n x n`, who listens to whom; the last node is the global one.
    """

    def __init__(self, features: int, width: int, layers: int, propagation: np.ndarray) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width if layer else features, width) for layer in range(layers))
        self.register_buffer("propagation", torch.tensor(propagation))

    def forward(self, nodes: Tensor) -> Tensor:
        """``nodes`` `b x n x f` -> `b x c`."""
        for layer in self.layers:
            nodes = (self.propagation @ layer(nodes)).relu()
        return nodes[:, -1]


class AverageDevice(nn.Module):
    """One score per network, whatever the device."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, inputs: tuple[Tensor, ...], devices: Tensor) -> Tensor:
        """One tensor of inputs of `b` networks -> `b x m`, the same for all `m` devices."""
        return self.body(inputs[0]).expand(-1, len(devices))
