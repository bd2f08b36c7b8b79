"""Networks as people draw them: a cell as a graph, a chain of blocks as bars; several side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.config import lookup
from workbench.insight.frames import checked
from workbench.insight.labels import plural, safe
from workbench.insight.template import (
    AMBER,
    BLUE,
    GREEN,
    GREY,
    INK,
    MUTED,
    PAPER,
    PURPLE,
    SKY,
    TOP_MARGIN,
    VERMILION,
    blank,
)
from workbench.spaces import fbnet, get_space, nasbench201, ofa_mobilenetv3

MOST_DRAWN = 12  # networks in one figure
CELLS_PER_ROW, CHAINS_PER_ROW = 4, 2
CELL_HEIGHT, CHAIN_HEIGHT = 190, 130  # pixels


class Stroke(NamedTuple):
    """How an operation of a cell is drawn: what stands beside its edge, the colour, the width and the dash."""

    label: str
    colour: str
    width: float
    dash: str


STROKES = {
    "nor_conv_3x3": Stroke("3×3", BLUE, 4, "solid"),
    "nor_conv_1x1": Stroke("1×1", SKY, 3, "solid"),
    "avg_pool_3x3": Stroke("pool", GREEN, 3, "dash"),
    "skip_connect": Stroke("skip", AMBER, 2, "solid"),
    "none": Stroke("", GREY, 1.2, "dot"),
}
NAMES = {
    "nor_conv_3x3": "conv 3×3", "nor_conv_1x1": "conv 1×1", "avg_pool_3x3": "average pool 3×3", "skip_connect": "skip",
    "none": "none",
}  # fmt: skip
# Nodes of a cell within its unit square, and how far each edge bends upwards.
NODES, BASE = (0.08, 0.36, 0.64, 0.92), 0.34
BENDS = {(0, 1): 0.0, (0, 2): 0.22, (1, 2): 0.0, (0, 3): 0.4, (1, 3): -0.24, (2, 3): 0.0}
BEND_STEPS = np.linspace(0, 1, 15)
LIFT = 0.03  # of a label over its edge
TITLE_AT = 0.97


class Block(NamedTuple):
    """A block of a chain: which stage it belongs to, what it is made of (0 for a skip), and its place in the stage."""

    stage: int
    place: int
    kernel: int
    expansion: int
    groups: int = 1


class Chain(NamedTuple):
    """A space whose networks are chains of blocks.

    Args:
        widths: channels of each stage.
        longest: most blocks of each stage.
        looks: ``(kernel, groups)`` -> colour, of every block that there can be; a skip is ``(0, 1)``.
        blocks: arch -> its blocks.
    """

    widths: tuple[int, ...]
    longest: tuple[int, ...]
    looks: dict[tuple[int, int], str]
    blocks: Callable[[str], Iterator[Block]]


def network_drawings(frame: pd.DataFrame, space: str) -> go.Figure:
    """Networks of ``space`` as that space's are drawn; see `cell_graphs` and `block_diagrams`."""
    return lookup("space with a drawing", DRAWINGS, space)(frame)


def cell_graphs(frame: pd.DataFrame) -> go.Figure:
    """Cells of NAS-Bench-201: four nodes and six edges, each labelled with its operation.

    Args:
        frame: one row per network, of which `MOST_DRAWN` are drawn: ``arch`` and ``title``.

    Raises:
        WorkbenchError: a column is missing, or an arch is malformed.
    """
    figure, frame = _sheet(frame, "cell-graphs", "Cells", CELLS_PER_ROW, CELL_HEIGHT)
    cells = [get_space(nasbench201.NASBench201.name).parse(arch) for arch in frame["arch"]]
    corners = _corners(len(frame), CELLS_PER_ROW)
    marks: list[tuple[float, float, str]] = []
    for operation, stroke in STROKES.items():
        x, y = [], []
        for (left, foot), cell in zip(corners, cells, strict=True):
            for edge, chosen in zip(nasbench201.EDGES, cell, strict=True):
                if chosen == operation:
                    start, end = (NODES[node] for node in edge)
                    x += [*(left + start + (end - start) * BEND_STEPS), None]
                    y += [*(foot + BASE + 4 * BENDS[edge] * BEND_STEPS * (1 - BEND_STEPS)), None]
                    marks.append((left + (start + end) / 2, foot + BASE + BENDS[edge] + LIFT, stroke.label))
        line = {"color": stroke.colour, "width": stroke.width, "dash": stroke.dash}
        figure.add_scatter(x=x, y=y, mode="lines", name=NAMES[operation], line=line, showlegend=True, hoverinfo="skip")
    figure.add_scatter(
        x=[left + node for left, _ in corners for node in NODES], y=[foot + BASE for _, foot in corners for _ in NODES],
        mode="markers+text", text=["in", "1", "2", "out"] * len(corners), textfont={"color": PAPER, "size": 9},
        marker={"color": INK, "size": 20}, showlegend=False, hoverinfo="skip",
    )  # fmt: skip
    figure.add_trace(_words(marks, 11, INK, "top center"))
    return figure


def block_diagrams(frame: pd.DataFrame, space: str) -> go.Figure:
    """Networks that are chains of blocks: a bar per block, stage by stage; the higher the wider inside.

    Args:
        frame: one row per network, of which `MOST_DRAWN` are drawn: ``arch`` and ``title``.
        space: key of `CHAINS`.

    Raises:
        WorkbenchError: a column is missing, an arch is malformed, or no chains are known of that space.
    """
    chain = lookup("space of chains", CHAINS, space)
    figure, frame = _sheet(
        frame, "block-diagrams", "Blocks", CHAINS_PER_ROW, CHAIN_HEIGHT, "; height: expansion, below: channels"
    )
    starts = np.cumsum([0.0, *(count + 0.7 for count in chain.longest[:-1])])
    step = 0.94 / (starts[-1] + chain.longest[-1])
    corners = _corners(len(frame), CHAINS_PER_ROW)
    drawn = [list(chain.blocks(arch)) for arch in frame["arch"]]
    for look, colour in chain.looks.items():
        x, y = [], []
        for (left, foot), blocks in zip(corners, drawn, strict=True):
            for block in blocks:
                if (block.kernel, block.groups) == look:
                    west = left + 0.03 + step * (starts[block.stage] + block.place)
                    east, north = west + 0.82 * step, foot + 0.25 + (0.03 + 0.09 * block.expansion)
                    x += [west, west, east, east, west, None]
                    y += [foot + 0.25, north, north, foot + 0.25, foot + 0.25, None]
        figure.add_scatter(
            x=x, y=y, mode="lines", fill="toself", fillcolor=colour, line={"color": colour, "width": 0.5},
            name=_look(*look), showlegend=True, hoverinfo="skip",
        )  # fmt: skip
    middles = [0.03 + step * (start + count / 2) for start, count in zip(starts, chain.longest, strict=True)]
    marks = [
        (left + middle, foot + 0.23, str(width))
        for left, foot in corners
        for middle, width in zip(middles, chain.widths, strict=True)
    ]
    figure.add_trace(_words(marks, 10, MUTED, "bottom center"))
    return figure


def _sheet(
    frame: pd.DataFrame, name: str, title: str, columns: int, height: int, legend: str = ""
) -> tuple[go.Figure, pd.DataFrame]:
    """A figure with the titles of the networks that it has room for, and these."""
    frame = checked(frame, name, words=["arch", "title"])
    some = frame.head(MOST_DRAWN)
    rows = -(-len(some) // columns)
    drawn = plural(len(some), "network")
    if len(some) < len(frame):
        drawn = f"The first {len(some)} of {len(frame)} networks"
    figure = blank(title, f"{drawn} drawn{legend}.", height=TOP_MARGIN + rows * height + 16)
    corners = _corners(len(some), columns)
    places = zip(corners, some["title"], strict=True)
    titles = [(left + 0.5, foot + TITLE_AT, safe(text)) for (left, foot), text in places]
    figure.add_trace(_words(titles, 13, INK, "middle center"))
    still = {"visible": False, "fixedrange": True, "title_text": "Drawing (no unit)"}
    figure.update_xaxes(range=[0, columns], **still)
    figure.update_yaxes(range=[1 - rows, 1.02], **still)
    return figure.update_layout(margin={"l": 8, "r": 8, "b": 8}), some


def _corners(count: int, columns: int) -> list[tuple[float, float]]:
    """Left and foot of the unit square of each of ``count`` drawings, row by row from the top."""
    return [(float(index % columns), -float(index // columns)) for index in range(count)]


def _words(marks: list[tuple[float, float, str]], size: int, colour: str, place: str) -> go.Scatter:
    x, y, text = zip(*marks, strict=True)
    return go.Scatter(
        x=x, y=y, text=text, mode="text", textposition=place, textfont={"size": size, "color": colour},
        showlegend=False, hoverinfo="skip",
    )  # fmt: skip


def _look(kernel: int, groups: int) -> str:
    if not kernel:
        return "skip"
    return f"depthwise {kernel}×{kernel}" + (f", {groups} groups" if groups > 1 else "")


def _fbnet_blocks(arch: str) -> Iterator[Block]:
    names = iter(get_space(fbnet.FBNet.name).parse(arch))
    for stage, (_, count, _) in enumerate(fbnet.STAGES):
        for place in range(count):
            name = next(names)
            parts = {} if name == "skip" else {part[0]: int(part[1:]) for part in name.split("_")}
            yield Block(stage, place, parts.get("k", 0), parts.get("e", 0), parts.get("g", 1))


def _ofa_blocks(arch: str) -> Iterator[Block]:
    choices = get_space(ofa_mobilenetv3.OFAMobileNetV3.name).parse(arch)
    for stage, depth in enumerate(choices.d):
        for place in range(depth):
            slot = stage * ofa_mobilenetv3.SLOTS + place
            yield Block(stage, place, choices.ks[slot], choices.e[slot])


CHAINS = {
    fbnet.FBNet.name: Chain(
        tuple(width for width, _, _ in fbnet.STAGES),
        tuple(count for _, count, _ in fbnet.STAGES),
        {(3, 1): SKY, (5, 1): BLUE, (3, 2): AMBER, (5, 2): VERMILION, (0, 1): GREY},
        _fbnet_blocks,
    ),
    ofa_mobilenetv3.OFAMobileNetV3.name: Chain(
        tuple(stage.width for stage in ofa_mobilenetv3.STAGES),
        (ofa_mobilenetv3.SLOTS,) * len(ofa_mobilenetv3.STAGES),
        {(3, 1): SKY, (5, 1): BLUE, (7, 1): PURPLE},
        _ofa_blocks,
    ),
}

#: How the networks of a space are drawn.
DRAWINGS: dict[str, Callable[[pd.DataFrame], go.Figure]] = {
    nasbench201.NASBench201.name: cell_graphs,
    **{space: partial(block_diagrams, space=space) for space in CHAINS},
}
