"""The paper pack of a sweep: one folder with tables, figures, a report, and all that is needed to make it again."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from plotly.offline import get_plotlyjs

from workbench.config import WorkbenchError, write_atomically
from workbench.insight.export import export
from workbench.insight.labels import plural
from workbench.insight.latex import latex_table
from workbench.insight.paired import RESAMPLES
from workbench.insight.report import KeyFigure, Section, write_report
from workbench.insight.sweep_summary import BEST, SweepSummary, summarise
from workbench.insight.sweep_table import CONFIGURATION, MANIFEST, Sweep, read_sweep
from workbench.insight.template import CONFIG

PACK, PAGE = "report", "report.html"
CHECKSUMS, AGAIN = "SHA256SUMS", "README.md"
LISTED = 25  # configurations in the page; the tables have all
PLOTLY = "plotly.min.js"

HOW = (
    "An effect is the mean difference to the reference over all pairs of runs that agree in every other factor, the "
    "seed, the task and the device. Its 95 % interval is a paired bootstrap ({resamples:,} resamples): whole devices "
    "with all their seeds are drawn, then whole seeds with all their devices, and the wider end counts. **Noise** "
    "means that the interval spans zero. Nothing is corrected for many comparisons: of twenty between equal settings, "
    "one will look like a difference."
)
RANKED = (
    "Configurations are ranked within each of {blocks} blocks (task, device and what else is held), and the ranks "
    "averaged. Two differ if their average ranks are more than the critical difference of {least:.2f} apart (Nemenyi's "
    "test at 5 %; Demšar 2006, JMLR 7:1-30). Friedman's test, in the form of Iman and Davenport: p = {p:.2g}."
)
CHOSEN = "The best of many is partly lucky: expect a little less of it on new tasks, and more so the more were tried."
README = """# {name}: the paper pack

{verdict}

- `{page}`: the report. `tables/`: every table as CSV and as LaTeX.
- `figures/`: every figure as a page that works offline and as Plotly's JSON{svg}.
- `{manifest}`, the sweep's own file if there is one, and `results.csv`: what was run, one row per run, task and device.
- `{checksums}`: hashes of all files here (`sha256sum --check {checksums}`).

## To make it again

```
{command}
```

| what | value |
|---|---|
{rows}

Data, by SHA-256:

{data}
"""


def report(folder: str | Path, pictures: bool = True) -> Path:
    """Write the paper pack of the sweep in ``folder`` into its folder ``report``; returns the page to open.

    Args:
        folder: of a sweep, as ``workbench ablate`` writes it.
        pictures: also draw figures as SVG, where there is a Chromium; that takes some seconds.

    Raises:
        WorkbenchError: no sweep there, no finished run, or a folder that cannot be written.
    """
    folder = Path(folder)
    return write_pack(summarise(read_sweep(folder)), folder / PACK, pictures)


def write_pack(summary: SweepSummary, pack: Path, pictures: bool = True) -> Path:
    """Write what `report` writes of ``summary`` into ``pack``; returns the page to open."""
    sweep = summary.sweep
    for stale in [*pack.glob("tables/*"), *pack.glob("figures/*")]:
        stale.unlink()
    for name, (table, caption) in tables_of(summary).items():
        _write(pack / "tables" / f"{name}.csv", table.to_csv(index=False, float_format="%.6g"))
        _write(pack / "tables" / f"{name}.tex", latex_table(table, f"{sweep.name}: {caption}", f"tab:{name}"))
    _write(pack / "results.csv", sweep.rows.drop(columns=CONFIGURATION).to_csv(index=False))
    if Path(str(sweep.manifest.get("sweep_file"))).is_file():
        file = Path(sweep.manifest["sweep_file"])
        _write(pack / file.name, file.read_text(encoding="utf-8"))
    _write(pack / MANIFEST, json.dumps(sweep.manifest, indent=1) + "\n")
    drawn = _write_figures(summary, pack / "figures", pictures)
    page = _write_page(summary, pack / PAGE)
    _write(pack / AGAIN, _how_to_make_it(summary, drawn))
    _write_checksums(pack)
    return page


def tables_of(summary: SweepSummary) -> dict[str, tuple[pd.DataFrame, str]]:
    """Name -> table and caption, those that have rows."""
    metric = summary.sweep.metric
    ranking = pd.DataFrame() if summary.ranking is None else summary.ranking.table
    tables = {
        "effects": (summary.effects, f"effect of each factor on {metric}, with 95 % intervals"),
        "effects_within": (summary.within, f"effects on {metric} within the levels of other factors"),
        "effects_on_others": (summary.others, "effects on other metrics"),
        "configurations": (summary.configurations, f"{metric} of each configuration, and its difference to the best"),
        "ranking": (ranking, f"average ranks by {metric}; configurations that share a letter are not told apart"),
    }
    return {name: (table, caption) for name, (table, caption) in tables.items() if len(table)}


def _write_figures(summary: SweepSummary, folder: Path, pictures: bool) -> bool:
    """Write every figure; returns whether they could be drawn as SVG."""
    if summary.figures:
        _write(folder / PLOTLY, get_plotlyjs())  # once for all pages
    for name, figure in summary.figures.items():
        _write(folder / f"{name}.json", figure.to_json())
        _write(folder / f"{name}.html", figure.to_html(include_plotlyjs=PLOTLY, config=CONFIG))
    if not pictures or not summary.figures:
        return False
    try:
        for name, figure in summary.figures.items():
            export(figure, folder / f"{name}.svg")
    except WorkbenchError:
        return False  # pages and JSON are there; the README says which formats there are
    return True


def _write_page(summary: SweepSummary, path: Path) -> Path:
    sweep, best, drawn = summary.sweep, summary.best, summary.figures
    tied = int((summary.configurations["mark"] == "noise").sum())
    seeds = sweep.manifest.get("seeds") or []
    headline = [
        KeyFigure(f"Best {sweep.metric}", f"{best['value']:.3g}", "plain", best[CONFIGURATION]),
        KeyFigure(
            "Not told from the best", f"{tied}", "plain", f"of {plural(len(summary.configurations), 'configuration')}"
        ),
        KeyFigure(
            "More than noise", f"{len(summary.real)}", "plain", f"of {plural(len(summary.effects), 'difference')}"
        ),
        KeyFigure(
            "Runs", f"{sweep.rows['key'].nunique()}", "plain", plural(len(seeds), "seed") if seeds else "no seeds"
        ),
    ]
    sections = [
        Section(
            "What matters",
            HOW.format(resamples=RESAMPLES),
            [drawn[name] for name in ("factor_effects", "level_curves") if name in drawn],
            table=_shown(summary.effects.drop(columns="metric")) if len(summary.effects) else None,
        )
    ]
    if len(summary.within):
        within = _shown(summary.within.drop(columns="metric"))
        sections.append(Section("Where it matters", "The same within each level of another factor.", table=within))
    if summary.ranking is not None:
        table, least, p_value, blocks = summary.ranking
        told = RANKED.format(blocks=blocks, least=least, p=p_value)
        sections.append(Section("Which are apart", told, drawn["critical_difference"], table=table.round(3)))
    listed = _shown(summary.configurations.iloc[:LISTED].drop(columns=[*sweep.factors], errors="ignore"))
    sections.append(Section("Which is best", CHOSEN, table=listed))
    if len(summary.others):
        sections.append(Section("What else changes", "The same pairs, other metrics.", table=_shown(summary.others)))
    sections.append(Section("How it was run", "\n\n".join(summary.notes), table=_facts(sweep)))
    lead = f"{summary.verdict} The {sweep.metric} is to be {sweep.manifest['direction']}d."
    return write_report(path, f"Sweep {sweep.name}", lead, sections, headline=headline, eyebrow="Ablation")


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """``table`` as a page has room for: each interval in one column, beside what it is of."""
    table, intervals = table.copy(), {"difference": ("low", "high")}
    if "value" in table:
        intervals = {"value": ("low", "high"), "difference": ("difference_low", "difference_high")}
    for of, ends in intervals.items():
        told = [_interval(*pair) for pair in table[[*ends]].itertuples(index=False, name=None)]
        table.insert(table.columns.get_loc(of) + 1, f"{of}, 95 %", told)
        table = table.drop(columns=[*ends])
    table.loc[table["mark"] == BEST, "difference, 95 %"] = "–"
    later = [name for name in ("cases", "runs", "pairs", "seconds") if name in table]
    return table[[name for name in table if name not in later] + later]


def _interval(low: float, high: float) -> str:
    return f"{low:.3g}\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}{high:.3g}" if low == low else ""


def _facts(sweep: Sweep) -> pd.DataFrame:
    """What a run was decided by: a row per fact."""
    return pd.DataFrame(list(_provenance(sweep.manifest).items()), columns=["what", "value"])


def _provenance(manifest: Mapping[str, Any]) -> dict[str, str]:
    told = {
        "command": shlex.join(map(str, manifest.get("command") or [])),
        "sweep file": manifest.get("sweep_file"),
        "notebook": manifest.get("notebook"),
        "fixed parameters": json.dumps(manifest.get("parameters") or {}),
        "seeds": ", ".join(map(str, manifest.get("seeds") or [])) or "none",
        "runs": "{} finished, {} failed, of {}".format(*(manifest.get(n, "?") for n in ("finished", "failed", "runs"))),
        "code (SHA-256)": manifest.get("code"),
        "versions": ", ".join(f"{name} {version}" for name, version in (manifest.get("versions") or {}).items()),
        "started, ended": " to ".join(str(manifest[name]) for name in ("started", "ended") if manifest.get(name)),
        "workers": manifest.get("workers"),
        "MLflow": manifest.get("tracking_uri"),
    }
    return {name: str(value) for name, value in told.items() if value not in (None, "")}


def _how_to_make_it(summary: SweepSummary, pictures: bool) -> str:
    manifest = summary.sweep.manifest
    facts = _provenance(manifest)
    command = facts.pop("command", "workbench ablate")
    data = [f"- `{path}`: {digest}" for path, digest in (manifest.get("data") or {}).items()]
    return README.format(
        name=summary.sweep.name,
        verdict="\n".join([summary.verdict, "", *(f"- {note}" for note in summary.notes)]),
        page=PAGE,
        svg=", and as SVG" if pictures else "",
        manifest=MANIFEST,
        checksums=CHECKSUMS,
        command=command,
        rows="\n".join(f"| {name} | {value.replace('|', chr(92) + '|')} |" for name, value in facts.items()),
        data="\n".join(data) or "- none named",
    )


def _write_checksums(pack: Path) -> None:
    files = sorted(path for path in pack.rglob("*") if path.is_file() and path.name != CHECKSUMS)
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(pack).as_posix()}" for path in files]
    _write(pack / CHECKSUMS, "\n".join(sums) + "\n")


def _write(path: Path, text: str) -> None:
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
