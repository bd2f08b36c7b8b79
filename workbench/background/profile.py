"""The job that measures this machine."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from workbench.config import override, write_atomically
from workbench.data.sources import BUNDLED
from workbench.devices.backends import get_platforms
from workbench.insight.campaign_report import campaign_report, timeline, watched_attempts
from workbench.insight.device_profile import networks_to_measure
from workbench.jobs.worker import Report
from workbench.profiling.campaign import profile as measure
from workbench.profiling.campaign import quiet
from workbench.profiling.journal import read_raw
from workbench.profiling.passes import CampaignConfig, Progress
from workbench.profiling.reduce import tables_in
from workbench.profiling.timing import TimingConfig
from workbench.spaces import get_space

Config = TypeVar("Config")

PROBES = 16  # of a campaign's networks, chosen by DBSel: the signature
EVERY_S = 6.0  # between two drawings, at least
SHARE = 20  # and as many times as long as the last one took: looking on must not cost what is looked at
LOOKING_S = 1.3  # after each drawing, nothing is timed: who looks on has it drawn, perhaps on this machine


def profile(
    report: Report,
    folder: str,
    space: str,
    platforms: Sequence[str],
    networks: int = 60,
    budget_s: float | None = None,
    device: str = "mine",
    seed: int = 0,
    campaign: Mapping[str, Any] | None = None,
) -> None:
    """Measure this machine: a campaign with its tables and its report in ``folder``; begun again, it continues.

    Args:
        report: shows ``stability`` (the gate's sentence), ``timeline`` (file of the figure so far), ``drawn_at`` and
            at last ``page`` (the report's file).
        folder: of the tables.
        space: search space.
        platforms: names of ways to execute; each becomes a column.
        networks: how many; those that the bundled devices were measured on, where there are any.
        budget_s: seconds after which no further network is begun.
        device: what this machine is called.
        seed: of the networks and their order.
        campaign: what differs from the usual `CampaignConfig`, by name.
    """
    usual = CampaignConfig(TimingConfig(min_runs=6, min_s=0.1, budget_s=0.25), reference_every=12)
    config = overridden(usual, campaign or {})
    archs = _networks(space, networks, seed)
    report(0, 0, "listening whether this machine is quiet")
    report(0, 0, "preparing", stability=quiet(get_platforms(platforms), config).reason)
    watch = Watch(report, Path(folder), space, config)
    summary = measure(
        get_space(space), archs, get_platforms(platforms), folder, budget_s, watch, seed, device, config
    )  # fmt: skip
    page = campaign_report(summary, space, Path(folder) / f"{space}_report.html", config)
    watch.draw()
    measured = summary.measured
    report(measured, measured, "measured", page=str(page), remaining_drift=summary.remaining_drift)


class Watch:
    """Shows a campaign's progress and, now and then between two timings, its timeline.

    Args:
        report: of the job.
        folder, space, config: of the campaign.
    """

    def __init__(self, report: Report, folder: Path, space: str, config: CampaignConfig) -> None:
        self._report, self._config = report, config
        self._raw, self._file = tables_in(folder, space).raw, folder / f"{space}_timeline.json"
        self._next = 0.0
        self._at = (0, 0, "")

    def __call__(self, progress: Progress) -> None:
        """Pass ``progress`` on; draw, if it is time."""
        self._at = (progress.done, progress.total, "measuring" if progress.total else progress.label)
        self._report(*self._at)
        if progress.total and time.monotonic() >= self._next:
            began = time.monotonic()
            if self.draw():
                time.sleep(LOOKING_S)
            self._next = time.monotonic() + max(EVERY_S, SHARE * (time.monotonic() - began))

    def draw(self) -> bool:
        """Draw the timeline so far into the file; whether there was anything to draw."""
        attempts = watched_attempts(read_raw(self._raw), self._config)
        if not attempts["reference"].any():
            return False
        text = timeline(attempts, self._config).to_json()
        write_atomically(self._file, lambda path: path.write_text(text, encoding="utf-8"))
        self._report(*self._at, timeline=str(self._file), drawn_at=time.time())
        return True


def _networks(space: str, count: int, seed: int) -> list[str]:
    if (BUNDLED / f"{space}.parquet").is_file():
        return networks_to_measure(space, count, min(PROBES, count), seed)[0]
    return get_space(space).sample(count, np.random.default_rng(seed))


def overridden(config: Config, changes: Mapping[str, Any]) -> Config:
    """`override` that reaches into configs within ``config``, which ``changes`` gives as mappings."""
    inner = {
        name: overridden(getattr(config, name), value)
        for name, value in changes.items()
        if isinstance(value, Mapping) and dataclasses.is_dataclass(getattr(config, name, None))
    }
    return override(config, {**changes, **inner})
