"""The story of a transfer, on toy devices."""

from __future__ import annotations

import pandas as pd
import pytest

from tests.toy import SOURCES, TARGETS, one_thread, toy_frame, toy_networks, write_table
from workbench.config import WorkbenchError
from workbench.insight.live import LiveCurve, LiveFigure
from workbench.insight.transfer_curve import TransferCurve, transfer_curve
from workbench.predictor.hodm import HODMConfig
from workbench.training.fit import FitConfig
from workbench.training.transfer import METHODS, hodm

NETWORKS = toy_networks(200)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_table(tmp_path_factory.mktemp("data"), toy_frame(NETWORKS, {**SOURCES, **TARGETS}))


@pytest.fixture(scope="module")
def told() -> list[int]:
    return []


@pytest.fixture(scope="module")
def again(folder, tmp_path_factory):
    """Makes the curve; what it finished is kept where no user's cache is."""
    with pytest.MonkeyPatch.context() as patch, one_thread():
        patch.setenv("WORKBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setitem(METHODS, "hodm", hodm(FitConfig(steps=40, devices=6), HODMConfig(width=16, heads=2)))
        arguments = "nasbench201", "phone", list(SOURCES), [folder], 100, (3, 8), (0, 1), 8
        yield lambda watch: transfer_curve(*arguments, watch=watch)


@pytest.fixture(scope="module")
def curve(again, told) -> TransferCurve:
    return again(lambda results: told.append(len(results.drop_duplicates(["probes", "seed"]))))


def test_every_number_of_probes_and_seed_is_scored_beside_the_floors(curve, told):
    counts = curve.results.groupby(["method", "probes"])["seed"].nunique()
    for method in ("hodm", "flops", "nearest", "linear"):
        assert (counts.loc[method] == 2).all()
    assert (curve.results["target_reads"] == curve.results["probes"]).all()
    assert told == [1, 2, 3, 4]


def test_an_interrupted_curve_goes_on_and_a_finished_one_is_there_at_once(curve, again, monkeypatch):
    def interrupt(results):
        raise KeyboardInterrupt

    monkeypatch.setitem(METHODS, "hodm", None)  # whatever is learnt anew fails
    with pytest.raises(KeyboardInterrupt):
        again(interrupt)
    pd.testing.assert_frame_equal(again(None).results, curve.results)
    pd.testing.assert_frame_equal(again(None).predictions, curve.predictions)


def test_it_grows_below_the_cell_and_ends_as_a_whole(curve, monkeypatch):
    drawn = []
    monkeypatch.setattr(LiveFigure, "seen", True)
    monkeypatch.setattr(LiveFigure, "draw", lambda _, figure, last=False: drawn.append((figure, last)))
    with LiveCurve(4) as live:
        live(curve.results[curve.results["probes"] == 3])
        live(curve.results)
    assert [last for _, last in drawn] == [False, True]  # one number of measurements is no curve yet
    assert drawn[-1][0] == curve.figures["learning_curve"]


def test_the_summary_names_the_best_floor(curve):
    table = curve.summary.set_index("probes")
    assert list(table.index) == [3, 8]
    floors = curve.results[curve.results["method"] != "hodm"].groupby(["probes", "method"])["rae"].mean()
    assert table.loc[8, "floor_rae"] == pytest.approx(floors.loc[8].min())
    assert table.loc[8, "floor"] == floors.loc[8].idxmin()


def test_details_are_of_one_seed_and_one_number_of_probes(curve):
    assert curve.detail == 8
    assert len(curve.main) == len(NETWORKS)
    assert (curve.main["role"] == "probe").sum() == 8
    truth = dict(zip(NETWORKS.archs, TARGETS["phone"].latency_ms(NETWORKS), strict=True))
    assert curve.main["measured_ms"].tolist() == pytest.approx([truth[arch] for arch in curve.main["arch"]])
    assert len(curve.probes) == 8
    assert curve.probes["slower than (%)"].between(0, 100).all()


def test_it_says_how_foreign_the_target_is(curve):
    assert curve.origin == (
        "5 source devices, 0 of them on the hardware of phone: a transfer to hardware that was not seen."
    )


def test_every_figure_is_drawn(curve):
    assert set(curve.figures) == {"learning_curve", "predicted_against_measured", "error_by_quantile", "signature"}


def test_everything_is_kept(curve):
    kept = []
    run = type("Notes", (), {"__getattr__": lambda _, name: lambda *values, **options: kept.append((name, values))})()
    curve.keep(run)
    (history,) = [values[0] for name, values in kept if name == "log_history"]
    assert list(history["step"]) == [3, 8]
    assert {values[1] for name, values in kept if name == "log_table"} == {
        "results.csv", "summary.csv", "probes.csv", "predictions.parquet",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": "fone"}, "did you mean 'phone'"),
        ({"probes": (0,)}, "a number of probes above 0"),
        ({"probes": (400,)}, "phone could not be predicted: .* 400 probes"),
    ],
)
def test_a_transfer_that_cannot_be_made_is_one_sentence(folder, changes, message):
    arguments = {"target": "phone", "sources": list(SOURCES), "folders": [folder], "probes": (3,), **changes}
    with pytest.raises(WorkbenchError, match=message):
        transfer_curve("nasbench201", **arguments)
