"""What the system tells of its conditions, and threads that are kept where they are."""

from __future__ import annotations

import os
import threading

import pytest

from workbench.profiling import conditions
from workbench.profiling.conditions import pinned, read_conditions

affinity = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system binds no threads")


def test_what_a_system_does_not_tell_is_unknown(monkeypatch, tmp_path):
    import psutil

    monkeypatch.setattr(conditions, "_SYS_CPU", tmp_path)
    monkeypatch.setattr(psutil, "sensors_temperatures", dict, raising=False)
    found = read_conditions()
    assert (found.temperature_c, found.frequency_mhz, found.throttles) == (None, None, 0)


def test_the_hottest_sensor_and_the_fastest_processor_count(monkeypatch, tmp_path):
    from types import SimpleNamespace

    import psutil

    for number, (khz, throttled) in enumerate([(2_400_000, 3), (3_100_500, 4)]):
        for name, value in (("cpufreq/scaling_cur_freq", khz), ("thermal_throttle/core_throttle_count", throttled)):
            path = tmp_path / f"cpu{number}" / name
            path.parent.mkdir(parents=True)
            path.write_text(f"{value}\n")
    (tmp_path / "cpu2" / "cpufreq").mkdir(parents=True)
    (tmp_path / "cpu2" / "cpufreq" / "scaling_cur_freq").write_text("<offline>")
    monkeypatch.setattr(conditions, "_SYS_CPU", tmp_path)
    sensors = {"k10temp": [SimpleNamespace(current=41.5), SimpleNamespace(current=55.0)], "nvme": []}
    monkeypatch.setattr(psutil, "sensors_temperatures", lambda: sensors, raising=False)
    found = read_conditions()
    assert (found.temperature_c, found.frequency_mhz, found.throttles) == (55.0, 3100.5, 7)


def test_of_a_gpu_its_own_temperature_and_clock_count(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "temperature", lambda: 41)
    monkeypatch.setattr(torch.cuda, "clock_rate", lambda: 1980)
    assert read_conditions("cuda")[:2] == (41.0, 1980.0)

    def without_nvml():
        raise ModuleNotFoundError

    class NotSupported(Exception):  # as NVML's are
        pass

    def untold():
        raise NotSupported

    for silent in (without_nvml, untold):
        monkeypatch.setattr(torch.cuda, "clock_rate", silent)
        assert read_conditions("cuda")[:2] == (None, None)


@affinity
@pytest.mark.skipif(os.cpu_count() == 1, reason="there is one processor")
def test_all_threads_stay_on_so_many_processors_and_are_set_free_again():
    before, seen, asked, done = os.sched_getaffinity(0), {}, threading.Event(), threading.Event()

    def other() -> None:
        asked.wait(10)
        seen["other"] = os.sched_getaffinity(0)
        done.set()

    threading.Thread(target=other, daemon=True).start()
    with pinned(1):
        asked.set()
        assert done.wait(10)
        assert os.sched_getaffinity(0) == seen["other"] == {max(before)}
    assert os.sched_getaffinity(0) == before


@affinity
def test_threads_are_set_free_when_a_run_fails():
    before = os.sched_getaffinity(0)
    with pytest.raises(RuntimeError), pinned(1):
        raise RuntimeError
    assert os.sched_getaffinity(0) == before


@affinity
def test_as_many_threads_as_processors_are_left_alone(monkeypatch):
    bound = []
    monkeypatch.setattr(os, "sched_setaffinity", lambda *which: bound.append(which))
    with pinned(len(os.sched_getaffinity(0))):
        assert bound == []
    assert bound == []


def test_a_system_that_binds_no_threads_is_left_alone(monkeypatch):
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    reached = False
    with pinned(1):
        reached = True
    assert reached
