"""A device's profile, from a campaign that was really run: what was chosen, what is shown, what is kept."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from workbench.config import WorkbenchError
from workbench.data.sources import BUNDLED, load_table
from workbench.devices.detect import detect
from workbench.insight.device_profile import DeviceProfile, bench_table, networks_to_measure
from workbench.insight.live import LiveCampaign
from workbench.profiling.journal import read_raw
from workbench.profiling.passes import Progress


@pytest.fixture(scope="module")
def found(campaign) -> DeviceProfile:
    summary, bench, probes, config = campaign
    return DeviceProfile("nasbench201", summary, bench, probes, load_table("nasbench201", folders=[BUNDLED]), config)


def test_the_networks_are_distinct_bundled_ones_with_the_probes_first():
    archs, probes = networks_to_measure("nasbench201", 30, 10, seed=3)
    table = load_table("nasbench201", folders=[BUNDLED])
    assert len(set(archs)) == 30
    assert archs[:10] == probes
    assert table.frame.loc[archs].notna().all(axis=None), "measured on every bundled device"
    assert networks_to_measure("nasbench201", 30, 10, seed=3) == (archs, probes)
    assert networks_to_measure("nasbench201", 30, 10, seed=4)[0][10:] != archs[10:]
    for count, few in ((5, 6), (10**6, 5), (5, 1)):
        with pytest.raises(WorkbenchError, match="Expected 2 <= probes <= networks"):
            networks_to_measure("nasbench201", count, few, seed=0)


def test_the_figures_are_those_of_the_campaign(found):
    assert set(found.figures) == {
        "bandwidth_sweep",
        "reference_timeline",
        "network_roofline",
        "signature",
        "device_map",
    }
    assert all(isinstance(figure, go.Figure) for figure in found.figures.values())
    measured = [
        trace.name for trace in found.figures["network_roofline"].data if (trace.name or "").startswith("measured")
    ]
    assert measured == ["measured: mine_torch-eager_fp32_t1_b1"]  # batch 2 moves other bytes
    assert "mine_torch-eager_fp32_t1_b1" in found.figures["signature"].layout.title.subtitle.text


def test_neighbours_are_known_devices_nearest_first(found):
    assert set(found.neighbours["device"]) == set(found.table.columns)
    assert set(found.neighbours["most like"]) <= set(found.known.devices)
    for _, rows in found.neighbours.groupby("device"):
        assert rows["apart (%)"].is_monotonic_increasing


def test_repeatability_is_nothing_where_both_timings_agree_and_unknown_where_there_is_one(found):
    device = found.table.columns[0]
    attempts = found.attempts.assign(quarantined=False)
    usual = attempts.groupby(["platform", "arch"])["estimate_ms"].transform("median")
    doubled = attempts["estimate_ms"].where(attempts["attempt"] != 1, 2 * usual).where(attempts["attempt"] != 0, usual)
    for changed, expected in (
        (attempts.assign(estimate_ms=doubled), 0.0),  # all alike twice as slow: the same signature
        (attempts[attempts["attempt"] == 0], np.nan),
        (attempts.assign(quarantined=True), np.nan),
    ):
        copy = DeviceProfile(**{name: getattr(found, name) for name in found.__dataclass_fields__})
        copy.__dict__["attempts"] = changed
        assert copy.repeatability(device) == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_the_table_of_capabilities_holds_every_figure_once(found):
    table = bench_table(found.bench, detect())
    assert len(table) == len({figure.name for figure in found.bench.figures})
    assert not table.isna().any(axis=None)
    cell = table.set_index("figure").loc["Peak fp32", "1 thread"]
    value, low, high = (float(part.replace(",", "")) for part in re.findall(r"[\d.,]+", cell))
    assert low <= value <= high


class Kept:
    """A tracker that remembers."""

    run_id = "run"

    def __init__(self) -> None:
        self.seen: dict[str, object] = {}

    def log_metrics(self, metrics) -> None:
        self.seen |= metrics

    def log_table(self, table, name) -> None:
        self.seen[name] = table

    def log_figure(self, figure, name, html) -> None:
        self.seen[name] = figure

    def log_file(self, path) -> None:
        self.seen["file"] = path


def test_everything_is_kept(found, tmp_path):
    kept = Kept()
    report = found.keep(kept, tmp_path)
    page = report.read_text("utf-8")
    assert report.name == "nasbench201_report.html"
    for title in ("Timeline", "What it can do", "Operators under the roofs", "Its behaviour signature", "Device map"):
        assert f"<h2>{title}</h2>" in page
    assert kept.seen["file"] == report
    assert kept.seen["networks"] == 8
    assert {f"figures/{name}" for name in found.figures} <= set(kept.seen)
    assert all(np.isfinite(value) for value in kept.seen.values() if isinstance(value, float))
    pd.testing.assert_frame_equal(kept.seen["latencies.parquet"].set_index("arch"), found.table)


def test_a_live_bar_follows_repetitions_and_draws_while_rows_come_in(campaign, monkeypatch):
    shown = []

    class Place:
        def update(self, content, raw) -> None:
            shown.append(content)

    monkeypatch.setattr("workbench.insight.live._display", lambda content: Place())
    with LiveCampaign(campaign.summary.files.raw, campaign.config) as live:
        live(Progress(0, 0, 0.1, None, "listening"))
        assert not shown
        live(Progress(1, 4, 0.2, 0.3, "a"))
        live(Progress(4, 6, 0.4, 0.2, "b"))
        assert (live._bar.n, live._bar.total) == (4, 6)
    assert live._bar.n == 6
    assert len(shown) == 2  # once soon, once at the end
    kinds = ["application/vnd.jupyter.widget-view+json", "application/vnd.plotly.v1+json"]
    assert [kind in content for kind, content in zip(kinds, shown, strict=True)] == [True, True]
    assert len(read_raw(campaign.summary.files.raw)) == len(campaign.summary.raw)
