"""The loop of a campaign on a simulated clock: the machine slows down by 20 %, and what was measured meanwhile is
found out, measured again, and right in the end."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from workbench.devices.backends import Platform
from workbench.profiling import passes as module
from workbench.profiling.calm import CalmConfig, Watched
from workbench.profiling.journal import NETWORK, Journal, read_raw
from workbench.profiling.passes import CampaignConfig, Passes
from workbench.profiling.quality import QualityConfig, quarantine, reference_drift, remaining_drift
from workbench.profiling.reduce import reduce_attempts, reduce_rows
from workbench.profiling.timing import Timing
from workbench.spaces import get_space

SPACE = get_space("nasbench201")
ARCHS = SPACE.sample(12, np.random.default_rng(3))
DEVICES = {Platform("torch_eager"): "mine", Platform("torch_eager", batch=8): "mine at 8"}
QUALITY = QualityConfig(drift=0.1, max_attempts=2, calm=CalmConfig())
TRUTH_NS = {arch: 1_000_000 * (3 + number) for number, arch in enumerate(ARCHS)}


@pytest.fixture
def simulate(tmp_path, monkeypatch) -> Callable[..., Passes]:
    """A campaign of one pass whose bursts take one simulated second each, on a machine as slow as ``speed`` says."""

    def run(speed: Callable[[float], float], fails: str | None = None) -> Passes:
        clock = itertools.count(0.0)

        class Simulated:
            def __init__(self, *_: object) -> None:
                self.asked: list[str] = []

            def __enter__(self) -> Simulated:
                return self

            def __exit__(self, *_: object) -> None: ...

            def start(self) -> None: ...

            def time(self, arch: str, platforms: list[Platform]) -> Iterator[tuple[Platform, Watched | str]]:
                for platform in platforms:
                    self.asked.append(arch)
                    now = next(clock)
                    sample = int(TRUTH_NS.get(arch, 7_000_000) * platform.batch * speed(now))
                    timing = Timing((sample,) * 8, tuple(range(8)), 0, 0, now)
                    yield platform, "it broke" if arch == fails else Watched(timing, 100.0, 0.0, busy_s=1.0)

        monkeypatch.setattr(module, "Worker", Simulated)
        config = CampaignConfig(passes=1, reference_every=3, quality=QUALITY)
        with Journal(tmp_path / "raw", {"campaign": "simulated"}) as journal:
            made = Passes(SPACE, ARCHS, DEVICES, journal, config, deadline=time.monotonic() + 1000)
            made.run()
        return made

    return run


def judged(folder):
    attempts = reduce_attempts(read_raw(folder / "raw"))
    return attempts.assign(quarantined=quarantine(attempts, QUALITY))


def test_what_was_measured_while_the_machine_drifted_is_measured_again(simulate, tmp_path):
    campaign = simulate(lambda now: 1.2 if 20 <= now < 34 else 1.0)
    attempts = judged(tmp_path)
    slow = attempts[(attempts["started_at"] >= 20) & (attempts["started_at"] < 34) & (attempts["role"] == NETWORK)]
    assert len(slow) >= 6, "the slow spell met some networks"
    assert slow["quarantined"].all()
    again = attempts[(attempts["role"] == NETWORK) & (attempts["attempt"] > 0)]
    assert campaign.repeated == len(again) >= len(slow)
    reduced = reduce_rows(read_raw(tmp_path / "raw"), QUALITY)
    for platform in DEVICES:
        measured = reduced.table[platform.name] * 1e6
        assert measured.to_dict() == pytest.approx({arch: TRUTH_NS[arch] * platform.batch for arch in ARCHS})
    assert not reduced.summary["quarantined"].any()
    assert reference_drift(attempts)["drift"].max() == pytest.approx(0.2)
    assert remaining_drift(attempts, QUALITY) == pytest.approx(0.0)


def test_a_steady_machine_repeats_nothing(simulate, tmp_path):
    campaign = simulate(lambda now: 1.0 + 0.01 * np.sin(now))
    assert campaign.repeated == 0
    assert campaign.measured == len(ARCHS) * len(DEVICES)
    assert not judged(tmp_path)["quarantined"].any()
    assert campaign.busy_s == len(ARCHS) * len(DEVICES) + 3 * len(DEVICES) * 5, "five passes over three references"


def test_a_machine_that_never_calms_down_ends_within_bounds_and_says_so(simulate, tmp_path):
    slowdowns = itertools.cycle([1.0, 1.6, 1.3, 2.0])
    campaign = simulate(lambda now: next(slowdowns) * (1 + 0.05 * now))
    assert campaign.measured <= len(ARCHS) * len(DEVICES) * (1 + QUALITY.max_attempts)
    reduced = reduce_rows(read_raw(tmp_path / "raw"), QUALITY)
    assert reduced.summary["quarantined"].any()
    assert reduced.table.notna().all(axis=None), "marked, not lost"


def test_a_failing_network_is_not_tried_in_later_rounds_and_the_count_is_right(simulate, tmp_path):
    campaign = simulate(lambda now: 1.2 if 20 <= now < 34 else 1.0, fails=ARCHS[0])
    assert campaign.worker.asked.count(ARCHS[0]) == len(DEVICES)
    assert campaign.done == campaign.total
    assert set(read_raw(tmp_path / "raw").query("failure == 'it broke'")["arch"]) == {ARCHS[0]}
