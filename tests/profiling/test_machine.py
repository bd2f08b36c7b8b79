"""The card of this machine: measured figures where they apply, unknown where nothing was found."""

from __future__ import annotations

import dataclasses

import pytest

from workbench.devices.backends import Platform
from workbench.devices.detect import Machine, detect
from workbench.devices.microbench import Figure, MicroBench
from workbench.profiling.machine import this_machine

BENCH = MicroBench(
    (
        Figure("peak_fp32_gflops", 1, 61.23456, 0.1, 9),
        Figure("launch_overhead_us", 1, 2.5, 0.1, 9),
        Figure("peak_fp32_gflops", 2, 99.0, 0.1, 9),
        Figure("launch_overhead_us", 2, 2.75, 0.1, 9),
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
    assert (card.l1_kib, card.l2_kib, card.l3_mib, card.memory_gib) == (32, 1024, 33, 15.5)
    assert (card.peak_fp32_gflops, card.launch_overhead_us) == (61.23, 2.5)
    assert (card.hardware, card.family) == ("Some Xeon CPU", "server-cpu")
    assert card.runtime.startswith("torch_eager 2.")
    assert card.source


def test_figures_are_those_of_the_platforms_threads():
    assert this_machine(Platform("torch_eager", threads=2), machine(), BENCH).peak_fp32_gflops == 99
    unmeasured = this_machine(Platform("torch_eager", threads=3), machine(), BENCH)
    assert unmeasured.peak_fp32_gflops is None


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
    ("model", "family"),
    [
        ("Intel(R) Xeon(R) CPU @ 2.50GHz", "server-cpu"),
        ("AMD EPYC 7763", "server-cpu"),
        ("Raspberry Pi 4 Model B", "mobile-cpu"),
        ("AMD Ryzen 9 7950X", "desktop-cpu"),
        (None, None),
    ],
)
def test_families(model, family):
    assert this_machine(Platform("torch_eager"), machine(cpu_model=model), BENCH).family == family
