"""Tiny campaigns: real networks, real timing, next to no patience."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from functools import cache

import numpy as np
import pandas as pd
import pytest

from workbench.config import WorkbenchError
from workbench.devices.detect import detect
from workbench.devices.microbench import MicroBench, MicroBenchConfig, microbench
from workbench.profiling import campaign
from workbench.profiling.calm import CalmConfig
from workbench.profiling.passes import CampaignConfig
from workbench.profiling.quality import QualityConfig
from workbench.profiling.reduce import KEYS
from workbench.profiling.timing import TimingConfig

QUICK = CampaignConfig(
    timing=TimingConfig(
        warmup_min_s=0, warmup_max_s=0.001, warmup_window=1, min_runs=3, max_runs=5, min_s=0, budget_s=0.01
    ),
    passes=2,
    quality=QualityConfig(max_attempts=0, calm=CalmConfig(patience_s=0, retries=0)),
    gate_s=0.05,
    bench_s=0.05,
    quiet_s=0.02,
)
QUICK_BENCH = MicroBenchConfig(min_rounds=1, max_rounds=1, share_s=0, call_s=0, sweep_to_mib=1, per_octave=1)


@pytest.fixture(scope="session")
def quick() -> Iterator[CampaignConfig]:
    """A campaign whose preparations take no time and whose timings mean nothing; the micro-benchmark runs once."""

    @cache
    def bench(threads: frozenset[int], device: str) -> MicroBench:
        caches_unknown = dataclasses.replace(detect(), cache_kib={})  # known ones are followed to main memory
        return microbench(threads, caches_unknown, QUICK.bench_s, device, QUICK_BENCH)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(campaign, "microbench", lambda threads, _, seconds, device: bench(frozenset(threads), device))
        yield QUICK


@pytest.fixture(scope="session")
def refusal() -> Callable[..., str]:
    """Calls its first argument with the others and returns the one sentence with which that is refused."""

    def refuse(action: Callable[..., object], *arguments: object, **keywords: object) -> str:
        with pytest.raises(WorkbenchError) as caught:
            action(*arguments, **keywords)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return refuse


Attempt = tuple[str, str, str, int, float, float]


@pytest.fixture(scope="session")
def attempts() -> Callable[..., pd.DataFrame]:
    """Builds what `reduce_attempts` gives from ``(platform, arch, role, attempt, estimate_ms, started_at)``."""

    def build(
        rows: Sequence[Attempt],
        half: float = 0.01,
        pulse_ns: float | np.ndarray = 100.0,
        load: float | np.ndarray = 0.0,
    ) -> pd.DataFrame:
        frame = pd.DataFrame(rows, columns=[*KEYS, "estimate_ms", "started_at"])
        estimate = frame["estimate_ms"] = frame["estimate_ms"].astype("float64")
        return frame.assign(
            low_ms=estimate * (1 - half),
            high_ms=estimate * (1 + half),
            n_runs=9,
            iqr_ms=0.0,
            min_ms=estimate,
            pulse_ns=pulse_ns,
            foreign_load=load,
        )

    return build
