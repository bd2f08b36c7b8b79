"""The bootstrap: ranks by hand, equal methods are noise, clear differences are found, and it takes a moment only."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import stats

from workbench.evaluation import Cell, differences, pairs, score
from workbench.evaluation.significance import ALL, resample
from workbench.predictor.method import Estimate


def cell(errors: dict[str, float], seed: int = 0, n: int = 300, task: str = "T", device: str = "d") -> Cell:
    """Latencies and what methods with these relative errors say of them."""
    draw = np.random.default_rng(seed)
    actual = np.exp(draw.normal(0, 0.5, n))
    told, exact = {}, {}
    for name, error in errors.items():
        ms = actual * np.exp(error * draw.standard_normal(n))
        told[name] = Estimate(ms, ms / 2, ms * 2)
        exact[name] = {metric: score(actual, told[name])[metric] for metric in ("spearman", "rae")}
    return Cell(task, device, seed, 10, actual, told, exact)


def cells(errors: dict[str, float], count: int = 6, **more) -> list[Cell]:
    return [cell(errors, seed, device=f"d{seed}", **more) for seed in range(count)]


@pytest.mark.parametrize("ties", [False, True])
def test_resampled_metrics_are_those_of_the_drawn_architectures(ties):
    one = cell({"a": 0.3}, n=40)
    if ties:
        rounded = one.actual_ms.round(1) + 0.1
        one = one._replace(
            actual_ms=rounded, estimates={"a": Estimate(*(part.round(1) for part in one.estimates["a"]))}
        )
    told = resample(one, 5, np.random.default_rng(1))["a"]
    picks = np.random.default_rng(1).integers(0, 40, (5, 40))
    for index, drawn in enumerate(picks):
        actual, ms = one.actual_ms[drawn], one.estimates["a"].ms[drawn]
        assert told["spearman"][index] == pytest.approx(stats.spearmanr(actual, ms).statistic)
        assert told["rae"][index] == pytest.approx(np.abs(actual - ms).sum() / np.abs(actual - actual.mean()).sum())


def test_a_constant_ranks_nothing():
    one = cell({"a": 0.3})
    flat = np.ones(len(one.actual_ms))
    told = resample(one._replace(estimates={"flat": Estimate(flat, flat, flat)}), 3, np.random.default_rng(0))["flat"]
    assert told["spearman"].tolist() == [0, 0, 0]


def test_a_method_against_itself_is_noise():
    twins = [one._replace(estimates=one.estimates | {"b": one.estimates["a"]}, exact=one.exact | {"b": one.exact["a"]})
             for one in cells({"a": 0.2})]  # fmt: skip
    found = differences(twins, [("a", "b")])
    assert found["metric"].tolist() == ["spearman", "rae"]
    assert (found[["difference", "low", "high"]] == 0).all(axis=None)
    assert set(found["mark"]) == {"noise"}


def test_a_clearly_better_method_is_found_and_in_the_right_direction():
    found = differences(cells({"good": 0.1, "bad": 0.4}), [("good", "bad"), ("bad", "good")])
    forth, back = found[found["method"] == "good"], found[found["method"] == "bad"]
    assert set(forth["mark"]) == {"better"}
    assert set(back["mark"]) == {"worse"}
    by_metric = forth.set_index("metric")["difference"]
    assert by_metric["spearman"] > 0 > by_metric["rae"]
    assert (forth["low"] < forth["difference"]).all()
    assert (forth["difference"] < forth["high"]).all()
    assert (forth["cells"] == 6).all()


def test_equally_good_methods_are_rarely_told_apart():
    marks = [
        mark
        for seed in range(30)
        for mark in differences(
            [cell({"a": 0.2, "b": 0.2}, 100 * seed + i, device=f"d{i}") for i in range(6)], [("a", "b")], 200
        )["mark"]
    ]
    assert np.mean([mark != "noise" for mark in marks]) < 0.25


def test_one_device_that_disagrees_widens_the_interval():
    alike = cells({"a": 0.1, "b": 0.2})
    torn = [*alike[:-1], cell({"a": 0.9, "b": 0.1}, 5, device="d5")]
    width = {name: (row := differences(group, [("a", "b")]).iloc[1]).high - row.low
             for name, group in (("alike", alike), ("torn", torn))}  # fmt: skip
    assert width["torn"] > 2 * width["alike"]


def test_the_difference_is_that_of_all_test_architectures():
    one = cell({"a": 0.1, "b": 0.2})
    moved = one._replace(exact={"a": {"spearman": 0.9, "rae": 0.2}, "b": {"spearman": 0.8, "rae": 0.5}})
    found = differences([moved], [("a", "b")])
    assert found["difference"].tolist() == pytest.approx([0.1, -0.3])


def test_what_was_not_run_is_not_compared():
    assert differences(cells({"a": 0.1}), [("a", "linear")]).empty
    assert differences([], [("a", "b")]).empty
    some = [*cells({"a": 0.1, "b": 0.2}, 2), cell({"a": 0.1}, 9)]
    assert differences(some, [("a", "b")])["cells"].tolist() == [2, 2]


def test_tasks_are_judged_apart_and_together():
    both = [*cells({"a": 0.1, "b": 0.3}, 3, task="T"), *cells({"a": 0.3, "b": 0.1}, 3, task="U")]
    found = differences(both, [("a", "b")]).set_index(["task", "metric"])
    assert found.loc[("T", "rae"), "mark"] == "better"
    assert found.loc[("U", "rae"), "mark"] == "worse"
    assert found.loc[(ALL, "rae"), "mark"] == "noise"
    mean = found.loc[[("T", "rae"), ("U", "rae")], "difference"].mean()
    assert found.loc[(ALL, "rae"), "difference"] == pytest.approx(mean)


def test_one_seed_twice_agrees():
    group = cells({"a": 0.1, "b": 0.12})
    assert differences(group, [("a", "b")]).equals(differences(group, [("a", "b")]))


def test_it_takes_a_moment_only():
    group = cells({"a": 0.1, "b": 0.12, "c": 0.2, "d": 0.3}, 6, n=1000)
    start = time.process_time()
    differences(group, pairs(["a", "b", "c", "d"]))
    assert time.process_time() - start < 3  # some 50 ms per cell


def test_pairs():
    assert pairs(["hodm"]) == [("hodm", "linear")]
    assert pairs(["linear"]) == []
    assert pairs(["linear", "hodm"]) == [("hodm", "linear")]
    assert pairs(["hodm", "linear", "flops"]) == [("hodm", "linear"), ("flops", "linear"), ("hodm", "flops")]
