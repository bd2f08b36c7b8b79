"""The watch: what it takes for a disturbance, how long it waits, which try it keeps."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterable
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.profiling import calm
from workbench.profiling.calm import REMEMBERED, CalmConfig, ForeignLoad, Watch, Watched, keep_freed_memory, quiet_level
from workbench.profiling.timing import Timing

CONFIG = CalmConfig(pulse=1.15, foreign_load=0.25, patience_s=0.05, retries=1)
pulse_lists = st.lists(st.floats(1.0, 1e9), min_size=1, max_size=50)


def timing(number: int) -> Timing:
    return Timing((number,), (0,), 0, 0, 0.0)


class Bursts:
    """Hands out numbered timings and counts them."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> Timing:
        self.count += 1
        return timing(self.count)


@pytest.fixture
def watch(monkeypatch):
    """Makes a `Watch` whose quiet pulse is 100 and whose further pulses and foreign loads are given."""

    def make(pulses: Iterable[float], loads: Iterable[float] = (), config: CalmConfig = CONFIG) -> Watch:
        monkeypatch.setattr(calm, "pulse_ns", lambda: 100.0)
        made = Watch(config, seconds=0)
        remaining, foreign = iter(pulses), itertools.chain(loads, itertools.repeat(0.0))
        monkeypatch.setattr(calm, "pulse_ns", lambda: next(remaining))
        monkeypatch.setattr(ForeignLoad, "processors", lambda self: next(foreign))
        assert made.quiet_ns == 100
        return made

    return make


def test_a_calm_burst_is_measured_once(watch):
    bursts = Bursts()
    assert watch([100, 104]).burst(bursts)[:3] == (timing(1), 104, 0.0)
    assert bursts.count == 1


def test_a_disturbed_burst_is_measured_again_and_the_calm_one_is_kept(watch):
    bursts = Bursts()
    found = watch([100, 150, 101, 102]).burst(bursts)
    assert found[:3] == (timing(2), 102, 0.0)


def test_foreign_load_disturbs_too(watch):
    found = watch([100, 100, 110, 110], loads=[0.9, 0.1]).burst(Bursts())
    assert found[:3] == (timing(2), 110, 0.1)


def test_the_least_disturbed_try_is_kept_and_shows_it(watch):
    made = watch([100, 140, 100, 130])
    found = made.burst(Bursts())
    assert found[:3] == (timing(2), 130, 0.0)
    assert made.disturbed(found)
    assert watch([100, 130, 100, 140]).burst(Bursts()).timing == timing(1)


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_tries_are_limited(watch, retries):
    bursts = Bursts()
    watch(itertools.cycle([100, 200]), config=CalmConfig(patience_s=0, retries=retries)).burst(bursts)
    assert bursts.count == retries + 1


def test_a_burst_waits_for_a_quiet_pulse(watch):
    bursts = Bursts()
    patient = CalmConfig(patience_s=60, retries=0)
    assert watch([200, 180, 101, 102], config=patient).burst(bursts).pulse_ns == 102
    assert bursts.count == 1


def test_a_machine_that_stays_slow_becomes_the_usual_one_after_a_while_and_a_short_spell_does_not(watch):
    made = watch(itertools.repeat(130.0), config=CalmConfig(patience_s=0, retries=0))
    for _ in range(REMEMBERED // 2):
        made.burst(Bursts())
    assert made.level() == 100
    for _ in range(REMEMBERED):
        made.burst(Bursts())
    assert made.level() == 130
    assert not made.disturbed(Watched(timing(1), 131, 0.0))


def test_every_kind_of_burst_has_a_quiet_level_of_its_own(watch):
    """A runtime after which the pulse is slower is no disturbance, and does not hide one from the others."""
    made = watch(itertools.repeat(130.0), config=CalmConfig(patience_s=0, retries=0))
    for _ in range(30):
        made.burst(Bursts(), "slow runtime")
    assert made.level("slow runtime") == 130
    assert not made.disturbed(Watched(timing(1), 131, 0.0), "slow runtime")
    assert made.disturbed(Watched(timing(1), 131, 0.0), "another")
    assert made.disturbed(Watched(timing(1), 160, 0.0), "slow runtime")


def test_where_the_hosts_pace_does_not_matter_its_pulse_is_not_read(watch):
    bursts, made = Bursts(), watch([])
    found = made.burst(bursts, None)
    assert np.isnan(found.pulse_ns)
    assert not made.disturbed(found, None)
    assert bursts.count == 1
    assert watch([], loads=[0.9, 0.1]).burst(Bursts(), None).foreign_load == 0.1


def test_the_wait_ends(watch):
    found = watch(itertools.repeat(200)).burst(Bursts())
    assert found.pulse_ns == 200


def test_an_unknown_foreign_load_is_no_disturbance(watch):
    assert not watch([]).disturbed(Watched(timing(1), 100, math.nan))


def test_a_failing_burst_is_not_hidden(watch):
    def boom() -> Timing:
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        watch([100, 100]).burst(boom)


@given(pulse_lists, st.floats(0.5, 2.0))
def test_the_quiet_level_lies_low_among_the_pulses(pulses, factor):
    values = np.array(pulses)
    level = quiet_level(values)
    assert values.min() * (1 - 1e-12) <= level <= np.median(values) * (1 + 1e-12)
    assert quiet_level(values * factor) == pytest.approx(level * factor)


def test_foreign_load_counts_what_others_used(monkeypatch):
    seconds = iter([100.0, 100.3])
    monkeypatch.setattr(calm, "processor_seconds", lambda: next(seconds))
    walls, own = iter([10.0, 10.2]), iter([5.0, 5.1])
    clocks = SimpleNamespace(perf_counter=lambda: next(walls), process_time=lambda: next(own))
    monkeypatch.setattr(calm, "time", clocks)
    assert ForeignLoad().processors() == pytest.approx((0.3 - 0.1) / 0.2)


def test_foreign_load_is_unknown_after_too_short_a_time(monkeypatch):
    monkeypatch.setattr(calm, "SHORTEST_S", 60.0)
    assert math.isnan(ForeignLoad().processors())


def test_the_system_counts_forward():
    before = calm.processor_seconds()
    stop = time.perf_counter() + 0.05
    while time.perf_counter() < stop:
        pass
    assert calm.processor_seconds() >= before > 0


def test_polite_programs_count_as_well(monkeypatch):
    times = SimpleNamespace(user=5.0, system=2.0, nice=1.0, idle=90.0)
    monkeypatch.setattr(psutil, "cpu_times", lambda: times)
    assert calm.processor_seconds() == 8.0
    del times.nice  # as on Windows
    assert calm.processor_seconds() == 7.0


def test_a_real_pulse_and_a_real_watch():
    assert calm.pulse_ns() > 0
    made = Watch(CalmConfig(patience_s=0, retries=0), seconds=0.02)
    assert made.quiet_ns > 0
    assert made.burst(lambda: timing(1)).timing == timing(1)


def test_large_machines_bear_more(monkeypatch):
    for cores, load in ((None, 0.25), (1, 0.25), (2, 0.25), (16, 2.0)):
        monkeypatch.setattr(calm.os, "cpu_count", lambda cores=cores: cores)
        assert CalmConfig().foreign_load == load


@pytest.mark.parametrize("error", [OSError("none"), TypeError("none"), AttributeError("mallopt")])
def test_another_c_library_keeps_its_ways(monkeypatch, error):
    def refuse(name: object) -> object:
        raise error

    monkeypatch.setattr(calm.ctypes, "CDLL", refuse)
    assert keep_freed_memory() is False


def test_the_c_library_is_asked_for_both_options(monkeypatch):
    asked: dict[int, int] = {}

    class Library:
        @staticmethod
        def mallopt(option: int, value: int) -> int:
            asked[option] = value
            return 1

    monkeypatch.setattr(calm.ctypes, "CDLL", lambda name: Library)
    assert keep_freed_memory() is True
    assert asked == calm.MALLOC_OPTIONS
