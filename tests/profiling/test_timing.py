"""One timing: properties of the estimate, and a clock that the test moves."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable, Iterable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workbench.config import WorkbenchError
from workbench.profiling import timing
from workbench.profiling.timing import (
    TimingConfig,
    garbage_collector_off,
    nested_interquartile_mean,
    reduce_samples,
    time_runs,
)

latencies = st.floats(min_value=1.0, max_value=1e12)
bursts = st.lists(latencies, min_size=1, max_size=120)
NO_WARMUP = {"warmup_min_s": 0.0, "warmup_max_s": 0.0, "warmup_window": 1}


class Machine:
    """A clock in nanoseconds, and runs that take as long as ``durations`` says."""

    def __init__(self, durations: Iterable[int]) -> None:
        self.now = 0
        self.durations = iter(durations)
        self.taken: list[int] = []

    def clock(self) -> int:
        return self.now

    def run(self) -> None:
        self.taken.append(next(self.durations))
        self.now += self.taken[-1]

    def time(self, **config: float) -> timing.Timing:
        return time_runs(self.run, TimingConfig(**config), self.clock)


@given(bursts, st.floats(min_value=1e-3, max_value=1e3))
def test_the_estimate_scales_with_its_samples(samples, factor):
    scaled = nested_interquartile_mean([factor * sample for sample in samples])
    assert scaled == pytest.approx(factor * nested_interquartile_mean(samples), rel=1e-9)


@given(bursts)
@example([0.1] * 3)
@example([1e12 / 3] * 100)
def test_the_estimate_lies_among_its_samples(samples):
    assert min(samples) <= nested_interquartile_mean(samples) <= max(samples)


@given(latencies, st.integers(1, 200))
def test_equal_samples_are_their_own_estimate(value, count):
    assert nested_interquartile_mean([value] * count) == pytest.approx(value)
    assert reduce_samples([value] * count).iqr_ms == pytest.approx(0, abs=value * 1e-15)


@given(st.lists(st.floats(90.0, 110.0), min_size=10, max_size=400), st.floats(0, 1), st.floats(1e3, 1e15))
def test_a_stretch_of_a_tenth_may_be_arbitrarily_slow(samples, where, slow):
    length = len(samples) // 10
    start = round(where * (len(samples) - length))
    disturbed = [*samples[:start], *[slow] * length, *samples[start + length :]]
    assert min(samples) <= nested_interquartile_mean(disturbed) <= max(samples)


@pytest.mark.parametrize("seed", range(20))
def test_scattered_outliers_of_a_tenth_are_dropped(seed):
    generator = np.random.default_rng(seed)
    samples = generator.uniform(95, 105, 300)
    samples[generator.choice(300, 30, replace=False)] *= generator.uniform(2, 1000, 30)
    assert 95 <= nested_interquartile_mean(samples) <= 105


@given(bursts)
def test_the_interval_contains_the_estimate(samples):
    found = reduce_samples(samples)
    assert 0 <= found.low_ms <= found.estimate_ms <= found.high_ms
    assert found.estimate_ms == pytest.approx(nested_interquartile_mean(samples) * 1e-6)
    assert found.n_runs == len(samples)
    assert found.min_ms == pytest.approx(min(samples) * 1e-6)
    assert found.relative_half_width >= 0


def test_one_run_has_no_finite_interval():
    assert reduce_samples([5.0]).high_ms == float("inf")


def test_the_interval_covers_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        found = reduce_samples(generator.normal(1e6, 2e4, 60))
        covered += found.low_ms <= 1.0 <= found.high_ms
    assert 0.90 <= covered / 400 <= 0.99


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(1, 12.706), (2, 4.303), (3, 3.182), (5, 2.571), (10, 2.228), (30, 2.042)]
)
def test_student(freedom, quantile):
    assert timing._student(freedom) == pytest.approx(quantile, rel=0.01)


@pytest.mark.parametrize("bad", [0, -1, float("nan"), float("inf"), float("-inf")])
def test_an_impossible_sample_is_refused(refusal, bad):
    for reduce in (nested_interquartile_mean, reduce_samples):
        assert str(float(bad)) in refusal(reduce, [1.0, bad, 2.0])


@pytest.mark.parametrize("samples", [[], [[1.0], [2.0]]])
def test_no_samples_are_refused(refusal, samples):
    assert "at least one" in refusal(nested_interquartile_mean, samples)


def test_raw_samples_are_kept_in_their_order():
    machine = Machine(itertools.count(1000, 7))
    found = machine.time(min_runs=6, max_runs=6, **NO_WARMUP)
    assert found.warmup_runs == 1
    assert found.samples_ns == tuple(machine.taken[1:])
    assert len(machine.taken) == 7


def test_the_warm_up_ends_when_runs_are_alike():
    slow_start = [50_000_000, 40_000_000, 30_000_000, 20_000_000]
    machine = Machine([*slow_start, *[10_000_000] * 1000])
    found = machine.time(warmup_min_s=0.0, warmup_max_s=10.0, warmup_window=2)
    assert len(slow_start) <= found.warmup_runs <= len(slow_start) + 4
    assert set(found.samples_ns) == {10_000_000}


def test_the_warm_up_lasts_its_minimum_and_at_most_its_maximum():
    steady = Machine(itertools.repeat(1_000_000)).time(warmup_min_s=0.02, warmup_max_s=1.0)
    assert 20 <= steady.warmup_runs <= 21
    restless = Machine(itertools.cycle([1_000_000, 5_000_000]))
    found = restless.time(warmup_min_s=0.0, warmup_max_s=0.03, warmup_window=1)
    assert 10 <= found.warmup_runs <= 11


def test_a_steady_network_is_timed_for_its_minimum():
    found = Machine(itertools.repeat(1_000_000)).time(min_s=0.05, min_runs=8, budget_s=10.0)
    assert 50 <= len(found.samples_ns) <= 65


def test_a_restless_network_is_timed_for_its_budget():
    machine = Machine(int(value) for value in np.random.default_rng(0).lognormal(13.8, 1.0, 100_000))
    found = machine.time(min_s=0.0, budget_s=0.5, target=1e-6, max_runs=100_000)
    assert sum(found.samples_ns[:-1]) < 0.5e9 <= sum(found.samples_ns)


def test_a_slow_network_is_timed_its_least_number_of_times():
    found = Machine(itertools.repeat(2_000_000_000)).time(min_runs=8)
    assert found.warmup_runs == 1
    assert len(found.samples_ns) == 8


def test_runs_never_exceed_their_maximum():
    assert len(Machine(itertools.repeat(1000)).time(max_runs=37, **NO_WARMUP).samples_ns) == 37


@pytest.mark.parametrize("name", ["min_runs", "max_runs", "warmup_window"])
def test_impossible_settings_are_refused(refusal, name):
    assert name in refusal(TimingConfig, **{name: 0})


def test_a_clock_that_stands_still_gives_no_latency():
    with pytest.raises(WorkbenchError, match="above zero"):
        time_runs(lambda: None, TimingConfig(min_s=0.0, **NO_WARMUP), clock=lambda: 5)


@pytest.fixture(params=[True, False], ids=["collecting", "not collecting"])
def collecting(request):
    """Whether the garbage collector is on before the timing; restored after the test."""
    before = gc.isenabled()
    (gc.enable if request.param else gc.disable)()
    yield request.param
    (gc.enable if before else gc.disable)()


def fail_after(count: int, seen: list[bool]) -> Callable[[], None]:
    def run() -> None:
        seen.append(gc.isenabled())
        if len(seen) > count:
            raise RuntimeError("boom")

    return run


@pytest.mark.parametrize("count", [0, 3, 40])
def test_the_garbage_collector_is_off_and_restored_after_a_failure(collecting, count):
    seen: list[bool] = []
    config = TimingConfig(min_runs=100, max_runs=100, **NO_WARMUP)
    with pytest.raises(RuntimeError, match="boom"):
        time_runs(fail_after(count, seen), config)
    assert not any(seen)
    assert gc.isenabled() is collecting


def test_the_garbage_collector_is_off_and_restored(collecting):
    seen: list[bool] = []
    time_runs(fail_after(10**9, seen), TimingConfig(min_runs=3, max_runs=3, **NO_WARMUP))
    assert seen
    assert not any(seen)
    assert gc.isenabled() is collecting
    with garbage_collector_off(), garbage_collector_off():
        assert not gc.isenabled()
    assert gc.isenabled() is collecting


def test_a_real_clock_gives_real_samples():
    found = time_runs(lambda: sum(range(1000)), TimingConfig(min_runs=5, max_runs=20))
    assert len(found.samples_ns) >= 5
    assert all(isinstance(sample, int) and sample > 0 for sample in found.samples_ns)
    assert found.estimate == reduce_samples(found.samples_ns)
