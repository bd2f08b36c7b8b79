"""Networks described in the terms of others: the same numbers, and new operators beside the known ones."""

from __future__ import annotations

import numpy as np
import pytest

from tests.toy import toy_networks
from workbench.config import WorkbenchError
from workbench.data.networks import encode
from workbench.data.terms import Terms

SPACES = ("nasbench201", "fbnet", "ofa_mobilenetv3")
ARRAYS = ("features", "quantities", "counts", "physics", "roots", "census")


@pytest.mark.parametrize("space", SPACES)
def test_networks_in_their_own_terms_are_what_they_were(space):
    networks = toy_networks(60, space)
    again = Terms.of(networks).describe(networks.archs)
    assert again.operators == networks.operators
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(again, name), getattr(networks, name), err_msg=name)


def test_what_else_is_described_does_not_matter():
    """Encoded together, networks are relative to each other; in given terms they are not."""
    terms = Terms.of(toy_networks(60))
    others = toy_networks(20, seed=5).archs
    alone, together = terms.describe(others[:1]), terms.describe(others)
    for name in ("physics", "census"):
        np.testing.assert_array_equal(getattr(together, name)[:1], getattr(alone, name))
    own = alone.counts.shape[1]
    np.testing.assert_array_equal(together.counts[:1, :own], alone.counts)
    assert not together.counts[0, own:].any()


def test_new_operators_follow_after_the_known_ones(tmp_path, monkeypatch):
    """Networks at one resolution, then one at another: not one of its larger operators is known."""
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))
    archs = toy_networks(40, "ofa_mobilenetv3").archs
    networks = encode("ofa_mobilenetv3", archs[:3])
    terms = Terms.of(networks)
    new = terms.describe(archs[3:4])
    known = len(networks.operators)
    assert new.operators[:known] == networks.operators
    assert len(set(new.operators)) == len(new.operators) > known
    np.testing.assert_array_equal(new.features[:known], networks.features)
    np.testing.assert_array_equal(new.quantities[:known], networks.quantities)
    assert new.physics.shape[1] == networks.physics.shape[1]
    assert new.census.shape[1] == networks.census.shape[1]
    alone = encode("ofa_mobilenetv3", archs[3:4])
    np.testing.assert_allclose(new.flops, alone.flops)


def test_a_malformed_network_is_one_sentence():
    with pytest.raises(WorkbenchError, match="nasbench201"):
        Terms.of(toy_networks(20)).describe(["|conv~0|"])
