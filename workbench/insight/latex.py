"""Tables for papers."""

from __future__ import annotations

import numbers

import pandas as pd

#: What LaTeX reads as a command, and what its default fonts lack.
ESCAPES = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "\u00d7": r"$\times$", "\u2212": "$-$", "\u2013": "--",
    "\u2026": r"\dots{}", "\u00b5": r"$\mu$",
    "\u2264": r"$\leq$", "\u2265": r"$\geq$", "\u00b1": r"$\pm$", "\u2192": r"$\rightarrow$",
    "\u00a0": "~",
}  # fmt: skip
DIGITS = 4  # significant ones


def escaped(text: object) -> str:
    """``text`` such that LaTeX sets it as it stands."""
    return "".join(ESCAPES.get(letter, letter) for letter in " ".join(str(text).split()))


def latex_table(table: pd.DataFrame, caption: str, label: str) -> str:
    """``table`` as a LaTeX float with the rules of ``booktabs``, numbers to the right, gaps as dashes.

    Args:
        table: its columns' names become the head.
        caption: a sentence.
        label: for ``\\ref``, such as ``tab:effects``.
    """
    numeric = [pd.api.types.is_numeric_dtype(table[name]) for name in table.columns]
    columns = "".join("r" if number else "l" for number in numeric)
    head = " & ".join(map(escaped, table.columns))
    rows = [" & ".join(map(_cell, row)) for row in table.itertuples(index=False, name=None)]
    body = "".join(f"    {row} \\\\\n" for row in rows)
    return (
        "% needs \\usepackage{booktabs,textcomp}\n\\begin{table}\n  \\centering\n"
        f"  \\caption{{{escaped(caption)}}}\n  \\label{{{label}}}\n"
        f"  \\begin{{tabular}}{{{columns}}}\n    \\toprule\n    {head} \\\\\n    \\midrule\n{body}"
        "    \\bottomrule\n  \\end{tabular}\n\\end{table}\n"
    )


def _cell(value: object) -> str:
    if value is None or value is pd.NA or value != value:
        return "--"
    if isinstance(value, numbers.Real) and not isinstance(value, bool | numbers.Integral):
        text = f"{value:.{DIGITS}g}"
        if "e" in text:
            digits, power = text.split("e")
            text = f"{digits} \\times 10^{{{int(power)}}}"
        return f"${text}$" if text.startswith("-") or "\\times" in text else text
    return escaped(value)
