"""Tables for papers: whatever a cell holds, LaTeX sets it as it stands."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from workbench.insight.latex import escaped, latex_table


def test_what_latex_reads_as_a_command_is_escaped():
    assert escaped(r"50 % of a_b & {c} \d #1 $x^2~") == (
        r"50 \% of a\_b \& \{c\} \textbackslash{}d \#1 \$x\textasciicircum{}2\textasciitilde{}"
    )
    assert escaped("|conv~0|") == r"\textbar{}conv\textasciitilde{}0\textbar{}"
    assert escaped("a\nb") == "a b"


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_no_special_character_stands_alone(text):
    rest = re.sub(r"\\[&%$#_{}]|\\text[a-z]+\{\}", "", escaped(text))
    assert not set(rest) & set('\\&%$#_{}~^<>|"')


def test_a_table_has_rules_numbers_to_the_right_and_dashes_for_gaps():
    table = pd.DataFrame({"a_b": ["x & y", None], "rae": [-0.123456, np.nan], "n": [3, 40_000], "p": [1.5e-7, 0.5]})
    told = latex_table(table, "50 % off", "tab:it")
    assert r"\begin{tabular}{lrrr}" in told
    assert r"\caption{50 \% off}" in told
    assert r"a\_b & rae & n & p \\" in told
    assert r"x \& y & $-0.1235$ & 3 & $1.5 \times 10^{-7}$ \\" in told
    assert r"-- & -- & 40000 & 0.5 \\" in told
    for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\end{table}"):
        assert told.count(rule) == 1
    assert all(line.count("&") - line.count(r"\&") == 3 for line in told.splitlines() if line.endswith(r"\\"))
