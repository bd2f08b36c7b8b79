"""Pre-training: repeatable, without side effects, and it learns to read a signature."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.toy import SOURCES, TARGETS, rae, toy_networks, toy_sources
from workbench.describe.capability import ENTRIES
from workbench.describe.design import Design, build_design
from workbench.devices.device import DeviceCard
from workbench.predictor.hodm import HODMConfig
from workbench.predictor.method import Sources
from workbench.training.fit import FitConfig, Pretrained, pretrain, token_tensors
from workbench.training.transfer import choose_probes

NETWORKS = toy_networks()
ROWS = np.arange(0, 200, 2)
QUICK, SMALL = FitConfig(steps=6, devices=6), HODMConfig(width=12, heads=2, rounds=2)
CARD = DeviceCard("any", peak_fp32_gflops=100, memory_bandwidth_gbps=20)


@pytest.fixture(scope="module")
def sources() -> Sources:
    return toy_sources(NETWORKS, ROWS)


@pytest.fixture(scope="module")
def design(sources) -> Design:
    return build_design(NETWORKS, ROWS, sources.latency_ms)


@pytest.fixture(scope="module")
def probes(design) -> np.ndarray:
    return choose_probes(design, 8, np.random.default_rng(0), None)


@pytest.fixture(scope="module")
def quick(sources, design, probes) -> Pretrained:
    return train(sources, design, probes)


@pytest.fixture(scope="module")
def trained(sources, design, probes) -> Pretrained:
    return train(sources, design, probes, FitConfig(steps=400), HODMConfig(width=32, heads=2))


def train(sources, design, probes, config=QUICK, model_config=SMALL, seed=0, **more) -> Pretrained:
    return pretrain(sources, design, probes, np.random.default_rng(seed), config, model_config, **more)


def test_one_seed_twice_agrees_exactly(sources, design, probes, quick):
    again = train(sources, design, probes)
    assert again.losses == quick.losses
    for name, weights in quick.model.state_dict().items():
        assert torch.equal(weights, again.model.state_dict()[name]), name


def test_torchs_own_seed_does_not_matter(sources, design, probes, quick):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(123)
        assert train(sources, design, probes).losses == quick.losses


def test_another_seed_is_another_model(sources, design, probes, quick):
    assert train(sources, design, probes, seed=1).losses != quick.losses


def test_global_random_streams_are_left_alone(sources, design, probes):
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    train(sources, design, probes, replace(QUICK, steps=2))
    numpy_after = np.random.get_state()  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_before)
    assert numpy_before[2:] == numpy_after[2:]
    np.testing.assert_array_equal(numpy_before[1], numpy_after[1])


def test_nothing_given_is_changed(sources, design, probes):
    given = (sources.latency_ms, NETWORKS.counts, NETWORKS.features, NETWORKS.quantities, *design[:-1], probes)
    before = [array.copy() for array in given]
    train(sources, design, probes, replace(QUICK, steps=2))
    for array, kept in zip(given, before, strict=True):
        np.testing.assert_array_equal(array, kept)


def test_tokens(design, probes):
    operators, counts, descriptors, hears = token_tensors(NETWORKS, design, probes)
    count, names = len(NETWORKS.operators), len(ENTRIES)
    assert (len(operators.features), len(operators.quantities), counts.shape[1]) == (count,) * 3
    assert len(descriptors) == len(hears) == names + len(probes)
    assert torch.equal(hears[names:], counts[probes]), "a signature entry hears what its probe is made of"
    assert (hears[:names] > 0).any(dim=1).all()
    assert len({tuple(row) for row in descriptors.tolist()}) == names + len(probes), "every entry has a name of its own"


def test_hardware_tokens(quick, probes):
    probe_ms = np.arange(1.0, 9.0)
    hardware = quick.hardware(probe_ms[None], CARD)
    names = len(ENTRIES)
    assert hardware.values.shape == hardware.known.shape == (1, names + len(probes))
    said = {ENTRIES[index] for index in torch.nonzero(hardware.known[0, :names]).flatten().tolist()}
    assert said == {"peak_fp32_gflops", "memory_bandwidth_gbps"}
    assert hardware.known[0, names:].all()
    np.testing.assert_allclose(hardware.values[0, names:], probe_ms / 4.5 - 1, rtol=1e-6)
    assert not quick.hardware(probe_ms[None], None).known[0, :names].any()


def test_a_probe_left_out_is_masked_and_its_latency_unseen(quick, probes):
    known = np.ones((1, len(probes)), dtype=bool)
    known[0, 3] = False
    probe_ms = np.arange(1.0, 9.0)[None]
    other_ms = np.where(known, probe_ms, 1e5)
    assert not quick.hardware(probe_ms, None, known).known[0, len(ENTRIES) + 3]
    np.testing.assert_array_equal(quick.predict(probe_ms, None, known), quick.predict(other_ms, None, known))
    assert (quick.dialogue(probe_ms, None, known).op_attention[..., len(ENTRIES) + 3] == 0).all()


def test_prediction_shapes_and_units(quick, probes):
    readings = np.stack([device.latency_ms(NETWORKS)[probes] for device in TARGETS.values()])
    both = quick.predict(readings, None)
    assert both.shape == (len(NETWORKS), 2)
    np.testing.assert_allclose(quick.predict(readings[:1], None)[:, 0], both[:, 0], rtol=1e-4)
    np.testing.assert_allclose(quick.predict(1000 * readings, None), 1000 * both, rtol=1e-4)
    rows = np.array([3, 150])
    np.testing.assert_allclose(quick.predict(readings, None, rows=rows), both[rows], rtol=1e-5)


def test_the_model_is_ready_for_use(quick):
    assert not quick.model.training
    first, second = (quick.predict(np.arange(1.0, 9.0)[None], CARD) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_the_loss_falls(trained):
    losses = np.array(trained.losses)
    assert len(losses) == 400
    assert np.isfinite(losses).all()
    assert losses[-20:].mean() < 0.5 * losses[:20].mean()


@pytest.mark.parametrize("name", TARGETS)
def test_a_new_device_is_read_off_its_signature(trained, probes, name):
    """Without any adaptation, from probes alone; a device's own signature serves it better than another's."""
    actual = TARGETS[name].latency_ms(NETWORKS)
    own = trained.predict(actual[probes][None], None)[:, 0]
    assert rae(actual, own, probes) < 0.35
    other = SOURCES["compute"].latency_ms(NETWORKS)[probes]
    foreign = trained.predict(other[None], None)[:, 0]
    assert rae(actual / actual.mean(), own / own.mean()) < 0.5 * rae(actual / actual.mean(), foreign / foreign.mean())


def test_operators_cost_something_and_dead_features_are_not_all_there_is(trained, probes):
    dialogue = trained.dialogue(SOURCES["edge"].latency_ms(NETWORKS)[probes][None], None)
    cost = dialogue.costs[0].sum(-1)
    assert (cost >= 0).all()
    large = [
        i for i, op in enumerate(NETWORKS.operators) if op.kind == "conv" and op.kernel == 3 and op.in_channels == 64
    ]
    free = [i for i, op in enumerate(NETWORKS.operators) if op.kind == "identity"]
    assert cost[large].min() > 10 * cost[free].max()


def test_missing_measurements_are_left_out(sources, design, probes):
    latency_ms = sources.latency_ms.copy()
    latency_ms[::2, 0] = np.nan
    latency_ms[40:, 3] = np.nan
    partial = Sources(NETWORKS, ROWS, latency_ms, sources.devices)
    fitted = train(partial, build_design(NETWORKS, ROWS, latency_ms), probes)
    assert np.isfinite(fitted.losses).all()
    assert np.isfinite(fitted.predict(np.arange(1.0, 9.0)[None], None)).all()


def test_large_spaces_take_fewer_networks_and_devices_per_step(sources, design, probes):
    fitted = train(sources, design, probes, replace(QUICK, max_cells=2 * len(NETWORKS.operators), steps=3))
    assert np.isfinite(fitted.losses).all()


@pytest.mark.parametrize("steps", [1, 2, 10, 20])
def test_any_number_of_steps(sources, design, probes, steps):
    told = []
    fitted = train(
        sources, design, probes, replace(QUICK, steps=steps), progress=lambda step, loss: told.append((step, loss))
    )
    assert told == list(enumerate(fitted.losses, start=1))
    assert len(told) == steps


def test_cards_of_sources_are_used_and_may_be_absent(sources, design, probes, quick):
    cards = {name: replace(CARD, name=name, peak_fp32_gflops=device.gflops) for name, device in SOURCES.items()}
    carded = Sources(NETWORKS, ROWS, sources.latency_ms, sources.devices, cards)
    assert train(carded, design, probes).losses != quick.losses


def test_one_probe_and_one_source_are_enough():
    sources = toy_sources(NETWORKS, ROWS, {"edge": SOURCES["edge"]})
    design = build_design(NETWORKS, ROWS, sources.latency_ms)
    fitted = train(sources, design, np.array([5]), replace(QUICK, steps=3))
    assert np.isfinite(fitted.predict(np.array([[2.0]]), None)).all()


def test_an_operator_that_occurs_nowhere_changes_nothing(quick, probes):
    """Without a card, nobody hears an operator that no probe contains, so padding leaves every latency where it was."""
    extra = replace(
        quick,
        operators=type(quick.operators)(*(torch.cat([part, 2 * part[:3]]) for part in quick.operators)),
        counts=torch.cat([quick.counts, torch.zeros(len(NETWORKS), 3)], dim=1),
        hears=torch.cat(
            [quick.hears, torch.cat([quick.hears[: len(ENTRIES), :1].repeat(1, 3), torch.zeros(len(probes), 3)])], dim=1
        ),
    )
    probe_ms = np.arange(1.0, 9.0)[None]
    np.testing.assert_allclose(extra.predict(probe_ms, None), quick.predict(probe_ms, None), rtol=1e-4)
