"""A predictor that is cut loose from its networks says the same as before, and knows all others of their space."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.toy import TARGETS, rae, toy_networks, toy_predictor, toy_sources
from workbench.config import WorkbenchError
from workbench.describe.design import build_design
from workbench.devices.device import DeviceCard
from workbench.predictor.hodm import HODMConfig
from workbench.predictor.method import Probed
from workbench.predictor.roofline import ZeroShot
from workbench.training import checkpoint
from workbench.training.adapted import AdaptedPredictor, DesignMap
from workbench.training.fit import FitConfig, Pretrained, pretrain
from workbench.training.transfer import choose_probes, transfer

NETWORKS = toy_networks()
QUICK, SMALL = FitConfig(steps=4, devices=6), HODMConfig(width=12, heads=2)


def hasty(space: str, count: int = 80) -> tuple[Pretrained, object, object]:
    """A hasty HODM on ``count`` networks of ``space``, its networks and design."""
    networks = toy_networks(count, space)
    sources = toy_sources(networks)
    design = build_design(networks, sources.rows, sources.latency_ms)
    probes = choose_probes(design, 6, np.random.default_rng(0), None)
    return pretrain(sources, design, probes, np.random.default_rng(0), QUICK, SMALL), networks, design


@pytest.mark.parametrize("space", ["nasbench201", "fbnet", "ofa_mobilenetv3"])
def test_it_says_what_was_said_before_it_was_cut_loose(space):
    pretrained, networks, design = hasty(space)
    probe_ms = TARGETS["phone"].latency_ms(networks)[pretrained.probes]
    before = transfer(pretrained, design, Probed(pretrained.probes, probe_ms), None, 1.3).estimate
    after = AdaptedPredictor.of(pretrained, networks, design).add("phone", probe_ms, None, 1.3)
    for one, other in zip(before, after.predict(networks.archs, "phone"), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4)


def test_what_a_card_lets_expect_is_kept(tmp_path):
    pretrained, networks, design = hasty("nasbench201")
    card = DeviceCard("phone", family="mobile-cpu", peak_fp32_gflops=30, memory_bandwidth_gbps=4, batch_size=1)
    zero_shot = ZeroShot(replace(toy_sources(networks), cards={"edge": replace(card, name="edge")}), design)
    noise = 1 + 0.3 * np.random.default_rng(0).standard_normal(len(pretrained.probes))  # so that opinions matter
    probed = Probed(pretrained.probes, noise * TARGETS["phone"].latency_ms(networks)[pretrained.probes])
    before = transfer(pretrained, design, probed, card, expected=zero_shot.expect(card)).estimate
    assert not np.allclose(before.ms, transfer(pretrained, design, probed, card).estimate.ms)
    after = AdaptedPredictor.of(pretrained, networks, design).add(
        "phone", probed.ms, card, expectation=zero_shot.expectation(card)
    )
    loaded = checkpoint.load_predictor(checkpoint.save_predictor(tmp_path, after))
    for one, other in zip(before, loaded.predict(networks.archs, "phone"), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4)


def test_what_is_not_additive_is_kept_too(tmp_path):
    """A runtime that fuses two operations where they meet on every source device."""
    networks = toy_networks(200)
    sources = toy_sources(networks)
    fuses = np.array(["|nor_conv_3x3~0|" in arch and "nor_conv_1x1~2" in arch for arch in networks.archs])
    fused = replace(sources, latency_ms=np.where(fuses[:, None], 0.6, 1.0) * sources.latency_ms)
    design = build_design(networks, sources.rows, fused.latency_ms)
    assert design.interactions is not None
    probes = choose_probes(design, 6, np.random.default_rng(0), None)
    pretrained = pretrain(fused, design, probes, np.random.default_rng(0), QUICK, SMALL)
    probe_ms = TARGETS["phone"].latency_ms(networks)[probes]
    before = transfer(pretrained, design, Probed(probes, probe_ms), None).estimate
    after = AdaptedPredictor.of(pretrained, networks, design).add("phone", probe_ms, None)
    loaded = checkpoint.load_predictor(checkpoint.save_predictor(tmp_path, after))
    for one, other in zip(before, loaded.predict(networks.archs, "phone"), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4)


def test_networks_of_no_table_are_predicted_as_well_as_others():
    others = toy_networks(300, seed=9)
    new = [arch for arch in others.archs if arch not in NETWORKS.row]
    assert len(new) > 250
    ms, low, high = toy_predictor().predict(new, "phone")
    actual = TARGETS["phone"].latency_ms(others)[others.rows(new)]
    assert rae(actual, ms) < 0.05
    assert np.mean((low <= actual) & (actual <= high)) > 0.85


def test_operators_that_nobody_saw_are_predicted():
    """One network was seen at each resolution: nearly every network has an operator of a new shape."""
    pretrained, networks, design = hasty("ofa_mobilenetv3")
    probe_ms = TARGETS["accelerator"].latency_ms(networks)[pretrained.probes]
    predictor = AdaptedPredictor.of(pretrained, networks, design).add("accelerator", probe_ms, None)
    others = toy_networks(60, "ofa_mobilenetv3", seed=9)
    assert len(predictor.terms.describe(others.archs).operators) > len(networks.operators) + 100
    actual = TARGETS["accelerator"].latency_ms(others)
    assert rae(actual, predictor.predict(others.archs, "accelerator").ms) < 0.15


def test_a_prediction_does_not_depend_on_what_else_is_asked():
    archs = toy_networks(40, seed=3).archs
    together = toy_predictor().predict(archs, "phone")
    for one, all_ in zip(toy_predictor().predict(archs[7:8], "phone"), together, strict=True):
        np.testing.assert_allclose(one[0], all_[7], rtol=1e-6)


def test_a_table_is_answered_row_by_row_with_its_index():
    predictor, archs = toy_predictor(), toy_networks(3, seed=4).archs
    frame = predictor.ask(archs, ["phone", "accelerator"]).sample(frac=1, random_state=0)
    frame.index = [f"row {index}" for index in range(len(frame))]
    answer = predictor(frame)
    assert list(answer.columns) == ["latency_ms", "low_ms", "high_ms"]
    assert list(answer.index) == list(frame.index)
    for name, row in frame.iterrows():
        alone = predictor.predict([row["arch"]], row["device"])
        np.testing.assert_allclose(answer.loc[name], [part[0] for part in alone], rtol=1e-6)
    assert (answer["low_ms"] <= answer["latency_ms"]).all()
    assert (answer["latency_ms"] <= answer["high_ms"]).all()


def test_an_empty_table_is_answered():
    predictor = toy_predictor()
    assert predictor(predictor.example().iloc[:0]).shape == (0, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"device": "fone"}, "Unknown device of this model 'fone'; did you mean 'phone'"),
        ({"space": "nasbench301"}, "Unknown space of this model 'nasbench301'; did you mean 'nasbench201'"),
        ({"arch": "|nor_conv_3x3~0|"}, "nor_conv_3x3"),
        ({"arch": None}, "'arch' in every row, got a gap"),
    ],
)
def test_what_cannot_be_predicted_is_one_sentence(change, message):
    with pytest.raises(WorkbenchError, match=message) as caught:
        toy_predictor()(toy_predictor().example().assign(**change))
    assert "\n" not in str(caught.value)


def test_a_missing_column_is_named():
    with pytest.raises(WorkbenchError, match="add 'device'"):
        toy_predictor()(toy_predictor().example().drop(columns="device"))


def test_an_adaptation_that_has_changed_is_noticed():
    """As after an update of the workbench: the probes are predicted otherwise than when the device was added."""
    predictor = toy_predictor()
    phone = predictor.devices["phone"]
    changed = replace(predictor, devices={"phone": replace(phone, predicted_ms=1.05 * phone.predicted_ms)})
    with pytest.raises(WorkbenchError, match=r"probes differ by up to 4\.\d%; train and save it again"):
        changed.predict(NETWORKS.archs[:1], "phone")


def test_a_design_that_is_no_sum_over_operators_is_refused():
    _, networks, design = hasty("nasbench201")
    bent = design._replace(physics=np.tanh(design.physics))
    with pytest.raises(WorkbenchError, match="'physics' to be additive over operators"):
        DesignMap.of(networks, bent)


def test_adding_a_device_leaves_the_others_as_they_were():
    predictor = toy_predictor()
    more = predictor.add("again", predictor.devices["phone"].probe_ms, None)
    assert set(more.devices) == {"phone", "accelerator", "again"}
    assert set(predictor.devices) == {"phone", "accelerator"}
    pd.testing.assert_frame_equal(more(predictor.example()), predictor(predictor.example()))
