"""Devices that nobody has measured: the ratio follows the hardware, the interval only ever widens with the change."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from tests.insight.toy_cards import CARDS, DEVICES, NETWORKS, carded_table
from tests.toy import SOURCES, TARGETS, toy_frame
from workbench.config import WorkbenchError
from workbench.data.table import LatencyTable
from workbench.devices.device import DeviceCard
from workbench.insight import figures
from workbench.insight.what_if import KNOBS, PEAKS, RANKED, SHOWN, WhatIf, base_of, changed, completed, factor_apart


@pytest.fixture(scope="module")
def study() -> WhatIf:
    return WhatIf(base_of(carded_table(), "phone"))


@pytest.fixture(scope="module")
def guessed() -> WhatIf:
    unseen = replace(CARDS["phone"], name="unseen", memory_bandwidth_gbps=6)
    return WhatIf(base_of(carded_table(unseen=unseen), "unseen"))


def width(change) -> np.ndarray:
    return np.log(change.frame["high_ms"] / change.frame["low_ms"]).to_numpy()


@pytest.mark.parametrize("kind", ["study", "guessed"])
def test_without_a_change_everything_is_as_it_is(kind, request):
    study = request.getfixturevalue(kind)
    change = study.change(dict.fromkeys(KNOBS, 1.0))
    for changed_, base in (("predicted_ms", "base_ms"), ("low_ms", "base_low_ms"), ("high_ms", "base_high_ms")):
        np.testing.assert_allclose(change.frame[changed_], change.frame[base])
    assert change.frame["rank"].tolist() == change.frame["base_rank"].tolist()
    assert change.spearman == pytest.approx(1)
    assert change.warning == ""


@pytest.mark.parametrize("seed", range(5))
def test_the_interval_widens_with_the_change_in_every_direction(study, guessed, seed):
    draw = np.random.default_rng(seed)
    direction = draw.uniform(-3, 3, len(KNOBS)) * (draw.random(len(KNOBS)) < 0.5)
    for base in (study, guessed):
        widths = [
            width(base.change(dict(zip(KNOBS, 2.0 ** (step * direction), strict=True))))
            for step in np.linspace(0, 1, 6)
        ]
        for narrower, wider in pairwise(widths):
            assert (wider >= narrower - 1e-9).all()


@pytest.mark.parametrize("knob", ["bandwidth", "peak", "cores", "clock", "launch", "caches"])
def test_any_change_widens_the_interval(study, knob):
    as_it_is = width(study.change({}))
    assert (width(study.change({knob: 4.0})) > as_it_is).all()
    assert (width(study.change({knob: 0.25})) > as_it_is).all()


@pytest.mark.parametrize(
    ("knob", "sign"), [("bandwidth", -1), ("peak", -1), ("cores", -1), ("clock", -1), ("launch", 1)]
)
def test_more_of_it_never_makes_a_network_slower(study, knob, sign):
    ms = np.stack([study.change({knob: factor}).frame["predicted_ms"] for factor in (0.25, 0.5, 1, 2, 8)])
    assert (sign * np.diff(ms, axis=0) >= -1e-12).all()
    assert (sign * (ms[-1] - ms[0]) > 0).any()


def test_caches_widen_and_change_nothing_else(study):
    change = study.change({"caches": 8.0})
    np.testing.assert_allclose(change.frame["predicted_ms"], change.frame["base_ms"])


def test_a_memory_bound_device_gains_more_from_bandwidth_and_a_compute_bound_one_from_flops():
    gains = {}
    for name in ("memory", "compute"):
        study = WhatIf(base_of(carded_table(), name))
        for knob in ("bandwidth", "peak"):
            frame = study.change({knob: 4.0}).frame
            gains[name, knob] = float((frame["base_ms"] / frame["predicted_ms"]).median())
    assert gains["memory", "bandwidth"] > gains["memory", "peak"]
    assert gains["compute", "peak"] > gains["compute", "bandwidth"]


def test_the_answer_is_near_that_of_the_law_of_the_device(study):
    phone = TARGETS["phone"]
    truth = replace(phone, gbps=2 * phone.gbps).latency_ms(NETWORKS) / phone.latency_ms(NETWORKS)
    frame = study.change({"bandwidth": 2.0}).frame
    ratio = (frame["predicted_ms"] / frame["base_ms"]).to_numpy()
    assert np.median(np.abs(ratio / truth[NETWORKS.rows(frame["arch"])] - 1)) < 0.2


def test_a_measured_device_is_adapted_to_and_another_is_guessed(study, guessed):
    assert "adapted to 20 of its measurements" in study.base.how
    assert "guessed from its card and what 6 measured devices showed" in guessed.base.how
    assert np.median(width(guessed.change({}))) > np.median(width(study.change({})))


def test_the_warning_names_the_nearest_measured_device(study):
    warning = study.change({"bandwidth": 2.0}).warning
    assert warning.startswith("Extrapolation: ")
    apart = {name: factor_apart(study.change({"bandwidth": 2.0}).card, card) for name, card in CARDS.items()}
    nearest = min(apart, key=apart.__getitem__)
    assert f"The nearest that was, {nearest}, differs by a factor of {apart[nearest]:.3g}" in warning
    assert "phone" in study.change({"bandwidth": 1.05}).warning


def test_peaks_turn_with_cores_and_clock_and_unknown_figures_stay_unknown():
    card = replace(CARDS["phone"], peak_int8_gops=60, l3_mib=None)
    turned = changed(card, {"cores": 2.0, "clock": 2.0, "caches": 4.0})
    assert (turned.cores, turned.clock_ghz, turned.l2_kib) == (8, 4, 2048)
    assert turned.peak_fp32_gflops == 4 * card.peak_fp32_gflops
    assert turned.peak_int8_gops == 240
    assert turned.l3_mib is None
    assert set(PEAKS) <= set(KNOBS["cores"]) & set(KNOBS["clock"])


def test_what_a_card_does_not_give_is_assumed_and_said():
    card, assumed = completed(DeviceCard("new", family="desktop-gpu", cores=10))
    assert set(assumed) == {
        "batch_size",
        "clock_ghz",
        "peak_fp32_gflops",
        "memory_bandwidth_gbps",
        "launch_overhead_us",
    }
    assert (card.cores, card.batch_size) == (10, 1)
    assert completed(card)[1] == ()


def test_cards_are_apart_by_the_figures_that_both_give():
    phone = CARDS["phone"]
    assert factor_apart(phone, phone) == pytest.approx(1)
    faster = replace(phone, memory_bandwidth_gbps=16 * phone.memory_bandwidth_gbps)
    assert factor_apart(phone, faster) == pytest.approx(factor_apart(faster, phone))
    assert 1 < factor_apart(phone, faster) < 16
    assert np.isnan(factor_apart(phone, DeviceCard("unknown")))


def test_networks_from_the_fastest_to_the_slowest_are_drawn(study):
    change = study.change({"bandwidth": 2.0})
    assert len(change.frame) <= RANKED
    assert len(change.drawn) == SHOWN
    assert change.drawn["base_rank"].iloc[[0, -1]].tolist() == [1, len(change.frame)]
    figure = figures.rank_change(change.drawn, change.spearman, len(change.frame))
    assert sum(len(trace.x) for trace in figure.data) == 3 * SHOWN
    assert f"{change.spearman:.3f}" in figure.layout.meta["message"]
    figure = figures.latency_change(change.drawn)
    assert list(figure.data[2].x) == sorted(change.drawn["base_ms"])


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ({"bandwith": 2.0}, "did you mean 'bandwidth'"),
        ({"peak": 9.0}, "factors from 1/8 to 8, got 9.0 for 'peak'"),
        ({"peak": float("nan")}, "factors from 1/8 to 8"),
        ({"peak": 0.0}, "factors from 1/8 to 8"),
    ],
)
def test_a_change_that_cannot_be_made_is_one_sentence(study, factors, message):
    with pytest.raises(WorkbenchError, match=message):
        study.change(factors)


def test_a_device_without_a_card_or_a_table_without_devices_is_one_sentence():
    bare = LatencyTable("nasbench201", toy_frame(NETWORKS, DEVICES), {})
    with pytest.raises(WorkbenchError, match="a device with a card, got 'phone'"):
        base_of(bare, "phone")
    with pytest.raises(WorkbenchError, match="did you mean 'phone'"):
        base_of(bare, "fone")
    empty = LatencyTable("nasbench201", bare.frame.iloc[:, :0], {})
    with pytest.raises(WorkbenchError, match="a measured device to learn from"):
        base_of(empty, "raspi4")


def test_a_device_that_is_measured_alone_is_guessed_from_its_card():
    table = carded_table()
    alone = LatencyTable("nasbench201", table.frame[["phone"]], table.cards)
    assert "what 1 measured device showed" in base_of(alone, "phone").how


def test_cards_that_tell_next_to_nothing_do_not_lead_a_guess_astray():
    dumb = {name: DeviceCard(name, family="mobile-cpu", batch_size=place) for place, name in enumerate(SOURCES, 1)}
    unseen = replace(CARDS["phone"], name="unseen", batch_size=None)
    some = {name: CARDS[name] for name in ("edge", "server")}
    base = base_of(carded_table(**{**dumb, **some, "unseen": unseen}), "unseen")
    assert set(base.known) == {*some, "phone"}
    truth = TARGETS["phone"].latency_ms(NETWORKS)[NETWORKS.rows(base.networks.archs)]
    assert 0.2 < np.median(base.estimate.ms / truth) < 5
