"""What the system tells about the conditions of a timing: temperature, clock, throttling, processor time taken by
others. What it does not tell is None."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

_SYS_CPU = Path("/sys/devices/system/cpu")


class Conditions(NamedTuple):
    """One reading.

    Args:
        temperature_c: of the hottest sensor, or of the GPU, degrees Celsius.
        frequency_mhz: of the fastest processor, or of the GPU, now.
        stolen_s: processor time that the hypervisor has given to other guests, seconds since the system started.
        throttles: how often a processor was slowed down for its heat, since the system started.
    """

    temperature_c: float | None
    frequency_mhz: float | None
    stolen_s: float | None
    throttles: int


def read_conditions(device: str = "cpu") -> Conditions:
    """`Conditions` now; temperature and clock are those of ``device`` (``cpu`` or ``cuda``)."""
    import psutil

    if device == "cuda":
        temperature_c, frequency_mhz = _gpu_reading()
        return read_conditions()._replace(temperature_c=temperature_c, frequency_mhz=frequency_mhz)
    sensors = getattr(psutil, "sensors_temperatures", dict)()
    temperatures = [sensor.current for group in sensors.values() for sensor in group]
    frequencies_khz = _numbers("cpu*/cpufreq/scaling_cur_freq")
    return Conditions(
        temperature_c=max(temperatures, default=None),
        frequency_mhz=max(frequencies_khz) / 1000 if frequencies_khz else None,
        stolen_s=getattr(psutil.cpu_times(), "steal", None),
        throttles=sum(_numbers("cpu*/thermal_throttle/core_throttle_count")),
    )


def _gpu_reading() -> tuple[float | None, float | None]:
    """Degrees Celsius and MHz of the GPU that torch uses, where NVML and its Python package tell."""
    import torch

    try:
        return float(torch.cuda.temperature()), float(torch.cuda.clock_rate())
    except Exception:  # noqa: BLE001 - NVML's own errors are of a type that is only there with its package
        return None, None


def _numbers(pattern: str) -> list[int]:
    """What the files below the system's folder of processors hold, where there are any."""
    found = []
    for path in _SYS_CPU.glob(pattern):
        try:
            found.append(int(path.read_text()))
        except (OSError, ValueError):
            continue  # a processor that went offline meanwhile
    return found


@contextmanager
def pinned(threads: int) -> Iterator[None]:
    """Keep all threads of this process on ``threads`` processors, the last ones, as the first ones serve
    interrupts; nothing where the system cannot or where there are no more than these."""
    if not hasattr(os, "sched_setaffinity") or threads >= len(allowed := os.sched_getaffinity(0)):
        yield
        return
    _bind(set(sorted(allowed)[-threads:]))
    try:
        yield
    finally:
        _bind(allowed)


def _bind(processors: set[int]) -> None:
    tasks = Path("/proc/self/task")
    for thread in [int(path.name) for path in tasks.iterdir()] if tasks.is_dir() else [0]:
        try:
            os.sched_setaffinity(thread, processors)
        except ProcessLookupError:
            continue  # a thread that ended meanwhile
