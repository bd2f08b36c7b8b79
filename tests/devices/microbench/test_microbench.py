"""The micro-benchmark as a whole, on a tiny budget: which figures, of which threads. Never how fast."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from workbench.config import WorkbenchError
from workbench.devices import microbench as package
from workbench.devices.detect import Machine, detect
from workbench.devices.device import CAPABILITY_FIELDS, DeviceCard
from workbench.devices.microbench import Figure, MicroBench, MicroBenchConfig, Progress, microbench
from workbench.devices.microbench.reference import REFERENCES

TINY = MicroBenchConfig(min_rounds=2, max_rounds=2, share_s=0, call_s=0, sweep_to_mib=1, per_octave=1)
ALWAYS = {
    "peak_fp32_gflops",
    "peak_bf16_gflops",
    "conv_fp32_gflops",
    "depthwise_fp32_gflops",
    "elementwise_gbps",
    "reduction_gbps",
    "memory_bandwidth_gbps",
    "launch_overhead_us",
}


@pytest.fixture(scope="module")
def machine() -> Machine:
    """Two cores, whatever the real number, and no caches that would have to be exceeded."""
    return dataclasses.replace(detect(), available_cores=2, cache_kib={})


@pytest.fixture(scope="module")
def told() -> list[Progress]:
    return []


@pytest.fixture(scope="module")
def bench(machine, told) -> MicroBench:
    return microbench(None, machine, 0.0, config=TINY, progress=told.append, references=[REFERENCES["cpu"]])


@pytest.mark.parametrize("threads", [1, 2])
def test_the_figures_make_a_card(bench, threads):
    found = bench.at(threads)
    assert ALWAYS <= set(found) <= set(CAPABILITY_FIELDS)
    DeviceCard("this", **found)


def test_figures_are_finite_within_their_intervals_and_come_from_several_runs(bench):
    for figure in (*bench.figures, *bench.references):
        assert math.isfinite(figure.value)
        assert 0 <= figure.low <= figure.value <= figure.high
        assert figure.value > 0
        assert figure.n_runs >= 2
    assert len({figure[:2] for figure in bench.figures}) == len(bench.figures), "each once"
    assert bench.seconds > 0
    assert bench.device == "cpu"


def test_the_sweep_goes_outwards_for_each_number_of_threads(bench):
    for threads in (1, 2):
        sizes = [point.working_set_kib for point in bench.sweep if point.threads == threads]
        assert sizes == [4 * 2**octave for octave in range(9)]


def test_the_whole_machine_stands_beside_every_number_of_threads(bench):
    # On a busy machine it stands nowhere, see test_all_cores_that_are_slower_than_one_were_disturbed.
    assert bench.at(1).get("parallel_efficiency") == bench.at(2).get("parallel_efficiency")
    assert bench.at(97) == {}


def test_one_core_and_all_of_them_are_timed_whatever_is_asked_for(machine, monkeypatch):
    seen = []
    monkeypatch.setattr(package, "_parallel", lambda rates, cores, wanted: seen.append((rates, cores, wanted)) or [])
    microbench([1], machine, 0.0, config=TINY)
    microbench([2], machine, 0.0, config=TINY)
    for (rates, cores, wanted), asked in zip(seen, ([1], [2]), strict=True):
        assert {rate.threads for rate in rates if rate.name == package.PEAK.name} == {1, 2}
        assert (cores, list(wanted)) == (2, asked)


def test_only_the_threads_asked_for_are_reported(machine):
    bench = microbench([2], machine, 0.0, config=TINY)
    assert {figure.threads for figure in bench.figures} == {2}
    assert bench.at(2).keys() >= ALWAYS


def test_one_core_has_no_parallel_efficiency(machine):
    bench = microbench([1], dataclasses.replace(machine, available_cores=1), 0.0, config=TINY)
    assert "parallel_efficiency" not in bench.at(1)


def test_references_are_no_figures_of_the_card(bench):
    assert {(found.name, found.threads) for found in bench.references} == {("triad_gbps", 1), ("triad_gbps", 2)}
    assert "triad_gbps" not in bench.at(1)


def test_progress_goes_from_nothing_to_all(told, bench):
    done = [progress.done for progress in told]
    assert done == sorted(done)
    assert done[-1] == told[-1].total
    assert {"round 1", "round 2"} <= {progress.stage for progress in told}


def test_threads_and_settings_are_as_before(machine):
    before = torch.get_num_threads(), torch.is_grad_enabled()
    microbench([1], machine, 0.0, config=TINY)
    assert (torch.get_num_threads(), torch.is_grad_enabled()) == before


def test_caches_are_given_in_kib():
    sizes = tuple(Figure(name, 1, value, value, value, 4) for name, value in (("l1_kib", 48.0), ("l3_mib", 32.0)))
    assert MicroBench(sizes, (), 1.0).caches_kib() == {"l1": 48, "l3": 32768}


@pytest.mark.parametrize(("cores", "counts"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])])
def test_thread_counts(cores, counts):
    assert package._thread_counts(cores) == counts


@pytest.mark.parametrize(
    "caches", [{}, {"l1": 32, "l2": 1024}, {"l1": 32, "l2": 512, "l3": 32768}, {"l3": 180_000}, {"l3": 400_000}]
)
def test_the_plan_goes_beyond_every_cache(machine, caches):
    plenty = dataclasses.replace(machine, cache_kib=caches, memory_gib=1024.0)
    sizes, numbers = package._plan(plenty, "cpu", MicroBenchConfig())
    largest = max(caches.values(), default=0)
    reach = min(4 * largest, max(2 * largest, 2**20))  # four times, of large ones as far as a GiB, twice at least
    assert sizes[-1] >= max(reach * 2**-0.25, 256 * 1024)
    assert numbers * 4 >= sizes[-1] * 1024, "the sweep fits"
    assert numbers * 4 / 3 >= 4 * largest * 1024, "so do STREAM's three arrays"


def test_a_small_machine_is_not_filled(machine):
    small = dataclasses.replace(machine, cache_kib={"l3": 400_000}, memory_gib=1.0)
    sizes, numbers = package._plan(small, "cpu", MicroBenchConfig())
    assert sizes[-1] <= 128 * 1024
    assert numbers * 4 <= 2**30 / 8


def test_all_cores_that_are_slower_than_one_were_disturbed():
    one, two = (
        Figure(package.PEAK.name, threads, value, value, value, 3) for threads, value in ((1, 100.0), (2, 190.0))
    )
    assert [(found.threads, found.value) for found in package._parallel([one, two], 2, [1, 2])] == [
        (1, 0.95),
        (2, 0.95),
    ]
    assert package._parallel([one, two._replace(value=5.0)], 2, [1]) == []
    assert package._parallel([one], 1, [1]) == []


def test_a_hasty_look_is_one_round_with_every_figure(machine):
    bench = microbench([1], machine, config=MicroBenchConfig.hasty())
    assert {"peak_fp32_gflops", "memory_bandwidth_gbps", "launch_overhead_us"} <= bench.at(1).keys()
    assert len(package._plan(machine, "cpu", MicroBenchConfig.hasty())[0]) == len(bench.sweep)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"threads": []}, "whole numbers of threads from 1, got []"),
        ({"threads": [0]}, "whole numbers of threads from 1, got [0]"),
        ({"threads": [True]}, "whole numbers of threads from 1, got [True]"),
        ({"device": "cpus"}, "did you mean 'cpu'?"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_sentence(machine, arguments, said):
    with pytest.raises(WorkbenchError) as caught:
        microbench(machine=machine, seconds=0.0, config=TINY, **arguments)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_a_gpu_there_is_nothing_to_measure_on_one(machine, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(WorkbenchError, match="needs an NVIDIA GPU"):
        microbench(machine=machine, device="cuda", config=TINY)


@pytest.mark.parametrize("bounds", [(0, 2), (3, 2)])
def test_a_config_needs_rounds(bounds):
    with pytest.raises(WorkbenchError, match="1 <= min_rounds <= max_rounds"):
        MicroBenchConfig(min_rounds=bounds[0], max_rounds=bounds[1])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_is_measured_by_the_same_code(machine):
    bench = microbench(machine=machine, seconds=0.0, device="cuda", config=TINY)
    assert bench.device == "cuda"
    assert set(bench.at(1)) >= ALWAYS - {"peak_bf16_gflops"}
    assert "parallel_efficiency" not in bench.at(1)
    assert "l3_mib" not in bench.at(1)
    assert bench.at(1)["l2_bandwidth_gbps"] > 0
    assert all(point.bandwidth_gbps > 0 for point in bench.sweep)
