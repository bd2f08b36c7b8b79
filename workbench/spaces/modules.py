"""Runnable torch networks of the search spaces, with random weights and in eval mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


def build(layers: Callable[[], Sequence[nn.Module]]) -> nn.Module:
    """The layers in series, in eval mode, with He-initialised convolutions.

    He's scale keeps a signal alive through tens of layers, so that comparing a backend's output with another's compares
    the whole network and not the classifier's bias. The seed is fixed and torch's own random stream is left alone.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(*layers())
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return network.eval()


class Zero(nn.Module):
    """NAS-Bench-201's ``none``: a multiplication by zero, executed like any other operator."""

    def forward(self, x: Tensor) -> Tensor:
        """`b x c x h x w` to zeros of the same shape."""
        return x.mul(0.0)


class ChannelShuffle(nn.Module):
    """Interleaves the channels of ``groups`` groups (ShuffleNet)."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """`b x c x h x w`, channels permuted."""
        b, c, h, w = x.shape
        return x.view(b, self.groups, c // self.groups, h, w).transpose(1, 2).reshape(b, c, h, w)


class SqueezeExcite(nn.Module):
    """Channel attention with a hard sigmoid (MobileNetV3)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`b x c x h x w`, each channel scaled by its gate."""
        gate = self.expand(torch.relu(self.reduce(x.mean((2, 3), keepdim=True))))
        return x * nn.functional.hardsigmoid(gate)


class Residual(nn.Module):
    """``body(x)`` plus a shortcut (the input itself, unless one is given)."""

    def __init__(self, body: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """`b x c x h x w` to the sum of both paths."""
        return self.body(x) + self.shortcut(x)


class Cell(nn.Module):
    """A NAS-Bench-201 cell: all edges, summed per target node."""

    def __init__(self, cell: Sequence[str], edges: Sequence[tuple[int, int]], channels: int) -> None:
        super().__init__()
        self.edges = list(edges)
        self.operations = nn.ModuleList(_edge(operation, channels) for operation in cell)

    def forward(self, x: Tensor) -> Tensor:
        """`b x c x h x w` to the value at the last node."""
        nodes = [x]
        pending: dict[int, Tensor] = {}
        for (source, target), operation in zip(self.edges, self.operations, strict=True):
            value = operation(nodes[source])
            pending[target] = pending[target] + value if target in pending else value
            if source == target - 1:
                nodes.append(pending[target])
        return nodes[-1]


def _edge(operation: str, channels: int) -> nn.Module:
    if operation == "none":
        return Zero()
    if operation == "skip_connect":
        return nn.Identity()
    if operation == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    return relu_conv_bn(channels, channels, int(operation[-1]))


def relu_conv_bn(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Pre-activation convolution."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(nn.ReLU(), convolution, nn.BatchNorm2d(outputs))


def conv_bn(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, activation: nn.Module | None = None
) -> nn.Sequential:
    """Convolution, batch norm and, if given, an activation."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    layers: list[nn.Module] = [convolution, nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([activation] if activation else []))


def nasbench201_layers(
    cell: Sequence[str], edges: Sequence[tuple[int, int]], widths: Sequence[int], cells: int, classes: int
) -> list[nn.Module]:
    """Stem, cells with reduction blocks between the stages, head; `b x 3 x 32 x 32` to `b x classes`."""
    layers: list[nn.Module] = [conv_bn(3, widths[0], 3)]
    before = widths[0]
    for channels in widths:
        if channels != before:
            shortcut = nn.Sequential(nn.AvgPool2d(2, 2), nn.Conv2d(before, channels, 1, bias=False))
            body = nn.Sequential(relu_conv_bn(before, channels, 3, 2), relu_conv_bn(channels, channels, 3))
            layers.append(Residual(body, shortcut))
        layers.extend(Cell(cell, edges, channels) for _ in range(cells))
        before = channels
    return [
        *layers,
        nn.BatchNorm2d(before),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(before, classes),
    ]


def inverted_residual(
    inputs: int,
    outputs: int,
    hidden: int,
    kernel: int,
    stride: int,
    groups: int = 1,
    squeeze: int = 0,
    activation: type[nn.Module] = nn.ReLU,
    expand: bool = True,
) -> nn.Module:
    """1x1 expansion, depthwise convolution, 1x1 projection, with a residual where shapes allow (MobileNetV2/V3)."""
    layers: list[nn.Module] = []
    if expand:
        layers.append(conv_bn(inputs, hidden, 1, groups=groups, activation=activation()))
    if groups > 1:
        layers.append(ChannelShuffle(groups))
    layers.append(conv_bn(hidden, hidden, kernel, stride, groups=hidden, activation=activation()))
    if squeeze:
        layers.append(SqueezeExcite(hidden, squeeze))
    layers.append(conv_bn(hidden, outputs, 1, groups=groups))
    body = nn.Sequential(*layers)
    return Residual(body) if stride == 1 and inputs == outputs else body
