"""Networks as arrays: sums, liveness, and a cache that knows what it holds."""

from __future__ import annotations

import inspect
import time

import numpy as np
import pytest

from workbench.config import WorkbenchError
from workbench.data import networks as module
from workbench.data.networks import OPERATOR_FEATURES, Networks, encode
from workbench.graphs.features import PHYSICS, cost_key, op_physics, physics
from workbench.spaces import SPACES, get_space

UNUSED = "|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
FULL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_1x1~0|nor_conv_3x3~1|nor_conv_3x3~2|"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def draw(space: str, count: int = 12, seed: int = 0) -> list[str]:
    return get_space(space).sample(count, np.random.default_rng(seed))


def assert_same(first: Networks, second: Networks) -> None:
    assert (first.space, first.archs, first.operators) == (second.space, second.archs, second.operators)
    assert first.row == second.row
    for name in ("live", "features", "quantities", "counts", "physics", "roots", "census"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)


@pytest.mark.parametrize("space", SPACES)
def test_sums_are_those_of_the_graphs(space):
    archs = draw(space)
    networks = encode(space, archs)
    graphs = [get_space(space).graph(arch) for arch in archs]
    totals = [sum(op.repeat * np.array(physics(op)) for op in graph.ops) for graph in graphs]
    np.testing.assert_allclose(networks.counts @ op_physics(networks.operators), totals, rtol=1e-6)
    flops = [sum(op.repeat * physics(op).flops for op in graph.ops) for graph in graphs]
    np.testing.assert_allclose(networks.flops, flops, rtol=1e-6)
    weights = [sum(op.repeat * physics(op).weight_bytes for op in graph.ops) / 4 for graph in graphs]
    np.testing.assert_allclose(networks.parameters, weights, rtol=1e-6)


@pytest.mark.parametrize("space", SPACES)
def test_shapes_and_scales(space):
    networks = encode(space, draw(space))
    count, operators = len(networks), len(networks.operators)
    assert count == 12
    assert networks.counts.shape == (count, operators)
    assert networks.features.shape == (operators, len(OPERATOR_FEATURES))
    assert networks.live.shape == (operators,)
    assert networks.counts.any(axis=0).all(), "every operator occurs"
    np.testing.assert_allclose((networks.counts @ networks.quantities).mean(axis=0), 1, rtol=1e-5)
    np.testing.assert_allclose(networks.features.mean(axis=0), 0, atol=1e-4)
    assert (networks.physics.std(axis=0) > 0).all()
    assert (networks.census.std(axis=0) > 0).all()
    assert (
        len({(cost_key(op), bool(live)) for op, live in zip(networks.operators, networks.live, strict=True)})
        == operators
    )


def test_dead_and_live_copies_are_different_operators():
    networks = encode("nasbench201", [UNUSED, FULL])
    conv = [
        i
        for i, op in enumerate(networks.operators)
        if (op.kind, op.kernel, op.in_channels, op.stride) == ("conv", 3, 16, 1)
    ]
    by_life = {bool(networks.live[i]): networks.counts[:, i].tolist() for i in conv}
    assert by_life == {True: [0, 25], False: [5, 0]}


def test_physical_sums_leave_dead_operators_out_and_then_count_them():
    networks = encode("nasbench201", [UNUSED, FULL])
    dead = op_physics(networks.operators)[~networks.live]
    live_sums, all_sums = np.split(networks.physics, 2, axis=1)
    assert live_sums.shape == all_sums.shape
    flops = next(i for i, name in enumerate(PHYSICS) if name == "dense_flops")
    assert all_sums[0, 0] - live_sums[0, 0] == pytest.approx((networks.counts[0, ~networks.live] @ dead)[flops])


def test_rows_and_tokens():
    archs = draw("nasbench201")
    networks = encode("nasbench201", archs)
    assert networks.rows([archs[5], archs[0]]).tolist() == [5, 0]
    for row in (0, 7):
        graph = get_space("nasbench201").graph(archs[row])
        tokens = networks.tokens(graph)
        counts = np.zeros(len(networks.operators))
        np.add.at(counts, tokens, [op.repeat for op in graph.ops])
        np.testing.assert_array_equal(counts, networks.counts[row])
        assert [bool(networks.live[token]) for token in tokens] == list(graph.live)


@pytest.mark.parametrize("space", SPACES)
def test_the_cache_gives_back_what_was_computed(space, cache, monkeypatch):
    archs = draw(space)
    fresh = encode(space, archs)
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(module, "tokenize", lambda graphs: pytest.fail("computed again"))
    assert_same(encode(space, archs), fresh)


def test_other_networks_are_not_taken_from_the_cache(cache):
    archs = draw("nasbench201")
    first = encode("nasbench201", archs)
    turned = encode("nasbench201", archs[::-1])
    assert len(list(cache.iterdir())) == 2
    assert turned.archs == first.archs[::-1]
    np.testing.assert_array_equal(turned.flops, first.flops[::-1])


@pytest.mark.parametrize("space", ["fbnet", "ofa_mobilenetv3"])
def test_the_cache_is_keyed_by_all_code_that_makes_the_graphs(space, monkeypatch):
    """A change to the blocks that two spaces share must not find the old tokens."""
    seen = []
    monkeypatch.setattr(module.inspect, "getsource", lambda source: seen.append(source.__name__) or source.__name__)
    encode(space, draw(space, 2))
    makes = {value.__module__ for value in vars(inspect.getmodule(type(get_space(space)))).values() if callable(value)}
    needed = {name for name in makes if name.startswith(("workbench.graphs", "workbench.spaces"))}
    assert "workbench.spaces.blocks" in needed
    assert needed - {"workbench.spaces.space"} <= set(seen)


def test_a_damaged_cache_file_is_no_traceback(cache):
    archs = draw("nasbench201", 3)
    fresh = encode("nasbench201", archs)
    (file,) = cache.iterdir()
    file.write_bytes(file.read_bytes()[:100])
    try:
        assert_same(encode("nasbench201", archs), fresh)
    except WorkbenchError as error:
        assert str(file) in str(error)  # noqa: PT017


def test_a_cache_file_with_other_bytes_is_made_anew(cache):
    archs = draw("nasbench201", 30)
    fresh = encode("nasbench201", archs)
    (file,) = cache.iterdir()
    content = bytearray(file.read_bytes())
    for place in range(60, len(content), 40):
        content[place] ^= 255
    file.write_bytes(content)
    assert_same(encode("nasbench201", archs), fresh)
    assert_same(encode("nasbench201", archs), fresh)


def test_a_cache_that_cannot_be_written_is_none(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "file" / "below"))
    assert len(encode("nasbench201", draw("nasbench201", 3))) == 3


def test_malformed_networks_leave_no_cache(cache):
    with pytest.raises(WorkbenchError, match="Malformed nasbench201 arch"):
        encode("nasbench201", [FULL, "|none~0|"])
    assert not cache.exists() or not list(cache.iterdir())


@pytest.mark.slow
def test_the_whole_of_nasbench201_takes_ten_seconds_at_most():
    archs = SPACES["nasbench201"].all()
    start = time.process_time()
    networks = encode("nasbench201", archs)
    first = time.process_time() - start
    encode("nasbench201", archs)
    assert len(networks) == 15_625
    assert first < 10
    assert time.process_time() - start - first < first


def test_roots_are_those_of_single_live_operators():
    """Two small convolutions have more of them than one with the work of both."""
    networks = encode("nasbench201", [UNUSED, FULL])
    told = dict(zip(PHYSICS, op_physics(networks.operators).T, strict=True))
    roots = networks.counts * networks.live @ np.sqrt(told["dense_flops"])
    np.testing.assert_allclose(networks.roots[:, 0], roots)
    whole = np.sqrt(networks.counts * networks.live @ told["dense_flops"])
    assert (networks.roots[:, 0] > whole).all()
