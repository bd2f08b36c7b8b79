"""HW-NAS-Bench's pickle: a list per device for one space, a table of blocks for the other."""

from __future__ import annotations

import numpy as np
import pytest

from tests.data.published.formats import archs_of, dump, frame_of, make_hw_nas_bench
from workbench.config import WorkbenchError
from workbench.data.published import Options, import_published
from workbench.data.published.hw_nas_bench import FILE, block_names
from workbench.data.sources import load_table
from workbench.spaces import get_space
from workbench.spaces.fbnet import BLOCKS

FBNET = archs_of("fbnet", 5)


def refused(path, options=None) -> str:
    with pytest.raises(WorkbenchError) as caught:
        import_published("hw_nas_bench", path, path.parent / "out", options)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.fixture
def blocks() -> dict[str, float]:
    """Costs of all parts that the networks consist of, each another number."""
    names = dict.fromkeys(name for arch in FBNET for name in block_names(arch))
    return {name: 0.25 + index for index, name in enumerate(names)}


def test_the_names_of_blocks():
    """Written out once, by hand, from the keys that the repository's own reader asks for."""
    arch = get_space("fbnet").format(["k3_e1", "k5_e1_g2", "skip", *["k3_e6"] * 18, "skip"])
    names = block_names(arch)
    assert names[:4] == [
        "ConvNorm_H32_W32_Cin3_Cout16_kernel3_stride1_group1",
        "ConvBlock_H32_W32_Cin16_Cout16_exp1_kernel3_stride1_group1",
        "ConvBlock_H32_W32_Cin16_Cout24_exp1_kernel5_stride1_group2",
        "Skip_H32_W32_Cin24_Cout24_stride1",
    ]
    assert names[6] == "ConvBlock_H32_W32_Cin24_Cout32_exp6_kernel3_stride2_group1"
    assert names[-4:] == [
        "Skip_H4_W4_Cin184_Cout352_stride1",
        "ConvNorm_H4_W4_Cin352_Cout1504_kernel1_stride1_group1",
        "AvgP_H4_W4_Cin1504_Cout1504_kernel4_stride1",
        "FC_Cin1504_Cout100",
    ]
    assert len(names) == 26
    assert BLOCKS == ("k3_e1", "k3_e1_g2", "k3_e3", "k3_e6", "k5_e1", "k5_e1_g2", "k5_e3", "k5_e6", "skip")


def test_a_network_costs_the_sum_of_its_blocks(tmp_path, blocks):
    content = {
        "fbnet": {
            "raspi4_latency": blocks,
            "raspi4_energy": {},
            "pixel3_latency": {k: 2 * v for k, v in blocks.items()},
        }
    }
    file = dump(tmp_path / "hw.pickle", content)
    for options in (Options(archs=tuple(FBNET)), Options(space="fbnet", archs=tuple(FBNET))):
        (imported,) = import_published("hw_nas_bench", file, tmp_path / "out", options)
        expected = [sum(blocks[name] for name in block_names(arch)) for arch in FBNET]
        np.testing.assert_allclose(imported.read.frame["raspi4"], expected)
        np.testing.assert_allclose(imported.read.frame["pixel3"], 2 * np.array(expected))
    assert "name those to add up with --archs" in refused(file, Options(space="fbnet"))


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf, None, "1", True, [[[[[[[[1]]]]]]]]])
def test_a_block_that_costs_no_number(tmp_path, blocks, value):
    name = block_names(FBNET[0])[3]
    file = dump(tmp_path / "hw.pickle", {"fbnet": {"raspi4_latency": {**blocks, name: value}}})
    assert name in refused(file, Options(archs=tuple(FBNET)))
    del blocks[name]
    file = dump(tmp_path / "hw.pickle", {"fbnet": {"raspi4_latency": blocks}})
    assert f"expects the block {name}" in refused(file, Options(archs=tuple(FBNET)))


def test_energy_and_other_data_sets_are_not_read(tmp_path):
    frame = frame_of(devices=("raspi4", "edgegpu", "edgetpu"))
    made = make_hw_nas_bench(tmp_path / "theirs", frame)
    for path in (made.path, made.path / FILE):
        (imported,) = import_published("hw_nas_bench", path, tmp_path / "out")
        assert imported.read.devices == ["raspi4", "edgegpu", "edgetpu"]
    cards = load_table("nasbench201", folders=[tmp_path / "out"]).cards
    hardware = [cards[name].hardware for name in imported.read.devices]
    assert hardware == ["raspberry-pi-4", "jetson-tx2-8gb", "google-coral-edge-tpu"]


def test_numbered_configs_and_arrays(tmp_path):
    frame = frame_of(devices=("raspi4",))
    configs = {row: {"arch_str": arch} for row, arch in enumerate(frame.index)}
    part = {"config": configs, "raspi4_latency": frame["raspi4"].to_numpy()}
    file = dump(tmp_path / "hw.pickle", {"nasbench201": {"cifar10": part}})
    (imported,) = import_published("hw_nas_bench", file, tmp_path / "out")
    assert imported.read.frame["raspi4"].tolist() == frame["raspi4"].tolist()
    assert "names its networks itself" in refused(file, Options(space="nasbench201", archs=tuple(FBNET)))


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        {"nasbench201": {}},
        {"nasbench201": [1]},
        {"nasbench201": {"cifar10": {"config": [1]}}},
        {"nasbench201": {"cifar10": {"config": {"a": 1}}}},
        {"nasbench201": {"cifar10": {"config": []}}},
    ],
)
def test_another_layout_is_refused(content, tmp_path):
    assert "expects" in refused(dump(tmp_path / "hw.pickle", content))


def test_a_space_that_it_does_not_have(tmp_path):
    file = dump(tmp_path / "hw.pickle", {})
    assert "measured nasbench201 and fbnet" in refused(file, Options(space="ofa_mobilenetv3"))
