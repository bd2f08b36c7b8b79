"""The campaign's report says what was measured, doubted, repeated and what failed, of a really run one."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from workbench.config import WorkbenchError
from workbench.insight.campaign_report import (
    campaign_report,
    passport_fields,
    platform_table,
    timeline,
    watched_attempts,
)
from workbench.insight.report import Section

NAMES = ["mine_torch-eager_fp32_t1_b1", "mine_torch-eager_fp32_t1_b2"]
EVIL = "RuntimeError: <script>alert('x')</script>"


def slowed(raw: pd.DataFrame, attempt: int, factor: float) -> pd.DataFrame:
    """As if one pass over the references had been slower, and all else been quiet."""
    hit = (raw["role"] == "reference") & (raw["attempt"] == attempt)
    values = np.where(hit, factor, 1.0) * raw["latency_ns"]
    return raw.assign(latency_ns=values, pulse_ns=100.0, foreign_load=0.0)


def steady(raw: pd.DataFrame) -> pd.DataFrame:
    """As if every network had always taken the same."""
    usual = raw.groupby(["platform", "arch"])["latency_ns"].transform("median")
    return raw.assign(latency_ns=usual, pulse_ns=100.0, foreign_load=0.0)


def test_the_table_counts_what_was_really_measured(campaign):
    attempts = watched_attempts(campaign.summary.raw, campaign.config)
    table = platform_table(campaign.summary, attempts)
    assert list(table["device"]) == NAMES
    assert list(table["networks"]) == [8, 8]
    assert list(table["timings"]) == [16, 16]  # two passes
    assert list(table["again"]) == [0, 0]
    assert "failed" not in table
    medians = campaign.summary.reduced.table.median()
    np.testing.assert_allclose(table["median (ms)"], medians[NAMES])


def test_a_third_timing_is_a_repetition_only_of_two_passes(campaign):
    raw = campaign.summary.raw
    third = raw[(raw["role"] == "network") & (raw["attempt"] == 1)].assign(attempt=2)
    attempts = watched_attempts(pd.concat([raw, third]), campaign.config)
    assert attempts.loc[attempts["again"] & ~attempts["reference"], "attempt"].unique().tolist() == [2]


def test_what_stands_beside_a_slow_pass_is_drawn_as_quarantined(campaign):
    raw = slowed(steady(campaign.summary.raw), 1, 1.3)
    attempts = watched_attempts(raw, campaign.config)
    figure = timeline(attempts, campaign.config)
    assert "at most 30.0 %" in figure.layout.title.subtitle.text
    networks = attempts[~attempts["reference"]]
    first, last = (campaign.summary.drift.query(f"attempt == {n}")["started_at"].min() for n in (0, 2))
    beside = networks["started_at"].between(first, last)
    assert networks.loc[beside, "quarantined"].all()
    quiet = watched_attempts(steady(campaign.summary.raw), campaign.config)
    assert not quiet["quarantined"].any()


def test_the_report_says_all_this(campaign, tmp_path):
    summary, config = campaign.summary, campaign.config
    further = [Section("Something else", "of the caller's")]
    page = campaign_report(summary, "nasbench201", tmp_path / "report.html", config, further).read_text("utf-8")
    doubted = int(summary.reduced.summary["quarantined"].sum())
    assert f"{16 - doubted} of 16 latencies can be trusted" in page
    for title in ("Timeline", "Devices", "Something else", "Failures", "Conditions"):
        assert re.search(f"<h2>{title}</h2>", page)
    assert "every network that was begun was measured" in page
    assert summary.stability.reason.split(":")[0] in page
    for name in NAMES:
        assert name in page
    for label in (
        "Networks",
        "Timings",
        "Measured again",
        "In quarantine",
        "Remaining drift",
        "Overhead",
        "At the start",
    ):
        assert f">{label}</span>" in page


def test_where_no_pulse_was_read_the_report_shows_the_rest(campaign, tmp_path):
    before = watched_attempts(campaign.summary.raw, campaign.config)
    first = campaign.summary.raw["platform"] == "torch-eager_fp32_t1_b1"
    for unread in (first, first | True):
        raw = campaign.summary.raw.assign(pulse_ns=campaign.summary.raw["pulse_ns"].mask(unread))
        attempts = watched_attempts(raw, campaign.config)
        assert attempts["slower"].isna().all() == unread.all()
        assert not (attempts["quarantined"] & ~before["quarantined"] & attempts["slower"].isna()).any()
        page = campaign_report(
            campaign.summary._replace(raw=raw), "nasbench201", tmp_path / "report.html", campaign.config
        ).read_text("utf-8")
        assert "<h2>Timeline</h2>" in page


def test_failures_are_listed_with_their_reasons_and_nothing_is_executed(campaign, tmp_path):
    failures = pd.DataFrame({"platform": ["torch-eager_fp32_t1_b1"], "arch": ["a|b"], "failure": [EVIL]})
    summary = campaign.summary._replace(failures=failures, missing=3, overhead=float("nan"), damaged=["segment-7"])
    page = campaign_report(summary, "nasbench201", tmp_path / "report.html", campaign.config).read_text("utf-8")
    assert EVIL not in page
    assert "RuntimeError: &lt;script&gt;" in page
    assert "of 20 latencies can be trusted" in page
    assert "segment-7" in page
    table = platform_table(summary, watched_attempts(summary.raw, campaign.config))
    assert list(table["failed"]) == [1, 0]


def test_a_device_on_which_everything_failed_is_still_in_the_table(campaign):
    summary = campaign.summary
    second = "torch-eager_fp32_t1_b2"
    kept = summary.reduced.summary[summary.reduced.summary["platform"] != f"mine_{second}"]
    reduced = summary.reduced._replace(summary=kept, table=summary.reduced.table[NAMES[:1]])
    failures = pd.DataFrame({"platform": second, "arch": summary.reduced.table.index, "failure": "no"})
    raw = summary.raw
    broken = (raw["platform"] == second) & (raw["role"] == "network")
    raw = raw.assign(failure=raw["failure"].where(~broken, "no"))
    partial = summary._replace(reduced=reduced, failures=failures, raw=raw)
    table = platform_table(partial, watched_attempts(raw, campaign.config)).set_index("device")
    assert table.loc[NAMES[1], ["networks", "timings", "failed"]].tolist() == [0, 0, 8]
    assert table.loc[NAMES[0], "networks"] == 8


def test_an_unwritable_place_is_refused(campaign, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WorkbenchError, match="Cannot write"):
        campaign_report(campaign.summary, "nasbench201", tmp_path / "file" / "report.html", campaign.config)


def test_a_passport_is_flat_and_keeps_what_is_unknown():
    about = {"cpu_model": None, "isa": ["avx", "fma"], "cache_kib": {"l1": 48}, "runtimes": {"torch": "2"}}
    flat = {"cpu_model": None, "vector_extensions": "avx, fma", "l1_cache_kib": 48, "torch": "2"}
    assert passport_fields({**about, "devices": {"mine": {"threads": 1}}}) == flat
