"""The paired bootstrap: what is there is found, what is not is called noise about as often as it says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from workbench.insight.paired import (
    BETTER,
    CASE,
    HIGHER,
    NOISE,
    UNTESTED,
    WORSE,
    Interval,
    cases,
    difference,
    interval,
    level,
    mark,
    of_main_method,
    sign_of,
)


def scores(values: np.ndarray) -> pd.Series:
    """`tasks x devices x seeds` values as scores."""
    names = [[f"{name}{i}" for i in range(count)] for name, count in zip(CASE, values.shape, strict=True)]
    return pd.Series(values.ravel(), pd.MultiIndex.from_product(names, names=CASE))


def share_of_noise(shape, draw, rounds: int = 200) -> float:
    generator = np.random.default_rng(0)
    told = [mark(interval(scores(draw(generator, shape))), 1) for _ in range(rounds)]
    return told.count(NOISE) / rounds


def independent(generator, shape):
    return generator.normal(0, 1, shape)


def by_device(generator, shape):
    return generator.normal(0, 1, (*shape[:2], 1)) + generator.normal(0, 0.3, shape)


def by_seed(generator, shape):
    return generator.normal(0, 1, (shape[0], 1, shape[2])) + generator.normal(0, 0.3, shape)


@pytest.mark.parametrize("draw", [independent, by_device, by_seed], ids=lambda draw: draw.__name__)
@pytest.mark.parametrize("shape", [(3, 4, 3), (1, 8, 5), (6, 2, 3), (1, 3, 3)], ids=str)
def test_pure_noise_is_called_noise_about_nineteen_times_in_twenty(shape, draw):
    """Also where seeds of a device are alike, or devices of a seed."""
    assert 0.90 <= share_of_noise(shape, draw) <= 0.995


def test_few_devices_or_seeds_alone_are_not_overrated():
    """Three that agree are no proof: by chance they do one time in four."""
    assert share_of_noise((1, 1, 3), independent) > 0.9
    assert share_of_noise((1, 4, 1), independent) > 0.9


def test_a_bootstrap_over_cases_alone_would_see_differences_that_are_not_there():
    """Why whole devices and whole seeds are drawn."""
    generator = np.random.default_rng(0)
    wrong = 0
    for _ in range(100):
        values = by_device(generator, (1, 6, 5)).ravel()
        means = generator.choice(values, (400, len(values))).mean(axis=1)
        wrong += not np.quantile(means, 0.025) <= 0 <= np.quantile(means, 0.975)
    assert wrong > 20
    assert share_of_noise((1, 6, 5), by_device, 100) > 0.85


def test_a_constructed_effect_is_found_and_its_size_told():
    generator = np.random.default_rng(1)
    base = scores(generator.normal(0, 1, (3, 4, 3)))
    better = base + 0.1 + generator.normal(0, 0.05, len(base))
    told = difference(better, base)
    assert told.low < 0.1 < told.high
    assert told.high - told.low < 0.1  # in pairs: the spread between cases is ten times as large
    assert told.cases == 36
    assert mark(told, 1) == BETTER
    assert mark(told, -1) == WORSE
    assert mark(told, 0) == HIGHER


def test_pairs_are_matched_by_task_device_and_seed_whatever_the_order():
    generator = np.random.default_rng(2)
    base = scores(generator.normal(0, 1, (2, 3, 2)))
    shuffled = (base + 1).sample(frac=1, random_state=0)
    assert difference(shuffled, base).value == pytest.approx(1)
    partly = shuffled.iloc[:5]
    told = difference(partly, base)
    assert (told.value, told.cases) == (pytest.approx(1), 5)
    elsewhere = base.rename(lambda name: f"other {name}", level="device")
    assert difference(elsewhere, base).cases == 0


def test_every_task_counts_the_same():
    large, small = scores(np.zeros((1, 9, 1))), scores(np.ones((1, 1, 1))).rename(lambda _: "small", level="task")
    assert interval(pd.concat([large, small])).value == pytest.approx(0.5)


def test_the_same_twice_is_noise_and_one_case_tells_nothing():
    same = scores(np.ones((2, 2, 2)))
    assert mark(difference(same, same), 1) == NOISE
    alone = interval(scores(np.ones((1, 1, 1))))
    assert (alone.value, alone.cases) == (1, 1)
    assert mark(alone, 1) == UNTESTED
    assert interval(same.iloc[:0]).cases == 0


def test_more_cases_narrow_the_interval():
    generator = np.random.default_rng(3)
    widths = [np.ptp(interval(scores(generator.normal(0, 1, (1, n, 3))))[1:3]) for n in (4, 16, 64)]
    assert widths[0] > widths[1] > widths[2]


def test_cases_are_means_of_rows_and_missing_columns_are_one_level():
    table = pd.DataFrame({"device": ["a", "a", "b", "b"], "rae": [1.0, 3.0, 5.0, np.nan]})
    found = cases(table, "rae")
    assert found.index.names == list(CASE)
    assert found.to_dict() == {("", "a", ""): 2.0, ("", "b", ""): 5.0}


def test_floors_beside_a_method_are_left_out():
    table = pd.DataFrame({"key": ["x", "x", "y"], "method": ["hodm", "linear", "linear"], "rae": [1, 2, 3]})
    assert of_main_method(table, "key")["rae"].tolist() == [1, 3]
    assert of_main_method(table)["rae"].tolist() == [1]
    assert of_main_method(table.drop(columns="method")).equals(table.drop(columns="method"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "5"),
        (5.0, "5"),
        (np.int64(5), "5"),
        (0.001, "0.001"),
        (True, "true"),
        (np.False_, "false"),
        ("a", "a"),
        ([1, "x"], '[1, "x"]'),
        (None, "none"),
        (np.nan, "none"),
    ],
)
def test_levels_are_the_same_text_from_a_file_and_from_a_table(value, text):
    assert level(value) == text


def test_which_way_is_better():
    assert [sign_of(name) for name in ("spearman", "rae", "floor.rae", "val_loss", "pretrain_s", "width")] == [
        1, -1, -1, -1, -1, 0,
    ]  # fmt: skip
    assert mark(Interval(-1, -2, 1, 3), 1) == NOISE
