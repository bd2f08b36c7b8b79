"""The capability vector: unknown is masked, and no figure is mistaken for unknown."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.describe.capability import ENTRIES, REFERENCE, capability_vector
from workbench.devices.device import CAPABILITY_FIELDS, DeviceCard, catalog


def test_without_a_card_nothing_is_known():
    vector = capability_vector(None)
    assert vector.values.shape == vector.known.shape == (len(ENTRIES),)
    assert not vector.known.any()
    assert not vector.values.any()


def test_a_card_that_says_nothing_is_like_no_card():
    np.testing.assert_array_equal(
        capability_vector(DeviceCard("x", family="fpga")).known, capability_vector(None).known
    )


def test_values_are_orders_of_magnitude_above_the_reference():
    vector = capability_vector(DeviceCard("x", peak_fp32_gflops=10_000, memory_bandwidth_gbps=10))
    said = {entry: value for entry, value, known in zip(ENTRIES, *vector, strict=True) if known}
    assert said == pytest.approx({"peak_fp32_gflops": 1, "memory_bandwidth_gbps": -1})
    assert not vector.values[~vector.known].any()


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_figure_equal_to_its_reference_is_zero_but_known(entry):
    card = DeviceCard("x", **{entry: int(REFERENCE[entry]) if entry in ("batch_size", "threads") else REFERENCE[entry]})
    vector = capability_vector(card)
    index = ENTRIES.index(entry)
    assert vector.known[index]
    assert vector.values[index] == pytest.approx(0)
    assert vector.known.sum() == 1


def test_a_card_cannot_say_zero():
    for entry in ENTRIES:
        with pytest.raises(ValueError, match="above zero"):
            DeviceCard("x", **{entry: 0})


def test_entries_are_fields_of_a_card():
    assert set(ENTRIES) <= {"batch_size", "threads", *CAPABILITY_FIELDS}
    assert all(reference > 0 for reference in REFERENCE.values())


def test_vectors_of_the_catalog_are_finite_and_moderate():
    vectors = [capability_vector(card) for card in catalog().values()]
    assert vectors
    assert all(np.abs(vector.values).max() < 5 for vector in vectors)
    assert any(vector.known.sum() >= 4 for vector in vectors)
