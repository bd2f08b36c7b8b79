"""The report: one file, nothing from the network, nothing unescaped, all or nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
import pytest

from workbench.config import WorkbenchError
from workbench.insight import figures
from workbench.insight.report import KeyFigure, Section, card_html, key_figures, write_report
from workbench.insight.report_parts import prose, table_html

EVIL = "<script>alert('x')</script>"
METRICS = {"spearman": 0.97, "rae": 0.2, "mdape": 0.05, "coverage90": 0.9}


class Page(HTMLParser):
    """Collects tags with attributes, script bodies and ids of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag if tag in ("script", "style") else ""
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif not self._inside:
            self.words.append(data)


@pytest.fixture
def sections(networks: pd.DataFrame) -> list[Section]:
    """A report's parts, with hostile names wherever a name can stand."""
    return [
        Section("The <machine>", f"A {EVIL} `code` **bold**.", html=card_html({"name": EVIL, "cores": 2})),
        Section(
            "How right",
            figure=[figures.predicted_against_measured(networks), figures.ranking(networks)],
            caption=f"Of {EVIL}.",
        ),
        Section("Networks", table=networks[["arch", "predicted_ms"]].head(4)),
    ]


@pytest.fixture
def page(tmp_path: Path, sections: list[Section]) -> Page:
    """A written report, parsed."""
    path = write_report(
        tmp_path / "new" / "report.html",
        f"Report {EVIL}",
        "Lead & more.",
        sections,
        headline=key_figures(METRICS),
    )
    return Page(path.read_text(encoding="utf-8"))


def test_the_report_loads_nothing_from_anywhere(page: Page) -> None:
    for tag, attributes in page.tags:
        for name in ("src", "srcset", "data", "action", "poster"):
            assert name not in attributes, (tag, attributes)
        if "href" in attributes:
            assert (attributes["href"] or "").startswith("#"), (tag, attributes)
        assert tag not in ("link", "iframe", "object", "embed", "base", "img")
    policy = next(a["content"] for t, a in page.tags if t == "meta" and "http-equiv" in a)
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy


def test_plotly_is_inlined_exactly_once(page: Page) -> None:
    assert sum(len(re.findall(r"\* plotly\.js v\d", script)) for script in page.scripts) == 1
    assert sum("Plotly.newPlot(" in script and len(script) < 1e6 for script in page.scripts) == 2


def test_no_button_sends_the_data_to_a_cloud(page: Page) -> None:
    drawings = [script for script in page.scripts if "Plotly.newPlot(" in script and len(script) < 1e6]
    assert all('"showSendToCloud": false' in script for script in drawings)
    assert not any("plotly.com" in script for script in drawings)


def test_a_report_without_figures_carries_no_library(tmp_path: Path) -> None:
    path = write_report(tmp_path / "report.html", "Title", "Lead", [Section("Words", "Only words.")])
    assert path.stat().st_size < 50_000


def test_names_are_shown_and_never_obeyed(page: Page) -> None:
    assert not any("alert('x')" in script and len(script) < 1000 for script in page.scripts)
    assert not any(script.strip().startswith("alert") for script in page.scripts)
    assert sum(EVIL in words for words in page.words) >= 5


def test_contents_lead_to_the_sections(page: Page) -> None:
    ids = {attributes.get("id") for tag, attributes in page.tags if tag == "section"}
    targets = {attributes["href"][1:] for tag, attributes in page.tags if tag == "a"}
    assert targets == ids
    assert len(ids) == 3


def test_every_figure_has_a_text_alternative(page: Page) -> None:
    labels = [a["aria-label"] for _, a in page.tags if a.get("role") == "img"]
    assert len(labels) == 2
    assert "29 of 30 checks" in labels[0]
    assert sum("29 of 30 checks" in words for words in page.words) == 2  # the caption, and without JavaScript


def test_the_figure_given_is_left_as_it_was(tmp_path: Path, networks: pd.DataFrame) -> None:
    figure = figures.ranking(networks)
    before = figure.to_json()
    write_report(tmp_path / "report.html", "Title", "Lead", [Section("Ranking", figure=figure)])
    assert figure.to_json() == before


def test_any_plotly_figure_will_do(tmp_path: Path) -> None:
    path = write_report(tmp_path / "report.html", "T", "L", [Section("Plain", figure=go.Figure())])
    assert "<figcaption>" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["blocked/report.html", "folder"])
def test_an_unwritable_path_raises_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / "blocked").write_text("a file, not a folder")
    (tmp_path / "folder").mkdir()
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with pytest.raises(WorkbenchError, match="Cannot write"):
        write_report(tmp_path / name, "Title", "Lead", [Section("Words", "x")])
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_a_report_without_sections_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match="at least one section"):
        write_report(tmp_path / "report.html", "Title", "Lead", [])


def test_key_figures_are_judged_in_colour_and_word(tmp_path: Path) -> None:
    good = key_figures(METRICS)
    assert [key.status for key in good] == ["ok"] * 4
    assert [key.value for key in good] == ["0.970", "0.200", "5.0 %", "90 %"]
    bad = key_figures({"spearman": 0.8, "rae": 0.6, "mdape": 0.2, "coverage90": 0.7})
    assert [key.status for key in bad] == ["attention"] * 4
    worse_than_floor = key_figures(METRICS, floors={"linear": 0.15, "flops": 0.8})[1]
    assert worse_than_floor.status == "attention"
    assert "linear: 0.150" in worse_than_floor.note
    text = write_report(tmp_path / "r.html", "T", "L", [Section("S")], headline=[*good, *bad]).read_text("utf-8")
    assert text.count("good</span>") == 4
    assert text.count("look here</span>") == 4


def test_key_figures_refuse_a_missing_metric_and_an_unknown_status() -> None:
    with pytest.raises(WorkbenchError, match="coverage90"):
        key_figures({"spearman": 0.9, "rae": 0.1, "mdape": 0.1})
    with pytest.raises(WorkbenchError, match="did you mean 'ok'"):
        KeyFigure("Spearman", "0.9", "okay")


@dataclass(frozen=True)
class Card:
    """A small device card."""

    name: str = "mine"
    clock_ghz: float = 2.5
    l3_mib: float | None = None
    peak_bf16_gflops: float = float("nan")


def test_a_card_shows_units_and_says_what_is_unknown() -> None:
    words = " ".join(Page(card_html(Card())).words)
    assert "Clock 2.5 GHz" in words
    assert "L3 cache unknown MiB" in words
    assert "Peak bf16 unknown GFLOP/s" in words
    assert "nan" not in words
    assert "None" not in words
    with pytest.raises(WorkbenchError, match="device card"):
        card_html({})


def test_tables_put_numbers_right_and_gaps_in_words() -> None:
    text = table_html(pd.DataFrame({"name": ["a", None], "value": [1234.5, None]}))
    assert "<td class='number'>1,23" in text
    assert text.count(">unknown</td>") == 2
    scores = table_html(pd.DataFrame({"mdape": [0.0331, None], "rae": [0.0331, 0.2]}))
    for part in (">Median APE (%)<", ">3.3<", ">RAE<", ">0.0331<"):
        assert part in scores


def test_prose_makes_paragraphs_and_escapes() -> None:
    assert prose("a < b\n\n`x` and **y**") == "<p>a &lt; b</p><p><code>x</code> and <b>y</b></p>"
    assert prose("  ") == ""


def test_the_library_itself_imports_no_plotly() -> None:
    command = "import sys, workbench, workbench.insight; sys.exit('plotly' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0
