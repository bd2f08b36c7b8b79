"""HELP's checkouts: which rows are which networks, in each of its spaces."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.data.published.formats import archs_of, frame_of, help_networks, make_help, save
from workbench.config import WorkbenchError
from workbench.data.published import Options, import_published
from workbench.data.sources import load_table
from workbench.spaces import SPACES


def refused(path, options=None) -> str:
    with pytest.raises(WorkbenchError) as caught:
        import_published("help", path, path / "out", options)
    assert not (path / "out").exists()
    return str(caught.value)


@pytest.mark.parametrize("space", sorted(SPACES.keys() & {"nasbench201", "fbnet", "ofa_mobilenetv3"}))
def test_each_space_has_its_own_way_to_name_networks(space, tmp_path):
    frame = frame_of(space)
    made = make_help(tmp_path / "help", frame, space)
    folder, _, _ = help_networks(space, list(frame.index))
    for place in (made.path, made.path / "data", made.path / "data" / folder):
        (imported,) = import_published("help", place, tmp_path / place.name)
        pd.testing.assert_frame_equal(imported.read.frame, frame, check_index_type=False)


def test_a_checkout_holds_several_spaces(tmp_path):
    for space in ("nasbench201", "fbnet"):
        make_help(tmp_path, frame_of(space, ("gpu_1", space)), space)
    both = import_published("help", tmp_path, tmp_path / "both")
    assert {table.read.space: table.read.devices for table in both} == {
        "nasbench201": ["gpu_1", "nasbench201"],
        "fbnet": ["fbnet", "gpu_1"],
    }
    (one,) = import_published("help", tmp_path, tmp_path / "one", Options(space="fbnet"))
    assert one.read.space == "fbnet"
    (one,) = import_published("help", tmp_path, tmp_path / "device", Options(devices=("nasbench201",)))
    assert one.read.space == "nasbench201", "a space without any of the devices is left out"
    assert "say with --space whose archs" in refused(tmp_path, Options(archs=tuple(archs_of())))


def test_rows_are_numbered_by_the_file_and_not_by_its_order(tmp_path):
    frame = frame_of()
    made = make_help(tmp_path, frame)
    rows = {arch: row for row, arch in reversed(list(enumerate(frame.index)))}
    save(tmp_path / "data" / "nasbench201" / "str_arch2idx.pt", rows)
    (imported,) = import_published("help", made.path, tmp_path / "out")
    pd.testing.assert_frame_equal(imported.read.frame, frame, check_index_type=False)


@pytest.mark.parametrize("wrap", ["tensor", "float32 tensor", "array", "scalars", "list"])
def test_latencies_may_be_a_list_a_tensor_or_an_array(wrap, tmp_path):
    import torch

    frame = frame_of()
    made = make_help(tmp_path, frame)
    values = frame["phone"].to_numpy()
    content = {
        "tensor": torch.tensor(values),
        "float32 tensor": torch.tensor(values, dtype=torch.float32),
        "array": values,
        "scalars": list(values),
        "list": values.tolist(),
    }[wrap]
    save(tmp_path / "data" / "nasbench201" / "latency" / "phone.pt", content)
    (imported,) = import_published("help", made.path, tmp_path / "out")
    np.testing.assert_allclose(imported.read.frame["phone"], values, rtol=1e-6 if "32" in wrap else 0)


def test_networks_may_be_given(tmp_path):
    frame = frame_of()
    made = make_help(tmp_path, frame)
    (tmp_path / "data" / "nasbench201" / "str_arch2idx.pt").unlink()
    assert "expects str_arch2idx.pt" in refused(made.path)
    (imported,) = import_published("help", made.path, tmp_path / "out", Options(archs=tuple(frame.index)))
    pd.testing.assert_frame_equal(imported.read.frame, frame, check_index_type=False)


def test_wrong_lengths_name_the_file_and_what_can_be_done(tmp_path):
    made = make_help(tmp_path, frame_of())
    save(tmp_path / "data" / "nasbench201" / "latency" / "phone.pt", [1.0, 2.0])
    sentence = refused(made.path)
    assert "phone.pt expects 6 latencies, one per network, got 2" in sentence
    assert "--device" in sentence
    (imported,) = import_published("help", made.path, tmp_path / "out", Options(devices=("gpu_1",)))
    assert imported.read.devices == ["gpu_1"]


@pytest.mark.parametrize(
    ("space", "content"),
    [
        ("nasbench201", {"|none~0|+|none~0|none~1|+|none~0|none~1|none~2|": 3}),
        ("nasbench201", [1, 2]),
        ("fbnet", {"arch": [{"op_idx_list": [9] * 22}] * 6}),
        ("fbnet", {"arch": [{"op_idx_list": [0] * 21}] * 6}),
        ("fbnet", {"arch": [{}]}),
        ("ofa_mobilenetv3", {"arch": [{"ks": [3], "e": [3], "d": [2], "r": 128}] * 6}),
        ("ofa_mobilenetv3", {}),
    ],
)
def test_networks_that_are_none(space, content, tmp_path):
    made = make_help(tmp_path, frame_of(space), space)
    folder, file, _ = help_networks(space, archs_of(space))
    save(tmp_path / "data" / folder / file, content)
    assert len(refused(made.path).splitlines()) == 1


@pytest.mark.parametrize("content", [{"a": 1.0}, "text", ["a"] * 6, [[1.0]] * 6, [[1.0], [1.0, 2.0]], None, [True] * 6])
def test_latencies_that_are_none(content, tmp_path):
    made = make_help(tmp_path, frame_of())
    save(tmp_path / "data" / "nasbench201" / "latency" / "phone.pt", content)
    assert "phone.pt expects a list of numbers" in refused(made.path)


def test_repeated_networks_are_refused(tmp_path):
    frame = frame_of("fbnet")
    made = make_help(tmp_path, frame.rename(index={frame.index[1]: frame.index[0]}), "fbnet")
    assert "stands in several rows" in refused(made.path)


def test_cards_are_written_for_what_the_catalog_does_not_know(tmp_path):
    frame = frame_of("ofa_mobilenetv3", ("titan_xp_32", "v100_1", "titan_rtx_1", "unheard"))
    made = make_help(tmp_path, frame, "ofa_mobilenetv3")
    import_published("help", made.path, tmp_path / "out")
    cards = load_table("ofa_mobilenetv3", folders=[tmp_path / "out"]).cards
    assert (cards["titan_xp_32"].hardware, cards["titan_xp_32"].batch_size) == ("titan-xp", 32)
    assert cards["titan_xp_32"].memory_bandwidth_gbps == cards["titanxp_1"].memory_bandwidth_gbps
    assert (cards["v100_1"].hardware, cards["v100_1"].cores) == ("nvidia-v100", None)
    assert cards["titan_rtx_1"].hardware == "titan-rtx", "the catalog's card is not hidden"
    assert "unheard" not in cards


def test_real_tables_as_help_keeps_them(tmp_path, shared_data):
    frame = pd.read_parquet(shared_data / "data" / "fbnet.parquet").set_index("arch")[["raspi4", "samsung_a50"]]
    made = make_help(tmp_path, frame, "fbnet")
    (imported,) = import_published("help", made.path, tmp_path / "out")
    pd.testing.assert_frame_equal(imported.read.frame, frame.astype(float), check_index_type=False)
