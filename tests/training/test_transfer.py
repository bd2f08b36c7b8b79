"""The contract of every method, and the claim that HODM has to keep: better than FLOPs on a device it has not seen."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from tests.toy import SOURCES, TARGETS, rae, toy_networks, toy_sources
from workbench.describe.dbsel import DEFAULT_SELECTOR
from workbench.describe.design import Design, build_design
from workbench.devices.device import DeviceCard
from workbench.predictor.baselines import PEERS
from workbench.predictor.hodm import HODMConfig
from workbench.predictor.method import Adapt, Estimate, Probed, Sources
from workbench.training.fit import FitConfig, pretrain
from workbench.training.transfer import ASKED, METHODS, choose_probes, hodm, own_opinion, trained_methods, transfer

NETWORKS = toy_networks()
ROWS = np.arange(0, 200, 2)
COUNT = 10
#: The real methods, HODM with a short training.
QUICK = {**METHODS, **trained_methods(FitConfig(steps=150, devices=8), HODMConfig(width=24, heads=2))}
HASTY = {**METHODS, **trained_methods(FitConfig(steps=5, devices=6), HODMConfig(width=12, heads=2))}
#: The peers are held to the same contract in tests/predictor/test_peers.py.
OWN = [name for name in METHODS if name not in PEERS]
CARD = DeviceCard("phone", family="mobile-cpu", memory_bandwidth_gbps=4)


@cache
def known() -> tuple[Sources, Design, np.ndarray]:
    sources = toy_sources(NETWORKS, ROWS)
    design = build_design(NETWORKS, ROWS, sources.latency_ms)
    return sources, design, choose_probes(design, COUNT, np.random.default_rng(0), None)


@cache
def learnt(name: str) -> Adapt:
    return QUICK[name](*known(), np.random.default_rng(0))


def estimate(name: str, device: str, card: DeviceCard | None = None) -> Estimate:
    return learnt(name)(Probed(known()[2], TARGETS[device].latency_ms(NETWORKS)[known()[2]]), card)()


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("device", TARGETS)
@pytest.mark.parametrize("card", [None, CARD], ids=["no card", "card"])
def test_estimates_are_positive_and_inside_their_intervals(name, device, card):
    ms, low, high = estimate(name, device, card)
    for part in (ms, low, high):
        assert part.shape == (len(NETWORKS),)
        assert part.dtype == np.float64
        assert np.isfinite(part).all()
    assert (low > 0).all()
    assert (low <= ms).all()
    assert (ms <= high).all()


@pytest.mark.parametrize("name", OWN)
def test_predicting_twice_is_the_same_and_targets_do_not_meet(name):
    first = estimate(name, "phone")
    estimate(name, "accelerator")
    for one, other in zip(first, estimate(name, "phone"), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", OWN)
def test_learning_and_adapting_change_nothing_that_was_given(name):
    sources, design, probes = known()
    probe_ms = TARGETS["phone"].latency_ms(NETWORKS)[probes]
    given = (sources.latency_ms, *design[:-1], probes, probe_ms, NETWORKS.counts)
    before = [array.copy() for array in given]
    method = HASTY[name]
    method(sources, design, probes, np.random.default_rng(0))(Probed(probes, probe_ms), None)()
    for array, kept in zip(given, before, strict=True):
        np.testing.assert_array_equal(array, kept)


@pytest.mark.parametrize("name", OWN)
def test_one_seed_twice_agrees_exactly(name):
    method = HASTY[name]
    probe_ms = TARGETS["phone"].latency_ms(NETWORKS)[known()[2]]
    probed = Probed(known()[2], probe_ms)
    first, second = (method(*known(), np.random.default_rng(4))(probed, None)() for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("name", OWN)
def test_one_or_two_probes_still_give_an_answer(name, count):
    sources, design, probes = known()
    method = HASTY[name]
    actual = TARGETS["phone"].latency_ms(NETWORKS)
    few = probes[:count]
    ms, low, high = method(sources, design, few, np.random.default_rng(0))(Probed(few, actual[few]), None)()
    assert np.isfinite(high).all()
    assert (low > 0).all()
    assert 0.1 < np.median(ms / actual) < 10


@pytest.mark.parametrize("device", TARGETS)
def test_hodm_beats_the_flops_line_on_a_device_it_has_not_seen(device):
    actual, probes = TARGETS[device].latency_ms(NETWORKS), known()[2]
    errors = {name: rae(actual, estimate(name, device).ms, probes) for name in ("hodm", "flops")}
    assert errors["hodm"] < 0.5 * errors["flops"]
    assert errors["hodm"] < 0.2


def test_intervals_hold_what_they_promise_where_measurements_are_noisy():
    """Five percent noise on sources, probes and truth alike: 90 % intervals hold about 90 %, whatever the noise is."""
    sources, inside = known()[0], []
    for seed in range(3):
        draw = np.random.default_rng(seed)

        def measure(ms: np.ndarray, draw: np.random.Generator = draw) -> np.ndarray:
            return ms * (1 + 0.05 * draw.standard_normal(ms.shape))

        noisy = Sources(NETWORKS, ROWS, measure(sources.latency_ms), sources.devices)
        design = build_design(NETWORKS, ROWS, noisy.latency_ms)
        probes = choose_probes(design, COUNT, np.random.default_rng(0), None)
        adapt = HASTY["hodm"](noisy, design, probes, np.random.default_rng(0))
        others = np.setdiff1d(np.arange(len(NETWORKS)), probes)
        for device in TARGETS.values():
            for _ in range(4):
                actual = measure(device.latency_ms(NETWORKS))
                _, low, high = adapt(Probed(probes, actual[probes]), None)()
                inside.append(((low <= actual) & (actual <= high))[others].mean())
    assert 0.8 < np.mean(inside) < 0.99


def test_an_outlier_among_the_probes_hardly_moves_hodm():
    probes = known()[2]
    actual = TARGETS["phone"].latency_ms(NETWORKS)
    probe_ms = actual[probes].copy()
    probe_ms[4] *= 4
    disturbed, clean = learnt("hodm")(Probed(probes, probe_ms), None)(), estimate("hodm", "phone")
    assert rae(actual, disturbed.ms, probes) < rae(actual, clean.ms, probes) + 0.25


def test_transfer_is_what_the_method_does():
    sources, design, probes = known()
    config, model = FitConfig(steps=5, devices=6), HODMConfig(width=12, heads=2)
    probe_ms = TARGETS["phone"].latency_ms(NETWORKS)[probes]
    pretrained = pretrain(sources, design, probes, np.random.default_rng(0), config, model)
    probed = Probed(probes, probe_ms)
    narrow, wide = (transfer(pretrained, design, probed, None, factor) for factor in (1.0, 2.0))
    adapt = hodm(config, model)(sources, design, probes, np.random.default_rng(0))
    method = adapt(Probed(probes, probe_ms), None)()
    np.testing.assert_array_equal(narrow.estimate.ms, method.ms)
    np.testing.assert_array_equal(narrow.estimate.ms, wide.estimate.ms)
    middle = narrow.estimate.high_ms - narrow.estimate.ms
    np.testing.assert_allclose(wide.estimate.high_ms - wide.estimate.ms, 2 * middle)
    assert (narrow.factor, wide.factor) == (1.0, 2.0)
    assert narrow.posterior.outlier.shape == (COUNT,)
    assert 0 <= narrow.posterior.trust["hodm"] <= 1


def test_from_the_signature_alone_a_card_says_nothing():
    sources, design, probes = known()
    card = DeviceCard("phone", family="mobile-cpu", peak_fp32_gflops=30, memory_bandwidth_gbps=4, batch_size=1)
    noise = 1 + 0.3 * np.random.default_rng(0).standard_normal(COUNT)  # so that opinions matter
    probed = Probed(probes, noise * TARGETS["phone"].latency_ms(NETWORKS)[probes])
    found = []
    for capability in (False, True):
        learn = hodm(FitConfig(steps=5, devices=6, capability=capability), HODMConfig(width=12, heads=2))
        adapt = learn(sources, design, probes, np.random.default_rng(0))
        found.append([adapt(probed, told)().ms for told in (None, card)])
    (alone, told), (_, heard) = found
    np.testing.assert_array_equal(alone, told)
    assert not np.allclose(heard, told)


@pytest.mark.parametrize("asked", [ASKED, 1])  # one: so many operators that there are only two folds
def test_hodm_judges_itself_on_probes_it_was_not_shown(monkeypatch, asked):
    """Each probe is predicted from the others: changing one probe leaves its own prediction in proportion."""
    monkeypatch.setattr("workbench.training.transfer.ASKED", asked)
    sources, design, probes = known()
    pretrained = pretrain(
        sources, design, probes, np.random.default_rng(0), FitConfig(steps=5, devices=6), HODMConfig(12, 2)
    )
    probe_ms = TARGETS["phone"].latency_ms(NETWORKS)[probes]
    changed = probe_ms.copy()
    changed[2] *= 3
    first, second = (own_opinion(pretrained, Probed(probes, given), None) for given in (probe_ms, changed))
    assert first.probe_ms[2] == pytest.approx(second.probe_ms[2], rel=1e-5)
    assert first.probe_ms[3] != pytest.approx(second.probe_ms[3], rel=1e-3)


def test_the_default_selector_is_taken_and_others_can_be_named():
    design = known()[1]
    draw = np.random.default_rng
    np.testing.assert_array_equal(
        choose_probes(design, 5, draw(0), None), choose_probes(design, 5, draw(1), DEFAULT_SELECTOR)
    )
    assert set(choose_probes(design, 5, draw(0), "random")) != set(choose_probes(design, 5, draw(0), None))
    assert set(choose_probes(design, 3, draw(0), None, np.array([7, 8, 9]))) == {7, 8, 9}


def test_floors_stand_beside_hodm():
    assert {"hodm", "flops", "nearest", "linear"} <= set(METHODS)
    assert set(SOURCES).isdisjoint(TARGETS)
