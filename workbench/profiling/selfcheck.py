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


def beside_timer(space: Space, archs: Sequence[str], seconds: float = 0.3) -> pd.DataFrame:
    """Our timing of ``archs`` beside ``torch.utils.benchmark``'s, eager fp32 on one thread, in turns.

    Args:
        seconds: of timed runs, per network, tool and round; the fastest of `ROUNDS` rounds are compared, as the fastest
            attempt counts in a campaign.

    Returns:
        One row per arch: ``arch, ours_ms, timer_ms, ratio, accepted``.
    """
    from torch.utils.benchmark import Timer

    platform, config = Platform("torch_eager"), TimingConfig(min_s=seconds, budget_s=2 * seconds)
    backend, rows = BACKENDS[platform.backend], []
    for arch in archs:
        run = backend.prepare(Network(space.module(arch), space.input_shape(arch)), platform)
        timer = Timer("run()", globals={"run": run}, num_threads=1)
        ours, theirs = [], []
        with pinned(1), backend.threads(1):
            for _ in range(ROUNDS):
                ours.append(time_runs(run, config).estimate.estimate_ms)
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
