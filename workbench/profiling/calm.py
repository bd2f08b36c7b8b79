"""Noticing, during a timing, that something else slows the machine down.

Two signs are watched around every burst of runs:

- The *pulse*: how long a hundred tiny operators take. It is bound by instruction fetch and branches, which
  suffer first when another guest or process shares the core, even where a large matrix product hardly slows
  down. It is compared with its own quiet level, so that it needs no knowledge of the machine.
- The *foreign load*: processor time that other processes of this system used, in processors. It also tells
  of a disturbance that never pauses, which leaves no quiet level to compare with.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from workbench.profiling.conditions import read_conditions
from workbench.profiling.timing import Timing

PULSE_OPERATORS = 100
REMEMBERED = 300  # pulses, one per burst: about a minute
TOLD = 3  # pulses that a kind of burst begins with: after some thirty of its own it has its own level
SHORTEST_S = 0.05  # the system counts processor time in steps of 10 ms
MALLOC_OPTIONS = {-1: 2**30, -3: 2**25}  # M_TRIM_THRESHOLD; M_MMAP_THRESHOLD, at most 32 MiB


def accepted_load() -> float:
    """Processors that others may use: an eighth of this system's, at least a quarter of one."""
    return max(0.25, (os.cpu_count() or 1) / 8)


@dataclass(frozen=True)
class CalmConfig:
    """When a burst counts as disturbed, and how long to wait for calm.

    Args:
        pulse: accepted slowdown of the pulse over its quiet level.
        foreign_load: accepted processors in use by others.
        patience_s: longest wait for a quiet pulse before a burst.
        retries: further tries at a disturbed burst, at once.
    """

    pulse: float = 1.15
    foreign_load: float = field(default_factory=accepted_load)
    patience_s: float = 0.05
    retries: int = 1


class Watched(NamedTuple):
    """A timing and what was going on around it.

    Args:
        timing: the samples.
        pulse_ns: the slower of the pulses before and after; NaN where the host's pace does not matter.
        foreign_load: processors in use by others meanwhile; NaN where it was too short to tell.
        temperature_c, frequency_mhz: right after it; None where they cannot be read.
        busy_s: seconds in warm-ups and timed runs, those of tries that were given up included.
    """

    timing: Timing
    pulse_ns: float
    foreign_load: float
    temperature_c: float | None = None
    frequency_mhz: float | None = None
    busy_s: float = 0.0


class Watch:
    """Watches the machine while it times.

    What was quiet is the low end of the last `REMEMBERED` pulses. It begins with what the machine shows when the watch
    begins, and follows a machine that became another one (a clock that was lowered, a guest that stays): waiting for a
    calm that will not come back helps nobody, and the reference networks tell of such a drift. Every kind of burst has
    a level of its own: a runtime leaves the processor's caches, and its own threads, behind (after OpenVINO the pulse
    is a fifth slower than after torch on a machine that does nothing else).

    Example: ``Watch().burst(lambda: time_runs(run), "torch_eager").timing.estimate``.

    Args:
        config: see `CalmConfig`.
        seconds: how long the quiet level is looked for.
        quiet_ns: the quiet level, if it is known.
    """

    def __init__(self, config: CalmConfig | None = None, seconds: float = 1.0, quiet_ns: float | None = None) -> None:
        self.config = config or CalmConfig()
        self.quiet_ns = quiet_ns or _find_quiet_level(seconds)
        self._pulses: dict[str, deque[float]] = {}

    def level(self, kind: str = "") -> float:
        """Nanoseconds of the quiet pulse around bursts of this ``kind``."""
        return quiet_level(np.array(self._of(kind)))

    def burst(self, measure: Callable[[], Timing], kind: str | None = "", device: str = "cpu") -> Watched:
        """``measure()`` once the machine is calm, again if it was disturbed; the least disturbed try is returned,
        with the temperature and clock of ``device``.

        Where ``kind`` is None the host's pace does not matter: its pulse is neither waited for nor read (NaN).
        """
        tries: list[Watched] = []
        while not tries or (self.disturbed(tries[-1], kind) and len(tries) <= self.config.retries):
            before, load = self._settle(kind), ForeignLoad()
            timing = measure()
            foreign = load.processors()
            pulse = float("nan") if kind is None else max(before, pulse_ns())
            tries.append(Watched(timing, pulse, foreign))
            if kind is not None:
                self._of(kind).append(pulse)
        calmest = min(tries, key=lambda one: (self.disturbed(one, kind), one.pulse_ns))
        now, busy_s = read_conditions(device), sum(one.timing.busy_s for one in tries)
        return calmest._replace(temperature_c=now.temperature_c, frequency_mhz=now.frequency_mhz, busy_s=busy_s)

    def disturbed(self, watched: Watched, kind: str | None = "") -> bool:
        """Whether either sign was beyond what `CalmConfig` accepts."""
        slow = kind is not None and watched.pulse_ns > self.config.pulse * self.level(kind)
        return slow or watched.foreign_load > self.config.foreign_load

    def _settle(self, kind: str | None) -> float:
        """Wait for a quiet pulse, at most `patience_s`; returns the last pulse."""
        if kind is None:
            return float("nan")
        accepted, stop = self.config.pulse * self.level(kind), time.perf_counter() + self.config.patience_s
        while (last := pulse_ns()) > accepted and time.perf_counter() < stop:
            time.sleep(0.02)
        return last

    def _of(self, kind: str) -> deque[float]:
        count = TOLD if kind else REMEMBERED
        return self._pulses.setdefault(kind, deque([self.quiet_ns] * count, REMEMBERED))


class ForeignLoad:
    """Processors that other processes use, from the making of this object on."""

    def __init__(self) -> None:
        self._busy, self._own, self._wall = processor_seconds(), time.process_time(), time.perf_counter()

    def processors(self) -> float:
        """Their mean number until now; NaN after less than `SHORTEST_S`."""
        elapsed = time.perf_counter() - self._wall
        foreign = processor_seconds() - self._busy - (time.process_time() - self._own)
        return max(0.0, foreign) / elapsed if elapsed >= SHORTEST_S else float("nan")


def keep_freed_memory() -> bool:
    """Let glibc keep freed memory for the rest of this process; returns whether it could be asked to.

    By default it hands large blocks back to the system and asks for them again at the next run, or not,
    depending on what was allocated before: a fifth of a network's latency at batch 8, and different for the
    same network at different times.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return False
    return all(mallopt(option, value) == 1 for option, value in MALLOC_OPTIONS.items())


def _find_quiet_level(seconds: float) -> float:
    pulses = [pulse_ns()]
    stop = time.perf_counter() + seconds
    while time.perf_counter() < stop:
        pulses.append(pulse_ns())
        time.sleep(0.005)
    return quiet_level(np.array(pulses))


def pulse_kind(platform: str) -> str:
    """The bursts that leave the processor in one state: of a runtime and a precision (``onnxruntime_int8``); after
    int8 the pulse is a tenth slower than after fp32 of the same runtime."""
    return "_".join(platform.split("_")[:2])


def quiet_level(pulses: np.ndarray) -> float:
    """The pulse of the undisturbed machine: a low quantile, as disturbances only ever slow it down; NaN of none."""
    read = pulses[~np.isnan(pulses)]
    return float(np.quantile(read, 0.1, method="lower")) if len(read) else float("nan")


def pulse_ns() -> float:
    """The fastest of three times a hundred tiny operators, in nanoseconds (the first warms the instruction
    cache)."""
    import torch

    x = torch.ones(1)
    found = []
    with torch.no_grad():
        for _ in range(3):
            before = time.perf_counter_ns()
            for _ in range(PULSE_OPERATORS):
                torch.relu(x)
            found.append(time.perf_counter_ns() - before)
    return float(min(found))


def processor_seconds() -> float:
    """Seconds that all processors have been busy with programs since the system started, whoever ran them."""
    import psutil

    times = psutil.cpu_times()
    return times.user + times.system + getattr(times, "nice", 0.0)  # Linux counts polite programs apart
