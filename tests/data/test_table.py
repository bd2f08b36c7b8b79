"""Latency tables: what is refused where data enters."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.toy import SOURCES, toy_frame, toy_networks, write_table
from workbench.config import WorkbenchError
from workbench.data.table import LatencyTable, read_table
from workbench.devices.device import DeviceCard

NETWORKS = toy_networks(6)
ARCHS = list(NETWORKS.archs)


@pytest.fixture
def frame() -> pd.DataFrame:
    return toy_frame(NETWORKS, SOURCES)


def read(folder, devices=None) -> LatencyTable:
    return read_table(folder / "nasbench201.parquet", "nasbench201", {}, devices)


def test_round_trip(tmp_path, frame):
    path = LatencyTable("nasbench201", frame).write(tmp_path)
    assert path == tmp_path / "nasbench201.parquet"
    stored = pd.read_parquet(path)
    assert list(stored) == ["arch", *SOURCES]
    pd.testing.assert_frame_equal(read(tmp_path).frame, frame, check_index_type=False)


def test_columns_rows_and_cards(frame):
    table = LatencyTable("nasbench201", frame, {"edge": DeviceCard("edge", hardware="board")})
    assert table.devices == list(SOURCES)
    assert table.archs == ARCHS
    assert (table.hardware("edge"), table.hardware("server")) == ("board", None)
    assert table.column("edge")[ARCHS[2]] == frame["edge"].iloc[2]
    chosen = table.select(["server", "edge"])
    assert chosen.devices == ["server", "edge"]
    assert chosen.hardware("edge") == "board"
    for ask in (table.column, lambda name: table.select([name])):
        with pytest.raises(WorkbenchError, match="Unknown device 'serve'; did you mean 'server'"):
            ask("serve")


def test_nan_is_not_measured(frame):
    frame.loc[ARCHS[1], "edge"] = np.nan
    assert np.isnan(LatencyTable("nasbench201", frame).column("edge")[ARCHS[1]])


@pytest.mark.parametrize("value", [0.0, -1.0, np.inf, -np.inf])
def test_impossible_latencies_name_arch_and_device(frame, value):
    frame.loc[ARCHS[3], "edge"] = value
    with pytest.raises(WorkbenchError) as caught:
        LatencyTable("nasbench201", frame)
    sentence = str(caught.value)
    assert f"'{ARCHS[3]}' on edge" in sentence
    assert f"got {value}" in sentence
    assert len(sentence.splitlines()) == 1


def test_latencies_that_are_no_numbers(frame):
    with pytest.raises(WorkbenchError, match="column 'edge' expects milliseconds as numbers, got"):
        LatencyTable("nasbench201", frame.astype({"edge": str}))


def test_repeated_archs(frame):
    with pytest.raises(WorkbenchError, match="stands in several rows") as caught:
        LatencyTable("nasbench201", pd.concat([frame, frame.iloc[[4]]]))
    assert ARCHS[4] in str(caught.value)


def test_malformed_archs(frame):
    with pytest.raises(WorkbenchError, match=r"Malformed nasbench201 arch '\|none~0\|'"):
        LatencyTable("nasbench201", frame.rename(index={ARCHS[0]: "|none~0|"}))
    with pytest.raises(WorkbenchError, match="Malformed fbnet arch"):
        LatencyTable("fbnet", frame)


def test_unknown_space(frame):
    with pytest.raises(WorkbenchError, match="Unknown space 'nasbench'; did you mean 'nasbench201'"):
        LatencyTable("nasbench", frame)


def test_missing_arch_column(tmp_path, frame):
    frame.reset_index(drop=True).to_parquet(tmp_path / "nasbench201.parquet", index=False)
    with pytest.raises(WorkbenchError, match=r"nasbench201.parquet expects a string column 'arch', got compute"):
        read(tmp_path)


def test_missing_or_damaged_file(tmp_path):
    for content in (None, b"", b"PAR1 but nothing else", b"arch,edge\nx,1\n"):
        if content is not None:
            (tmp_path / "nasbench201.parquet").write_bytes(content)
        with pytest.raises(WorkbenchError, match=r"Cannot read .*nasbench201.parquet") as caught:
            read(tmp_path)
        assert len(str(caught.value).splitlines()) == 1


def test_whole_and_single_precision_numbers_become_milliseconds(tmp_path, frame):
    frame["edge"], frame["server"] = range(1, 7), frame["server"].astype(np.float32)
    table = read(write_table(tmp_path, frame))
    assert table.frame["edge"].tolist() == [1, 2, 3, 4, 5, 6]
    assert set(map(str, table.frame.dtypes)) == {"float64"}


def test_only_the_wanted_columns_are_judged(tmp_path, frame):
    frame["broken"] = 0.0
    folder = write_table(tmp_path, frame)
    assert read(folder, ["edge"]).devices == ["edge"]
    with pytest.raises(WorkbenchError, match="broken"):
        read(folder)


def test_arch_may_be_the_index_of_the_file(tmp_path, frame):
    """What pandas writes from a frame indexed by ``arch`` has the column ``arch``, too."""
    frame.to_parquet(tmp_path / "nasbench201.parquet")
    for devices in (None, ["edge"]):
        assert read(tmp_path, devices).archs == ARCHS
