"""Average ranks and their critical difference, against Demšar's own figures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from workbench.config import WorkbenchError
from workbench.insight.ranks import critical_difference, friedman, letters, rank

#: AUC of four variants of C4.5 on 14 data sets: table 6 of Demšar 2006.
AUC = pd.DataFrame(
    [
        (0.763, 0.768, 0.771, 0.798), (0.599, 0.591, 0.590, 0.569), (0.954, 0.971, 0.968, 0.967),
        (0.628, 0.661, 0.654, 0.657), (0.882, 0.888, 0.886, 0.898), (0.936, 0.931, 0.916, 0.931),
        (0.661, 0.668, 0.609, 0.685), (0.583, 0.583, 0.563, 0.625), (0.775, 0.838, 0.866, 0.875),
        (1.000, 1.000, 1.000, 1.000), (0.940, 0.962, 0.965, 0.962), (0.619, 0.666, 0.614, 0.669),
        (0.972, 0.981, 0.975, 0.973), (0.957, 0.978, 0.946, 0.970),
    ],
    columns=["C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf"],
)  # fmt: skip


def test_the_worked_example_of_the_paper():
    found = rank(AUC, 1)
    ranks = found.table.set_index("configuration")["rank"]
    assert ranks.to_dict() == pytest.approx(
        {"C4.5": 3.143, "C4.5+m": 2.000, "C4.5+cf": 2.893, "C4.5+m+cf": 1.964}, abs=5e-4
    )
    assert found.critical_difference == pytest.approx(1.25, abs=0.01)
    assert found.blocks == 14
    assert 0.005 < found.p_value < stats.f.sf(3.69, 3, 39)  # the paper does not correct for ties, which makes it larger
    assert set(found.table["group"]) == {"a"}  # no two are further apart than 1.25


@pytest.mark.parametrize(("count", "q"), [(2, 1.960), (3, 2.343), (5, 2.728), (10, 3.164)])
def test_critical_values_are_those_of_the_paper(count, q):
    """Table 5 a of Demšar 2006."""
    blocks = 20
    assert critical_difference(count, blocks) == pytest.approx(q * np.sqrt(count * (count + 1) / 6 / blocks), rel=1e-3)


def test_ranks_sum_up_and_do_not_depend_on_the_scale():
    scores = pd.DataFrame(np.random.default_rng(0).normal(size=(9, 5)), columns=list("abcde"))
    found = rank(scores, 1)
    assert found.table["rank"].sum() == pytest.approx(5 * 6 / 2)
    assert rank(np.exp(scores), 1).table.equals(found.table)
    turned = rank(-scores, -1)
    assert turned.table["rank"].to_numpy() == pytest.approx(found.table["rank"].to_numpy())
    backwards = rank(scores, -1).table.set_index("configuration")["rank"]
    assert (6 - backwards).to_dict() == pytest.approx(found.table.set_index("configuration")["rank"].to_dict())


def test_friedman_agrees_with_scipy_also_with_ties():
    generator = np.random.default_rng(1)
    for digits in (8, 0):
        scores = generator.normal(0, 1.5, (12, 4)).round(digits)
        ranks = stats.rankdata(scores, axis=1)
        chi2 = stats.friedmanchisquare(*scores.T).statistic
        expected = stats.f.sf((12 - 1) * chi2 / (12 * 3 - chi2), 3, 3 * 11)
        assert friedman(ranks) == pytest.approx(expected)


def test_equal_configurations_are_seldom_told_apart_and_ordered_ones_always():
    generator = np.random.default_rng(2)
    low = [rank(pd.DataFrame(generator.normal(size=(15, 4))), 1).p_value < 0.05 for _ in range(200)]
    assert sum(low) < 22
    ordered = pd.DataFrame(generator.normal([3, 2, 1], 0.1, (15, 3)), columns=["a", "b", "c"])
    found = rank(ordered, 1)
    assert found.table["configuration"].tolist() == ["a", "b", "c"]
    assert found.table["group"].tolist() == ["a", "b", "c"]
    assert found.p_value < 1e-6
    assert friedman(np.ones((4, 3)) * 2) == 1.0
    assert friedman(np.tile([1.0, 2, 3], (4, 1))) == 0.0


def test_two_share_a_letter_exactly_if_they_are_near_enough():
    means = np.array([1.0, 1.5, 2.2, 3.0, 5.0])
    told = letters(means, 1.3)
    for i in range(5):
        for j in range(5):
            assert bool(set(told[i]) & set(told[j])) == (abs(means[i] - means[j]) < 1.3)


def test_blocks_with_a_gap_are_left_out_and_too_little_is_refused():
    scores = pd.DataFrame({"a": [1.0, 2, 3, np.nan], "b": [0.0, 1, 2, 3]})
    assert rank(scores, 1).blocks == 3
    for wrong in (scores[["a"]], scores.iloc[2:]):
        with pytest.raises(WorkbenchError, match="expects two configurations and two tasks"):
            rank(wrong, 1)
