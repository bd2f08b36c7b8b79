"""The kernels: that they do the work which is counted, and which readings count. Never how fast."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from workbench.devices.device import CAPABILITY_FIELDS
from workbench.devices.microbench.rates import (
    KERNELS,
    LEAST_RUNS,
    PEAK,
    TRIAD_SCALAR,
    Kernel,
    Reading,
    readings,
    summary,
    thirds,
    with_peak,
)

BY_NAME = {kernel.name: kernel for kernel in KERNELS}
MILLISECOND = 1_000_000


@pytest.fixture
def arena() -> torch.Tensor:
    return torch.arange(3000, dtype=torch.float32)


def build(name, arena):
    kernel = BY_NAME[name]
    return kernel.build(kernel.scales[0], arena)


def read(kernel, arena, stopwatch=lambda run: MILLISECOND, call_s=0.0):
    return list(readings(kernel, 1, arena, stopwatch, share_s=0.0, call_s=call_s))


@pytest.mark.parametrize("name", BY_NAME)
def test_every_kernel_is_a_field_of_the_card_and_runs(name, arena):
    assert name in CAPABILITY_FIELDS
    work, run = build(name, arena)
    assert work > 0
    run()


@pytest.mark.parametrize("name", ["peak_fp32_gflops", "peak_bf16_gflops", "conv_fp32_gflops", "depthwise_fp32_gflops"])
def test_flops_are_those_that_torch_counts(name, arena):
    work, run = build(name, arena)
    with FlopCounterMode(display=False) as counter:
        run()
    assert counter.get_total_flops() == work


def test_the_scale_of_a_convolution_is_its_batch(arena):
    kernel = BY_NAME["conv_fp32_gflops"]
    assert kernel.build(4, arena)[0] == 4 * kernel.build(1, arena)[0]


def test_an_int8_product_is_right(arena):
    """A product in another precision would be counted as an integer one."""
    _, run = build("peak_int8_gops", arena)
    assert run().dtype == torch.int32


def test_bytes_are_those_of_the_arrays(arena):
    array = arena.nbytes // 3
    assert build("memory_bandwidth_gbps", arena)[0] == 3 * array
    assert build("elementwise_gbps", arena)[0] == 3 * array
    assert build("reduction_gbps", arena)[0] == array


def test_the_triad_is_a_triad(arena):
    _, b, c = (part.clone() for part in thirds(arena))
    build("memory_bandwidth_gbps", arena)[1]()
    assert torch.equal(thirds(arena)[0], b + TRIAD_SCALAR * c)


@pytest.mark.parametrize("numbers", [3, 10, 11, 12, 1000])
def test_thirds_are_alike_and_disjoint(numbers):
    parts = thirds(torch.arange(numbers))
    assert len({len(part) for part in parts}) == 1
    assert len(torch.cat(parts).unique()) == 3 * (numbers // 3)


def test_units_are_those_of_the_names(arena):
    assert read(PEAK, arena)[0].value == pytest.approx(2 * PEAK.scales[0] ** 3 / 1e-3 / 1e9)
    assert read(BY_NAME["reduction_gbps"], arena)[0].value == pytest.approx(4000 / 1e-3 / 1e9)
    overhead = BY_NAME["launch_overhead_us"]
    assert read(overhead, arena)[0].value == pytest.approx(1000 / overhead.scales[0])


def test_a_reading_is_the_median_of_several_runs(arena):
    times = iter([MILLISECOND, 2 * MILLISECOND, 90 * MILLISECOND])
    found = read(PEAK, arena, stopwatch=lambda run: next(times))[0]
    assert found.n_runs == LEAST_RUNS
    assert found.value == pytest.approx(2 * PEAK.scales[0] ** 3 / 2e-3 / 1e9)


def ladder(times_ms, refuses_from=None, optional=False):
    """A kernel whose calls at scale 1, 2, ... take ``times_ms``, and its stopwatch."""

    def build(scale, arena):
        if refuses_from is not None and scale >= refuses_from:
            raise RuntimeError("not implemented for this device")
        return 1e6 * scale, lambda: scale

    scales = tuple(range(1, len(times_ms) + 1))
    return Kernel("reduction_gbps", scales, build, optional), lambda run: int(times_ms[run() - 1] * MILLISECOND)


def test_problems_grow_until_a_call_takes_long_enough(arena):
    kernel, stopwatch = ladder([0.5, 1, 2.9, 3, 6, 12])
    assert [reading.scale for reading in read(kernel, arena, stopwatch, call_s=0.003)] == [1, 2, 3, 4]
    assert [reading.scale for reading in read(kernel, arena, stopwatch, call_s=1)] == [1, 2, 3, 4, 5, 6]


def test_what_the_device_refuses_is_unknown_only_if_it_may(arena):
    kernel, stopwatch = ladder([1, 1, 1], refuses_from=2, optional=True)
    assert [reading.scale for reading in read(kernel, arena, stopwatch, call_s=1)] == [1]
    with pytest.raises(RuntimeError, match="not implemented"):
        read(kernel._replace(optional=False), arena, stopwatch, call_s=1)


def rounds(*values, name="peak_fp32_gflops", scale=1, threads=1):
    return [Reading(name, threads, scale, value, 3) for value in values]


def test_the_scale_that_reads_best_counts():
    found = summary([*rounds(10, 11, scale=1), *rounds(20, 21, scale=2), *rounds(15, 16, scale=3)], rounds=2)
    assert [(figure.name, figure.value, figure.n_runs) for figure in found] == [("peak_fp32_gflops", 21, 6)]
    times = [*rounds(3.0, name="launch_overhead_us"), *rounds(2.0, name="launch_overhead_us", scale=2)]
    assert summary(times, rounds=1)[0].value == 2


def test_a_scale_that_some_round_did_not_reach_does_not_count():
    assert summary([*rounds(10, 10, scale=1), *rounds(99, scale=2)], rounds=2)[0].value == 10


def test_thread_counts_are_kept_apart():
    found = summary([*rounds(10), *rounds(19, threads=2)], rounds=1)
    assert {figure.threads: figure.value for figure in found} == {1: 10, 2: 19}


@pytest.mark.parametrize("name", ["peak_fp16_gflops", "peak_int8_gops"])
def test_an_emulated_product_is_unknown(name):
    fp32 = rounds(10)
    assert {figure.name for figure in summary([*fp32, *rounds(9, name=name)], rounds=1)} == {"peak_fp32_gflops"}
    assert {figure.name for figure in summary([*fp32, *rounds(11, name=name)], rounds=1)} == {"peak_fp32_gflops", name}


def test_no_convolution_exceeds_the_peak():
    for product, convolution in ((10, 25), (25, 10)):
        rates = [*rounds(product), *rounds(convolution, name="conv_fp32_gflops"), *rounds(4, threads=2)]
        found = {figure[:2]: figure.value for figure in with_peak(summary(rates, rounds=1))}
        assert found["peak_fp32_gflops", 1] == 25
        assert found["conv_fp32_gflops", 1] == convolution
        assert found["peak_fp32_gflops", 2] == 4


def test_an_emulated_bf16_is_what_bf16_networks_get():
    found = summary([*rounds(10), *rounds(4, name="peak_bf16_gflops")], rounds=1)
    assert {figure.name: figure.value for figure in found}["peak_bf16_gflops"] == 4
