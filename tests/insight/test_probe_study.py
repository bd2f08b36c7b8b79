"""Behind the probe panel: selections that grow, locks that hold, devices left out that keep their secrets."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from functools import cache
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.toy import SOURCES, Roofline, toy_frame, toy_networks, write_table
from workbench.cli.common import networks as read_list
from workbench.config import WorkbenchError
from workbench.data.table import LatencyTable
from workbench.describe.dbsel import SELECTORS
from workbench.devices.device import DeviceCard
from workbench.evaluation import score
from workbench.insight.left_out import FEWEST, bayesian_ridge, deviation, rank_correlation
from workbench.insight.plots.networks import DRAWINGS
from workbench.insight.probe_figures import keep_probes, probe_figures, probe_table
from workbench.insight.probe_pool import NESTED, Choice, Pool
from workbench.insight.probe_study import ProbeStudy, open_study, write_probes
from workbench.predictor.method import Estimate

NETWORKS = toy_networks()
FRAME = toy_frame(NETWORKS, SOURCES)


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def noisy(frame: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    return frame * np.random.default_rng(seed).lognormal(0, 0.02, frame.shape)


@cache
def toy_study() -> ProbeStudy:
    """120 of 200 networks on the five toy devices, with noise; nothing is left in the user's cache."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_CACHE", folder)
        return ProbeStudy(LatencyTable("nasbench201", noisy(FRAME)), samples=120)


@pytest.fixture(scope="module")
def study() -> ProbeStudy:
    return toy_study()


@pytest.mark.parametrize("selector", SELECTORS)
def test_nested_selectors_are_those_whose_larger_choices_begin_with_the_smaller(selector):
    pool, none = toy_study().pool, np.zeros(0, dtype=np.int64)
    grows = []
    for seed in range(3):  # each number chosen anew, nothing kept from a larger one
        picks = [
            Pool(pool.candidates, pool.rows).pick(Choice(selector, count, seed), none, none).tolist()
            for count in (3, 7, 12)
        ]
        grows += [small == large[: len(small)] for small, large in pairwise(picks)]
    assert all(grows) == (selector in NESTED)


@pytest.mark.parametrize("selector", SELECTORS)
@given(count=st.integers(2, 20), locked=st.sets(st.integers(0, 199), max_size=3), swaps=st.integers(0, 3))
@settings(max_examples=15, deadline=None)
def test_locked_probes_are_kept_and_swapped_ones_gone(selector, count, locked, swaps):
    study = toy_study()
    kept = tuple(NETWORKS.archs[row] for row in sorted(locked))
    first = study.archs(Choice(selector, count))
    gone = tuple(arch for arch in first if arch not in kept)[:swaps]
    archs = study.archs(Choice(selector, count, locked=kept, swapped=gone))
    assert len(archs) == len(set(archs)) == max(count, len(kept))
    assert archs[: len(kept)] == list(kept)
    assert not set(archs) & set(gone)


@pytest.mark.parametrize("selector", SELECTORS)
def test_locking_what_was_chosen_anyway_changes_nothing_else(study, selector):
    archs = study.archs(Choice(selector, 9))
    assert set(study.archs(Choice(selector, 9, locked=(archs[4], archs[8])))) == set(archs)


@pytest.mark.parametrize("selector", sorted(NESTED))
def test_a_swap_brings_the_next_best(study, selector):
    archs = study.archs(Choice(selector, 9))
    assert study.archs(Choice(selector, 8, swapped=(archs[3],))) == archs[:3] + archs[4:]


def test_impossible_choices_are_sentences(study):
    with pytest.raises(WorkbenchError, match="did you mean 'balanced'"):
        study.choose(Choice("balancd"))
    with pytest.raises(WorkbenchError, match="not among the 200 networks"):
        study.choose(Choice(locked=("|none~0|",)))
    with pytest.raises(WorkbenchError, match="Cannot select 200 probes from 199"):
        study.choose(Choice(count=200, swapped=(NETWORKS.archs[0],)))


@pytest.mark.parametrize("selector", ["balanced", "random", "disagreement"])
def test_more_probes_never_widen_the_expected_interval(study, selector):
    choice = Choice(selector)
    widths = study.widths(choice, range(1, 40) if selector in NESTED else [40])
    assert (widths[["low", "median", "high"]].diff().iloc[1:] <= 1e-9).all(axis=None)
    assert (widths["low"] <= widths["median"]).all()
    assert (widths["median"] <= widths["high"]).all()


@given(seed=st.integers(0, 1000), probes=st.integers(1, 12))
@settings(max_examples=25, deadline=None)
def test_a_further_probe_narrows_every_single_interval(seed, probes):
    draw = np.random.default_rng(seed)
    features, queries = draw.standard_normal((probes + 1, 5)), draw.standard_normal((20, 5))
    with_all = deviation(features, queries, 0.1, 0.3)
    assert (with_all <= deviation(features[:-1], queries, 0.1, 0.3) + 1e-12).all()
    assert (with_all >= 0.03 - 1e-12).all()  # a measurement has noise


def test_deviation_is_the_textbook_formula():
    draw = np.random.default_rng(0)
    features, queries = draw.standard_normal((6, 3)), draw.standard_normal((9, 3))
    rows, asked = (np.concatenate([np.ones((len(part), 1)), part], axis=1) for part in (features, queries))
    covariance = np.linalg.inv(np.eye(4) + rows.T @ rows / 0.3**2)
    variance = np.einsum("mf,fg,mg->m", asked, covariance, asked) + 0.3**2
    np.testing.assert_allclose(deviation(features, queries, 0.2, 0.3), 0.2 * np.sqrt(variance))


def test_bayesian_ridge_finds_a_linear_law_in_any_unit():
    draw = np.random.default_rng(1)
    features, queries = draw.standard_normal((40, 4)), draw.standard_normal((60, 4))
    weights = np.array([0.3, -0.2, 0.1, 0.05])
    truth = 7.0 * (1.5 + queries @ weights)
    fit = bayesian_ridge(features, 7.0 * (1.5 + features @ weights), queries)
    np.testing.assert_allclose(fit.ms, np.maximum(truth, 1e-2), rtol=0.02)
    thousandfold = bayesian_ridge(features, 7000.0 * (1.5 + features @ weights), queries)
    np.testing.assert_allclose(thousandfold.ms, 1000 * fit.ms)
    assert bayesian_ridge(features[:1], np.array([3.0]), queries).ms == pytest.approx(np.full(60, 3.0))


@pytest.mark.parametrize("device", range(len(SOURCES)))
@pytest.mark.parametrize("selector", ["balanced", "k_means", "disagreement"])
def test_a_device_that_is_left_out_shows_nothing_but_its_probes(study, device, selector):
    """All its other latencies become noise: the same probes, the same predictions."""
    name = study.sources.devices[device]
    locked = (NETWORKS.archs[study.sources.rows[0]],)
    choice = Choice(selector, 7, locked=locked)
    honest = study.play(choice)[device]
    frame = noisy(FRAME)
    hidden = np.setdiff1d(np.arange(len(frame)), honest.probes)
    frame.iloc[hidden, device] = np.random.default_rng(9).uniform(0.01, 99, len(hidden))
    spoilt = ProbeStudy(LatencyTable("nasbench201", frame), samples=120).play(choice)[device]
    assert spoilt.probes.tolist() == honest.probes.tolist()
    np.testing.assert_allclose(spoilt.fit.ms, honest.fit.ms, rtol=1e-9)
    assert not np.array_equal(spoilt.measured_ms, honest.measured_ms), name


def test_siblings_are_left_out_with_a_device():
    frame = noisy(FRAME)
    frame["twin"] = 3 * FRAME["memory"]
    cards = {name: DeviceCard(name, hardware="chip") for name in ("memory", "twin")}
    alone = ProbeStudy(LatencyTable("nasbench201", frame), samples=120)
    related = ProbeStudy(LatencyTable("nasbench201", frame, cards), samples=120)
    choice = Choice(count=6)
    helped, honest = (one.play(choice)[one.sources.devices.index("memory")] for one in (alone, related))
    assert helped.rae < honest.rae
    assert "same hardware are left out" in related.origin


def test_scores_are_those_of_an_evaluation(study):
    played = study.play(Choice(count=8))[1]
    expected = score(played.measured_ms, Estimate(played.fit.ms, played.fit.ms, played.fit.ms))
    assert played.spearman == pytest.approx(expected["spearman"])
    assert played.rae == pytest.approx(expected["rae"])
    assert not set(played.probes) & set(played.rows)
    tied = np.array([1.0, 1, 2, 2, 2, 5]), np.array([3.0, 1, 2, 2, 9, 9])
    frame = pd.DataFrame(dict(enumerate(tied)))
    assert rank_correlation(*tied) == pytest.approx(frame.corr("spearman").iloc[0, 1])
    assert rank_correlation(tied[0], np.ones(6)) == 0


def test_probes_of_a_design_beat_few_and_are_worth_something(study):
    curve = study.left_out(Choice(), [2, 20]).groupby("probes").mean(numeric_only=True)
    assert curve.loc[20, "spearman"] > max(0.9, curve.loc[2, "spearman"])
    assert curve.loc[20, "rae"] < curve.loc[2, "rae"]


def test_every_selector_is_compared(study):
    table = study.compare(6)
    assert set(table["selector"]) == set(SELECTORS)
    assert table["rae"].is_monotonic_increasing
    assert (table["worst_rae"] >= table["rae"]).all()
    assert (table["worst_spearman"] <= table["spearman"]).all()


def test_the_map_is_the_plane_of_largest_spread(study):
    features = study.pool.candidates.features
    places = study.plane.places
    assert places.shape == (len(NETWORKS), 2)
    assert places[:, 0].var() >= places[:, 1].var()
    direction = np.random.default_rng(0).standard_normal(features.shape[1])
    assert places[:, 0].var() >= (features @ direction / np.linalg.norm(direction)).var()
    assert abs(np.corrcoef(places.T)[0, 1]) < 1e-6
    assert "r = " in study.plane.titles[0]


def test_devices_that_agree_have_no_disagreement():
    frame = pd.DataFrame({name: scale * FRAME["edge"] for name, scale in (("a", 1), ("b", 5), ("c", 0.1))})
    same = ProbeStudy(LatencyTable("nasbench201", frame), samples=120)
    assert same.overview["disagreement"].max() < 1e-9
    assert same.overview["rank"].between(0, 100).all()


def test_one_device_has_nobody_to_be_left_out_for():
    single = ProbeStudy(LatencyTable("nasbench201", FRAME[["edge"]]), samples=60)
    assert single.understudies == []
    assert single.horizon == 0
    drawn = probe_figures(single, Choice())
    assert "left_out_curve" not in drawn
    assert "nobody to disagree" in drawn["rank_disagreement"].layout.meta["message"]
    assert single.compare(5)["rae"].isna().all()


def test_a_device_with_few_measurements_teaches_but_does_not_play():
    frame = noisy(FRAME)
    frame.iloc[FEWEST - 5 :, 0] = np.nan
    frame["never"] = np.nan
    sparse = ProbeStudy(LatencyTable("nasbench201", frame))
    assert sparse.sources.devices == tuple(SOURCES)
    assert [one.device for one in sparse.understudies] == list(SOURCES)[1:]


@pytest.mark.parametrize("frame", [FRAME.iloc[:0], FRAME.iloc[:1], FRAME[[]], FRAME * np.nan], ids=range(4))
def test_too_little_to_choose_from_is_a_sentence(frame):
    with pytest.raises(WorkbenchError, match="at least 4 networks"):
        ProbeStudy(LatencyTable("nasbench201", frame))


def test_a_study_is_opened_once_as_long_as_its_files_stay(tmp_path):
    folder = write_table(tmp_path / "data", FRAME)
    first = open_study("nasbench201", [folder], samples=60)
    assert open_study("nasbench201", [str(folder)], samples=60) is first
    assert open_study("nasbench201", [folder], ["edge", "server"], 60).sources.devices == ("edge", "server")
    write_table(folder, FRAME.iloc[:150])
    assert len(open_study("nasbench201", [folder], samples=60).networks) == 150
    with pytest.raises(WorkbenchError, match="Unknown device 'edgy'"):
        open_study("nasbench201", [folder], ["edgy"], 60)


class Kept:
    """Collects what is logged."""

    def __init__(self) -> None:
        self.metrics: dict[str, float] = {}
        self.names: list[str] = []

    def log_metrics(self, metrics):
        self.metrics |= metrics

    def log_table(self, table, name):
        self.names.append(name)

    def log_figure(self, figure, name, html):
        self.names.append(name)

    def log_file(self, path):
        self.names.append(path.name)


def test_what_is_kept_and_the_list_that_profile_reads(study, tmp_path):
    choice, run = Choice(count=6, locked=(NETWORKS.archs[3],)), Kept()
    path = keep_probes(run, study, choice, study.compare(6), tmp_path)
    assert read_list("nasbench201", None, path) == study.archs(choice)
    assert {"spearman", "rae", "worst_rae", "width_percent"} <= set(run.metrics)
    assert {"figures/architecture_map", "figures/left_out_curve", "probes.csv", path.name} <= set(run.names)
    table = probe_table(study, choice)
    assert list(table["locked"]) == ["locked"] + [""] * 5
    assert path == write_probes(path, study.archs(choice))


def test_every_space_can_be_drawn():
    from workbench.spaces import SPACES

    assert set(DRAWINGS) == set(SPACES)


@pytest.mark.parametrize("space", ["fbnet", "ofa_mobilenetv3"])
def test_other_spaces_work_as_well(space):
    networks = toy_networks(60, space)
    table = LatencyTable(space, toy_frame(networks, SOURCES | {"slow": Roofline(10, 1, 50)}))
    drawn = probe_figures(ProbeStudy(table), Choice(count=5))
    assert {"architecture_map", "left_out_curve", "network_drawings"} <= set(drawn)


def test_the_panel_opens_without_torch():
    program = "import sys, workbench.insight.panels.dbsel; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
