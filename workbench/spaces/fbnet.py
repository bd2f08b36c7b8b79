"""FBNet (Wu et al., CVPR 2019) in the CIFAR-100 form of HW-NAS-Bench: 22 blocks, nine choices each.

A 3x3 stem to 16 channels on 32x32, seven stages, a 1x1 head to 1,504 channels, pooling and a classifier.
``skip`` is the identity where shapes allow and a 1x1 convolution where a stage begins.
"""

from __future__ import annotations

from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from workbench.graphs.graph import Graph, GraphBuilder, Op
from workbench.spaces.blocks import add_series, inverted_residual_ops
from workbench.spaces.space import distinct, malformed

if TYPE_CHECKING:
    from torch import nn

BLOCKS = ("k3_e1", "k3_e1_g2", "k3_e3", "k3_e6", "k5_e1", "k5_e1_g2", "k5_e3", "k5_e6", "skip")
STAGES = (
    (16, 1, 1),
    (24, 4, 1),
    (32, 4, 2),
    (64, 4, 2),
    (112, 4, 1),
    (184, 4, 2),
    (352, 1, 1),
)  # width, blocks, stride
STEM, HEAD, CLASSES, RESOLUTION = 16, 1504, 100, 32


class Position(NamedTuple):
    """Where a block stands: channels in and out, input size, stride."""

    inputs: int
    outputs: int
    size: int
    stride: int


def _positions() -> tuple[Position, ...]:
    found, inputs, size = [], STEM, RESOLUTION
    for width, blocks, first_stride in STAGES:
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            found.append(Position(inputs, width, size, stride))
            inputs, size = width, size // stride
    return tuple(found)


POSITIONS = _positions()


class FBNet:
    """The space; see the module's docstring."""

    name = "fbnet"
    size = len(BLOCKS) ** len(POSITIONS)

    def input_shape(self, arch: str) -> tuple[int, int, int]:
        """Always `3 x 32 x 32`."""
        return (3, RESOLUTION, RESOLUTION)

    def sample(self, count: int, generator: np.random.Generator) -> list[str]:
        """``count`` distinct networks, every block drawn uniformly."""
        return distinct(count, lambda: self.format(generator.choice(BLOCKS, size=len(POSITIONS))), self.size, self.name)

    def parse(self, arch: str) -> tuple[str, ...]:
        """The 22 block names."""
        blocks = tuple(arch.split("|")) if isinstance(arch, str) else ()
        if len(blocks) != len(POSITIONS) or any(block not in BLOCKS for block in blocks):
            raise malformed(
                self.name, arch, f"{len(POSITIONS)} block names joined by '|', each one of {', '.join(BLOCKS)}"
            )
        return blocks

    def format(self, choices: tuple[str, ...] | np.ndarray) -> str:
        """The arch string of 22 block names."""
        return "|".join(choices)

    def graph(self, arch: str) -> Graph:
        """Stem, three or four tokens per block, head."""
        builder = GraphBuilder()
        last = builder.add(Op("stem conv 3x3", "conv", 3, STEM, RESOLUTION, RESOLUTION, kernel=3, elementwise=2))
        for index, (block, position) in enumerate(zip(self.parse(arch), POSITIONS, strict=True)):
            last = add_series(builder, _block_ops(index, block, position), last)
        size, width = POSITIONS[-1].size, POSITIONS[-1].outputs
        last = builder.add(Op("head conv 1x1", "conv", width, HEAD, size, size, elementwise=2), last)
        last = builder.add(Op("head global pool", "global_pool", HEAD, HEAD, size, 1), last)
        builder.add(Op("head classifier", "linear", HEAD, CLASSES, 1, 1, bias=True), last)
        return builder.build()

    def module(self, arch: str) -> nn.Module:
        """The network as a torch module; takes `b x 3 x 32 x 32`, returns `b x 100`."""
        from workbench.spaces.modules import build

        blocks = self.parse(arch)
        return build(lambda: _layers(blocks))


def _layers(blocks: tuple[str, ...]) -> list[nn.Module]:
    from torch import nn

    from workbench.spaces.modules import conv_bn

    layers: list[nn.Module] = [conv_bn(3, STEM, 3, activation=nn.ReLU())]
    layers += [_block_module(block, position) for block, position in zip(blocks, POSITIONS, strict=True)]
    layers.append(conv_bn(POSITIONS[-1].outputs, HEAD, 1, activation=nn.ReLU()))
    return [*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(HEAD, CLASSES)]


def _choices(block: str) -> tuple[int, int, int]:
    """Kernel, expansion and groups of a block name like ``k5_e1_g2``."""
    parts = dict(zip("keg", chain((int(part[1:]) for part in block.split("_")), [1]), strict=False))
    return parts["k"], parts["e"], parts["g"]


@cache
def _block_ops(index: int, block: str, position: Position) -> tuple[Op, ...]:
    name = f"block {index + 1} {block}"
    inputs, outputs, size, stride = position
    if block == "skip":
        if stride == 1 and inputs == outputs:
            return (Op(name, "identity", inputs, outputs, size, size),)
        return (Op(name, "conv", inputs, outputs, size, size // stride, stride=stride, elementwise=2),)
    kernel, expansion, groups = _choices(block)
    return inverted_residual_ops(name, inputs, outputs, inputs * expansion, size, kernel, stride, groups)


def _block_module(block: str, position: Position) -> nn.Module:
    from torch import nn

    from workbench.spaces.modules import conv_bn, inverted_residual

    inputs, outputs, _, stride = position
    if block == "skip":
        if stride == 1 and inputs == outputs:
            return nn.Identity()
        return conv_bn(inputs, outputs, 1, stride, activation=nn.ReLU())
    kernel, expansion, groups = _choices(block)
    return inverted_residual(inputs, outputs, inputs * expansion, kernel, stride, groups)
