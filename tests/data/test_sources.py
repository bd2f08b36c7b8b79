"""Where tables are found: the first folder wins, and what is missing is said in one sentence."""

from __future__ import annotations

import os

import pandas as pd
import pytest

from tests.toy import SOURCES, Roofline, toy_frame, toy_networks, write_table
from workbench.config import WorkbenchError
from workbench.data import sources
from workbench.data.sources import data_folders, load_table
from workbench.devices.device import DeviceCard, write_cards

NETWORKS = toy_networks(6)


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
    """An empty folder in the place of the bundled measurements, and no folders in the environment."""
    folder = tmp_path / "bundled"
    folder.mkdir()
    monkeypatch.setattr(sources, "BUNDLED", folder)
    monkeypatch.delenv("WORKBENCH_DATA", raising=False)
    return folder


@pytest.fixture
def folder(tmp_path):
    """A folder with all toy devices and no cards."""
    return write_table(tmp_path / "first", toy_frame(NETWORKS, SOURCES))


def test_every_device_without_any_card(folder):
    table = load_table("nasbench201", folders=[folder])
    assert table.devices == list(SOURCES)
    assert table.archs == list(NETWORKS.archs)
    assert [table.hardware(device) for device in SOURCES] == [None] * len(SOURCES)


def test_wanted_devices_come_in_the_order_asked_for_and_once(folder):
    assert load_table("nasbench201", ["server", "compute", "server"], [folder]).devices == ["server", "compute"]


def test_the_first_folder_wins(tmp_path, folder):
    slower = write_table(tmp_path / "second", 10 * toy_frame(NETWORKS, SOURCES))
    first = load_table("nasbench201", ["edge"], [folder, slower]).column("edge")
    last = load_table("nasbench201", ["edge"], [slower, folder]).column("edge")
    pd.testing.assert_series_equal(10 * first, last)


def test_columns_of_several_folders_are_joined_by_arch(tmp_path, folder):
    frame = toy_frame(NETWORKS, {"fast": Roofline(9000, 900, 1)})
    other = write_table(tmp_path / "second", frame.iloc[[4, 2, 3]])
    table = load_table("nasbench201", ["fast", "edge"], [folder, other])
    assert table.devices == ["fast", "edge"]
    assert set(table.archs) == set(NETWORKS.archs)
    assert table.column("fast").notna().sum() == 3
    for row in (2, 3, 4):
        assert table.column("fast")[NETWORKS.archs[row]] == frame["fast"].iloc[row]
    assert table.column("edge").notna().all()


def test_own_measurements_are_searched_last(own, folder):
    mine = Roofline(7, 7, 7)
    write_table(own, toy_frame(NETWORKS, {"mine": mine, "edge": mine}))
    table = load_table("nasbench201", ["mine", "edge"], [folder])
    assert table.column("mine").iloc[0] == mine.latency_ms(NETWORKS)[0]
    assert table.column("edge").iloc[0] == SOURCES["edge"].latency_ms(NETWORKS)[0]
    assert load_table("nasbench201").devices == ["mine", "edge"]


def test_environment_names_folders_unless_some_are_given(tmp_path, monkeypatch, folder, own):
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setenv("WORKBENCH_DATA", f"{other}{os.pathsep}{folder}{os.pathsep}")
    assert data_folders() == [other, folder, own]
    assert data_folders([str(folder)]) == [folder, own]
    assert load_table("nasbench201").devices == list(SOURCES)
    with pytest.raises(WorkbenchError, match="No latency table"):
        load_table("nasbench201", folders=[other])


def test_a_folder_that_is_not_there(tmp_path, folder):
    (tmp_path / "file").touch()
    for missing in (tmp_path / "none", tmp_path / "file"):
        with pytest.raises(WorkbenchError, match=r"Data folder .* expects a directory, found none; correct --data"):
            load_table("nasbench201", folders=[folder, missing])


def test_the_folder_above_the_tables_is_no_data_folder(tmp_path, folder):
    with pytest.raises(WorkbenchError, match=f"found them in {folder} instead"):
        load_table("nasbench201", folders=[folder.parent])


def test_no_table_at_all(tmp_path, own):
    (tmp_path / "empty").mkdir()
    with pytest.raises(WorkbenchError) as caught:
        load_table("fbnet", folders=[tmp_path / "empty"])
    assert "No latency table fbnet.parquet" in str(caught.value)
    assert str(own) in str(caught.value)


def test_unknown_space_names_the_nearest(folder):
    with pytest.raises(WorkbenchError, match="Unknown space 'nasbench20'; did you mean 'nasbench201'"):
        load_table("nasbench20", folders=[folder])


def test_unknown_device_names_the_nearest(folder):
    with pytest.raises(WorkbenchError, match="Unknown device 'serve'; did you mean 'server'"):
        load_table("nasbench201", ["edge", "serve"], [folder])


def test_unreadable_table_and_missing_arch_column(folder):
    file = folder / "nasbench201.parquet"
    pd.read_parquet(file).drop(columns="arch").to_parquet(file, index=False)
    with pytest.raises(WorkbenchError, match="expects a string column 'arch', got compute, memory"):
        load_table("nasbench201", folders=[folder])
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(WorkbenchError, match=r"Cannot read .*nasbench201.parquet as a Parquet latency table"):
        load_table("nasbench201", folders=[folder])


def test_a_table_without_devices_is_one_sentence(folder):
    frame = toy_frame(NETWORKS, SOURCES)
    write_table(folder, frame[[]])
    with pytest.raises(WorkbenchError):
        load_table("nasbench201", folders=[folder])


def test_cards_beside_the_table(folder):
    write_cards(folder / "devices.yaml", {"edge": DeviceCard("edge", hardware="board", memory_bandwidth_gbps=10)})
    table = load_table("nasbench201", folders=[folder])
    assert table.cards["edge"].memory_bandwidth_gbps == 10
    assert "server" not in table.cards


def test_cards_beside_the_table_go_before_the_catalog(folder):
    frame = toy_frame(NETWORKS, {"raspi4": SOURCES["edge"]})
    write_table(folder, frame)
    assert load_table("nasbench201", folders=[folder]).hardware("raspi4") == "raspberry-pi-4"
    write_cards(folder / "devices.yaml", {"raspi4": DeviceCard("raspi4", hardware="another board")})
    assert load_table("nasbench201", folders=[folder]).hardware("raspi4") == "another board"


def test_a_device_has_the_card_of_the_folder_its_column_is_from(tmp_path, folder):
    second = write_table(tmp_path / "second", toy_frame(NETWORKS, {"raspi4": SOURCES["edge"]}))
    write_cards(second / "devices.yaml", {"raspi4": DeviceCard("raspi4", hardware="another board")})
    assert load_table("nasbench201", ["edge", "raspi4"], [folder, second]).hardware("raspi4") == "another board"


def test_damaged_cards_are_one_sentence(folder):
    (folder / "devices.yaml").write_text("edge: {bandwith: 3}\n")
    with pytest.raises(WorkbenchError, match="Unknown field of device 'edge' 'bandwith'"):
        load_table("nasbench201", folders=[folder])


def with_passport(folder, passport):
    write_cards(folder / "devices.yaml", {"edge": DeviceCard("edge", passport=passport)})
    return folder


def test_one_device_under_different_conditions_is_refused(tmp_path, folder, own):
    frame = toy_frame(NETWORKS, SOURCES)
    with_passport(folder, "abc")
    other = with_passport(write_table(tmp_path / "second", frame), "def")
    with pytest.raises(WorkbenchError, match="Device 'edge' was measured under different conditions") as caught:
        load_table("nasbench201", ["edge"], [folder, other])
    assert "abc in" in str(caught.value)
    assert "def in" in str(caught.value)
    with_passport(write_table(own, frame), "def")
    assert load_table("nasbench201", ["edge"], [folder]).cards["edge"].passport == "abc", "the bundled one gives way"


def test_rows_of_one_device_under_the_same_conditions_are_added(tmp_path, folder):
    frame = toy_frame(NETWORKS, SOURCES)
    first = with_passport(write_table(tmp_path / "first", frame.iloc[:3]), "abc")
    second = with_passport(write_table(tmp_path / "second", 2 * frame.iloc[2:5]), "abc")
    found = load_table("nasbench201", ["edge"], [first, second]).column("edge")
    assert list(found / frame["edge"].iloc[:5]) == [1, 1, 1, 2, 2], "what both have is as the first one says"
    unknown = write_table(tmp_path / "third", frame)
    assert len(load_table("nasbench201", ["edge"], [first, unknown]).archs) == 3, "conditions that nobody knows"
