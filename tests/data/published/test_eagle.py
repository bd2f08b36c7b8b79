"""Eagle's pickles: vectors of operation numbers, seconds, and what the names of the files say."""

from __future__ import annotations

import pickle

import pytest

from tests.data.published.formats import dump, frame_of, make_eagle
from workbench.config import WorkbenchError
from workbench.data.published import Options, import_published
from workbench.data.sources import load_table

VECTOR = (3, 1, 0, 2, 4, 3)
ARCH = "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_3x3~2|"


def test_a_vector_is_read_in_the_order_of_the_arch_string(tmp_path):
    file = dump(tmp_path / "phone.pickle", {VECTOR: 0.0125})
    (imported,) = import_published("eagle", file, tmp_path / "out")
    assert imported.read.frame.to_dict() == {"phone": {ARCH: 12.5}}
    assert not (tmp_path / "out" / "devices.yaml").exists()


def test_a_device_that_failed_on_some_networks_has_holes(tmp_path):
    dump(tmp_path / "mobile-cpu-one-int8.pickle", {VECTOR: 1, (0,) * 6: 2})
    dump(tmp_path / "mobile-cpu-two-int8.pkl", {VECTOR: 3, (1,) * 6: 4})
    dump(tmp_path / "nasbench201_valid_acc_cifar100_norm.pickle", {VECTOR: 0.7})
    (imported,) = import_published("eagle", tmp_path, tmp_path / "out")
    assert imported.read.frame.notna().sum().to_dict() == {"mobile-cpu-one-int8": 2, "mobile-cpu-two-int8": 2}
    assert imported.read.frame.shape == (3, 2), "accuracies in the same folder are no device"


@pytest.mark.parametrize(
    "content",
    [
        {},
        [1, 2],
        {(0, 1): 1.0},
        {(0, 0, 0, 0, 0, 5): 1.0},
        {(0, 0, 0, 0, 0, True): 1.0},
        {"a": 1.0},
        {(0, 0, 0, 0, 0, ((((((((0,),),),),),),),)): 1.0},
        {VECTOR: "1"},
        {VECTOR: [1.0, 2.0]},
        {VECTOR: None},
    ],
)
def test_other_content_is_refused(content, tmp_path):
    file = dump(tmp_path / "phone.pickle", content)
    with pytest.raises(WorkbenchError, match=r"phone.pickle expects") as caught:
        import_published("eagle", file, tmp_path / "out")
    assert len(str(caught.value).splitlines()) == 1


def test_names_of_files_tell_what_was_measured(tmp_path):
    names = (
        "desktop-cpu-core-i7-7820x-fp32",
        "desktop-gpu-gtx-1080-ti-fp32",
        "embeeded-tpu-edgetpu-int8",
        "mobile-gpu-snapdragon-855-adren0-640-int8",
        "mobile-dsp-hexagon-690",
    )
    make_eagle(tmp_path / "theirs", frame_of(devices=names))
    import_published("eagle", tmp_path / "theirs", tmp_path / "out")
    cards = load_table("nasbench201", folders=[tmp_path / "out"]).cards
    told = [(cards[name].family, cards[name].hardware, cards[name].precision) for name in names]
    assert told == [
        ("desktop-cpu", "core-i7-7820x", "fp32"),
        ("desktop-gpu", "gtx-1080-ti", "fp32"),
        ("edge-tpu", "google-coral-edge-tpu", "int8"),
        ("mobile-gpu", "qualcomm-adreno-640", "int8"),
        ("mobile-dsp", "qualcomm-hexagon-690", None),
    ]
    assert cards[names[1]].memory_bandwidth_gbps == 484
    assert cards[names[1]].batch_size is None, "nobody says it"


def test_it_is_nasbench201_only(tmp_path):
    file = tmp_path / "phone.pickle"
    file.write_bytes(pickle.dumps({VECTOR: 1.0}))
    with pytest.raises(WorkbenchError, match="Eagle measured nasbench201 only"):
        import_published("eagle", file, tmp_path / "out", Options(space="fbnet"))
