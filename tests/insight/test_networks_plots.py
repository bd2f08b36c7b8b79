"""Drawings of networks: every operation and every block is there once, where it belongs."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.config import WorkbenchError
from workbench.insight.plots.networks import (
    CHAINS,
    MOST_DRAWN,
    NAMES,
    block_diagrams,
    cell_graphs,
    network_drawings,
)
from workbench.spaces import SPACES, get_space


def sample(space: str, count: int, seed: int = 0) -> pd.DataFrame:
    archs = get_space(space).sample(count, np.random.default_rng(seed))
    return pd.DataFrame({"arch": archs, "title": [f"network <{number}>" for number in range(count)]})


def pieces(trace: go.Scatter) -> list[list[float]]:
    """The x values of each polygon or line of a trace."""
    found: list[list[float]] = [[]]
    for value in trace.x:
        if value is None or np.isnan(value):
            found.append([])
        else:
            found[-1].append(value)
    return [piece for piece in found if piece]


@given(seed=st.integers(0, 1000), count=st.integers(1, MOST_DRAWN))
@settings(max_examples=10, deadline=None)
def test_every_operation_of_every_cell_is_an_edge(seed, count):
    frame = sample("nasbench201", count, seed)
    figure = cell_graphs(frame)
    expected = Counter(operation for arch in frame["arch"] for operation in get_space("nasbench201").parse(arch))
    for operation, name in NAMES.items():
        (trace,) = [trace for trace in figure.data if trace.name == name]
        assert len(pieces(trace)) == expected[operation]


@pytest.mark.parametrize("space", CHAINS)
@given(seed=st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_every_block_of_every_chain_is_a_bar(space, seed):
    frame = sample(space, 3, seed)
    blocks = [list(CHAINS[space].blocks(arch)) for arch in frame["arch"]]
    bars = [piece for trace in block_diagrams(frame, space).data if trace.fill == "toself" for piece in pieces(trace)]
    assert len(bars) == sum(map(len, blocks))
    wests = sorted(round(min(bar), 6) for bar in bars[: len(bars)])
    assert len(set(wests)) > len(wests) // 3  # beside each other, not on top


def test_fbnet_has_22_blocks_and_ofa_as_many_as_its_depths_say():
    (arch,) = sample("fbnet", 1)["arch"]
    blocks = list(CHAINS["fbnet"].blocks(arch))
    assert len(blocks) == 22
    said = ["skip" if not b.kernel else f"k{b.kernel}_e{b.expansion}" + ("_g2" if b.groups > 1 else "") for b in blocks]
    assert "|".join(said) == arch
    (arch,) = sample("ofa_mobilenetv3", 1)["arch"]
    assert len(list(CHAINS["ofa_mobilenetv3"].blocks(arch))) == sum(get_space("ofa_mobilenetv3").parse(arch).d)


@pytest.mark.parametrize("space", SPACES)
def test_drawings_keep_their_traces_stay_inside_and_say_what_is_not_drawn(space):
    """The same kinds of traces however many networks there are: a panel draws into the figure that is there."""
    one, many = (network_drawings(sample(space, count), space) for count in (1, MOST_DRAWN + 3))
    assert [trace.type for trace in one.data] == [trace.type for trace in many.data]
    assert f"The first {MOST_DRAWN} of {MOST_DRAWN + 3}" in many.layout.meta["message"]
    assert many.layout.height > one.layout.height
    for figure in (one, many):
        (left, right), (low, high) = figure.layout.xaxis.range, figure.layout.yaxis.range
        for trace in figure.data:
            x, y = (np.array([v for v in values if v is not None], dtype=float) for values in (trace.x, trace.y))
            assert ((x >= left) & (x <= right)).all()
            assert ((y >= low) & (y <= high)).all()
    titles = [text for trace in one.data if trace.mode == "text" for text in trace.text]
    assert "network &lt;0&gt;" in titles


def test_what_cannot_be_drawn_is_a_sentence():
    with pytest.raises(WorkbenchError, match="Unknown space with a drawing 'resnet'"):
        network_drawings(sample("fbnet", 1), "resnet")
    with pytest.raises(WorkbenchError, match="Malformed nasbench201 arch"):
        cell_graphs(sample("fbnet", 1))
    with pytest.raises(WorkbenchError, match="'title'"):
        cell_graphs(sample("nasbench201", 1).drop(columns="title"))
