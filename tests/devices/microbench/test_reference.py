"""The independent readings: a triad that is one, and rows that accept and refuse as they say."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
import torch

from workbench.config import WorkbenchError
from workbench.devices.backends import torch_threads
from workbench.devices.detect import Machine, detect
from workbench.devices.microbench import Figure, MicroBench
from workbench.devices.microbench.rates import TRIAD_SCALAR, thirds
from workbench.devices.microbench.reference import REFERENCES, TRIAD, check, triad_gbps


@pytest.fixture
def machine() -> Machine:
    return dataclasses.replace(detect(), cache_kib={"l1": 48, "l2": 1024, "l3": 32768})


def bench(memory=40.0, triad=40.0, **sizes) -> MicroBench:
    values = {"memory_bandwidth_gbps": memory, "l1_kib": 48.0, "l2_kib": 1024.0, "l3_mib": 32.0} | sizes
    figures = tuple(Figure(name, 1, value, value, value, 9) for name, value in values.items() if value)
    return MicroBench(figures, (), 1.0, references=(Figure(TRIAD.name, 1, triad, triad, triad, 9),))


def rows(measured, machine):
    return {row.figure: row for row in check(measured, machine)}


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_two_passes_are_a_triad(threads):
    arena = torch.arange(3001, dtype=torch.float32)
    _, b, c = (part.clone() for part in thirds(arena))
    with torch_threads(threads):
        work, run = TRIAD.build(1, arena)
    run()
    assert torch.equal(thirds(arena)[0], b + TRIAD_SCALAR * c)
    assert work == 4.5 * 4 * 1000, "six arrays moved, of which STREAM counts three quarters"


def test_a_triad_has_a_rate_and_leaves_the_threads_alone():
    before = torch.get_num_threads()
    assert triad_gbps(2, array_mib=0.1, seconds=0) > 0
    assert torch.get_num_threads() == before


def test_what_agrees_is_accepted(machine):
    found = rows(bench(), machine)
    assert set(found) == {"memory_bandwidth_gbps", "l1_kib", "l2_kib", "l3_mib"}
    assert all(row.accepted and row.ratio == 1 for row in found.values())


@pytest.mark.parametrize(("memory", "accepted"), [(31.9, False), (32.1, True), (47.9, True), (48.1, False)])
def test_main_memory_is_to_be_within_a_fifth_of_the_triad(machine, memory, accepted):
    row = rows(bench(memory=memory), machine)["memory_bandwidth_gbps"]
    assert row.accepted == accepted
    assert (row.ours, row.independent) == (memory, 40)


@pytest.mark.parametrize(("size", "accepted"), [(15.9, False), (16.1, True), (63.9, True), (64.1, False)])
def test_a_cache_is_to_be_within_a_factor_of_two(machine, size, accepted):
    row = rows(bench(l3_mib=size), machine)["l3_mib"]
    assert row.accepted == accepted
    assert row.independent == 32


def test_a_cache_that_was_not_found_is_not_accepted(machine):
    row = rows(bench(l2_kib=None), machine)["l2_kib"]
    assert (row.ours, row.ratio, row.accepted) == (None, None, False)


def test_a_cache_of_which_the_system_says_nothing_has_no_row(machine):
    assert set(rows(bench(), dataclasses.replace(machine, cache_kib={}))) == {"memory_bandwidth_gbps"}


def test_a_triad_that_was_not_timed_alongside_is_timed_now(machine, monkeypatch):
    monkeypatch.setattr("workbench.devices.microbench.reference.triad_gbps", lambda threads: 50.0)
    row = rows(bench()._replace(references=()), machine)["memory_bandwidth_gbps"]
    assert row.independent == 50


def test_a_gpu_is_compared_with_the_drivers_copy_and_word(machine, monkeypatch):
    told = SimpleNamespace(L2_cache_size=1024 << 10)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: told)
    measured = bench()._replace(device="cuda", references=(Figure("copy_gbps", 1, 50.0, 50.0, 50.0, 9),))
    found = rows(measured, machine)
    assert set(found) == {"memory_bandwidth_gbps", "l2_kib"}
    assert (found["memory_bandwidth_gbps"].independent, found["l2_kib"].independent) == (50, 1024)


def test_a_gpu_has_no_numpy(machine):
    with pytest.raises(WorkbenchError, match="'copy_gbps'"):
        check(bench()._replace(device="cuda"), machine)


def test_the_copy_moves_one_array_to_another():
    arena = torch.arange(3001, dtype=torch.float32)
    work, run = REFERENCES["cuda"].build(1, arena)
    run()
    a, b, _ = thirds(arena)
    assert torch.equal(a, b)
    assert work == 2 * 4 * 1000
