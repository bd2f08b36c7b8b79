"""``kill -9`` in the middle of a campaign, ten times at random moments: it continues, and loses nothing but the network
that it was timing."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from torch import nn

from workbench.devices.backends import Platform
from workbench.profiling.campaign import profile
from workbench.profiling.journal import NETWORK, read_raw
from workbench.profiling.quality import choose_references
from workbench.spaces.nasbench201 import NASBench201

KILLS = 10
PLATFORMS = [Platform("torch_eager"), Platform("torch_eager", batch=2)]


class Counted(NASBench201):
    """NAS-Bench-201 that writes down which network it builds."""

    def __init__(self, calls: Path) -> None:
        self.calls = calls

    def module(self, arch: str) -> nn.Module:
        with self.calls.open("a") as file:
            file.write(f"{arch}\n")
        time.sleep(0.2)  # so that there is something to interrupt
        return super().module(arch)


ARCHS = NASBench201().sample(40, np.random.default_rng(11))
PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.profiling.test_killed import *
from tests.profiling.conftest import QUICK
if __name__ == "__main__":
    config = dataclasses.replace(QUICK, passes=1, bench_s=0)
    profile(Counted(Path(sys.argv[2])), ARCHS, PLATFORMS, sys.argv[3], config=config)
"""


@pytest.mark.slow
def test_ten_kills_lose_at_most_the_network_being_timed(tmp_path, quick):
    script, calls, out = tmp_path / "program.py", tmp_path / "calls", tmp_path / "out"
    script.write_text(PROGRAM)
    raw, moments = out / "raw" / "nasbench201", np.random.default_rng(int.from_bytes(os.urandom(4)))
    arguments = [sys.executable, str(script), str(Path(__file__).resolve().parents[2]), str(calls), str(out)]
    killed = 0
    while killed < KILLS:
        before = len(list(raw.glob("segment-*"))) if raw.is_dir() else 0
        with subprocess.Popen(arguments) as process:
            deadline = time.monotonic() + 120
            while not raw.is_dir() or len(list(raw.glob("segment-*"))) <= before:
                assert process.poll() is None, "it ended before it could be killed"
                assert time.monotonic() < deadline, "nothing was measured"
                time.sleep(0.01)
            time.sleep(moments.uniform(0, 0.7))
            assert process.poll() is None, "it ended before it could be killed"
            process.kill()
        killed += 1
        rows = read_raw(raw)  # whole, at every moment
        assert not rows.duplicated(["platform", "arch", "role", "attempt", "repeat"]).any()
    config = dataclasses.replace(quick, passes=1)
    summary = profile(Counted(calls), ARCHS, PLATFORMS, out, config=config)
    assert summary.missing == 0
    assert summary.failures.empty
    without = profile(NASBench201(), ARCHS, PLATFORMS, tmp_path / "without", config=config)
    assert list(summary.reduced.table.index) == list(without.reduced.table.index) == ARCHS
    assert list(summary.reduced.table) == list(without.reduced.table)
    assert summary.reduced.table.notna().all(axis=None)
    networks = summary.raw[summary.raw["role"] == NETWORK]
    assert not networks.duplicated(["platform", "arch", "attempt", "repeat"]).any()
    built = Counter(calls.read_text().splitlines())
    for reference in choose_references(NASBench201(), ARCHS, 0):
        built.pop(reference)
    assert set(built) == set(ARCHS)
    assert sum(built.values()) - len(ARCHS) <= KILLS, "each kill costs one network at most"
    pd.testing.assert_frame_equal(pd.read_parquet(summary.files.latencies).set_index("arch"), summary.reduced.table)
