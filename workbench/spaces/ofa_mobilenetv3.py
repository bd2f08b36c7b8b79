"""The MobileNetV3 space of Once-for-All (Cai et al., ICLR 2020), width 1.0, ImageNet.

Resolution 128-224; five stages of two to four inverted residual blocks with kernel 3, 5 or 7 and expansion 3, 4 or 6.
The arch string is JSON: ``r`` resolution, ``d`` depth of each stage, ``ks`` and ``e`` for 20 block positions, of which
those beyond a stage's depth are ignored.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from workbench.graphs.graph import Graph, GraphBuilder, Op
from workbench.spaces.blocks import add_series, inverted_residual_ops
from workbench.spaces.space import distinct, malformed

if TYPE_CHECKING:
    from torch import nn

RESOLUTIONS = tuple(range(128, 225, 4))
DEPTHS, KERNELS, EXPANSIONS, SLOTS = (2, 3, 4), (3, 5, 7), (3, 4, 6), 4
STEM, FINAL, MIX, CLASSES = 16, 960, 1280, 1000


class Stage(NamedTuple):
    """Width, stride of the first block, squeeze-and-excite, hard-swish."""

    width: int
    stride: int
    squeeze: bool
    swish: bool


STAGES = (
    Stage(24, 2, False, False),
    Stage(40, 2, True, False),
    Stage(80, 2, False, True),
    Stage(112, 1, True, True),
    Stage(160, 2, True, True),
)


class Choices(NamedTuple):
    """Resolution, depth per stage, kernel and expansion per block position (20 each)."""

    r: int
    d: tuple[int, ...]
    ks: tuple[int, ...]
    e: tuple[int, ...]


class Block(NamedTuple):
    """One block that is built: name, channels, hidden channels, input size, kernel, and its stage's properties."""

    name: str
    inputs: int
    outputs: int
    hidden: int
    size: int
    kernel: int
    stride: int
    squeeze: int
    swish: bool


class OFAMobileNetV3:
    """The space; see the module's docstring."""

    name = "ofa_mobilenetv3"
    size = None  # about 2e19 networks per resolution

    def input_shape(self, arch: str) -> tuple[int, int, int]:
        """`3 x r x r`."""
        resolution = self.parse(arch).r
        return (3, resolution, resolution)

    def sample(self, count: int, generator: np.random.Generator) -> list[str]:
        """``count`` distinct networks, every choice drawn uniformly."""
        slots = len(STAGES) * SLOTS

        def draw() -> str:
            kernels, expansions = generator.choice(KERNELS, slots), generator.choice(EXPANSIONS, slots)
            return self.format(
                Choices(
                    int(generator.choice(RESOLUTIONS)),
                    tuple(map(int, generator.choice(DEPTHS, len(STAGES)))),
                    tuple(map(int, kernels)),
                    tuple(map(int, expansions)),
                )
            )

        return distinct(count, draw, self.size, self.name)

    def parse(self, arch: str) -> Choices:
        """The choices in the JSON text."""
        slots = len(STAGES) * SLOTS
        expected = (
            f"JSON with r (128-224), d ({len(STAGES)} of {DEPTHS}), ks ({slots} of {KERNELS}) "
            f"and e ({slots} of {EXPANSIONS})"
        )
        try:
            raw = json.loads(arch)
            choices = Choices(raw["r"], tuple(raw["d"]), tuple(raw["ks"]), tuple(raw["e"]))
        except (TypeError, ValueError, KeyError) as error:
            raise malformed(self.name, arch, expected) from error
        lengths = (len(choices.d), len(choices.ks), len(choices.e)) == (len(STAGES), slots, slots)
        if not lengths or not isinstance(choices.r, int) or not 128 <= choices.r <= 224:
            raise malformed(self.name, arch, expected)
        for values, allowed in ((choices.d, DEPTHS), (choices.ks, KERNELS), (choices.e, EXPANSIONS)):
            if any(type(value) is not int or value not in allowed for value in values):
                raise malformed(self.name, arch, expected)
        return choices

    def format(self, choices: Choices) -> str:
        """The JSON text of ``choices``."""
        fields = {"r": choices.r, "d": list(choices.d), "ks": list(choices.ks), "e": list(choices.e)}
        return json.dumps(fields, separators=(",", ":"))

    def graph(self, arch: str) -> Graph:
        """Stem, two to four tokens per block, head."""
        choices = self.parse(arch)
        size = -(-choices.r // 2)
        builder = GraphBuilder()
        last = builder.add(Op("stem conv 3x3", "conv", 3, STEM, choices.r, size, kernel=3, stride=2, elementwise=2))
        first = inverted_residual_ops("first block", STEM, STEM, STEM, size, 3, 1, expand=False)
        last = add_series(builder, first, last)
        for block in _blocks(choices):
            ops = inverted_residual_ops(
                block.name,
                block.inputs,
                block.outputs,
                block.hidden,
                block.size,
                block.kernel,
                block.stride,
                1,
                block.squeeze,
            )
            last = add_series(builder, ops, last)
            size = ops[-1].out_size
        width = STAGES[-1].width
        last = builder.add(Op("head conv 1x1", "conv", width, FINAL, size, size, elementwise=2), last)
        last = builder.add(Op("head global pool", "global_pool", FINAL, FINAL, size, 1), last)
        last = builder.add(Op("head mix 1x1", "conv", FINAL, MIX, 1, 1, elementwise=1), last)
        builder.add(Op("head classifier", "linear", MIX, CLASSES, 1, 1, bias=True), last)
        return builder.build()

    def module(self, arch: str) -> nn.Module:
        """The network as a torch module; takes `b x 3 x r x r`, returns `b x 1000`."""
        from workbench.spaces.modules import build

        choices = self.parse(arch)
        return build(lambda: _layers(choices))


def _layers(choices: Choices) -> list[nn.Module]:
    from torch import nn

    from workbench.spaces.modules import conv_bn, inverted_residual

    layers: list[nn.Module] = [
        conv_bn(3, STEM, 3, 2, activation=nn.Hardswish()),
        inverted_residual(STEM, STEM, STEM, 3, 1, expand=False),
    ]
    for block in _blocks(choices):
        activation = nn.Hardswish if block.swish else nn.ReLU
        shape = (block.inputs, block.outputs, block.hidden, block.kernel, block.stride)
        layers.append(inverted_residual(*shape, squeeze=block.squeeze, activation=activation))
    layers.append(conv_bn(STAGES[-1].width, FINAL, 1, activation=nn.Hardswish()))
    layers += [nn.AdaptiveAvgPool2d(1), nn.Conv2d(FINAL, MIX, 1, bias=False), nn.Hardswish()]
    return [*layers, nn.Flatten(), nn.Linear(MIX, CLASSES)]


def _blocks(choices: Choices) -> list[Block]:
    blocks, inputs, size = [], STEM, -(-choices.r // 2)
    for index, (stage, depth) in enumerate(zip(STAGES, choices.d, strict=True)):
        for slot in range(depth):
            position = index * SLOTS + slot
            kernel, expansion = choices.ks[position], choices.e[position]
            hidden, stride = inputs * expansion, stage.stride if slot == 0 else 1
            squeeze = _divisible(hidden // 4) if stage.squeeze else 0
            name = f"stage {index + 1} block {slot + 1} k{kernel} e{expansion}"
            blocks.append(Block(name, inputs, stage.width, hidden, size, kernel, stride, squeeze, stage.swish))
            inputs, size = stage.width, -(-size // stride)
    return blocks


def _divisible(channels: int, by: int = 8) -> int:
    """``channels`` rounded to a multiple of ``by`` without losing more than a tenth (MobileNet's rule)."""
    rounded = max(by, (channels + by // 2) // by * by)
    return rounded + by if rounded < 0.9 * channels else rounded
