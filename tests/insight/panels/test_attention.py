"""AttentionExplorer: its figures follow its controls, its state is plain, and bad input becomes a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import pytest

from tests.toy import TARGETS, one_thread, toy_networks, toy_predictor
from workbench.config import WorkbenchError
from workbench.insight import figures
from workbench.insight.attention_study import AttentionStudy, difference
from workbench.insight.labels import short_arch
from workbench.insight.panels.attention import AttentionExplorer
from workbench.training.checkpoint import save_predictor

ARCHS = toy_networks().archs[:60]


@pytest.fixture(scope="module", autouse=True)
def single_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def study() -> AttentionStudy:
    return AttentionStudy(toy_predictor(), ARCHS)


@pytest.fixture
def panel(study) -> AttentionExplorer:
    return AttentionExplorer(study)


def drawn(panel: AttentionExplorer) -> np.ndarray:
    """The map that is shown."""
    return np.asarray(panel.map.widget.data[0].z)


def test_it_opens_with_a_map_its_trust_and_a_waterfall(panel):
    assert panel.message == ""
    assert panel.state == {
        "arch": "median", "device": "phone", "round": "all", "head": "all", "compare": "nothing",
        "other_device": "accelerator", "other_arch": "slowest",
    }  # fmt: skip
    assert panel.map.figure is not None
    assert panel.trust.figure is not None
    assert panel.costs.figure is not None
    assert panel.apart.figure is None
    assert "Faithfulness" in panel.facts.value
    assert "predicted, bound by" in panel.facts.value


def test_rounds_heads_and_devices_change_the_map(panel, study):
    seen = [drawn(panel)]
    for change in ({"round": 1}, {"head": 2}, {"round": 2}, {"device": "accelerator"}, {"arch": "fastest"}):
        panel.set(**change)
        assert panel.message == ""
        seen.append(drawn(panel))
    for index, one in enumerate(seen):
        assert not any(one.shape == other.shape and np.array_equal(one, other) for other in seen[:index])
    why = study.explain(study.find("fastest", "accelerator"), "accelerator")
    np.testing.assert_array_equal(drawn(panel), why.weights(2, 2))
    assert panel.trust.figure.layout.title.subtitle.text.startswith(
        f"Faithfulness {why.faithfulness_of(why.weights(2, 2)):.2f}"
    )


def test_a_control_that_is_moved_moves_the_figure(panel):
    before = drawn(panel)
    panel.controls["round"].value = 2
    assert not np.array_equal(before, drawn(panel))


def test_hover_tells_shapes_flops_share_and_what_binds(panel):
    facts = panel.map.widget.data[0].customdata[0][0][3]
    for word in ("Shape: 3x3 conv 3→16", "FLOPs", "% of the latency", "Bound: "):
        assert word in facts


def test_comparing_shows_the_difference_and_only_its_control(panel, study):
    panel.set(compare="another device", round=1)
    arch = study.find("median", "phone")
    one, other = (study.explain(arch, device) for device in TARGETS)
    np.testing.assert_allclose(panel.apart.widget.data[0].z, difference(one, other, 1).values)
    assert panel.controls["other_device"].layout.display is None
    assert panel.controls["other_arch"].layout.display == "none"
    panel.set(compare="another network")
    assert "latency" in panel.apart.figure.data[0].colorbar.title.text
    assert panel.controls["other_device"].layout.display == "none"
    panel.set(compare="nothing")
    assert panel.apart.figure is None


def test_the_same_on_both_sides_is_said(panel):
    panel.set(compare="another device", other_device="phone")
    assert "same device" in panel.message


def test_a_network_that_is_none_is_a_sentence_and_the_next_one_is_drawn(panel):
    panel.controls["arch"].value = "|nonsense"
    assert "or ask for fastest, median, slowest" in panel.message
    assert panel.map.figure is None
    panel.controls["arch"].value = short_arch(ARCHS[5])
    assert panel.message == ""
    assert panel.costs.figure is not None


def test_the_same_state_is_the_same_panel(panel, study):
    panel.set(arch="random 2", device="accelerator", round=2, head=1, compare="another network")
    again = AttentionExplorer(study, **panel.state)
    assert again.state == panel.state
    np.testing.assert_array_equal(drawn(again), drawn(panel))


@pytest.mark.parametrize("compare", ["nothing", "another device", "another network"])
@pytest.mark.parametrize("given", ["study", "predictor", "folder"])
def test_the_code_draws_the_same_figures(study, compare, given, tmp_path):
    made = {"study": lambda: study, "predictor": toy_predictor}
    model = made[given]() if given in made else save_predictor(tmp_path / "model", toy_predictor())
    panel = AttentionExplorer(model, ARCHS, round=2, head=1, compare=compare)
    code, names = panel.code, {"model": model, "archs": ARCHS}
    exec(code, names)
    np.testing.assert_allclose(names["weights"], drawn(panel), atol=1e-6)
    if compare != "nothing":
        np.testing.assert_allclose(names["apart"].values, panel.apart.widget.data[0].z, atol=1e-4)
    last = eval(code.splitlines()[-1], {**names, "figures": figures})
    assert isinstance(last, go.Figure)


def test_it_opens_from_a_folder_and_says_what_is_missing(tmp_path):
    opened = AttentionExplorer(save_predictor(tmp_path / "model", toy_predictor()), ARCHS, device="accelerator")
    assert opened.message == ""
    lost = AttentionExplorer(tmp_path / "nowhere", device="accelerator")
    assert "save the model again" in lost.message
    assert not any(slot.figure for slot in lost.slots)
    empty = AttentionExplorer(replace(toy_predictor(), devices={}))
    assert "expects a model with a device" in empty.message


def test_one_device_without_a_card_and_one_network_are_enough():
    whole = toy_predictor()
    alone = AttentionExplorer(replace(whole, devices={"accelerator": whole.devices["accelerator"]}), ARCHS[:1])
    assert alone.message == ""
    alone.set(compare="another device")
    assert "same device" in alone.message


def test_a_value_that_cannot_be_is_refused_by_name(study):
    with pytest.raises(WorkbenchError, match="'round'"):
        AttentionExplorer(study, round=9)
    with pytest.raises(WorkbenchError, match="did you mean 'head'"):
        AttentionExplorer(study, heads=1)
