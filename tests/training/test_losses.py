"""Losses: zero where nothing is wrong, blind to what was not measured, and each with its own idea of wrong."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.toy import one_thread, toy_networks, toy_sources
from workbench.config import WorkbenchError
from workbench.describe.design import build_design
from workbench.predictor.hodm import HODMConfig
from workbench.training.fit import FitConfig, pretrain
from workbench.training.losses import LOSSES
from workbench.training.transfer import choose_probes

DELTA = 0.2


def latencies(seed: int, rows: int = 30, devices: int = 3) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(seed).uniform(0.3, 3.0, (rows, devices)))


@pytest.mark.parametrize("name", LOSSES)
@given(seed=st.integers(0, 999))
def test_what_was_not_measured_counts_for_nothing(name, seed):
    actual, predicted = latencies(seed), latencies(seed + 1)
    measured = (latencies(seed + 2) > 1).double()
    other = torch.where(measured > 0, actual, 7.0)
    first, second = (LOSSES[name](predicted, truth, measured, DELTA) for truth in (actual, other))
    assert torch.equal(first, second)


@pytest.mark.parametrize("name", [name for name in LOSSES if "ranking" not in name])
def test_no_error_is_no_loss_and_any_error_is_one(name):
    actual = latencies(0)
    everything = torch.ones_like(actual)
    assert LOSSES[name](actual, actual, everything, DELTA) == 0
    assert LOSSES[name](actual + 0.1, actual, everything, DELTA) > 0


def test_a_ranking_asks_for_the_order_and_nothing_else():
    actual = torch.arange(40.0)[:, None].repeat(1, 2)
    everything = torch.ones_like(actual)
    assert LOSSES["ranking"](5 * actual + 3, actual, everything, DELTA) == 0
    assert LOSSES["ranking"](-actual, actual, everything, DELTA) > LOSSES["ranking"](
        0 * actual, actual, everything, DELTA
    )
    alone = torch.ones(1, 2)
    assert LOSSES["ranking"](alone, alone, alone, DELTA) == 0, "one network has nothing to be compared with"


def test_relative_errors_weigh_fast_networks_more():
    actual = torch.tensor([[0.2], [2.0]]).double()
    measured = torch.ones_like(actual)
    fast, slow = actual + torch.tensor([[0.1], [0.0]]), actual + torch.tensor([[0.0], [0.1]])
    assert LOSSES["relative_squared"](fast, actual, measured, DELTA) > LOSSES["relative_squared"](
        slow, actual, measured, DELTA
    )
    assert torch.isclose(
        LOSSES["squared"](fast, actual, measured, DELTA), LOSSES["squared"](slow, actual, measured, DELTA)
    )


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_trains(name):
    networks = toy_networks()
    sources = toy_sources(networks, np.arange(0, 200, 2))
    design = build_design(networks, sources.rows, sources.latency_ms)
    probes = choose_probes(design, 8, np.random.default_rng(0), None)
    parts = (sources, design, probes, np.random.default_rng(0))
    with one_thread():
        losses = pretrain(*parts, FitConfig(steps=80, devices=6, loss=name), HODMConfig(width=12, heads=2)).losses
    assert np.isfinite(losses).all()
    assert np.mean(losses[-15:]) < np.mean(losses[:15])


def test_an_unknown_loss_is_one_sentence():
    networks = toy_networks()
    sources = toy_sources(networks, np.arange(0, 200, 2))
    design = build_design(networks, sources.rows, sources.latency_ms)
    with pytest.raises(WorkbenchError, match=r"Unknown loss 'hubr'; did you mean 'huber'\?"):
        pretrain(sources, design, np.array([0]), np.random.default_rng(0), FitConfig(loss="hubr"))
