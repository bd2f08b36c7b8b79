"""DevicePanel: cards, rooflines, map; a campaign in the background."""

from __future__ import annotations

import numpy as np
import pytest

from tests.toy import SOURCES, TARGETS, toy_frame, toy_networks
from tests.waiting import until
from workbench import jobs
from workbench.config import WorkbenchError
from workbench.data.table import LatencyTable
from workbench.devices.device import DeviceCard, catalog
from workbench.insight.device_choice import DeviceChoice, cards_html, passport_html
from workbench.insight.panels.device import DevicePanel

LIMIT_S = 240
HASTY = {
    "timing": {
        "warmup_min_s": 0.0, "warmup_max_s": 0.001, "warmup_window": 1, "min_runs": 3, "max_runs": 5, "min_s": 0.0,
        "budget_s": 0.01,
    },
    "passes": 2, "gate_s": 0.05, "bench_s": 0.0, "quiet_s": 0.02,
    "quality": {"max_attempts": 0, "calm": {"patience_s": 0.0, "retries": 0}},
}  # fmt: skip


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    yield tmp_path / "home"
    for job in jobs.find():
        job.stop(0)


@pytest.fixture
def table() -> LatencyTable:
    card = DeviceCard(
        "server", "A <chip>", "server-cpu", peak_fp32_gflops=300, memory_bandwidth_gbps=30, cores=8,
        source={"default": "a data sheet", "cores": "counted"},
    )  # fmt: skip
    return LatencyTable("nasbench201", toy_frame(toy_networks(60), {**SOURCES, **TARGETS}), {"server": card})


def test_cards_stand_side_by_side_with_units_and_sources(table):
    panel = DevicePanel(table=table, devices=["server", "nvidia-h100-sxm"])
    text = panel._cards.value
    assert "<th scope='row'" in text
    assert "GFLOP/s" in text
    assert "A &lt;chip&gt;" in text
    assert "<li>a data sheet</li><li>" in text
    assert "<li>counted</li>" in text
    assert "L3 cache" not in text  # known of neither
    assert panel.message == ""


def test_known_figures_are_drawn_and_measured_devices_are_mapped(table):
    panel = DevicePanel(table=table, devices=["server", "phone"])
    roofs, where, timeline = panel.slots
    assert roofs.figure.layout.title.text == "Rooflines"
    assert panel.message == "Without a roofline, since its peak or bandwidth is not known: phone."
    assert where.figure.layout.title.text == "Device map"
    assert {trace.name for trace in where.figure.data} >= {"chosen"}
    assert timeline.figure is None
    panel.set(devices=["nvidia-h100-sxm"])
    assert where.figure is None
    assert panel.message == ""


def test_devices_without_cards_and_too_few_of_them_are_sentences(table):
    panel = DevicePanel(table=table, devices=["phone"])
    assert "There is no card for phone" in panel.message
    assert "No roofline" in panel.message
    assert panel.slots[1].figure is not None
    panel.set(devices=[*SOURCES, *TARGETS])
    assert "A device map expects" in panel.message
    panel.set(devices=[])
    assert panel.message == "The cards expect at least one device, got none; choose some."


def test_nothing_is_drawn_again_while_the_choice_stays(table):
    panel = DevicePanel(table=table, devices=["server"])
    before = panel.slots[0].figure
    panel.set(networks=12)
    panel.refresh()
    assert panel.slots[0].figure is before


def test_the_passport_is_told():
    panel = DevicePanel(devices=[])
    assert "passport" in panel._passport.value
    assert "<details>" in panel._passport.value
    text = passport_html({"cpu_model": "A & B", "passport": "abc", "governor": None, "memory_gib": 24.0})
    assert "A &amp; B, passport abc" in text
    assert "Governor" not in text
    assert ">24<" in text
    assert ">GiB<" in text


def test_every_measured_and_catalogued_device_can_be_chosen(table):
    choice = DeviceChoice(table)
    names = [name for _, name in choice.options]
    assert names[: len(table.devices)] == table.devices
    assert set(names) == {*table.devices, *catalog()}
    assert dict(choice.options)["phone · measured"] == "phone"
    with pytest.raises(WorkbenchError, match="did you mean 'phone'"):
        choice.cards_of(["phon"])
    with pytest.raises(WorkbenchError, match="There is no card for a"):
        cards_html({"a": DeviceCard("a")})


def test_the_map_needs_measurements_in_common(table):
    holed = table.frame.copy()
    holed["phone"] = np.nan
    with pytest.raises(WorkbenchError, match="got 0 networks"):
        DeviceChoice(LatencyTable("nasbench201", holed)).map(["phone"])
    with pytest.raises(WorkbenchError, match="Unknown measured device"):
        DeviceChoice(table).map(["nvidia-h100-sxm"])


def test_the_code_draws_the_same(table):
    panel = DevicePanel(table=table, devices=["server", "phone"])
    compile(panel.code, "code", "exec")
    assert "choice.map(['server', 'phone'])" in panel.code
    assert "jobs.start" in panel.code


def test_a_campaign_needs_a_platform(table):
    panel = DevicePanel(table=table, platforms=[])
    panel.start()
    assert "expects a platform" in panel.message
    assert jobs.find() == []


@pytest.mark.slow
def test_a_campaign_is_measured_in_the_background(table, tmp_path):
    asked = {"platforms": ["torch-eager_fp32_t1_b1"], "networks": 6, "budget_s": 200}
    panel = DevicePanel(table=table, folder=tmp_path / "campaign", campaign=HASTY, **asked)
    panel.start()
    progress = panel.work.job.wait(LIMIT_S)
    assert progress.state == "finished", progress.message
    panel.refresh()
    assert "Finished" in panel.work.text.value
    assert "At the start:" in panel._about.value
    assert panel.slots[2].figure.layout.title.text == "Reference timeline"
    assert (tmp_path / "campaign" / "nasbench201.parquet").is_file()
    assert (tmp_path / "campaign" / "nasbench201_report.html").is_file()
    again = DevicePanel(table=table, folder=tmp_path / "campaign")
    assert again.slots[2].figure is not None


@pytest.mark.slow
def test_a_campaign_that_is_stopped_is_continued(table, tmp_path):
    slow = {**HASTY, "timing": {**HASTY["timing"], "min_s": 0.3, "max_runs": 1000, "budget_s": 0.4}}
    asked = {"platforms": ["torch-eager_fp32_t1_b1"], "networks": 12, "budget_s": 200}
    panel = DevicePanel(table=table, folder=tmp_path / "campaign", campaign=slow, **asked)
    panel.start()
    until(lambda: panel.work.job.progress.done >= 3 or not panel.work.job.progress.active)
    assert panel.work.job.stop(30).state == "stopped"
    panel.start()
    progress = panel.work.job.wait(LIMIT_S)
    assert progress.state == "finished", progress.message
    assert progress.done <= 2 * 12 - 3
