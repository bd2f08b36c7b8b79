"""Operators under measured roofs, on a machine whose roofs are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from workbench.config import WorkbenchError
from workbench.devices.microbench import Figure, MicroBench
from workbench.graphs.features import physics
from workbench.insight.figures import network_roofline
from workbench.insight.roofs import choose_three, measured_roofs, network_points, operator_roofs
from workbench.spaces import get_space

FIGURES = {
    "peak_fp32_gflops": 100.0,
    "conv_fp32_gflops": 200.0,
    "l1_bandwidth_gbps": 400.0,
    "l2_bandwidth_gbps": 100.0,
    "memory_bandwidth_gbps": 20.0,
    "l1_kib": 32.0,
    "l2_kib": 1024.0,
}
SPACE = "nasbench201"


@pytest.fixture
def bench() -> MicroBench:
    return MicroBench(tuple(Figure(name, 1, value, value, value, 9) for name, value in FIGURES.items()), (), 1.0)


@pytest.fixture(scope="module")
def archs() -> list[str]:
    return get_space(SPACE).sample(60, np.random.default_rng(1))


def test_roofs_are_what_was_measured_with_these_threads(bench):
    roofs = measured_roofs(bench, 1)
    assert roofs.compute_gflops == {"matrix product": 100, "3x3 convolution": 200}
    assert roofs.bandwidth_gbps == {"L1": 400, "L2": 100, "memory": 20}
    assert roofs.size_kib == {"L1": 32, "L2": 1024}
    with pytest.raises(WorkbenchError, match="with 2 threads are not known"):
        measured_roofs(bench, 2)


def test_a_working_set_reads_from_the_smallest_memory_that_holds_it(bench):
    roofs = measured_roofs(bench, 1)
    np.testing.assert_array_equal(
        roofs.slope_gbps(np.array([1, 32, 33, 1024, 1025, 1e9])), [400, 400, 100, 100, 20, 20]
    )


def test_three_networks_grow_in_flops_and_have_nothing_to_fold_away(archs):
    three = choose_three(SPACE, archs)
    graphs = [get_space(SPACE).graph(arch) for arch in three.values()]
    flops = [sum(op.repeat * physics(op).flops for op in graph.ops) for graph in graphs]
    assert [name.split()[0] for name in three] == ["small", "medium", "large"]
    assert flops == sorted(flops)
    assert all(all(graph.live) for graph in graphs)


def test_operators_keep_all_flops_and_bytes_and_obey_their_roof(bench, archs):
    roofs, three = measured_roofs(bench, 1), choose_three(SPACE, archs)
    frame = operator_roofs(SPACE, three, roofs)
    for name, arch in three.items():
        ops = get_space(SPACE).graph(arch).ops
        mine = frame[frame["network"] == name]
        work = [(op.repeat, physics(op)) for op in ops]
        assert mine["flops"].sum() == pytest.approx(sum(n * (p.flops + p.elementwise_flops) for n, p in work))
        assert mine["bytes"].sum() == pytest.approx(sum(n * (p.bytes_read + p.bytes_written) for n, p in work))
    busy = frame[frame["intensity"] > 0]
    np.testing.assert_allclose(busy["flops"] / busy["gflops"] * 1e-6, busy["least_ms"])
    assert (frame["least_ms"] > 0).all()
    ceiling = np.where(busy["name"].str.startswith("3x3 conv"), 200, 100)
    assert (busy["gflops"] <= ceiling).all()


def test_a_batch_multiplies_work_but_not_weights(bench, archs):
    roofs, three = measured_roofs(bench, 1), choose_three(SPACE, archs)
    one, eight = (operator_roofs(SPACE, three, roofs, batch) for batch in (1, 8))
    np.testing.assert_allclose(eight["flops"], 8 * one["flops"])
    assert (eight["bytes"] <= 8 * one["bytes"]).all()
    assert (eight["bytes"] < 8 * one["bytes"]).any()


def test_networks_stand_where_they_were_measured(bench, archs):
    roofs, three = measured_roofs(bench, 1), choose_three(SPACE, archs)
    operators = operator_roofs(SPACE, three, roofs)
    latency = pd.DataFrame({"a": 2.0, "b": [4.0, np.nan, 4.0]}, index=list(three.values()))
    points = network_points(operators, three, latency)
    assert len(points) == 5
    assert (points["gflops"] * points["latency_ms"]).groupby(points["network"]).nunique().max() == 1
    whole = operators.groupby("network")["flops"].sum()
    np.testing.assert_allclose(points["gflops"] * points["latency_ms"] * 1e6, whole.loc[points["network"]])
    figure = network_roofline(operators, points, roofs.compute_gflops, roofs.bandwidth_gbps)
    circles = [trace for trace in figure.data if trace.legendgroup == "operators" and trace.showlegend is False]
    assert sum(len(trace.x) for trace in circles) == (operators["intensity"] > 0).sum()
    least = (points["latency_ms"] / points["least_ms"]).min()
    assert f"takes {least:.2g} times" in figure.layout.title.subtitle.text
    labels = [note.text for note in figure.layout.annotations if "GFLOP/s" not in note.text]
    assert sorted(labels) == sorted(three)


def test_ceilings_that_are_alike_share_a_label(bench, archs):
    roofs, three = measured_roofs(bench, 1), choose_three(SPACE, archs)
    operators = operator_roofs(SPACE, three, roofs)
    points = network_points(operators, three, pd.DataFrame({"a": 2.0}, index=list(three.values())))
    figure = network_roofline(operators, points, {"x": 100.0, "y": 99.0, "z": 50.0}, roofs.bandwidth_gbps)
    assert [note.text for note in figure.layout.annotations if "GFLOP/s" in note.text] == [
        "x, y: 100 GFLOP/s",
        "z: 50 GFLOP/s",
    ]
