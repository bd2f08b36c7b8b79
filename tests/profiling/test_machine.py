"""The card of this machine: measured figures where they apply, unknown where nothing was found."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from workbench.devices.backends import BACKENDS, Platform
from workbench.devices.detect import Machine, detect
from workbench.devices.device import FAMILIES
from workbench.devices.microbench import Figure, MicroBench
from workbench.devices.microbench.rates import KERNELS
from workbench.devices.microbench.sweep import SIZES
from workbench.profiling.machine import family, this_machine

BENCH = MicroBench(
    (
        Figure("peak_fp32_gflops", 1, 61.23456, 61.0, 61.5, 9),
        Figure("launch_overhead_us", 1, 2.5, 2.4, 2.6, 9),
        Figure("l1_kib", 1, 45.25, 40.0, 50.0, 9),
        Figure("peak_fp32_gflops", 2, 99.0, 98.0, 99.5, 9),
        Figure("launch_overhead_us", 2, 2.75, 2.5, 3.0, 9),
    ),
    (),
    1.0,
)
ALL = MicroBench(
    tuple(
        Figure(name, 1, float(value), value - 0.5, value + 0.5, 9)
        for value, name in enumerate(
            [
                *(kernel.name for kernel in KERNELS),
                *SIZES,
                "l1_bandwidth_gbps",
                "l2_bandwidth_gbps",
                "l3_bandwidth_gbps",
                "parallel_efficiency",
            ],
            start=1,
        )
    ),
    (),
    1.0,
)


def machine(**changes: object) -> Machine:
    known = {"cpu_model": "Some Xeon CPU", "cache_kib": {"l1": 32, "l2": 1024, "l3": 33792}, "memory_gib": 15.5}
    return dataclasses.replace(detect(), **{**known, **changes})


def test_detected_and_measured_figures_meet_on_the_card():
    card = this_machine(Platform("torch_eager", "bf16", 1, 8), machine(), BENCH)
    assert card.name == "torch-eager_bf16_t1_b8"
    assert (card.batch_size, card.precision, card.threads, card.cores) == (8, "bf16", 1, 1)
    assert (card.l2_kib, card.l3_mib, card.memory_gib) == (1024, 33, 15.5)
    assert (card.peak_fp32_gflops, card.launch_overhead_us) == (61.23, 2.5)
    assert (card.hardware, card.family) == ("Some Xeon CPU", "server-cpu")
    assert card.runtime.startswith("torch_eager 2.")
    assert card.source


def test_figures_are_those_of_the_platforms_threads():
    assert this_machine(Platform("torch_eager", threads=2), machine(), BENCH).peak_fp32_gflops == 99
    unmeasured = this_machine(Platform("torch_eager", threads=3), machine(), BENCH)
    assert unmeasured.peak_fp32_gflops is None


def test_a_cache_that_was_found_has_the_size_that_was_found():
    assert this_machine(Platform("torch_eager"), machine(), BENCH).l1_kib == 45.25
    assert this_machine(Platform("torch_eager", threads=3), machine(), BENCH).l1_kib == 32, "what the system says"


def test_every_measured_figure_is_on_the_card():
    card = this_machine(Platform("torch_eager"), machine(), ALL)
    assert {figure.name: getattr(card, figure.name) for figure in ALL.figures} == ALL.at(1)


def test_figures_of_another_device_are_left_out():
    card = this_machine(Platform("torch_eager"), machine(), BENCH._replace(device="cuda"))
    assert card.peak_fp32_gflops is None
    assert card.l1_kib == 32


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_a_platform_is_measured_on_the_device_that_runs_it(backend):
    assert Platform(backend).device == ("cuda" if "cuda" in backend else "cpu")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_the_card_of_a_gpu():
    card = this_machine(Platform("torch_cuda"), machine(), BENCH._replace(device="cuda"))
    assert card.family.endswith("-gpu")
    assert card.cores > 1
    assert card.memory_gib > 0
    assert card.hardware != "Some Xeon CPU"
    assert (card.peak_fp32_gflops, card.launch_overhead_us) == (61.23, 2.5)


def test_torchs_dispatch_is_not_that_of_another_runtime(missing):
    platform = Platform("onnxruntime")
    try:
        card = this_machine(platform, machine(), BENCH)
    except ValueError as error:
        missing(str(error))
    assert card.launch_overhead_us is None
    assert card.peak_fp32_gflops == 61.23


def test_what_was_not_found_stays_unknown():
    nothing = machine(cpu_model=None, cache_kib={}, memory_gib=None)
    card = this_machine(Platform("torch_eager"), nothing, MicroBench((), (), 0.0))
    unknown = ("hardware", "family", "l1_kib", "l2_kib", "l3_mib", "memory_gib", "memory_bandwidth_gbps", "clock_ghz")
    assert all(getattr(card, name) is None for name in unknown)
    assert not set(unknown) & set(card.known())


@pytest.mark.parametrize(
    ("model", "kind", "expected"),
    [
        ("Intel(R) Xeon(R) CPU @ 2.50GHz", "cpu", "server-cpu"),
        ("AMD EPYC 7763", "cpu", "server-cpu"),
        ("Raspberry Pi 4 Model B", "cpu", "mobile-cpu"),
        ("ARM Cortex-A72", "cpu", "mobile-cpu"),
        ("AMD Ryzen 9 7950X", "cpu", "desktop-cpu"),
        ("NVIDIA H200", "gpu", "server-gpu"),
        ("NVIDIA A100-SXM4-80GB", "gpu", "server-gpu"),
        ("Tesla V100-SXM2-16GB", "gpu", "server-gpu"),
        ("NVIDIA L40S", "gpu", "server-gpu"),
        ("NVIDIA GeForce GTX 1080 Ti", "gpu", "desktop-gpu"),
        ("NVIDIA TITAN V", "gpu", "desktop-gpu"),
        ("NVIDIA RTX A1000 Laptop GPU", "gpu", "laptop-gpu"),
        ("Orin (nvgpu)", "gpu", "embedded-gpu"),
        (None, "cpu", None),
    ],
)
def test_families(model, kind, expected):
    assert family(model, kind) == expected
    assert expected is None or expected in FAMILIES
