"""HODM: what attention means, what is additive, and what must not matter."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.predictor.hodm import HODM, CrossAttention, Hardware, HODMConfig, Operators, totals_of

V, F, Q, H, G, D, A = 7, 5, 3, 6, 4, 2, 9  # operators, features, quantities, entries, descriptors, devices, networks
CAPABILITIES = 2  # the first entries hear every operator
SMALL = HODMConfig(width=12, heads=3, rounds=2)


@pytest.fixture(autouse=True)
def no_grad():
    with torch.no_grad():
        yield


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@torch.no_grad()
def build(config: HODMConfig = SMALL, seed: int = 0) -> HODM:
    """A model in which every weight matters, the correction's too (training starts it at zero)."""
    model = HODM(F, Q, G, config).double().eval()
    draw = stream(seed)
    for parameter in model.parameters():
        parameter.copy_(0.4 * torch.randn(parameter.shape, generator=draw, dtype=torch.float64))
    return model


def tokens(seed: int = 1) -> tuple[Operators, Hardware, torch.Tensor]:
    """Operators, hardware with the fourth entry unknown on the second device, and counts `a x v`."""
    draw = stream(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64)

    counts = torch.randint(0, 4, (A, V), generator=draw).double()
    counts[:, 0] = 2
    hears = torch.cat([torch.ones(CAPABILITIES, V, dtype=torch.float64), counts[: H - CAPABILITIES]])
    known = torch.ones(D, H, dtype=torch.bool)
    known[1, 3] = False
    hardware = Hardware(normal(H, G), hears, normal(D, H), known)
    return Operators(normal(V, F), normal(V, Q).abs()), hardware, counts


MODEL = build()
OPERATORS, HARDWARE, COUNTS = tokens()


def latency(
    operators: Operators = OPERATORS, hardware: Hardware = HARDWARE, counts: torch.Tensor = COUNTS
) -> torch.Tensor:
    return MODEL.latency(MODEL(operators, hardware), counts, totals_of(operators, counts))


def test_shapes():
    says = MODEL(OPERATORS, HARDWARE)
    assert says.costs.shape == (D, V, Q)
    assert says.summary.shape == (D, 12)
    assert says.op_attention.shape == (D, 2, 3, V, H)
    assert says.hardware_attention.shape == (D, 2, 3, H, V)
    assert latency().shape == (A, D)


def test_a_masked_entry_gets_no_attention_at_all():
    says = MODEL(OPERATORS, HARDWARE)
    assert (says.op_attention[1, ..., 3] == 0).all()
    assert (says.op_attention[0, ..., 3] > 0).all()
    others = [entry for entry in range(H) if entry != 3]
    assert (says.op_attention[1][..., others] > 0).all()


@pytest.mark.parametrize("reading", [0.0, -7.5, 1e6, math.nan, math.inf])
def test_what_a_masked_entry_reads_changes_no_bit(reading):
    values = HARDWARE.values.clone()
    values[1, 3] = reading
    before, after = MODEL(OPERATORS, HARDWARE), MODEL(OPERATORS, HARDWARE._replace(values=values))
    assert torch.equal(before.costs, after.costs)
    assert torch.equal(before.summary, after.summary)
    assert torch.equal(before.op_attention, after.op_attention)
    assert torch.equal(latency(), latency(hardware=HARDWARE._replace(values=values)))


def test_what_a_known_entry_reads_matters():
    values = HARDWARE.values.clone()
    values[0, 3] += 1
    changed = latency(hardware=HARDWARE._replace(values=values))
    assert not torch.isclose(changed[:, 0], latency()[:, 0]).any()
    assert torch.equal(changed[:, 1], latency()[:, 1]), "devices are told apart"


def test_an_unknown_entry_is_not_a_reading_of_zero():
    zero = HARDWARE.values.clone()
    zero[1, 3] = 0
    known = HARDWARE._replace(values=zero, known=torch.ones_like(HARDWARE.known))
    assert not torch.isclose(latency()[:, 1], latency(hardware=known)[:, 1]).any()


def test_what_a_masked_entry_hears_and_is_called_does_not_matter():
    known = HARDWARE.known.clone()
    known[:, 3] = False
    hardware = HARDWARE._replace(known=known)
    descriptors, hears = HARDWARE.descriptors.clone(), HARDWARE.hears.clone()
    descriptors[3], hears[3] = 9, 1
    torch.testing.assert_close(
        latency(hardware=hardware), latency(hardware=hardware._replace(descriptors=descriptors, hears=hears))
    )
    keep = [entry for entry in range(H) if entry != 3]
    dropped = Hardware(HARDWARE.descriptors[keep], HARDWARE.hears[keep], HARDWARE.values[:, keep], known[:, keep])
    torch.testing.assert_close(latency(hardware=hardware), latency(hardware=dropped))


def test_attention_rows_sum_to_one_over_what_is_known_or_heard():
    says = MODEL(OPERATORS, HARDWARE)
    for attention in (says.op_attention, says.hardware_attention):
        torch.testing.assert_close(attention.sum(-1), torch.ones_like(attention[..., 0]))
        assert (attention >= 0).all()


def test_a_signature_entry_hears_only_what_its_probe_is_made_of():
    attention = MODEL(OPERATORS, HARDWARE).hardware_attention
    absent = HARDWARE.hears == 0
    assert absent.any()
    assert (attention[..., absent] == 0).all()
    assert (attention[..., ~absent] > 0).all()


def test_an_operator_that_occurs_twice_is_heard_like_two_equal_operators():
    """Weighing by counts is not an approximation: splitting an operator in two halves its attention, exactly."""
    doubled = Operators(*(torch.cat([part, part[:1]]) for part in OPERATORS))
    hears = torch.cat([HARDWARE.hears / torch.tensor([2] + [1] * (V - 1)), HARDWARE.hears[:, :1] / 2], dim=1)
    before, after = MODEL(OPERATORS, HARDWARE), MODEL(doubled, HARDWARE._replace(hears=hears))
    torch.testing.assert_close(after.costs[:, :V], before.costs)
    torch.testing.assert_close(
        after.hardware_attention[..., 0] + after.hardware_attention[..., V], before.hardware_attention[..., 0]
    )


def test_an_entry_that_hears_nothing_is_no_trouble():
    hears = HARDWARE.hears.clone()
    hears[4] = 0
    says = MODEL(OPERATORS, HARDWARE._replace(hears=hears))
    assert (says.hardware_attention[..., 4, :] == 0).all()
    assert says.costs.isfinite().all()


def test_a_device_of_which_nothing_is_known_still_has_costs():
    hardware = HARDWARE._replace(known=torch.zeros_like(HARDWARE.known))
    says = MODEL(OPERATORS, hardware)
    assert (says.op_attention == 0).all()
    assert not says.summary.any()
    assert latency(hardware=hardware).isfinite().all()


@given(order=st.permutations(range(H)))
@settings(max_examples=10, deadline=None)
def test_permuting_hardware_tokens_permutes_the_maps(order):
    with torch.no_grad():
        turned = Hardware(
            HARDWARE.descriptors[order], HARDWARE.hears[order], HARDWARE.values[:, order], HARDWARE.known[:, order]
        )
        before, after = MODEL(OPERATORS, HARDWARE), MODEL(OPERATORS, turned)
        torch.testing.assert_close(after.op_attention, before.op_attention[..., order])
        torch.testing.assert_close(after.hardware_attention, before.hardware_attention[..., order, :])
        torch.testing.assert_close(after.costs, before.costs)
        torch.testing.assert_close(latency(hardware=turned), latency())


@given(order=st.permutations(range(V)))
@settings(max_examples=10, deadline=None)
def test_permuting_operators_permutes_the_maps(order):
    with torch.no_grad():
        operators = Operators(*(part[order] for part in OPERATORS))
        hardware = HARDWARE._replace(hears=HARDWARE.hears[:, order])
        before, after = MODEL(OPERATORS, HARDWARE), MODEL(operators, hardware)
        torch.testing.assert_close(after.op_attention, before.op_attention[..., order, :])
        torch.testing.assert_close(after.hardware_attention, before.hardware_attention[..., order])
        torch.testing.assert_close(after.costs, before.costs[:, order])
        torch.testing.assert_close(latency(operators, hardware, COUNTS[:, order]), latency())


def test_an_operator_that_nobody_hears_or_counts_changes_no_latency():
    """Padding: what no probe contains and no network counts may be any operator."""
    operators = Operators(
        torch.cat([OPERATORS.features, torch.full((1, F), 50.0)]), torch.cat([OPERATORS.quantities, torch.ones(1, Q)])
    )
    hardware = HARDWARE._replace(hears=torch.cat([HARDWARE.hears, torch.zeros(H, 1)], dim=1))
    counts = torch.cat([COUNTS, torch.zeros(A, 1)], dim=1)
    torch.testing.assert_close(latency(operators, hardware, counts), latency())
    torch.testing.assert_close(MODEL(operators, hardware).costs[:, :V], MODEL(OPERATORS, HARDWARE).costs)


def test_costs_are_not_negative_and_sum_to_latency_minus_correction():
    says = MODEL(OPERATORS, HARDWARE)
    assert (says.costs >= 0).all()
    summed = torch.einsum("av,dvq->ad", COUNTS, says.costs)
    correction = MODEL.correction((COUNTS @ OPERATORS.quantities).log1p(), says.summary)
    assert correction.abs().min() > 0, "the correction takes part in this test"
    torch.testing.assert_close(latency() - correction, summed)


def test_an_operator_without_quantities_costs_nothing():
    quantities = OPERATORS.quantities.clone()
    quantities[2] = 0
    assert not MODEL(OPERATORS._replace(quantities=quantities), HARDWARE).costs[:, 2].any()


def test_devices_do_not_see_each_other():
    alone = Hardware(HARDWARE.descriptors, HARDWARE.hears, HARDWARE.values[:1], HARDWARE.known[:1])
    torch.testing.assert_close(latency(hardware=alone)[:, 0], latency()[:, 0])


def test_networks_do_not_see_each_other():
    torch.testing.assert_close(latency(counts=COUNTS[3:5]), latency()[3:5])


def test_an_untrained_model_starts_from_average_shares_without_correction():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = HODM(F, Q, G).double().eval()
    says = model(OPERATORS, HARDWARE)
    assert not model.correction((COUNTS @ OPERATORS.quantities).log1p(), says.summary).any()
    torch.testing.assert_close(says.costs, OPERATORS.quantities.expand(D, -1, -1) / Q, rtol=0.5, atol=0)


def test_attention_masks_before_the_softmax():
    """Minus infinity, not a factor of zero: a masked key takes no share from the others."""
    attend = CrossAttention(6, 2).double()
    queries, keys = (
        torch.randn(1, 3, 6, generator=stream(0)).double(),
        torch.randn(1, 5, 6, generator=stream(1)).double(),
    )
    bias = torch.zeros(1, 3, 5, dtype=torch.float64)
    bias[..., 2] = -math.inf
    out, attention = attend(queries, keys, bias)
    keep = [0, 1, 3, 4]
    out_without, attention_without = attend(queries, keys[:, keep], bias[..., keep])
    torch.testing.assert_close(out, out_without)
    torch.testing.assert_close(attention[..., keep], attention_without)


def test_entries_that_no_device_knows_can_be_left_out():
    known = HARDWARE.known.clone()
    known[:, 1] = False
    hardware = HARDWARE._replace(known=known)
    assert hardware.told().values.shape[1] == hardware.values.shape[1] - 1
    torch.testing.assert_close(MODEL(OPERATORS, hardware.told()).costs, MODEL(OPERATORS, hardware).costs)


def test_an_operator_costs_the_same_whichever_others_are_asked_for():
    asked = torch.arange(len(OPERATORS.features)) % 2 == 0
    whole, some = MODEL(OPERATORS, HARDWARE), MODEL(OPERATORS, HARDWARE, asked)
    torch.testing.assert_close(some.costs, whole.costs[:, asked])
    torch.testing.assert_close(some.summary, whole.summary)
    torch.testing.assert_close(some.op_attention[:, -1], whole.op_attention[:, -1, :, asked])


def test_training_survives_a_device_of_which_nothing_is_known():
    with torch.enable_grad():
        model = build()
        known = HARDWARE.known.clone()
        known[0] = False
        hardware = HARDWARE._replace(known=known)
        model.latency(model(OPERATORS, hardware), COUNTS, totals_of(OPERATORS, COUNTS)).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.grad is not None)


@pytest.mark.parametrize("rounds", [1, 3])
def test_rounds_are_as_configured(rounds):
    model = build(HODMConfig(width=8, heads=2, rounds=rounds))
    assert model(OPERATORS, HARDWARE).op_attention.shape == (D, rounds, 2, V, H)
