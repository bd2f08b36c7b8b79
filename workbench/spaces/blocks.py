"""Operator tokens of the inverted residual block, which FBNet and MobileNetV3 share."""

from __future__ import annotations

from functools import cache

from workbench.graphs.graph import GraphBuilder, Op


@cache
def inverted_residual_ops(
    name: str,
    inputs: int,
    outputs: int,
    hidden: int,
    size: int,
    kernel: int,
    stride: int,
    groups: int = 1,
    squeeze: int = 0,
    expand: bool = True,
) -> tuple[Op, ...]:
    """The tokens, in series: expansion, shuffle, depthwise, squeeze-and-excite, projection; the residual add travels
    with the projection."""
    after = -(-size // stride)
    ops: list[Op] = []
    if expand:
        ops.append(Op(f"{name} expand 1x1", "conv", inputs, hidden, size, size, groups=groups, elementwise=2))
    if groups > 1:
        ops.append(Op(f"{name} shuffle", "shuffle", hidden, hidden, size, size))
    depthwise = {"kernel": kernel, "stride": stride, "groups": hidden, "elementwise": 2}
    ops.append(Op(f"{name} depthwise {kernel}x{kernel}", "conv", hidden, hidden, size, after, **depthwise))
    if squeeze:
        ops.append(Op(f"{name} squeeze-excite", "squeeze_excite", hidden, hidden, after, after, hidden=squeeze))
    residual = int(stride == 1 and inputs == outputs)
    project = {"groups": groups, "elementwise": 1 + residual}
    ops.append(Op(f"{name} project 1x1", "conv", hidden, outputs, after, after, **project))
    return tuple(ops)


def add_series(builder: GraphBuilder, ops: tuple[Op, ...], entry: int) -> int:
    """Append ``ops`` one after another behind ``entry``; a residual add closes the edge around them."""
    last = entry
    for op in ops:
        last = builder.add(op, last)
    keeps = (ops[0].in_channels, ops[0].in_size) == (ops[-1].out_channels, ops[-1].out_size)
    if len(ops) > 1 and keeps:
        builder.edges.append((entry, last))
    return last
