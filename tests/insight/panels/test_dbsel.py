"""DBSelPanel: the slider moves the probes, locks and swaps hold, whatever is wrong is said in the panel."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.toy import SOURCES, toy_frame, toy_networks, write_table
from workbench.cli.common import networks as read_list
from workbench.config import WorkbenchError
from workbench.data.table import LatencyTable
from workbench.describe.dbsel import DEFAULT_SELECTOR
from workbench.insight.labels import short_arch
from workbench.insight.panels.dbsel import FIGURES, DBSelPanel
from workbench.insight.probe_study import open_study

NETWORKS = toy_networks()
FRAME = toy_frame(NETWORKS, SOURCES) * np.random.default_rng(0).lognormal(0, 0.02, (len(NETWORKS), len(SOURCES)))
TABLE = LatencyTable("nasbench201", FRAME)


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def panel(tmp_path) -> DBSelPanel:
    return DBSelPanel(table=TABLE, samples=120, out=tmp_path)


def slot(panel: DBSelPanel, name: str):
    return panel.slots[FIGURES.index(name)]


def numbers(panel: DBSelPanel) -> list[list[str]]:
    """What stands in the marks of the probes and of the locked probes."""
    return [list(trace.text) for trace in slot(panel, "architecture_map").widget.data[1:]]


class Points:
    """What a click hands over."""

    def __init__(self, trace_index: int, *point_inds: int) -> None:
        self.trace_index, self.point_inds = trace_index, list(point_inds)


def click(panel: DBSelPanel, trace: int, point: int) -> None:
    """As the page reports it: every trace of the map is told, with the points of its own."""
    for index, drawn in enumerate(slot(panel, "architecture_map").widget.data):
        drawn._dispatch_on_click(Points(index, *([point] if index == trace else [])), None)


def test_it_opens_with_every_figure_and_a_table(panel):
    assert panel.message == ""
    assert panel.state == {
        "space": "nasbench201", "probes": 10, "selector": DEFAULT_SELECTOR, "seed": 0, "sources": [], "locked": [],
        "swapped": [],
    }  # fmt: skip
    assert all(one.figure is not None for one in panel.slots)
    assert numbers(panel) == [[str(number) for number in range(1, 11)], []]
    assert panel._listed.value.count("<tr") == 11
    assert "5 source devices" in panel._origin.value


def test_the_slider_moves_the_probes_and_leaves_the_background(panel):
    widget = slot(panel, "architecture_map").widget
    background, archs = np.array(widget.data[0].x), panel.probe_archs
    panel.controls["probes"].value = 14
    assert slot(panel, "architecture_map").widget is widget
    np.testing.assert_array_equal(widget.data[0].x, background)
    assert len(numbers(panel)[0]) == 14
    assert panel.probe_archs[:10] == archs
    assert "14 probes" in widget.layout.title.subtitle.text
    panel.set(probes=3)
    assert len(numbers(panel)[0]) == 3
    assert "3 networks drawn" in slot(panel, "network_drawings").figure.layout.meta["message"]


@pytest.mark.parametrize("change", [{"selector": "random"}, {"sources": ["edge", "server"]}])
def test_other_controls_choose_other_probes(panel, change):
    panel.set(probes=25, selector="disagreement")  # of the sources: designs follow from physics first
    before = panel.probe_archs
    panel.set(**change)
    assert panel.message == ""
    assert panel.probe_archs != before
    panel.set(selector="random", seed=5)
    once = panel.probe_archs
    panel.set(seed=6)
    assert panel.probe_archs != once


def test_the_state_makes_the_same_panel_again(panel):
    panel.set(probes=7, selector="k_means", seed=3, sources=["edge", "memory"])
    panel.lock(panel.probe_archs[2])
    panel.swap(panel.probe_archs[5])
    again = DBSelPanel(table=TABLE, samples=120, **panel.state)
    assert again.state == panel.state
    assert again.probe_archs == panel.probe_archs


def test_a_locked_probe_stays_and_comes_first(panel):
    kept = panel.probe_archs[6]
    panel._chosen.value = kept
    panel._lock.click()
    assert panel.state["locked"] == [kept]
    assert panel._lock.description == "Unlock"
    assert numbers(panel)[1] == ["1"]
    panel.set(probes=2, selector="disagreement")
    assert panel.probe_archs[0] == kept
    panel._lock.click()
    assert panel.state["locked"] == []


def test_more_locks_than_probes_are_all_shown_with_a_word(panel):
    for arch in panel.probe_archs[:3]:
        panel.lock(arch)
    panel.set(probes=2)
    assert len(panel.probe_archs) == 3
    assert "3 probes are locked" in panel.message


def test_a_swap_brings_the_next_best_and_can_be_undone(panel):
    before = list(panel.probe_archs)
    panel._chosen.value = before[4]
    panel._swap_chosen()
    assert before[4] not in panel.probe_archs
    assert panel.probe_archs[:9] == before[:4] + before[5:]
    assert panel._chosen.value == panel.probe_archs[9]
    panel.set(locked=[], swapped=[])
    assert panel.probe_archs == before


def test_a_click_on_a_probe_locks_it_and_a_second_one_unlocks_it(panel):
    third = panel.probe_archs[2]
    click(panel, 1, 2)
    assert panel.state["locked"] == [third]
    assert panel._chosen.value == third
    click(panel, 2, 0)
    assert panel.state["locked"] == []


def test_a_click_on_another_network_takes_it_in_place_of_the_chosen_probe(panel):
    other = next(row for row in panel.study.crowd if NETWORKS.archs[row] not in panel.probe_archs)
    leaving, stay = panel.probe_archs[1], [arch for arch in panel.probe_archs if arch != panel.probe_archs[1]]
    panel._chosen.value = leaving
    click(panel, 0, int(np.flatnonzero(panel.study.crowd == other)[0]))
    assert panel.state == {**panel.state, "locked": [NETWORKS.archs[other]], "swapped": [leaving]}
    assert panel.probe_archs == [NETWORKS.archs[other], *stay]
    assert panel._chosen.value == NETWORKS.archs[other]
    click(panel, 0, int(np.flatnonzero(panel.study.crowd == NETWORKS.row[leaving])[0]))  # and back
    assert panel.state["locked"] == [leaving]
    assert panel.state["swapped"] == [NETWORKS.archs[other]]


def test_the_list_is_what_profile_reads(panel, tmp_path):
    panel._export(panel.export_list)
    (path,) = tmp_path.glob("*.txt")
    assert read_list("nasbench201", None, path) == panel.probe_archs
    assert path.name in panel._note.value
    panel.set(probes=4)
    assert panel._note.value == ""


def test_the_probe_pack_is_made_once(panel, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    panel.set(probes=1)
    panel._export(panel.export_pack)
    (path,) = tmp_path.glob("*.zip")
    assert path.name in panel._note.value
    panel._export(panel.export_pack)
    assert "exists already" in panel._note.value


def test_without_the_extra_the_pack_is_a_sentence(panel, monkeypatch, tmp_path):
    from importlib import metadata

    def missing(package: str) -> str:
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr(metadata, "version", missing)
    panel._export(panel.export_pack)
    assert "pip install" in panel._note.value
    assert not list(tmp_path.iterdir())


def test_the_code_is_shown_and_runs(panel):
    panel.set(probes=4)
    code = panel.code
    assert "locked=[]" in code
    scope = {"table": TABLE}
    exec(code.split("# or without the panel")[1].replace('["architecture_map"].show()', ""), scope)
    assert len(scope["study"].choose(scope["choice"])) == 4
    assert "open_study('fbnet', ['x']" in DBSelPanel(["x"], space="fbnet").code


def test_folders_are_read_and_another_space_offers_its_own_devices(tmp_path):
    folder = write_table(tmp_path / "data", FRAME)
    fbnet = toy_networks(40, "fbnet")
    write_table(folder, toy_frame(fbnet, {"one": SOURCES["edge"], "two": SOURCES["memory"]}), "fbnet")
    panel = DBSelPanel([folder], samples=60, probes=4)
    assert panel.controls["sources"].options == tuple(SOURCES)
    panel.lock(panel.probe_archs[0])
    panel.controls["space"].value = "fbnet"
    assert panel.controls["sources"].options == ("one", "two")
    assert panel.state["locked"] == []
    assert panel.message == ""
    assert set(panel.probe_archs) <= set(fbnet.archs)
    assert DBSelPanel([folder], samples=60, **panel.state).probe_archs == panel.probe_archs
    reordered = dict(reversed({**panel.state, "sources": ["two"]}.items()))
    assert DBSelPanel([folder], samples=60, **reordered).state["sources"] == ["two"]
    panel.set(space="ofa_mobilenetv3")
    assert "No latency table ofa_mobilenetv3.parquet" in panel.message
    assert panel.probe_archs == []
    assert all(one.figure is None for one in panel.slots)
    panel.set(space="nasbench201")
    assert panel.message == ""
    assert panel.study is open_study("nasbench201", [folder], (), 60)


def few(count: int) -> pd.DataFrame:
    return FRAME.iloc[:count]


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (few(0), "at least 4 networks"),
        (few(1), "at least 4 networks"),
        (FRAME[[]], "0 devices"),
        (FRAME * np.nan, "0 networks"),
        (few(8), "Cannot select 10 probes from 8"),
        (few(15), "No source device can be left out"),
        (FRAME[["edge"]], "No source device can be left out"),
        (FRAME.assign(never=np.nan), ""),
    ],
    ids=["empty", "one network", "no device", "nothing measured", "few", "short", "one device", "a NaN column"],
)
def test_what_a_table_lacks_is_said(frame, said):
    panel = DBSelPanel(table=LatencyTable("nasbench201", frame))
    assert said in panel.message
    assert bool(panel.message) == bool(said)


def test_an_unknown_network_or_value_is_refused(panel):
    panel.set(locked=["|none~0|"])
    assert "not among the 200 networks" in panel.message
    assert short_arch("|none~0|") in panel.message
    with pytest.raises(WorkbenchError, match="'probes'"):
        panel.set(probes="many")
    with pytest.raises(WorkbenchError, match="did you mean 'selector'"):
        panel.set(selectr="random")
    with pytest.raises(WorkbenchError, match="no probes to export"):
        panel.export_list()
