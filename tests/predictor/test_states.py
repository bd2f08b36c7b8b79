"""Readings of several states: told apart where they are, left alone where they are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.predictor.test_adapt import BLOCKS, NETWORKS, OTHERS, PROBES, law
from workbench.predictor import states as s
from workbench.predictor.adapt import HeadConfig, Posterior, adapt
from workbench.predictor.opinions import PriorMean
from workbench.predictor.states import find_states

#: Large enough that whole milliseconds are a coarse clock, but not the noise.
LAW = law(200.0)
HEAD = HeadConfig()
ONE_STATE = replace(HEAD, states=0.0)
#: What a relative would say of the device: six per cent beside it, in a way that readings can tell.
RELATIVE = LAW + 12 * BLOCKS[1][:, 0]
PRIOR = [PriorMean("relative", RELATIVE, RELATIVE[PROBES])]


def read(factors: tuple[float, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Whole milliseconds that each network takes in a state of its own, and the states' factors."""
    draw = np.random.default_rng(seed)
    state = draw.choice(factors, NETWORKS, p={1: (1.0,), 2: (0.7, 0.3), 3: (0.6, 0.2, 0.2)}[len(factors)])
    return np.round(LAW * state * (1 + 0.01 * draw.standard_normal(NETWORKS))), state


def head(probe_ms: np.ndarray, config: HeadConfig = HEAD) -> Posterior:
    return adapt(BLOCKS, PROBES, probe_ms, PRIOR, config)


def shape_error(posterior: Posterior) -> float:
    mean = posterior.predict()[0]
    return float(np.abs(mean / LAW * np.median(LAW / mean) - 1)[OTHERS].mean())


def in_states(posterior: Posterior) -> float:
    return sum(model.weight for model in posterior.models if np.ndim(model.factors))


def test_three_states_are_mostly_suspected():
    """Twenty readings of three states seldom tell for certain."""
    assert np.median([in_states(head(read((1.0, 1.15, 1 / 1.15), seed)[0][PROBES])) for seed in range(8)]) > 0.5


def test_the_law_is_found_through_two_states():
    believed, with_states, without = [], [], []
    for seed in range(8):
        probe_ms = read((1.0, 1.2), seed)[0][PROBES]
        found = head(probe_ms)
        believed.append(in_states(found))
        with_states.append(shape_error(found))
        without.append(shape_error(head(probe_ms, ONE_STATE)))
    assert np.median(believed) > 0.7
    assert np.mean(with_states) < 0.8 * np.mean(without)


def test_each_reading_is_given_its_state():
    measured, state = read((1.0, 1.2))
    models = [model for model in head(measured[PROBES]).models if np.ndim(model.factors)]
    likeliest = max(models, key=lambda model: model.weight)
    apart = likeliest.factors > likeliest.factors.min()
    assert (apart == (state[PROBES] > 1)).mean() >= 0.9


def test_a_steady_device_is_left_alone():
    measured, _ = read((1.0,))
    found, single = head(measured[PROBES]), head(measured[PROBES], ONE_STATE)
    assert in_states(found) < 0.3
    np.testing.assert_allclose(found.predict()[0], single.predict()[0], rtol=0.03)


def test_a_fine_clock_is_not_asked_for_states():
    probe_ms = read((1.0, 1.2))[0][PROBES] + 0.25
    assert in_states(head(probe_ms)) == 0
    assert in_states(head(probe_ms - 0.25, replace(HEAD, wary=False))) == 0


def test_intervals_hold_readings_of_every_state():
    covered = []
    for seed in range(5):
        measured, _ = read((1.0, 1.2), seed)
        mean, deviation = head(measured[PROBES]).predict()
        covered.append((np.abs(measured - mean) < 1.645 * deviation)[OTHERS].mean())
    assert 0.8 < np.mean(covered) <= 1


def test_half_of_the_readings_are_above_what_is_predicted():
    above = []
    for seed in range(5):
        measured, _ = read((1.0, 1.2), seed)
        above.append((measured > head(measured[PROBES]).predict()[0])[OTHERS].mean())
    assert 0.25 < np.mean(above) < 0.75


def test_a_wild_reading_is_no_state():
    measured, _ = read((1.0, 1.2))
    probe_ms = measured[PROBES].copy()
    probe_ms[4] *= 3
    found = head(probe_ms)
    assert found.outlier[4] > 0.9
    assert np.delete(found.outlier, 4).max() < 0.5
    assert shape_error(found) < 0.05


@pytest.mark.parametrize("factors", [(1.0,), (1.0, 1.2)])
def test_weights_are_shares(factors):
    found = head(read(factors)[0][PROBES])
    assert sum(model.weight for model in found.models) == pytest.approx(1)
    assert 0 <= found.trust["relative"] <= 1 + 1e-9
    assert ((found.outlier >= 0) & (found.outlier <= 1 + 1e-9)).all()


def test_hundreds_of_regular_readings_are_of_one_state():
    """So many that the others' evidence cannot be told beside it."""
    count = 400
    steady, found = find_states(
        np.zeros((3, count, count)), np.ones(count), np.ones(count), np.ones((1, count)), np.zeros(1), 0.7, 5
    )
    assert steady == pytest.approx(1)
    assert steady <= 1
    assert sum(one.weight for one in found) == pytest.approx(1)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_readings_are_enough_for_an_answer(count):
    measured, _ = read((1.0, 1.2))
    found = adapt(
        BLOCKS, PROBES[:count], measured[PROBES[:count]], [PRIOR[0]._replace(probe_ms=RELATIVE[PROBES[:count]])]
    )
    mean, deviation = found.predict()
    assert np.isfinite(mean).all()
    assert (deviation > 0).all()


def test_the_search_is_exact_where_nothing_is_dropped(monkeypatch):
    """Two readings have 97 assignments; their evidence, added up by hand, gives the same probability."""
    monkeypatch.setattr(s, "BEAM", 97)
    relative, prior = np.array([1.0, 1.3]), np.array([[1.0, 1.0]])
    among = np.stack([np.eye(2)] * 3)
    steady, found = find_states(among, relative, np.ones(2), prior, np.zeros(1), 0.5, 10_000)

    def evidence(factors: np.ndarray, wild: np.ndarray, model: tuple) -> float:
        scales, spread, noise = model
        covariance = spread**2 * ((np.square(scales) @ np.ones(3)) * np.eye(2) + 1) + noise**2 * np.eye(2)
        root = np.linalg.cholesky(covariance)
        total, white = 0.0, np.zeros(2)
        for i in range(2):
            foreseen = 1.0 + root[i, :i] @ white[:i]
            if wild[i]:
                total += np.log(s.WILD) - 0.5 * (relative[i] - foreseen) ** 2
                continue
            white[i] = (relative[i] / factors[i] - foreseen) / root[i, i]
            total += np.log1p(-s.WILD) - 0.5 * white[i] ** 2 - np.log(root[i, i] * factors[i])
        return total

    models = [(a, b, c) for a in s.SCALES for b in s.SPREADS for c in s.NOISES]
    alone = together = 0.0
    regimes = [((1.0,), (1.0,), 0.5)]
    regimes += [((1.0, 1 + d), s.SHARES_OF_TWO[:2], 0.3 / len(s.TWO)) for d in s.TWO]
    regimes += [((1.0, 1 + d, 1 / (1 + d)), s.SHARES_OF_THREE, 0.2 / len(s.THREE)) for d in s.THREE]
    for factors, shares, odds in regimes:
        options = [(f, np.log(q), False) for f, q in zip(factors, shares, strict=True)] + [(1.0, 0.0, True)]
        for first in options:
            for second in options:
                pair = np.array([first[0], second[0]]), np.array([first[2], second[2]])
                share = sum(np.exp(evidence(*pair, model) + first[1] + second[1]) for model in models) * odds
                together += share
                alone += share if len(factors) == 1 else 0.0
    assert steady == pytest.approx(alone / together, rel=1e-6)
    assert sum(one.weight for one in found) == pytest.approx(1)
