"""The sweep: that it reads what it counts, and which level a bandwidth belongs to."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench.devices.backends import host_stopwatch
from workbench.devices.microbench import sweep as module
from workbench.devices.microbench.sweep import (
    PRIVATE_BYTES,
    READ_BYTES,
    ROW,
    hierarchy,
    read_sweep,
    working_sets,
)

SIZES = working_sets(4, 256, 4)


def steps(*levels):
    """`s` bandwidths: ``(up to KiB, GB/s)``, one after the other."""
    return np.select([size >= SIZES for size, _ in levels], [value for _, value in levels])


FOUR = steps((48, 200.0), (1024, 160.0), (32768, 90.0), (1e9, 40.0))


def test_working_sets_are_equally_spaced_from_first_to_last():
    assert SIZES[0] == 4
    assert SIZES[-1] == 256 * 1024
    assert np.allclose(np.diff(np.log2(SIZES)), 0.25)


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("nbytes", [4096, 4352, PRIVATE_BYTES, PRIVATE_BYTES * 2, READ_BYTES * 2])
def test_a_stream_reads_what_it_counts(nbytes, threads):
    counted, run = module._streaming(torch.ones(nbytes // 4), threads)
    assert run().sum() == counted / 4
    assert counted >= min(READ_BYTES, 0.9 * READ_BYTES)


def test_every_thread_reads_a_small_set_and_all_share_a_large_one():
    for nbytes, copies in ((4096, 4), (PRIVATE_BYTES * 4, 1), (READ_BYTES * 2, 1)):
        one, four = (module._streaming(torch.ones(nbytes // 4), threads)[0] for threads in (1, 4))
        assert four == copies * one
    assert module._streaming(torch.ones(READ_BYTES // 2), 4)[0] == 2 * READ_BYTES, "read once"


@pytest.mark.parametrize("numbers", [ROW, 16 * ROW, 1000 * ROW])
def test_a_gathering_reads_what_it_counts_and_nothing_but_the_set(numbers, monkeypatch):
    monkeypatch.setattr(module, "GATHER_BYTES", 1 << 20)
    values = torch.arange(numbers // ROW).repeat_interleave(ROW).float()
    counted, run = module._gathering(values, 1)
    sums = run()
    assert counted == 1 << 20
    assert sums.shape == (counted // (4 * ROW * module.ROWS), ROW)
    if numbers > ROW:
        assert 0 < sums.mean() / module.ROWS < numbers // ROW, "rows from all over the set"
    ones = module._gathering(torch.ones(numbers), 1)[1]()
    assert ones.sum() == counted / 4


def test_a_sweep_has_one_bandwidth_per_size():
    sizes = working_sets(4, 1, 1)
    found = read_sweep(sizes, 1, torch.ones(1 << 18), host_stopwatch)
    assert found.shape == sizes.shape
    assert (found > 0).all()


def test_units_are_those_of_the_names():
    found = read_sweep(np.array([32 * 1024.0]), 1, torch.ones(8 << 20), lambda run: 1_000_000)
    assert found[0] == pytest.approx(32 * 2**20 / 1e-3 / 1e9)


def test_levels_have_the_bandwidth_that_is_read_inside_them():
    figures, points = hierarchy(SIZES, {1: [FOUR] * 3, 2: [2 * FOUR] * 3}, "cpu")
    for threads in (1, 2):
        found = {figure.name: figure.value for figure in figures if figure.threads == threads}
        for name, value in (("l1", 200), ("l2", 160), ("l3", 90)):
            assert found[f"{name}_bandwidth_gbps"] == pytest.approx(threads * value)
        assert found["l1_kib"] == pytest.approx(48, rel=0.2)
        assert found["l2_kib"] == pytest.approx(1024, rel=0.2)
        assert found["l3_mib"] == pytest.approx(32, rel=0.2)
    assert [point.bandwidth_gbps for point in points if point.threads == 2] == pytest.approx(list(2 * FOUR))
    assert all(figure.low <= figure.value <= figure.high for figure in figures)


def test_fewer_caches_are_the_first_ones_of_a_cpu_and_the_last_ones_of_a_gpu():
    two = steps((32, 40.0), (1024, 20.0), (1e9, 5.0))
    one, small = steps((4096, 40.0), (1e9, 20.0)), steps((64, 40.0), (1e9, 20.0))

    def names(sweep, device):
        return {
            figure.name for figure in hierarchy(SIZES, {1: [sweep] * 3}, device)[0] if "bandwidth" not in figure.name
        }

    assert names(two, "cpu") == {"l1_kib", "l2_kib"}
    assert names(small, "cpu") == {"l1_kib"}
    assert names(one, "cpu") == {"l2_kib"}, "no L1 is as large as that: its step was too small to see"
    assert names(two, "cuda") == {"l1_kib", "l2_kib"}
    assert names(one, "cuda") == {"l2_kib"}
    assert names(np.ones(len(SIZES)), "cuda") == names(np.ones(len(SIZES)), "cpu") == set()


def test_caches_that_lie_close_still_have_a_bandwidth_each():
    close = steps((64, 100.0), (224, 50.0), (1e9, 20.0))
    figures, _ = hierarchy(SIZES, {1: [close] * 3}, "cpu")
    found = {figure.name: figure.value for figure in figures}
    assert found["l1_bandwidth_gbps"] == 100
    assert found["l2_bandwidth_gbps"] == 50
