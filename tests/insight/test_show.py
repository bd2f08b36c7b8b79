"""Sentences and tables below a cell: whole, escaped, in words."""

from __future__ import annotations

import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from workbench.insight.show import fields_html, neat, show_fields, tell


def displayed(action) -> dict[str, str]:
    InteractiveShell.instance()  # without one, nothing is displayed
    try:
        with capture_output() as told:
            action()
    finally:
        InteractiveShell.clear_instance()
    (output,) = told.outputs
    return output.data


def test_sentences_are_paragraphs_and_addresses_are_links():
    said = displayed(lambda: tell("One <b>.", "Two.", run="http://127.0.0.1:5000/#/a", table="/tmp/a b.parquet"))
    assert said["text/html"].count("<p ") == 4
    assert "One &lt;b&gt;." in said["text/html"]
    assert "<a href='http://127.0.0.1:5000/#/a'" in said["text/html"]
    assert "<code>/tmp/a b.parquet</code>" in said["text/html"]
    assert said["text/plain"].splitlines() == ["One <b>.", "Two.", "Run: http://127.0.0.1:5000/#/a",
                                               "Table: /tmp/a b.parquet"]  # fmt: skip


def test_fields_have_their_unit_and_the_unknown_is_left_out():
    fields = {"memory_gib": 23.5, "virtual": True, "governor": None, "cores": 2, "source_devices": 0}
    table = fields_html(fields)
    assert [word in table for word in ("Main memory", ">23.5<", ">GiB<", ">yes<", "Governor")] == [True] * 4 + [False]
    said = displayed(lambda: show_fields(fields))
    assert said["text/plain"].splitlines() == ["Main memory: 23.5 GiB", "Virtual: yes", "Cores: 2", "Source devices: 0"]


def test_a_neat_table_has_shares_in_percent():
    frame = pd.DataFrame({"mdape": [0.0456, None], "acc10": [0.5, 1.0], "rae": [0.0456, 0.2]})
    text = neat(frame).to_html()
    for word in ("Median APE (%)", "4.6", "Within 10\u00a0% (%)", "50.0", "100.0", "RAE", "0.046"):
        assert f">{word}<" in text
    assert frame["acc10"].tolist() == [0.5, 1.0], "what is given stays as it is"


@pytest.mark.parametrize("index", [None, "device"])
def test_a_neat_table_speaks_in_words_and_numbers_no_rows(index):
    frame = pd.DataFrame(
        {"method": ["a", "b"], "spearman": [0.91234, None], "median_ms": [1.5, 2000.25], "n x": [1, 2]}
    )
    frame.index = pd.Index(["x", "y"], name=index) if index else frame.index + 7
    text = neat(frame, 2).to_html()
    for word in ("Method", "Spearman", "Median (ms)", "N x", "0.91", "2,000.25", "–"):
        assert f">{word}<" in text
    assert "7" not in [cell.strip() for cell in text.replace("<", ">").split(">")]
    assert (">Device<" in text) == bool(index)
