"""What a model looks at: meaning of the map, shares, differences, and which network is meant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from tests.toy import TARGETS, one_thread, toy_networks, toy_predictor
from workbench.config import WorkbenchError
from workbench.describe.capability import ENTRIES
from workbench.devices.device import DeviceCard
from workbench.insight.attention_study import LATENCY_SHARE, AttentionStudy, difference, with_card
from workbench.insight.explain import BY_CARD, BY_CHARGES
from workbench.insight.labels import short_arch
from workbench.insight.plots.attention_difference import ROW_SHARE
from workbench.training.adapted import AdaptedPredictor

NETWORKS = toy_networks()
ARCH, OTHER = NETWORKS.archs[3], NETWORKS.archs[4]
CARD = DeviceCard(
    "a phone", family="mobile-cpu", memory_bandwidth_gbps=4, peak_fp32_gflops=30, launch_overhead_us=8, batch_size=1
)


@pytest.fixture(scope="module", autouse=True)
def single_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def study() -> AttentionStudy:
    return AttentionStudy(toy_predictor(), NETWORKS.archs)


def with_phone(card: DeviceCard | None, order: list[int] | None = None) -> AttentionStudy:
    """A study whose phone has this ``card``, its probes in another ``order``."""
    predictor = toy_predictor()
    order = list(range(len(predictor.probes))) if order is None else order
    turned = [*range(len(ENTRIES)), *(len(ENTRIES) + place for place in order)]
    pretrained = predictor.pretrained
    pretrained = replace(
        pretrained,
        counts=pretrained.counts[order],
        descriptors=pretrained.descriptors[turned],
        hears=pretrained.hears[turned],
    )
    probes = tuple(predictor.probes[place] for place in order)
    probe_ms = predictor.devices["phone"].probe_ms[order]
    bare = AdaptedPredictor(predictor.terms, pretrained, probes, predictor.design, {})
    return AttentionStudy(bare.add("phone", probe_ms, card), NETWORKS.archs)


def test_a_masked_property_gets_no_attention_and_its_reading_changes_nothing(study):
    why = study.explain(ARCH, "phone")
    known = why.hardware["known"].to_numpy()
    assert known.any()
    assert not known.all()
    assert (why.attention[..., ~known] == 0).all()
    np.testing.assert_allclose(why.attention.sum(-1), 1, atol=1e-5)
    model, device = study.model, study.predictor.devices["phone"]
    hardware = model.hardware(device.probe_ms[None], device.card)
    values = hardware.values.clone()
    values[0, ~known] = 1e6
    with torch.no_grad():
        before, after = (model.model(model.operators, part) for part in (hardware, hardware._replace(values=values)))
    assert torch.equal(before.costs, after.costs)
    assert torch.equal(before.op_attention, after.op_attention)


def test_a_property_becomes_known_with_the_card():
    bare, told = (with_phone(card).explain(ARCH, "phone") for card in (None, CARD))
    place = ENTRIES.index("memory_bandwidth_gbps")
    assert (bare.attention[..., place] == 0).all()
    assert (told.attention[..., place] > 0).all()


@settings(max_examples=3, deadline=None)
@given(st.permutations(range(8)))
def test_permuting_hardware_tokens_permutes_the_map(order):
    straight, turned = with_phone(CARD).explain(ARCH, "phone"), with_phone(CARD, list(order)).explain(ARCH, "phone")
    columns = [*range(len(ENTRIES)), *(len(ENTRIES) + place for place in order)]
    np.testing.assert_allclose(turned.attention, straight.attention[..., columns], atol=1e-5)
    assert turned.hardware["name"].tolist() == straight.hardware["name"].iloc[columns].tolist()
    np.testing.assert_allclose(turned.effects, straight.effects[columns], rtol=1e-2, atol=1e-5)


def test_shares_sum_to_one_and_costs_to_the_prediction(study):
    for device in TARGETS:
        why = study.explain(ARCH, device)
        assert why.shares.sum() == pytest.approx(1)
        assert why.bounds.sum() == pytest.approx(1)
        assert why.costs["predicted_ms"].sum() == pytest.approx(study.predictor.predict([ARCH], device).ms[0], rel=1e-3)
        assert study.charges.loc[device].sum() == pytest.approx(100, rel=1e-4)


def test_rounds_and_heads_are_counted_from_one_and_their_mean_is_all(study):
    why = study.explain(ARCH, "phone")
    single = [why.weights(r, h) for r in range(1, study.rounds + 1) for h in range(1, study.heads + 1)]
    np.testing.assert_allclose(np.mean(single, axis=0), why.weights(), atol=1e-6)
    np.testing.assert_array_equal(why.weights(2, 1), why.attention[1, 0])
    for wrong in (0, study.rounds + 1, "first", True):
        with pytest.raises(WorkbenchError, match=f"round from 1 to {study.rounds}"):
            why.weights(wrong)


def test_faithfulness_is_the_rank_correlation_of_its_scatter(study):
    why = study.explain(ARCH, "phone")
    for weights in (why.weights(), why.weights(1, 2)):
        tokens = why.tokens(weights)
        assert tokens["attention_percent"].sum() == pytest.approx(100, abs=0.01)
        assert len(tokens) == why.hardware["known"].sum()
        expected = spearmanr(tokens["attention_percent"], tokens["effect_percent"]).statistic
        assert why.faithfulness_of(weights) == pytest.approx(expected)
    found = study.view("phone").faithfulness[study.networks.row[ARCH]]
    assert found == pytest.approx(why.faithfulness, abs=1e-6)
    assert study.trust["low"].le(study.trust["high"]).all()


def test_the_effect_is_that_of_really_leaving_the_token_out(study):
    """Dropping a probe is the same as the model never having known it."""
    why, model, device = study.explain(ARCH, "phone"), study.model, study.predictor.devices["phone"]
    hardware = model.hardware(device.probe_ms[None], device.card)
    known = hardware.known.clone()
    known[0, len(ENTRIES)] = False
    with torch.no_grad():
        costs = model.model(model.operators, hardware._replace(known=known)).costs[0].sum(-1).numpy()
    repeat = why.operators["repeat"].to_numpy()
    changed = np.abs(costs[why.distinct] * repeat - why.own).sum()
    assert why.effects[len(ENTRIES)] == pytest.approx(changed, rel=1e-3)


def test_what_binds_follows_from_the_card_where_it_is_known():
    """The card of a device without bandwidth to speak of says memory, that of a slow launcher says launch."""
    slow_memory = replace(CARD, memory_bandwidth_gbps=0.01)
    slow_launch = replace(CARD, launch_overhead_us=1e6)
    for card, bound in ((slow_memory, "memory"), (slow_launch, "launch")):
        why = with_phone(card).explain(ARCH, "phone")
        assert why.bound_by == BY_CARD
        works = why.operators["bound"] != "nothing"
        assert (why.operators.loc[works, "bound"] == bound).all()
    assert with_phone(None).explain(ARCH, "phone").bound_by == BY_CHARGES


def test_an_operator_without_work_is_bound_by_nothing():
    why = with_phone(CARD).explain("|skip_connect~0|+|none~0|none~1|+|none~0|none~1|nor_conv_3x3~2|", "phone")
    operators = why.operators
    idle = (operators["launches"] == 0) & (operators["bytes"] == 0)
    assert idle.any()
    assert (operators.loc[idle, "bound"] == "nothing").all()


def test_a_difference_of_devices_is_antisymmetric(study):
    one, other = (study.explain(ARCH, device) for device in TARGETS)
    there, back = difference(one, other, 2, 1), difference(other, one, 2, 1)
    np.testing.assert_array_equal(there.values, -back.values)
    np.testing.assert_array_equal(there.values, one.weights(2, 1) - other.weights(2, 1))
    assert there.unit == ROW_SHARE
    assert (there.operators["where"] == "both").all()
    names = {"both": "both", "first": "second", "second": "first", "neither": "neither"}
    assert there.hardware["where"].map(names).tolist() == back.hardware["where"].tolist()
    assert "first" in set(there.hardware["where"]), "only the phone has a card"


def test_a_difference_of_networks_is_antisymmetric_and_knows_what_only_one_has(study):
    one, other = (study.explain(arch, "phone") for arch in (ARCH, OTHER))
    there, back = difference(one, other), difference(other, one)
    turned = back.operators.reset_index().rename(columns={"first": "second", "second": "first"})
    order = there.operators.merge(turned, on=["first", "second"], how="left")["index"]
    np.testing.assert_allclose(there.values, -back.values[order], atol=1e-12)
    assert there.unit == LATENCY_SHARE
    assert sorted(set(there.operators["first"]) - {-1}) == list(range(len(one.operators)))
    assert sorted(set(there.operators["second"]) - {-1}) == list(range(len(other.operators)))
    both = there.operators[there.operators["where"] == "both"]
    assert (one.distinct[both["first"]] == other.distinct[both["second"]]).all()
    lone = set(one.distinct[there.operators.query("where == 'first'")["first"]])
    assert not lone & set(other.distinct[there.operators.query("where == 'second'")["second"]]), "these would match"
    np.testing.assert_allclose(there.maps.sum(axis=(1, 2)), 100, rtol=1e-4)


def test_the_same_twice_does_not_differ(study):
    why = study.explain(ARCH, "phone")
    assert not difference(why, why).values.any()


def test_networks_are_found_by_rank_chance_and_name(study):
    ms = study.view("accelerator").predicted_ms
    assert study.find("fastest", "accelerator") == study.archs[ms.argmin()]
    assert study.find("slowest", "accelerator") == study.archs[ms.argmax()]
    middle = ms[study.networks.row[study.find(" median ", "accelerator")]]
    assert middle == pytest.approx(np.median(ms), rel=0.05)
    assert study.find("random 7", "phone") == study.find("random 7", "accelerator")
    assert len({study.find(f"random {seed}", "phone") for seed in range(20)}) > 10
    assert study.find(short_arch(ARCH), "phone") == study.find(ARCH, "phone") == ARCH
    with pytest.raises(WorkbenchError, match="or ask for fastest, median, slowest"):
        study.find("quickest", "phone")
    with pytest.raises(WorkbenchError, match="did you mean 'phone'"):
        study.find("median", "fone")


def test_a_network_of_no_pool_is_explained_like_the_others():
    small = AttentionStudy(toy_predictor(), NETWORKS.archs[:40])
    new = next(arch for arch in toy_networks(300, seed=9).archs if arch not in small.networks.row)
    why = small.explain(new, "phone")
    assert new in small.archs
    assert why.predicted_ms == pytest.approx(toy_predictor().predict([new], "phone").ms[0], rel=1e-3)


def test_a_device_known_from_its_card_alone():
    told = with_card(toy_predictor(), CARD)
    why = AttentionStudy(told, NETWORKS.archs).explain(ARCH, "a phone")
    assert why.predicted_ms > 0
    assert why.attention[..., ENTRIES.index("memory_bandwidth_gbps")].min() > 0


def test_every_figure_is_drawn_and_kept(study):
    class Notes:
        def __init__(self):
            self.kept = {}

        def __getattr__(self, name):
            return lambda *values, **options: self.kept.setdefault(name, []).append((values, options))

    notes = Notes()
    study.keep(notes, ARCH, *TARGETS)
    names = {values[1] for values, _ in notes.kept["log_figure"]}
    expected = {"attention_map", "attention_faithfulness", "operator_costs", "attention_difference"}
    assert names == {f"figures/{name}" for name in expected}
    ((metrics,), _) = notes.kept["log_metrics"][0]
    assert metrics["faithfulness_on_phone"] == pytest.approx(study.trust["median"].iloc[0])
    assert set(study.figures(ARCH, "phone")) == expected - {"attention_difference"}


def test_a_model_without_a_device_is_refused():
    with pytest.raises(WorkbenchError, match="expects a model with a device"):
        AttentionStudy(replace(toy_predictor(), devices={}))
