"""Importing into a folder that holds something: nothing is lost, and nothing is mixed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

from tests.data.published.formats import frame_of, make_csv, make_hw_nas_bench
from workbench.config import WorkbenchError
from workbench.data.published import import_published
from workbench.data.published.join import add_cards
from workbench.devices.device import DeviceCard, read_cards, write_cards


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def put(folder, frame, out, **kind):
    made = make_csv(folder, frame, **kind)
    (imported,) = import_published("csv", made.path, out, made.options)
    return imported


def stored(out, space="nasbench201"):
    return pd.read_parquet(out / f"{space}.parquet").set_index("arch")


def test_further_devices_and_networks_join(tmp_path, out):
    frame = frame_of(devices=("a", "b", "c"), count=8)
    put(tmp_path / "1", frame.iloc[:5][["a", "b"]], out)
    second = put(tmp_path / "2", frame.iloc[3:][["c"]], out)
    assert second.added == 5
    third = put(tmp_path / "3", frame.iloc[4:][["a"]], out)
    assert third.added == 3, "the network that is there already is no new latency"
    found = stored(out)
    assert list(found) == ["a", "b", "c"]
    assert list(found.index) == list(frame.index)
    expected = frame.copy()
    expected.iloc[5:, 1] = None
    expected.iloc[:3, 2] = None
    pd.testing.assert_frame_equal(found, expected, check_index_type=False, rtol=1e-14)


def test_other_latencies_of_a_device_are_refused(tmp_path, out):
    frame = frame_of()
    put(tmp_path / "1", frame, out)
    before = (out / "nasbench201.parquet").read_bytes()
    frame.iloc[4, 1] += 1
    frame["another"] = frame["phone"]
    with pytest.raises(WorkbenchError, match="holds 'phone' already, with other latencies") as caught:
        put(tmp_path / "2", frame, out)
    assert frame.index[4] in str(caught.value)
    assert (out / "nasbench201.parquet").read_bytes() == before


def test_spaces_lie_side_by_side(tmp_path, out):
    put(tmp_path / "1", frame_of(), out)
    put(tmp_path / "2", frame_of("fbnet"), out, space="fbnet")
    assert len(stored(out)) == len(stored(out, "fbnet")) == 6


@pytest.mark.parametrize("trace", ["raw/nasbench201", "nasbench201_conditions.json"])
def test_measurements_of_this_machine_are_not_mixed_with_others(tmp_path, out, trace):
    (out / trace).mkdir(parents=True)
    with pytest.raises(WorkbenchError, match="measured here") as caught:
        put(tmp_path / "1", frame_of(), out)
    assert "--data" in str(caught.value)
    put(tmp_path / "2", frame_of("fbnet"), out, space="fbnet")


def test_a_damaged_table_is_not_overwritten(tmp_path, out):
    out.mkdir()
    (out / "nasbench201.parquet").write_bytes(b"PAR1 damaged")
    with pytest.raises(WorkbenchError, match="Cannot read"):
        put(tmp_path / "1", frame_of(), out)
    assert (out / "nasbench201.parquet").read_bytes() == b"PAR1 damaged"


def test_where_cards_cannot_be_read_nothing_is_written(tmp_path, out):
    out.mkdir(exist_ok=True)
    (out / "devices.yaml").write_text("[")
    with pytest.raises(WorkbenchError, match=r"devices\.yaml"):
        put(tmp_path / "1", frame_of(), out)
    assert not list(out.glob("*.parquet"))


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(WorkbenchError, match="Cannot write"):
            put(tmp_path / "1", frame_of(), place)


def test_cards_that_are_there_stay(tmp_path, out):
    mine = DeviceCard("edgegpu", hardware="my board", cores=3, source="mine")
    write_cards(out / "devices.yaml", {"edgegpu": mine, "other": DeviceCard("other", hardware="x")})
    made = make_hw_nas_bench(tmp_path / "theirs", frame_of(devices=("edgegpu", "edgetpu", "raspi4")))
    import_published("hw_nas_bench", made.path, out)
    cards = read_cards(out / "devices.yaml")
    assert cards["edgegpu"] == mine
    assert set(cards) == {"edgegpu", "other", "edgetpu"}
    text = "# a remark\nedgetpu: {hardware: mine}\n"
    (out / "devices.yaml").write_text(text)
    assert add_cards({"edgetpu": cards["edgetpu"], "raspi4": DeviceCard("raspi4")}, out) is None
    assert (out / "devices.yaml").read_text() == text, "with nothing to add, the file is left alone"


def test_imports_at_the_same_time_lose_nothing(tmp_path, out):
    frame = frame_of(devices=tuple("abcdefgh"))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda device: put(tmp_path / device, frame[[device]], out), frame.columns))
    pd.testing.assert_frame_equal(stored(out)[list(frame)], frame, check_index_type=False, rtol=1e-14)
