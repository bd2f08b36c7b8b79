"""The contract of every search space: strings, graphs and runnable networks say the same thing."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from workbench.config import WorkbenchError
from workbench.graphs.features import physics
from workbench.graphs.graph import KINDS, Graph
from workbench.spaces import SPACES, get_space

pytestmark = pytest.mark.parametrize("name", SPACES)

#: Operators that hold convolutions or linear layers, and how many.
LAYERS = {"conv": 1, "linear": 1, "squeeze_excite": 2}


def sample(name: str, count: int, seed: int = 0) -> list[str]:
    return SPACES[name].sample(count, np.random.default_rng(seed))


def refused(name: str, arch: object) -> str:
    """The sentence for a malformed arch, after checking that it is one."""
    with pytest.raises(WorkbenchError) as caught:
        SPACES[name].parse(arch)
    sentence = str(caught.value)
    assert sentence.startswith(f"Malformed {name} arch ")
    assert "expected" in sentence
    assert sentence.endswith("correct the string.")
    assert len(sentence.splitlines()) == 1
    return sentence


def test_is_found_by_name(name):
    assert get_space(name).name == name
    with pytest.raises(WorkbenchError, match=f"Unknown space '{name}x'; did you mean '{name}'"):
        get_space(f"{name}x")


@given(seed=st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_strings_parse_and_format_back(name, seed):
    for arch in sample(name, 2, seed):
        assert SPACES[name].format(SPACES[name].parse(arch)) == arch
        assert isinstance(arch, str)


def test_published_strings_parse_and_format_back(name, shared_data):
    archs = pd.read_parquet(shared_data / "data" / f"{name}.parquet", columns=["arch"])["arch"]
    space = SPACES[name]
    assert len(archs) >= 5000
    assert [space.format(space.parse(arch)) for arch in archs] == list(archs)


@pytest.mark.parametrize(
    "arch", ["", "|", "none", None, 5, float("nan"), "{}", "[]", "skip|skip", "|none~0|+|none~0|none~1|"]
)
def test_malformed_strings_are_one_sentence(name, arch):
    assert str(arch)[:90] in refused(name, arch)


@given(text=st.text(max_size=200))
@settings(max_examples=50, deadline=None)
def test_any_text_is_refused_in_one_sentence(name, text):
    assert len(refused(name, text)) < 600


@given(data=st.data(), seed=st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_a_damaged_string_is_refused_or_is_another_network(name, data, seed):
    """One character more, less or other: never another error, and never the same choices."""
    (arch,) = sample(name, 1, seed)
    place = data.draw(st.integers(0, len(arch) - 1))
    put = data.draw(st.sampled_from(["", "|", "+", "~", "0", "3", ",", "x", " ", "."]))
    damaged = arch[:place] + put + arch[place + 1 :]
    if damaged == arch:
        return
    try:
        choices = SPACES[name].parse(damaged)
    except WorkbenchError:
        refused(name, damaged)
    else:
        if SPACES[name].format(choices) == damaged:
            assert choices != SPACES[name].parse(arch)
        SPACES[name].graph(damaged)


def test_samples_are_distinct_and_follow_the_generator(name):
    first = sample(name, 300)
    assert len(set(first)) == 300
    assert sample(name, 300) == first
    assert sample(name, 300, seed=1) != first
    assert sample(name, 0) == []


def test_sampling_leaves_global_random_streams_alone(name):
    numpy_before, torch_before = np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    SPACES[name].module(sample(name, 3)[0])
    numpy_after = np.random.get_state()  # noqa: NPY002
    assert numpy_before[2:] == numpy_after[2:]
    np.testing.assert_array_equal(numpy_before[1], numpy_after[1])
    assert torch.equal(torch_before, torch.get_rng_state())


def test_asking_for_more_than_there_are_raises(name):
    space = SPACES[name]
    with pytest.raises(WorkbenchError, match=r"Cannot draw -1 .* from " + name):
        sample(name, -1)
    if space.size is not None:
        with pytest.raises(WorkbenchError, match=f"Cannot draw {space.size + 1} distinct networks from {name}"):
            sample(name, space.size + 1)


def flops_of_module(name: str, arch: str) -> tuple[int, int]:
    """FLOPs that torch counts in one forward pass, and how often a convolution or linear layer is called."""
    space = SPACES[name]
    module, calls = space.module(arch).to("meta"), []
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(torch.empty(1, *space.input_shape(arch), device="meta"))
    return counter.get_total_flops(), len(calls)


def test_graph_and_module_agree_on_flops_and_operators(name):
    for arch in sample(name, 5):
        graph = SPACES[name].graph(arch)
        flops, calls = flops_of_module(name, arch)
        assert sum(op.repeat * physics(op).flops for op in graph.ops) == flops
        assert sum(op.repeat * LAYERS.get(op.kind, 0) for op in graph.ops) == calls


def test_graph_and_module_agree_on_weights(name):
    (arch,) = sample(name, 1, seed=5)
    module = SPACES[name].module(arch)
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    weights = sum(parameter.numel() for layer in layers for parameter in layer.parameters())
    assert sum(op.repeat * physics(op).weight_bytes for op in SPACES[name].graph(arch).ops) == 4 * weights


def test_module_runs(name):
    space = SPACES[name]
    (arch,) = sample(name, 1, seed=2)
    module = space.module(arch)
    assert not any(part.training for part in module.modules())
    images = torch.randn(2, *space.input_shape(arch), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        out, single = module(images), module(images[:1])
        again = space.module(arch)(images)
    assert out.shape == (2, space.graph(arch).ops[-1].out_channels)
    assert out.isfinite().all()
    assert torch.equal(out, again), "the same arch has the same weights"
    torch.testing.assert_close(out[:1], single, rtol=0.01, atol=1e-3 * out.abs().max().item())


def shapes_agree(graph: Graph, producer: int, consumer: int) -> bool:
    """Whether what ``producer`` writes is what ``consumer`` reads; a shortcut may join at its output."""
    made, used = graph.ops[producer], graph.ops[consumer]
    written = (made.out_channels, made.out_size)
    return written in ((used.in_channels, used.in_size), (used.out_channels, used.out_size))


def test_graph_is_well_formed(name):
    for arch in sample(name, 20, seed=1):
        graph = SPACES[name].graph(arch)
        assert graph == SPACES[name].graph(arch)
        assert (graph.ops[0].in_channels, graph.ops[0].in_size) == SPACES[name].input_shape(arch)[:2]
        assert graph.ops[-1].kind == "linear"
        assert {op.kind for op in graph.ops} <= set(KINDS)
        assert len({op.name for op in graph.ops}) == len(graph.ops), "names tell tokens apart"
        assert {consumer for _, consumer in graph.edges} == set(range(1, len(graph.ops))), "every token is fed"
        assert all(shapes_agree(graph, *edge) for edge in graph.edges)
        assert len(set(graph.edges)) == len(graph.edges), "an edge stands once"


def test_choices_change_the_graph(name):
    graphs = {(graph.ops, graph.edges) for graph in map(SPACES[name].graph, sample(name, 30))}
    assert len(graphs) == 30
    json.dumps([op.name for ops, _ in graphs for op in ops])
