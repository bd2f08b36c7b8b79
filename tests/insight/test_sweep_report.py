"""The paper pack: everything is there, and it says how to make it again."""

from __future__ import annotations

import hashlib
import json

import pandas as pd
import pytest

from tests.insight.sweeps import made_up, written
from workbench.config import WorkbenchError
from workbench.insight import sweep_report
from workbench.insight.sweep_report import report


@pytest.fixture
def folder(tmp_path):
    manifest, rows = made_up({"probes": {10: 0.05, 20: 0.08}})
    file = tmp_path / "made_up.yaml"
    file.write_text("notebook: x.ipynb\n")
    return written(tmp_path / "sweep", {**manifest, "sweep_file": str(file), "failed": 1, "runs": 19}, rows)


def test_the_pack_has_tables_figures_and_a_page_that_works_offline(folder):
    page = report(folder, pictures=False)
    assert page == folder / "report" / "report.html"
    files = {path.relative_to(page.parent).as_posix() for path in page.parent.rglob("*") if path.is_file()}
    tables = ["configurations", "effects", "effects_on_others", "effects_within", "ranking"]
    expected = {f"tables/{name}.{ending}" for name in tables for ending in ("csv", "tex")}
    figures = ("factor_effects", "level_curves", "critical_difference")
    expected |= {f"figures/{name}.{ending}" for name in figures for ending in ("html", "json")}
    expected |= {"figures/plotly.min.js", "report.html", "README.md", "SHA256SUMS", "sweep.json", "results.csv"}
    assert files == expected | {"made_up.yaml"}
    text = page.read_text()
    for told in (
        "Effect of each factor",
        "Critical-difference ranking",
        "no dialogue",
        "noise",
        "Demšar 2006",
        "1 of 19",
    ):
        assert told in text
    assert 'src="plotly.min.js"' in (page.parent / "figures" / "factor_effects.html").read_text()
    effects = pd.read_csv(page.parent / "tables" / "effects.csv")
    assert set(effects["mark"]) == {"better", "noise"}


def test_the_pack_says_how_to_make_it_again(folder):
    pack = report(folder, pictures=False).parent
    text = (pack / "README.md").read_text()
    for told in ("workbench ablate 'experiments/made up.yaml' --workers 2", "c0de", "da7a", "torch 2.13", "0, 1, 2"):
        assert told in text
    assert json.loads((pack / "sweep.json").read_text())["seeds"] == [0, 1, 2]


def test_every_file_has_its_hash(folder):
    pack = report(folder, pictures=False).parent
    lines = (pack / "SHA256SUMS").read_text().splitlines()
    sums = dict(reversed(line.split("  ", 1)) for line in lines)
    files = {path.relative_to(pack).as_posix() for path in pack.rglob("*") if path.is_file()}
    assert set(sums) == files - {"SHA256SUMS"}
    for name, told in sums.items():
        assert hashlib.sha256((pack / name).read_bytes()).hexdigest() == told


def test_a_second_pack_leaves_nothing_of_the_first(folder):
    pack = report(folder, pictures=False).parent
    (pack / "tables" / "old.csv").write_text("")
    report(folder, pictures=False)
    assert not (pack / "tables" / "old.csv").exists()
    first = (pack / "SHA256SUMS").read_text()
    report(folder, pictures=False)
    tables = [line for line in (pack / "SHA256SUMS").read_text().splitlines() if "tables/" in line]
    assert tables == [line for line in first.splitlines() if "tables/" in line]


def test_without_a_browser_there_are_pages_and_no_pictures(folder, monkeypatch):
    def none(*_):
        raise WorkbenchError("A picture expects Chromium; install it.")

    monkeypatch.setattr(sweep_report, "export", none)
    pack = report(folder).parent
    assert not list(pack.glob("figures/*.svg"))
    assert "as SVG" not in (pack / "README.md").read_text()


@pytest.mark.browser
def test_with_a_browser_there_are_pictures(folder):
    pack = report(folder).parent
    assert {path.name for path in pack.glob("figures/*.svg")} == {
        "factor_effects.svg", "level_curves.svg", "critical_difference.svg",
    }  # fmt: skip
    assert (pack / "figures" / "factor_effects.svg").read_text().startswith("<svg")


@pytest.mark.parametrize("missing", ["task", "seed", "probes"])
def test_odd_sweeps_still_give_a_pack(tmp_path, missing):
    """Without tasks, without seeds, or with nothing that varies but one factor."""
    manifest, rows = made_up({})
    manifest["factors"] = [name for name in manifest["factors"] if name != missing]
    pack = report(written(tmp_path / "sweep", manifest, rows.drop(columns=missing)), pictures=False)
    assert pack.is_file()


def test_names_are_shown_and_not_obeyed(tmp_path):
    manifest, rows = made_up({}, factors={"case": ["<script>alert(1)</script>", "b|c & 50 %"]})
    pack = report(written(tmp_path / "sweep", manifest, rows), pictures=False).parent
    assert "<script>alert(1)" not in (pack / "report.html").read_text()
    assert "b\\textbar{}c \\& 50 \\%" in (pack / "tables" / "effects.tex").read_text()
