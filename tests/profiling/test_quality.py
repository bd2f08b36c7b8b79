"""Judging measurements: synthetic references whose drift is known, and which networks are then repeated."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.profiling import quality
from workbench.profiling.calm import CalmConfig
from workbench.profiling.journal import NETWORK, REFERENCE
from workbench.profiling.quality import (
    QualityConfig,
    Signs,
    boosted,
    choose_references,
    fastest_gap,
    judge,
    quarantine,
    reference_drift,
    stability,
    to_repeat,
)
from workbench.profiling.reduce import reduce_attempts
from workbench.spaces import SPACES, get_space

CONFIG = QualityConfig(
    drift=0.1, disagreement=0.1, half_width=0.05, max_attempts=2, calm=CalmConfig(pulse=1.15, foreign_load=0.25)
)
REFERENCES = {"small": 2.0, "medium": 5.0, "large": 11.0}
DRIFTS = [0.0, 0.01, 0.3, 0.0, 0.0, -0.2, 0.0]  # of the passes, one every 100 s
PASS_S = 100.0


def passes(platform: str = "p", drifts: list[float] = DRIFTS) -> list[tuple]:
    """The references on ``platform``, pass after pass, as slow as ``drifts`` says."""
    return [
        (platform, arch, REFERENCE, number, latency * (1 + drift), number * PASS_S)
        for number, drift in enumerate(drifts)
        for arch, latency in REFERENCES.items()
    ]


def networks(platform: str = "p") -> list[tuple]:
    """One network in the middle between any two passes, called after the pass before it."""
    return [(platform, f"after {n}", NETWORK, 0, 3.0, (n + 0.5) * PASS_S) for n in range(len(DRIFTS) - 1)]


def test_drift_is_that_of_the_references(attempts):
    found = reference_drift(attempts(passes() + networks()))
    assert list(found["drift"]) == pytest.approx(DRIFTS)
    assert list(found["attempt"]) == list(range(len(DRIFTS)))
    assert list(found["started_at"]) == [number * PASS_S for number in range(len(DRIFTS))]


def test_one_disturbed_reference_is_no_drift(attempts):
    rows = passes()
    platform, arch, role, number, latency, when = rows[-1]
    rows[-1] = (platform, arch, role, number, 9 * latency, when)
    assert list(reference_drift(attempts(rows))["drift"]) == pytest.approx(DRIFTS, abs=1e-9)


def test_platforms_drift_apart(attempts):
    found = reference_drift(attempts(passes("p") + passes("q", [0.0] * len(DRIFTS))))
    assert list(found.loc[found["platform"] == "q", "drift"]) == pytest.approx([0] * len(DRIFTS))
    assert list(found.loc[found["platform"] == "p", "drift"]) == pytest.approx(DRIFTS)


def test_networks_beside_a_drifted_pass_are_in_quarantine(attempts):
    frame = attempts(networks() + networks("q") + passes() + passes("q", [0.0] * len(DRIFTS)))
    marked = frame[quarantine(frame, CONFIG)]
    assert list(marked["arch"]) == ["after 1", "after 2", "after 4", "after 5"]
    assert set(marked["platform"]) == {"p"}


def test_networks_before_the_first_and_behind_the_last_pass_have_one_neighbour(attempts):
    rows = [("p", "early", NETWORK, 0, 3.0, -50.0), ("p", "late", NETWORK, 0, 3.0, 1e6)]
    frame = attempts(rows + passes(drifts=[0.5, 0.0, 0.0, 0.0, 0.5]))
    assert list(frame[quarantine(frame, CONFIG)]["arch"]) == ["early", "late"]


def test_only_networks_beside_references_that_were_faster_than_usual_are_boosted(attempts):
    frame = attempts(networks() + passes(), pulse_ns=np.where(np.arange(27) == 0, 300.0, 100.0))
    assert list(frame[boosted(frame, CONFIG)]["arch"]) == ["after 4", "after 5"]


def test_a_machine_that_is_slow_most_of_the_time_is_judged_by_its_quiet_time(attempts):
    found = reference_drift(attempts(passes(drifts=[0.3, 0.0, 0.3, 0.4, 0.0, 0.3, 0.3])))
    assert list(found["drift"]) == pytest.approx([0.3, 0.0, 0.3, 0.4, 0.0, 0.3, 0.3])


def test_without_references_nothing_has_drifted(attempts):
    frame = attempts(networks())
    assert not quarantine(frame, CONFIG).any()
    assert reference_drift(frame).empty


def test_a_disturbed_burst_is_in_quarantine(attempts):
    frame = attempts(networks(), pulse_ns=np.array([100, 100, 120, 100, 114, 100.0]))
    assert list(frame[quarantine(frame, CONFIG)]["arch"]) == ["after 2"]
    frame = attempts(networks(), load=np.array([0, 0.2, np.nan, 0.3, 0, 1.5]))
    assert list(frame[quarantine(frame, CONFIG)]["arch"]) == ["after 3", "after 5"]


def repeated(frame: pd.DataFrame, number_of_passes: int = 1) -> list[tuple[str, str, int]]:
    found = to_repeat(frame, number_of_passes, CONFIG)
    return sorted(map(tuple, found[["platform", "arch", "attempt"]].to_numpy().tolist()))


def test_what_is_in_quarantine_is_repeated(attempts):
    frame = attempts(networks() + passes())
    assert repeated(frame) == [("p", f"after {number}", 1) for number in (1, 2, 4, 5)]


def test_a_repetition_outside_quarantine_is_enough(attempts):
    again = [("p", f"after {number}", NETWORK, 1, 3.0, 3.5 * PASS_S) for number in (1, 2, 4)]
    assert repeated(attempts(networks() + again + passes())) == [("p", "after 5", 1)]


def test_attempts_that_disagree_are_repeated_and_agreeing_ones_are_not(attempts):
    rows = [("p", "agrees", NETWORK, n, ms, n) for n, ms in enumerate((3.0, 3.2))]
    rows += [("p", "disagrees", NETWORK, n, ms, n) for n, ms in enumerate((3.0, 3.5))]
    rows += [("p", "two of three", NETWORK, n, ms, n) for n, ms in enumerate((3.0, 9.0, 3.1))]
    rows += [("p", "the slow ones", NETWORK, n, ms, n) for n, ms in enumerate((3.0, 9.0, 9.1))]
    rows += [("q", "agrees", NETWORK, n, ms, n) for n, ms in enumerate((3.0, 4.0))]
    assert repeated(attempts(rows), 2) == [("p", "disagrees", 2), ("p", "the slow ones", 3), ("q", "agrees", 2)]


def test_a_single_attempt_with_a_wide_interval_is_repeated(attempts):
    one, two = [("p", "one", NETWORK, 0, 3.0, 0.0)], [("p", "two", NETWORK, n, 3.0, 0.0) for n in (0, 1)]
    assert repeated(attempts(one + two, half=0.2)) == [("p", "one", 1)]
    assert repeated(attempts(one + two, half=0.04)) == []
    assert repeated(attempts(one, half=np.inf)) == [("p", "one", 1)]


def test_attempts_are_limited(attempts):
    rows = [("p", "never settles", NETWORK, number, 3.0 * 2**number, number) for number in range(4)]
    for count, number_of_passes, again in ((2, 1, [2]), (3, 1, []), (3, 2, [3]), (4, 2, [])):
        found = repeated(attempts(rows[:count]), number_of_passes)
        assert [attempt for *_, attempt in found] == again


def test_references_are_never_repeated(attempts):
    assert repeated(attempts(passes(), half=0.9)) == []


def test_nothing_measured_needs_nothing(attempts):
    empty = reduce_attempts(
        pd.DataFrame(columns=["platform", "arch", "role", "attempt", "repeat", "latency_ns", "failure"])
    )
    assert quarantine(empty, CONFIG).empty
    assert reference_drift(empty).empty
    assert to_repeat(empty, 2, CONFIG).empty


@given(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=6))
def test_the_fastest_gap_is_that_of_the_two_smallest(values):
    pairs = [max(pair) / min(pair) - 1 for pair in [sorted(values)[:2]] if len(pair) > 1]
    found = fastest_gap(pd.Series(values))
    if not pairs:
        assert found == np.inf
    else:
        assert found == pytest.approx(min(pairs), abs=1e-9)


def equal_runs(spread: float = 0.0) -> np.ndarray:
    return 1e6 * np.concatenate([np.full(50, 1.0), np.full(50, 1 + spread)])


def pulses(share: float = 0.0) -> np.ndarray:
    return np.where(np.arange(100) < 100 * share, 150.0, 100.0)


def test_a_quiet_machine_passes_the_gate():
    found = judge(equal_runs(0.02), pulses(0.1), Signs(0.1, load_average=0.2), CONFIG)
    assert found.stable
    assert found.reason.startswith("Quiet enough to time")
    assert (found.restless, found.foreign_load, found.load_average) == (0.1, 0.1, 0.2)


@pytest.mark.parametrize(
    ("runs", "beats", "load", "cause"),
    [
        (equal_runs(0.5), pulses(), 0.0, "another guest"),
        (equal_runs(), pulses(0.5), 0.0, "another guest"),
        (np.append(equal_runs(), 1e5), pulses(), 0.0, "clock frequency"),
        (equal_runs(), pulses(), 1.0, "other processes"),
        (equal_runs(0.5), pulses(0.5), 1.0, "other processes"),
        (equal_runs(), pulses(0.5), float("nan"), "another guest"),
    ],
)
def test_each_sign_of_unrest_closes_the_gate(runs, beats, load, cause):
    found = judge(runs, beats, Signs(load), CONFIG)
    assert not found.stable
    assert cause in found.reason
    assert "\n" not in found.reason
    assert "nan" not in found.reason


@pytest.mark.parametrize(
    ("signs", "spread", "cause"),
    [
        (Signs(stolen_load=0.8), 0.0, "gives 0.8 processors to other guests"),
        (Signs(throttled=3), 0.0, "heat"),
        (Signs(governor="powersave"), 0.5, "governor 'powersave'"),
        (Signs(governor="performance"), 0.5, "another guest"),
    ],
)
def test_the_gate_says_what_the_system_knows(signs, spread, cause):
    found = judge(equal_runs(spread), pulses(), signs, CONFIG)
    assert not found.stable
    assert cause in found.reason
    assert found[5:] == signs


def test_a_governor_alone_does_not_close_the_gate():
    assert judge(equal_runs(), pulses(), Signs(governor="powersave"), CONFIG).stable


def test_the_gate_listens_to_the_pulse_and_to_the_system(monkeypatch):
    beats = itertools.cycle([100.0, 200.0])
    monkeypatch.setattr(quality, "pulse_ns", lambda: next(beats))
    monkeypatch.setattr(quality.ForeignLoad, "processors", lambda self: 0.0)
    found = stability(0.2, CONFIG)
    assert 0.3 <= found.restless <= 0.7
    assert not found.stable
    monkeypatch.setattr(quality.ForeignLoad, "processors", lambda self: 1.5)
    found = stability(0.05, CONFIG)
    assert found.foreign_load == 1.5
    assert "other processes" in found.reason


def test_the_gate_answers_on_a_real_machine():
    found = stability(0.1)
    assert found.reason.endswith(".")
    assert 0 <= found.restless <= 1
    assert found.spread >= 0
    assert found.slowdown >= 0
    assert stability(0.0).reason


@pytest.mark.parametrize("name", SPACES)
def test_references_are_a_small_a_medium_and_a_large_network(name):
    from workbench.graphs.features import physics

    space = get_space(name)
    found = choose_references(space, [], seed=0)
    flops = [sum(op.repeat * physics(op).flops for op in space.graph(arch).ops) for arch in found]
    assert flops[0] < flops[1] < flops[2]
    assert choose_references(space, [], seed=0) == found != choose_references(space, [], seed=1)
    others = choose_references(space, found, seed=0)
    assert not set(others) & set(found)


def test_where_every_network_is_measured_some_are_references_as_well():
    space = get_space("nasbench201")
    assert len(set(choose_references(space, space.all(), seed=0))) == 3
