"""The device map: alike devices lie together, a new one changes nothing, axes mean what they say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from workbench.config import WorkbenchError
from workbench.data.networks import encode
from workbench.data.table import LatencyTable
from workbench.devices.device import DeviceCard
from workbench.graphs.features import PHYSICS, op_physics
from workbench.insight.device_map import Axis, map_devices
from workbench.insight.figures import device_map
from workbench.spaces import get_space

SPACE = "nasbench201"
DEAD = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"


@pytest.fixture(scope="module")
def archs() -> list[str]:
    space = get_space(SPACE)
    drawn = space.sample(60, np.random.default_rng(5))
    return [arch for arch in drawn if space.graph(arch).depends_on_input][:40]


@pytest.fixture(scope="module")
def physical(archs) -> pd.DataFrame:
    """Devices with a known law: milliseconds per FLOP and per launch, in nine mixtures, and noise of 1 %."""
    networks = encode(SPACE, archs)
    sums = pd.DataFrame(networks.counts @ op_physics(networks.operators), columns=PHYSICS, index=archs)
    flops, launches = (sums[name] / sums[name].mean() for name in ("dense_flops", "launches"))
    generator = np.random.default_rng(0)
    columns = {
        f"share{share}": (share * flops + (9 - share) * launches) * generator.lognormal(0, 0.01, len(archs))
        for share in range(1, 10)
    }
    return pd.DataFrame(columns)


@pytest.fixture(scope="module")
def known(physical) -> LatencyTable:
    return LatencyTable(SPACE, physical, {"share1": DeviceCard("share1", hardware="chip", family="gpu")})


def place(found, device: str) -> np.ndarray:
    return found.points.set_index("device").loc[device, ["x", "y"]].to_numpy(dtype=float)


def test_a_copy_lands_on_its_original_whatever_its_speed(known, physical):
    new = pd.DataFrame({"mine": 7.5 * physical["share3"]})
    found = map_devices(known, new)
    np.testing.assert_allclose(place(found, "mine"), place(found, "share3"), atol=1e-9)
    target = found.points.set_index("device").loc["mine"]
    assert target["nearest"] == "share3"
    assert target["apart"] == pytest.approx(0, abs=1e-9)
    near = found.neighbours("mine", 3)
    assert near["device"].iloc[0] == "share3"
    assert set(near["device"].iloc[1:]) == {"share2", "share4"}
    assert near["apart"].is_monotonic_increasing


def test_the_first_axis_is_the_one_in_which_devices_were_made_to_differ(known, physical):
    found = map_devices(known, physical[["share1"]].rename(columns={"share1": "mine"}))
    assert found.axes[0].share > 0.9
    assert found.axes[0].meaning == "3x3 convolutions"
    assert found.axes[0].correlation > 0.5
    order = [place(found, f"share{share}")[0] for share in range(1, 10)]
    assert np.all(np.diff(order) > 0)  # more arithmetic, further to the right
    assert found.axes[1].meaning != found.axes[0].meaning


def test_a_new_device_does_not_move_the_map(known, physical):
    one = map_devices(known, physical[["share1"]].rename(columns={"share1": "mine"}))
    strange = map_devices(known, physical[["share1"]].rename(columns={"share1": "mine"}) ** 3)
    for device in physical:
        np.testing.assert_array_equal(place(one, device), place(strange, device))
    assert one.axes == strange.axes


def test_distances_on_the_map_are_no_larger_than_those_in_full(known, physical):
    found = map_devices(known, pd.DataFrame({"mine": physical["share2"] * physical["share8"]}))
    for device in physical:
        drawn = np.linalg.norm(place(found, "mine") - place(found, device))
        assert drawn <= found.distances.loc["mine", device] + 1e-12


def test_a_known_device_that_lacks_networks_and_a_dead_network_are_left_out(known, physical):
    frame = physical.copy()
    frame.loc[frame.index[:10], "share5"] = np.nan
    frame.loc[frame.index[0], "share6"] = np.nan
    dead = pd.DataFrame(5.0, index=[DEAD], columns=frame.columns)
    table = LatencyTable(SPACE, pd.concat([frame, dead]), {})
    new = pd.concat([physical, dead])[["share1"]].rename(columns={"share1": "mine"})
    found = map_devices(table, new)
    assert "share5" not in set(found.points["device"])
    assert found.networks == len(physical) - 1
    assert set(found.points.loc[found.points["role"] == "source", "family"]) == {"unknown"}


@pytest.mark.parametrize("rows", [0, 4])
def test_too_little_in_common_is_refused(known, physical, rows):
    with pytest.raises(WorkbenchError, match="expects at least 5 networks"):
        map_devices(known, physical[["share1"]].iloc[:rows])
    with pytest.raises(WorkbenchError, match="3 known ones, got 40 networks on 2"):
        map_devices(known.select(["share1", "share2"]), physical[["share3"]])


def test_an_axis_without_a_clear_meaning_says_so():
    assert Axis(0.4, "weights", 0.8).title == "Weights dearer, ρ = 0.80, 40 % of the variance →"
    assert Axis(0.4, "weights", 0.2).title.startswith("Unclear, best: weights")


def test_every_device_is_drawn_and_the_new_one_is_tied_to_the_nearest(mapped):
    figure = device_map(mapped, "X", "Y")
    drawn = [name for trace in figure.data if trace.text is not None for name in trace.text]
    assert sorted(drawn) == sorted(["a", "b", "c", "d", "far", "&lt;i&gt;e&lt;/i&gt;"])
    tie = next(trace for trace in figure.data if trace.mode == "lines")
    assert list(tie.x) == pytest.approx([29, 30])
    assert "mine is most like far" in figure.layout.title.subtitle.text
    assert figure.layout.xaxis.title.text == "X (%)"


def test_labels_stand_for_groups_and_do_not_overlap(mapped):
    labels = [note.text for note in device_map(mapped, "X", "Y").layout.annotations]
    assert "<b>mine</b>" in labels
    assert "a and 2 more" in labels
    crowd = pd.DataFrame({"device": [f"device-{i}" for i in range(400)], "role": "source", "family": "f"})
    places = np.random.default_rng(0).uniform(size=(400, 2))
    crowd = crowd.assign(hardware="h", x=places[:, 0], y=places[:, 1])
    figure = device_map(pd.concat([crowd, mapped[mapped["role"] == "target"].assign(nearest="device-0")]), "X", "Y")
    assert isinstance(figure, go.Figure)
    assert len(figure.layout.annotations) < 100
    assert any(note.text.startswith("device-0") for note in figure.layout.annotations), "the one it is most like"


def test_a_nearest_device_that_is_not_there_is_refused(mapped):
    mapped.loc[mapped["role"] == "target", "nearest"] = "gone"
    with pytest.raises(WorkbenchError, match="'gone'"):
        device_map(mapped, "X", "Y")
