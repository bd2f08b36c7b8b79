"""Whether measurements on this machine can be trusted: the same networks twice, and beside other tools."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from workbench.config import WorkbenchError
from workbench.devices.backends import BACKENDS, Network, Platform
from workbench.profiling.conditions import pinned
from workbench.profiling.timing import TimingConfig, time_runs

if TYPE_CHECKING:
    from workbench.spaces import Space

TIMER_TOLERANCE = 0.05
REPEATED_WITHIN, REPEATED_ORDER = 0.03, 0.99
ROUNDS = 5


class Repeatability(NamedTuple):
    """How alike two campaigns are on one device.

    Args:
        device: the column.
        networks: how many both have measured.
        median, worst: median and largest absolute difference, as a share of the first campaign's latency.
        spearman: rank correlation.
        accepted: whether the median is within `REPEATED_WITHIN` and the order above `REPEATED_ORDER`.
    """

    device: str
    networks: int
    median: float
    worst: float
    spearman: float
    accepted: bool


def repeatability(first: pd.DataFrame, second: pd.DataFrame) -> list[Repeatability]:
    """Two tables (index ``arch``, a column of milliseconds per device) compared, device by device."""
    found = []
    for device in [name for name in first if name in second]:
        both = pd.concat([first[device], second[device]], axis=1, keys=["first", "second"]).dropna()
        if len(both) < 3:
            raise WorkbenchError(
                f"Repeatability on '{device}' expects at least 3 networks in both campaigns, got {len(both)}; "
                f"measure more."
            )
        difference = (both["second"] / both["first"] - 1).abs()
        order = float(both["first"].corr(both["second"], method="spearman"))
        median = float(difference.median())
        accepted = median <= REPEATED_WITHIN and order >= REPEATED_ORDER
        found.append(Repeatability(device, len(both), median, float(difference.max()), order, accepted))
    return found


def beside_timer(
    space: Space, archs: Sequence[str], seconds: float = 0.3, platform: Platform | None = None
) -> pd.DataFrame:
    """Our timing of ``archs`` beside ``torch.utils.benchmark``'s, in turns.

    On a GPU their timer reads the host's clock around each run and the wait for its end, ours the GPU's.

    Args:
        platform: eager fp32 on one thread if None.
        seconds: of timed runs, per network, tool and round; the fastest of `ROUNDS` rounds are compared, as the fastest
            attempt counts in a campaign.

    Returns:
        One row per arch: ``arch, ours_ms, timer_ms, ratio, accepted``.
    """
    import torch
    from torch.utils.benchmark import Timer

    platform = platform or Platform("torch_eager")
    config, backend, rows = TimingConfig(min_s=seconds, budget_s=2 * seconds), BACKENDS[platform.backend], []
    statement = "run(); wait()" if platform.device == "cuda" else "run()"
    for arch in archs:
        run = backend.prepare(Network(space.module(arch), space.input_shape(arch)), platform)
        timer = Timer(statement, globals={"run": run, "wait": torch.cuda.synchronize}, num_threads=platform.threads)
        ours, theirs = [], []
        with pinned(platform.threads), backend.threads(platform.threads):
            for _ in range(ROUNDS):
                ours.append(time_runs(run, config, stopwatch=backend.stopwatch).estimate.estimate_ms)
                theirs.append(timer.blocked_autorange(min_run_time=seconds).median * 1e3)
        ratio = min(ours) / min(theirs)
        rows.append((arch, min(ours), min(theirs), ratio, abs(ratio - 1) <= TIMER_TOLERANCE))
    return pd.DataFrame(rows, columns=["arch", "ours_ms", "timer_ms", "ratio", "accepted"])


@contextmanager
def busy_core() -> Iterator[None]:
    """Another process that computes without pause, on one processor, meanwhile."""
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        other.kill()
        other.wait()
