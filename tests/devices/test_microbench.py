"""The micro-benchmark: which figures, in which units, from which working sets. Never how fast."""

from __future__ import annotations

import dataclasses
import math

import pytest

from workbench.devices import microbench as module
from workbench.devices.detect import Machine, detect
from workbench.devices.device import CAPABILITY_FIELDS
from workbench.devices.microbench import Figure, MicroBench, microbench

THREADS = 1


@pytest.fixture(scope="module")
def machine() -> Machine:
    return dataclasses.replace(detect(), cache_kib={"l1": 32, "l2": 512, "l3": 4096})


@pytest.fixture(scope="module")
def bench(machine) -> MicroBench:
    """The real thing on a tiny budget."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MATMUL_SIZES", (48, 64))
        patch.setattr(module, "ROUNDS", 1)
        return microbench([THREADS], machine, seconds=0.05)


def test_every_figure_is_a_field_of_the_card(bench):
    expected = {
        "peak_fp32_gflops",
        "peak_bf16_gflops",
        "l1_bandwidth_gbps",
        "l2_bandwidth_gbps",
        "l3_bandwidth_gbps",
        "memory_bandwidth_gbps",
        "launch_overhead_us",
    }
    assert set(bench.at(THREADS)) == expected
    assert expected <= set(CAPABILITY_FIELDS)
    assert len(bench.figures) == len(expected)


def test_figures_are_finite_and_come_from_several_runs(bench):
    for figure in (*bench.figures, *bench.sweep):
        assert figure.threads == THREADS
        assert figure.n_runs >= 3
        assert figure.spread >= 0
    assert all(math.isfinite(figure.value) and figure.value > 0 for figure in bench.figures)
    assert all(math.isfinite(point.bandwidth_gbps) and point.bandwidth_gbps > 0 for point in bench.sweep)
    assert bench.seconds > 0


def test_a_level_reports_its_best_working_set(bench):
    best = max(point.bandwidth_gbps for point in bench.sweep if point.working_set_kib < 32)
    assert bench.at(THREADS)["l1_bandwidth_gbps"] == best


def test_the_sweep_goes_outwards(bench):
    sizes = [point.working_set_kib for point in bench.sweep]
    assert sizes == sorted(sizes)
    assert sizes[0] < 32
    assert sizes[-1] > 4 * 4096


def test_threads_that_were_not_measured_have_no_figures(bench):
    assert bench.at(97) == {}


def test_units_are_those_of_the_names(monkeypatch):
    monkeypatch.setattr(module, "_samples", lambda run, seconds, least=5: module.np.array([1e6, 1e6, 1e6]))
    monkeypatch.setattr(module, "MATMUL_SIZES", (100,))
    assert module._peak("peak_fp32_gflops", 1, 0).value == pytest.approx(2 * 100**3 / 1e-3 / 1e9)
    point = module._read_bandwidth(16 * 1024, 1, 0)
    assert point.working_set_kib == 16 * 1024
    assert point.bandwidth_gbps == pytest.approx(16 * 2**20 / 1e-3 / 1e9)
    assert module._overhead(1, 0).value == pytest.approx(1e-3 * 1e6 / 100)


def test_the_better_round_counts():
    rounds = [
        Figure("peak_fp32_gflops", 1, 50.0, 0.1, 9),
        Figure("launch_overhead_us", 1, 3.0, 0.1, 9),
        Figure("peak_fp32_gflops", 1, 60.0, 0.2, 8),
        Figure("launch_overhead_us", 1, 2.0, 0.2, 8),
        Figure("peak_fp32_gflops", 2, 10.0, 0.1, 9),
    ]
    assert MicroBench(module._best(rounds), (), 0.0).at(1) == {"peak_fp32_gflops": 60.0, "launch_overhead_us": 2.0}
    assert MicroBench(module._best(rounds), (), 0.0).at(2) == {"peak_fp32_gflops": 10.0}


@pytest.mark.parametrize(("cores", "counts"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])])
def test_thread_counts(cores, counts):
    assert module._thread_counts(cores) == counts


@pytest.mark.parametrize(
    "caches",
    [{}, {"l1": 48}, {"l1": 32, "l2": 1024}, {"l1": 32, "l2": 512, "l3": 4096}, {"l1": 48, "l2": 2048, "l3": 107520}],
)
def test_working_sets_lie_in_their_level(caches):
    levels = module._levels(caches)
    known = caches if "l2" in caches else module.DEFAULT_CACHE_KIB
    assert max(levels["l1_bandwidth_gbps"]) < known["l1"] < min(levels["l2_bandwidth_gbps"])
    assert max(levels["l2_bandwidth_gbps"]) < known["l2"]
    if "l3_bandwidth_gbps" in levels:
        assert known["l2"] < min(levels["l3_bandwidth_gbps"])
        assert max(levels["l3_bandwidth_gbps"]) < known["l3"]
    assert min(levels["memory_bandwidth_gbps"]) >= 4 * max(known.values())


def test_a_last_level_that_is_hardly_larger_is_no_level_of_its_own():
    assert "l3_bandwidth_gbps" not in module._levels({"l1": 32, "l2": 2048, "l3": 4096})
