"""A sweep's results as they lie in its folder.

``sweep.json`` says what varied, which metric decides, and how it was run; ``results.parquet`` has one row per run,
task and device.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from workbench.config import WorkbenchError, project_home, suggest
from workbench.insight.paired import CASE, METHOD, cases, level, of_main_method

MANIFEST, RESULTS = "sweep.json", "results.parquet"
OPTIMUM = {"maximize": 1, "minimize": -1}

#: The column that says in words which levels of all factors a row has.
CONFIGURATION = "configuration"


@dataclass(frozen=True, eq=False)
class Sweep:
    """A sweep as it stands.

    Args:
        manifest: what ``sweep.json`` holds.
        rows: what ``results.parquet`` holds without the floors beside each method; factors as text (see `level`), and a
            column `CONFIGURATION`.
        left_out: rows of floors that were left out.
    """

    manifest: Mapping[str, Any]
    rows: pd.DataFrame
    left_out: int = 0

    @property
    def name(self) -> str:
        """The sweep's name."""
        return str(self.manifest.get("name", "of no name"))

    @property
    def metric(self) -> str:
        """The metric that decides."""
        return str(self.manifest["metric"])

    @property
    def sign(self) -> int:
        """1 if more of the metric is better, -1 if less is."""
        return OPTIMUM[self.manifest["direction"]]

    @property
    def factors(self) -> list[str]:
        """What varied, in the file's order."""
        return [name for name in self.manifest.get("factors", []) if name in self.rows.columns]

    @property
    def groups(self) -> list[str]:
        """The factors that are to be compared; the others are conditions under which they are."""
        asked = [name for name in self.manifest.get("groups") or [] if name in self.factors]
        return asked or self.factors

    @property
    def metrics(self) -> list[str]:
        """Columns that hold numbers, the one that decides first."""
        labels = {*self.factors, *CASE, self.metric}
        numeric = self.rows.select_dtypes("number").columns
        return [self.metric, *(str(name) for name in numeric if name not in labels)]

    def levels(self, factor: str) -> list[str]:
        """The levels of ``factor`` that there are results of, the reference first, then in the file's order."""
        there = dict.fromkeys(self.rows[factor])
        listed = [level(value) for value in self.manifest.get("levels", {}).get(factor, [])]
        order = [value for value in dict.fromkeys([*listed, *there]) if value in there]
        chosen = level(self.manifest.get("reference", {}).get(factor, order[0]))
        first = chosen if chosen in there else order[0]
        return [first, *(value for value in order if value != first)]

    def scores(self, metric: str, rows: pd.DataFrame | None = None) -> pd.Series:
        """``metric`` (of ``rows`` only, if given) by the levels of all factors, task, device and seed."""
        return cases(self.rows if rows is None else rows, metric, tuple(dict.fromkeys([*self.factors, *CASE])))


def read_sweep(folder: str | Path) -> Sweep:
    """The sweep in ``folder``.

    Raises:
        WorkbenchError: there is none, no run of it has finished, or its table lacks the metric.
    """
    folder = Path(folder)
    for name in (MANIFEST, RESULTS):
        if not (folder / name).is_file():
            raise WorkbenchError(
                f"There is no {name} in {folder}; give the folder of a sweep, as 'workbench ablate' writes it."
            )
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        rows = pd.read_parquet(folder / RESULTS)
    except (OSError, ValueError) as error:
        raise WorkbenchError(
            f"The sweep in {folder} cannot be read ({error}); run 'workbench ablate' again."
        ) from error
    return sweep_of(manifest, rows)


def newest_sweep(home: Path | None = None) -> Path | None:
    """The folder of the sweep that was run last under ``reports/sweeps`` and has results; None if there is none."""
    folders = ((home or project_home()) / "reports" / "sweeps").glob("*/")
    there = [folder for folder in folders if (folder / MANIFEST).is_file() and (folder / RESULTS).is_file()]
    return max(there, key=lambda folder: (folder / MANIFEST).stat().st_mtime, default=None)


def sweep_of(manifest: Mapping[str, Any], rows: pd.DataFrame) -> Sweep:
    """A sweep from what its two files hold; see `read_sweep`."""
    name, metric, direction = (manifest.get(key) for key in ("name", "metric", "direction"))
    if rows.empty:
        raise WorkbenchError(f"No run of the sweep {name} has finished yet; wait for the first one.")
    if not metric:
        raise WorkbenchError(f"Sweep {name} names no metric to compare by; add one to its file.")
    if direction not in OPTIMUM:
        raise WorkbenchError(f"Sweep {name} expects the direction maximize or minimize, got {direction!r}; correct it.")
    if metric not in rows.columns:
        raise WorkbenchError(f"Sweep {name}: {suggest('metric', str(metric), rows.select_dtypes('number').columns)}")
    factors = [factor for factor in manifest.get("factors", []) if factor in rows.columns]
    own = rows if METHOD in factors else of_main_method(rows, "key")
    text = {factor: own[factor].map(level).astype(object) for factor in factors}
    own = own.assign(**text)
    own[CONFIGURATION] = configuration(own, factors)
    return Sweep(manifest, own.reset_index(drop=True), len(rows) - len(own))


def configuration(rows: pd.DataFrame, factors: list[str]) -> list[str]:
    """The levels of ``factors`` in words, row by row."""
    if not factors:
        return ["the only one"] * len(rows)
    return [
        named(dict(zip(factors, levels, strict=True))) for levels in rows[factors].itertuples(index=False, name=None)
    ]


def named(levels: Mapping[str, str]) -> str:
    """Levels in words: ``balanced, probes 10``; a number or a switch says of what it is."""
    return ", ".join(value if _speaks(value) else f"{factor} {value}" for factor, value in levels.items())


def _speaks(value: str) -> bool:
    return value not in ("true", "false", "none") and value[:1].isalpha()
