"""Zero-shot: from a card alone, corrected by sources as far as they are alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from tests.toy import SOURCES, TARGETS, Roofline, toy_networks, toy_sources
from workbench.describe.design import build_design
from workbench.devices.device import DeviceCard
from workbench.predictor.adapt import adapt
from workbench.predictor.method import Probed
from workbench.predictor.opinions import opinions
from workbench.predictor.roofline import LEVEL, SHAPE, ZeroShot, kriging_weights, likeness, pretrain

NETWORKS = toy_networks()
ROWS = np.arange(0, 200, 2)


def card(name: str, device: Roofline) -> DeviceCard:
    return DeviceCard(
        name, family="mobile-cpu", batch_size=1, peak_fp32_gflops=device.gflops, memory_bandwidth_gbps=device.gbps,
        launch_overhead_us=device.launch_us,
    )  # fmt: skip


CARDS = {name: card(name, device) for name, device in {**SOURCES, **TARGETS}.items()}


def known(cards=CARDS):
    sources = replace(toy_sources(NETWORKS, ROWS), cards=cards)
    return sources, build_design(NETWORKS, ROWS, sources.latency_ms)


@pytest.mark.parametrize("name", TARGETS)
def test_a_card_ranks_networks_and_finds_the_order_of_magnitude(name):
    actual = TARGETS[name].latency_ms(NETWORKS)
    estimate = ZeroShot(*known()).guess(CARDS[name]).estimate()
    assert spearmanr(estimate.ms, actual).statistic > 0.8
    assert 0.3 < np.median(estimate.ms / actual) < 3
    assert ((estimate.low_ms < estimate.ms) & (estimate.ms < estimate.high_ms)).all()
    assert ((estimate.low_ms <= actual) & (actual <= estimate.high_ms)).mean() > 0.5


def test_a_source_that_is_the_same_device_speaks_most():
    cards = list(CARDS.values())
    weights, explained = kriging_weights(cards[:5], replace(cards[2], name="twin"), LEVEL)
    assert weights.argmax() == 2
    assert 0 < explained <= 0.95


def test_likeness_falls_with_distance_and_family():
    gpu = DeviceCard("gpu", family="desktop-gpu", peak_fp32_gflops=1e4, batch_size=1)
    others = [
        gpu,
        replace(gpu, peak_fp32_gflops=1e3),
        replace(gpu, family="server-gpu", peak_fp32_gflops=1e3),
        replace(gpu, family="mobile-cpu", peak_fp32_gflops=1e3),
    ]
    for kinship in (LEVEL, SHAPE):
        found = [likeness(gpu, other, kinship) for other in others]
        assert found == sorted(found, reverse=True)
        assert likeness(others[2], gpu, kinship) == found[2]


def test_without_cards_the_guess_is_wide_and_finite():
    sources, design = known({})
    estimate = pretrain(sources, design, ROWS[:5], np.random.default_rng(0))(Probed(ROWS[:0], np.array([])), None)()
    assert np.isfinite(estimate).all()
    assert np.median(estimate.high_ms / estimate.low_ms) > 5


def test_probes_set_the_scale():
    actual = 50 * TARGETS["phone"].latency_ms(NETWORKS)
    adapt = pretrain(*known(), ROWS[:5], np.random.default_rng(0))
    estimate = adapt(Probed(ROWS[:5], actual[ROWS[:5]]), CARDS["phone"])()
    assert np.median(estimate.ms / actual) == pytest.approx(1, abs=0.3)


def test_a_source_whose_card_says_next_to_nothing_does_not_speak_for_others():
    name = next(iter(SOURCES))
    bare = DeviceCard(name, family="mobile-cpu", batch_size=1, cores=4)
    without = {other: card for other, card in CARDS.items() if other != name}
    found = [ZeroShot(*known(cards)).guess(CARDS["phone"]).log_ms for cards in (without | {name: bare}, without)]
    np.testing.assert_array_equal(*found)
    assert not np.array_equal(found[0], ZeroShot(*known()).guess(CARDS["phone"]).log_ms)


def test_what_a_card_lets_expect_has_the_shape_of_the_device():
    zero_shot = ZeroShot(*known())
    actual = TARGETS["phone"].latency_ms(NETWORKS)
    assert spearmanr(zero_shot.expect(CARDS["phone"]).usual, actual).statistic > 0.8
    assert zero_shot.expect(None) is None


def test_an_expectation_without_a_source_is_that_of_the_other_sources():
    sources, design = known()
    fewer = replace(sources, latency_ms=sources.latency_ms[:, 1:], devices=sources.devices[1:])
    one = ZeroShot(sources, design).expectation(CARDS["phone"], without=[0])
    other = ZeroShot(fewer, design.without([0])).expectation(CARDS["phone"])
    for mine, theirs in zip(one, other, strict=True):
        np.testing.assert_allclose(mine, theirs)
    assert len(one.weights) == len(sources.devices) - 1


def test_an_expectation_speaks_about_networks_one_by_one():
    sources, design = known()
    zero_shot, rows = ZeroShot(sources, design), np.arange(7, 31)
    found = zero_shot.expectation(CARDS["phone"])(NETWORKS.counts[rows], design.source[rows], design.deviations[rows])
    whole = zero_shot.expect(CARDS["phone"])
    for mine, theirs in zip(found, whole.take(rows), strict=True):
        np.testing.assert_allclose(mine, theirs)


def test_operators_that_were_not_there_are_expected_to_cost_nothing():
    sources, design = known()
    expectation = ZeroShot(sources, design).expectation(CARDS["phone"])
    more = np.pad(NETWORKS.counts, ((0, 0), (0, 2)), constant_values=1)
    found, known_ = (expectation(counts, design.source, design.deviations) for counts in (more, NETWORKS.counts))
    np.testing.assert_array_equal(found.usual, known_.usual)
    np.testing.assert_array_equal(found.counts, known_.counts)


def test_a_card_helps_where_two_networks_were_measured():
    """Beside bare opinions of the sources, so that the card's is what differs."""
    sources, design = known()
    actual, rows = TARGETS["accelerator"].latency_ms(NETWORKS), np.array([3, 90])
    expected = ZeroShot(sources, design).expect(CARDS["accelerator"])
    errors = []
    for told in (None, expected):
        posterior = adapt(design.blocks, rows, actual[rows], opinions(design.shapes, rows, actual[rows], told))
        errors.append(np.abs(posterior.predict()[0] / actual - 1).mean())
    assert {"card", "likely device"} <= set(posterior.trust)
    assert errors[1] < errors[0]
