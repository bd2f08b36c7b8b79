"""Adaptive probing on devices whose law is known."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from tests.toy import TARGETS, rae, toy_networks, toy_sources
from workbench.config import WorkbenchError
from workbench.describe.design import Design, build_design
from workbench.predictor.adapt import adapt
from workbench.predictor.method import Probed
from workbench.training.adaptive import AHEAD, LEAST, POOL, SEARCH_HEAD, START, Enough, Search, outlook, search
from workbench.training.transfer import choose_probes

NETWORKS = toy_networks(300)
MS = TARGETS["phone"].latency_ms(NETWORKS)


@cache
def known() -> tuple[Design, np.ndarray]:
    sources = toy_sources(NETWORKS)
    design = build_design(NETWORKS, sources.rows, sources.latency_ms)
    return design, choose_probes(design, POOL, np.random.default_rng(0), None)


def find(
    budget: int, width: float | None = None, ms: np.ndarray = MS, gain: float | None = None
) -> tuple[Search, list[int]]:
    """A search, and the rows that it asked for."""
    asked: list[int] = []

    def measure(row: int) -> float:
        asked.append(row)
        return float(ms[row])

    return search(*known(), measure, budget, Enough(width, gain)), asked


@pytest.mark.parametrize("budget", [0, 1, 3, 4, 9])
def test_it_measures_distinct_rows_of_the_pool_and_spends_the_budget(budget):
    found, asked = find(budget)
    assert found.probed.rows.tolist() == asked
    assert len(set(asked)) == len(asked) == len(found.widths) == budget
    assert set(asked) <= set(known()[1].tolist())
    np.testing.assert_array_equal(found.probed.ms, MS[asked])


def test_it_stops_at_the_width_that_is_wished_for():
    found, _ = find(40, 0.1)
    assert found.widths[-1] <= 0.1 < min(found.widths[:-1])
    assert START <= len(found.probed.rows) < 40
    longer, _ = find(40, 0.02)
    assert len(longer.probed.rows) >= len(found.probed.rows)


def test_a_noisy_device_takes_more_probes_than_a_regular_one():
    noisy = MS * np.exp(0.1 * np.random.default_rng(0).standard_normal(len(MS)))
    assert len(find(25, 0.15, noisy)[0].probed.rows) > len(find(25, 0.15)[0].probed.rows)


def test_a_small_pool_ends_the_search():
    design, pool = known()
    found = search(design, pool[:6], lambda row: float(MS[row]), 20)
    assert sorted(found.probed.rows) == sorted(pool[:6])
    assert outlook(design, found.probed, pool[:6]).row is None


def test_it_only_knows_what_it_measured():
    found, asked = find(10)
    other = np.full(len(MS), 1e6)
    other[asked] = MS[asked]
    again, _ = find(10, ms=other)
    assert again.probed.rows.tolist() == found.probed.rows.tolist()
    assert again.widths == found.widths


def test_devices_get_probes_of_their_own():
    phone, accelerator = (find(20, ms=TARGETS[name].latency_ms(NETWORKS))[1] for name in ("phone", "accelerator"))
    assert phone[:START] == accelerator[:START] == known()[1][:START].tolist()
    assert set(phone) != set(accelerator)


def test_its_probes_teach_more_than_as_many_random_ones():
    design, _ = known()
    errors = {}
    for name, rows in (("adaptive", np.array(find(8)[1])), ("random", np.random.default_rng(0).permutation(300)[:8])):
        errors[name] = rae(MS, adapt(design.blocks, rows, MS[rows]).predict()[0], rows)
    assert errors["adaptive"] < errors["random"]


def test_moments_are_those_of_the_head():
    design, pool = known()
    rows = pool[:7]
    posterior = adapt(design.blocks, rows, MS[rows], config=SEARCH_HEAD)
    space = np.arange(0, 300, 10)
    moments = posterior.moments(space, space[:5])
    mean_ms, sd_ms = posterior.predict(space)
    scale = MS[rows].mean()
    np.testing.assert_allclose(moments.mean * scale, mean_ms, rtol=1e-6)
    assert (np.sqrt(moments.variance + moments.noise) * scale <= sd_ms * (1 + 1e-6)).all()  # outliers come on top
    np.testing.assert_allclose(np.diagonal(moments.covariance), moments.variance[:5], rtol=1e-6)


@pytest.mark.parametrize("wish", [0.0, -1.0, float("nan")])
def test_impossible_wishes(wish):
    with pytest.raises(WorkbenchError, match="Adaptive probing expects a budget of at least 0, got -1"):
        find(-1)
    with pytest.raises(WorkbenchError, match="A width to stop at expects a number above 0"):
        find(5, wish)
    with pytest.raises(WorkbenchError, match="A gain to stop at expects a number above 0"):
        find(5, gain=wish)


def test_it_stops_where_a_further_probe_is_not_worth_it_and_sooner_where_little_is_left_open():
    noisy = MS * np.exp(0.3 * np.random.default_rng(0).standard_normal(len(MS)))
    counts = {gain: [len(find(40, ms=ms, gain=gain)[1]) for ms in (MS, noisy)] for gain in (0.9, 1e-4, 3e-5)}
    assert counts[0.9] == [LEAST, LEAST]
    assert LEAST < counts[1e-4][0] < counts[1e-4][1]
    assert all(few <= many for few, many in zip(counts[1e-4], counts[3e-5], strict=True))


def test_it_never_passes_over_more_than_a_few_of_the_order():
    place = {row: index for index, row in enumerate(known()[1].tolist())}
    asked = find(20)[1]
    assert max(place[row] - index for index, row in enumerate(asked)) < AHEAD


def test_an_impossible_latency_is_one_sentence():
    with pytest.raises(WorkbenchError, match="positive probe latencies"):
        search(*known(), lambda row: 0.0, 10)


def test_nothing_that_was_given_is_changed():
    design, pool = known()
    probed = Probed(pool[:5].copy(), MS[pool[:5]].copy())
    kept = [part.copy() for part in (*design.blocks, pool, *probed)]
    outlook(design, probed, pool)
    for part, before in zip((*design.blocks, pool, *probed), kept, strict=True):
        np.testing.assert_array_equal(part, before)
