"""What a sweep says, on sweeps whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.insight.sweeps import made_up, sweep, written
from workbench.config import WorkbenchError
from workbench.insight.sweep_summary import configurations, effects, summarise
from workbench.insight.sweep_table import newest_sweep, read_sweep, sweep_of

HELPS = {"probes": {10: 0.05, 20: 0.08}}


def test_a_constructed_effect_is_found_and_the_other_factor_is_noise():
    found = summarise(sweep(HELPS)).effects.set_index(["factor", "level"])
    assert found.loc[("probes", "10"), "mark"] == "better"
    assert found.loc[("probes", "20"), "difference"] == pytest.approx(0.08, abs=0.01)
    assert found.loc[("probes", "20"), "reference"] == "5"
    assert found.loc[("case", "no dialogue"), "mark"] == "noise"
    assert found.loc[("case", "no dialogue"), "pairs"] == 3 * 3 * 6  # probes x seeds x (task, device)
    assert found.loc[("case", "no dialogue"), "cases"] == 3 * 6


def test_a_factor_of_pure_noise_is_called_noise_about_nineteen_times_in_twenty():
    marks = [effects(one, "spearman", 1)["mark"] for one in (sweep({}, noise=0.05, seed=seed) for seed in range(40))]
    told = pd.concat(marks)
    assert 0.90 <= (told == "noise").mean() <= 1.0


def test_pairs_agree_in_task_device_and_seed():
    """Tasks and devices differ by ten times the effect: only pairs can see it."""
    manifest, rows = made_up({"case": {"no dialogue": -0.02}}, noise=0.002)
    told = effects(sweep_of(manifest, rows.sample(frac=1, random_state=0)), "spearman", 1, factors=["case"]).iloc[0]
    assert told["mark"] == "worse"
    assert told["high"] - told["low"] < 0.01
    rows.loc[rows["case"] == "full", "seed"] += 10  # no seed in common
    assert effects(sweep_of(manifest, rows), "spearman", 1, factors=["case"]).empty


def test_less_is_better_where_the_direction_says_so():
    manifest, rows = made_up(HELPS)
    told = summarise(sweep_of({**manifest, "metric": "rae", "direction": "minimize"}, rows))
    assert told.effects.set_index("level").loc["20", "mark"] == "better"
    assert told.effects.set_index("level").loc["20", "difference"] < 0
    assert "probes 20" in told.best["configuration"]


def test_references_are_those_of_the_file_or_the_first_level():
    manifest, rows = made_up(HELPS)
    told = summarise(sweep_of({**manifest, "reference": {"probes": 20}}, rows)).effects
    assert set(told.loc[told["factor"] == "probes", "reference"]) == {"20"}
    assert set(told.loc[told["factor"] == "probes", "level"]) == {"5", "10"}
    assert set(told.loc[told["factor"] == "case", "reference"]) == {"full"}


def test_an_effect_that_depends_on_another_factor_shows_within_its_levels():
    manifest, rows = made_up({})
    rows.loc[(rows["case"] == "no dialogue") & (rows["probes"] == 5), "spearman"] -= 0.1
    within = summarise(sweep_of(manifest, rows)).within
    case = within[within["factor"] == "case"].set_index("within")["mark"]
    assert case.to_dict() == {"probes = 5": "worse", "probes = 10": "noise", "probes = 20": "noise"}


def test_the_best_comes_first_and_what_cannot_be_told_from_it_is_marked():
    told = configurations(sweep({"probes": {10: 0.05, 20: 0.051}}, noise=0.02))
    assert told["mark"].iloc[0] == "best"
    marks = told.set_index("configuration")["mark"]
    assert set(marks[marks.index.str.contains("probes 5")]) == {"worse"}
    assert "noise" in set(marks[marks.index.str.contains("probes 10|probes 20")])
    assert (told["runs"] == 3).all()
    assert told[["case", "probes"]].drop_duplicates().shape == (6, 2)


def test_a_configuration_that_lacks_runs_cannot_be_the_best():
    manifest, rows = made_up(HELPS)
    lucky = (rows["case"] == "full") & (rows["probes"] == 20)
    rows["spearman"] += lucky
    rows = rows[~lucky | (rows["seed"] == 0)]
    told = configurations(sweep_of({**manifest, "failed": 2}, rows))
    assert told["configuration"].iloc[-1] == "full, probes 20"
    assert told["configuration"].iloc[0] == "no dialogue, probes 20"


def test_only_what_is_to_be_compared_is_ranked_within_the_other_conditions():
    manifest, rows = made_up({"case": {"no dialogue": -0.2}})
    told = summarise(sweep_of({**manifest, "groups": ["case"]}, rows)).ranking
    assert told.table["configuration"].tolist() == ["full", "no dialogue"]
    assert told.blocks == 6 * 3  # (task, device) x probes, seeds averaged
    assert told.table["rank"].tolist() == [1, 2]
    assert told.critical_difference < 1


def test_seeds_are_what_is_ranked_in_where_there_is_nothing_else():
    one = sweep(HELPS, units=[("", "")])
    assert summarise(one).ranking.blocks == 3
    alone = summarise(sweep(HELPS, units=[("", "")], seeds=[0]))
    assert alone.ranking is None
    assert any("A ranking expects" in note for note in alone.notes)


def test_trivial_sweeps_without_task_device_or_seed_work():
    manifest, rows = made_up(HELPS, units=[("", "")], seeds=[0])
    told = summarise(sweep_of({**manifest, "seeds": []}, rows.drop(columns=["task", "device", "seed"])))
    assert set(told.effects["mark"]) == {"untested"}
    assert told.best["configuration"].endswith("probes 20")
    assert told.figures.keys() == {"factor_effects", "level_curves"}
    assert any("nothing can be told from noise" in note for note in told.notes)


def test_seeds_alone_are_summed_up_without_effects():
    manifest, rows = made_up({}, factors={"case": ["full"]})
    told = summarise(sweep_of({**manifest, "factors": [], "groups": []}, rows.drop(columns="case")))
    assert told.effects.empty
    assert told.best["configuration"] == "the only one"
    assert told.ranking is None
    assert "No level can be compared" in told.verdict


def test_factors_that_never_vary_alone_are_named():
    manifest, rows = made_up({})
    zipped = rows[rows["probes"].map({5: "full", 20: "no dialogue"}) == rows["case"]]
    told = summarise(sweep_of(manifest, zipped))
    assert told.effects.empty
    assert sum("never varies while all else stays" in note for note in told.notes) == 2


def test_floors_beside_the_method_are_left_out():
    manifest, rows = made_up(HELPS)
    floors = rows.assign(method="linear", spearman=0.1)
    mixed = pd.concat([rows.assign(method="hodm"), floors]).sort_values("key", kind="stable")
    told = summarise(sweep_of(manifest, mixed))
    pd.testing.assert_frame_equal(told.effects, summarise(sweep_of(manifest, rows)).effects)
    assert any("floors" in note for note in told.notes)


def test_numbers_switches_and_lists_are_levels_like_words():
    factors = {"deep": [False, True], "widths": ["[8, 16]", "[8]"], "rate": [0.1, 1.0]}
    manifest, rows = made_up({}, factors=factors)
    manifest["levels"]["widths"] = [[8, 16], [8]]
    told = summarise(sweep_of({**manifest, "reference": {"widths": [8]}}, rows)).effects
    assert told[["factor", "level", "reference"]].to_numpy().tolist() == [
        ["deep", "true", "false"], ["widths", "[8, 16]", "[8]"], ["rate", "1", "0.1"],
    ]  # fmt: skip


def test_a_device_may_be_a_factor():
    manifest, rows = made_up({}, factors={"device": ["a", "b"], "probes": [5, 10]}, units=[("T", "x"), ("U", "x")])
    rows["device"] = rows["key"].map(lambda key: "ab"[int(key, 16) // 6])  # a factor wins over the table's own column
    told = summarise(sweep_of(manifest, rows))
    assert set(told.effects["factor"]) == {"device", "probes"}
    assert (told.effects["cases"] > 1).all()


def test_metrics_without_a_number_are_refused_in_a_sentence():
    manifest, rows = made_up(HELPS)
    for wrong, message in (
        (({**manifest, "metric": "spaerman"}, rows), "did you mean 'spearman'"),
        (({**manifest, "metric": None}, rows), "names no metric"),
        (({**manifest, "direction": "up"}, rows), "expects the direction maximize or minimize"),
        ((manifest, rows.iloc[:0]), "No run of the sweep made up has finished"),
    ):
        with pytest.raises(WorkbenchError, match=message):
            sweep_of(*wrong)
    with pytest.raises(WorkbenchError, match="no finite spearman"):
        summarise(sweep_of(manifest, rows.assign(spearman=np.nan)))


def test_a_sweep_is_read_from_its_folder(tmp_path):
    manifest, rows = made_up(HELPS)
    folder = written(tmp_path / "reports" / "sweeps" / "one", manifest, rows)
    assert read_sweep(folder).rows.shape[0] == len(rows)
    assert newest_sweep(tmp_path) == folder
    assert newest_sweep(tmp_path / "elsewhere") is None
    with pytest.raises(WorkbenchError, match=r"There is no sweep\.json"):
        read_sweep(tmp_path)
    (folder / "results.parquet").write_text("no table")
    with pytest.raises(WorkbenchError, match="cannot be read"):
        read_sweep(folder)


def test_a_summary_is_the_same_again():
    one = sweep(HELPS)
    first, again = summarise(one), summarise(one)
    pd.testing.assert_frame_equal(first.effects, again.effects)
    pd.testing.assert_frame_equal(first.configurations, again.configurations)
    assert first.notes == again.notes
    assert first.verdict == again.verdict
