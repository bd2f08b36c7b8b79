"""What rounds become: the better half counts, and the interval says how far the rounds agree."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.devices.microbench.figures import Figure, better_half, figure, speed_up, sweep_point

ROUNDS = st.lists(st.floats(1, 1000), min_size=1, max_size=12)


@given(ROUNDS, st.randoms(use_true_random=False))
def test_the_order_of_rounds_does_not_matter(rounds, random):
    shuffled = random.sample(rounds, len(rounds))
    assert better_half(np.array(shuffled)) == pytest.approx(better_half(np.array(rounds)))


@given(ROUNDS, st.floats(0.01, 1))
def test_how_slow_the_worse_half_was_does_not_matter(rounds, factor):
    rates = np.sort(rounds)
    slower = rates.copy()
    slower[: len(rates) // 2] *= factor
    assert better_half(slower) == better_half(rates)
    times = -np.sort(-rates)
    slower = times.copy()
    slower[: len(times) // 2] /= factor
    assert better_half(slower, lower=True) == better_half(times, lower=True)


@given(ROUNDS)
def test_the_interval_holds_the_value_and_nothing_below_zero(rounds):
    for name in ("peak_fp32_gflops", "launch_overhead_us"):
        found = figure(name, 1, rounds, 7)
        assert 0 <= found.low <= found.value <= found.high
        assert min(rounds) * 0.999999 <= found.value <= max(rounds) * 1.000001
        assert found.n_runs == 7


def test_a_rate_is_better_when_higher_and_a_time_when_lower():
    assert figure("reduction_gbps", 1, [1, 2, 3, 4], 4).value == 3.5
    assert figure("launch_overhead_us", 1, [1, 2, 3, 4], 4).value == 1.5


def test_rounds_that_agree_have_a_narrow_interval():
    agreed, split = (figure("reduction_gbps", 1, rounds, 6) for rounds in ([9.9, 10, 10.1] * 2, [7, 10, 13] * 2))
    assert agreed.high - agreed.low < split.high - split.low
    alone = figure("reduction_gbps", 1, [10.0], 1)
    assert (alone.low, alone.value, alone.high) == (10, 10, 10)


@given(st.integers(0, 99))
def test_the_interval_is_that_of_one_round_however_slow_the_others(seed):
    rounds = np.random.default_rng(seed).normal(100, 1, 400)
    found = figure("reduction_gbps", 1, list(rounds), 400)
    assert found.high - found.value == pytest.approx(1.96, rel=0.25)
    slower = np.where(rounds < np.median(rounds), 50, rounds)
    slower[np.argsort(rounds)[199]] = rounds[np.argsort(rounds)[199]]  # the median of an even number is of two
    assert figure("reduction_gbps", 1, list(slower), 400) == found


@given(st.integers(0, 99))
def test_times_and_rates_have_mirrored_intervals(seed):
    rounds = np.random.default_rng(seed).normal(100, 1, 9)
    rate, time = figure("reduction_gbps", 1, list(rounds), 9), figure("launch_overhead_us", 1, list(200 - rounds), 9)
    assert time.value == pytest.approx(200 - rate.value)
    assert (time.low, time.high) == pytest.approx((200 - rate.high, 200 - rate.low))


def test_a_point_of_the_sweep_is_a_figure_of_its_rounds():
    point = sweep_point(2, 64.0, [1.0, 2.0, 3.0, 4.0], 8)
    assert point[:3] == (2, 64.0, 3.5)
    assert point.low_gbps <= 3.5 <= point.high_gbps
    assert point.n_runs == 8


def test_speed_up_is_per_core():
    one, four = Figure("peak_fp32_gflops", 1, 10, 9, 11, 5), Figure("peak_fp32_gflops", 4, 30, 28, 32, 6)
    found = speed_up(one, four)
    assert found.name == "parallel_efficiency"
    assert found.value == pytest.approx(0.75)
    relative = math.hypot(1 / 10, 2 / 30)
    assert (found.low, found.high) == pytest.approx((0.75 * (1 - relative), 0.75 * (1 + relative)))
    assert found.n_runs == 11
