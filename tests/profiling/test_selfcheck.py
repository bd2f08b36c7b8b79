"""Comparing two campaigns, and our timing with torch's: what counts as agreement, never how fast anything was."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import psutil
import pytest

from workbench.profiling.selfcheck import REPEATED_WITHIN, beside_timer, busy_core, repeatability
from workbench.spaces import get_space

FIRST = pd.DataFrame(
    {"a": np.arange(1.0, 61.0), "b": np.arange(60.0, 0.0, -1.0)}, index=[f"net {n}" for n in range(60)]
)


def test_equal_campaigns_agree():
    for found in repeatability(FIRST, FIRST):
        assert (found.networks, found.median, found.worst, found.accepted) == (60, 0.0, 0.0, True)
        assert found.spearman == pytest.approx(1.0)


def test_a_slower_second_campaign_does_not_agree_and_one_outlier_is_told_but_accepted():
    slower, outlier = FIRST * 1.05, FIRST.copy()
    outlier.loc["net 59", "a"] *= 2
    found = {row.device: row for row in repeatability(FIRST, slower)}
    assert not any(row.accepted for row in found.values())
    assert found["a"].median == pytest.approx(0.05)
    told = repeatability(FIRST, outlier)[0]
    assert told.accepted
    assert told.worst == pytest.approx(1.0)


def test_another_order_does_not_agree():
    shuffled = FIRST.copy()
    shuffled["a"] = FIRST["a"] * np.where(np.arange(60) % 7 == 0, 1.6, 1.0)
    found = repeatability(FIRST, shuffled)[0]
    assert found.median <= REPEATED_WITHIN
    assert found.spearman < 0.99
    assert not found.accepted


def test_only_what_both_have_counts_and_too_little_is_refused(refusal):
    second = FIRST.iloc[:10].assign(a=lambda frame: frame["a"].where(frame["a"] > 4))
    assert [row.networks for row in repeatability(FIRST, second)] == [6, 10]
    assert "at least 3 networks" in refusal(repeatability, FIRST, FIRST.iloc[:2])


def test_both_tools_time_the_same_network():
    archs = get_space("nasbench201").sample(2, np.random.default_rng(0))
    found = beside_timer(get_space("nasbench201"), archs, seconds=0.02)
    assert list(found["arch"]) == archs
    assert (found[["ours_ms", "timer_ms"]] > 0).all(axis=None)
    assert (found["ratio"] == found["ours_ms"] / found["timer_ms"]).all()


def test_a_busy_core_ends_with_its_block():
    with busy_core():
        children = psutil.Process(os.getpid()).children()
        assert any("while True" in " ".join(child.cmdline()) for child in children)
    assert not any("while True" in " ".join(child.cmdline()) for child in psutil.Process().children())
