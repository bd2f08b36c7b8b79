"""Finished pieces of a long evaluation on disk, so that an interrupted one goes on where it was.

A piece is found again by a hash of all that it depends on: the task, the latencies and cards of its devices, what was
asked for, and the code.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from workbench.config import write_atomically
from workbench.data.table import LatencyTable
from workbench.evaluation.setting import Setting
from workbench.evaluation.unit import Cell, Plan, Unit
from workbench.predictor.method import Estimate


class Journal:
    """A folder with a JSON and a Parquet file per finished `Unit`; see `beside`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def beside(cls, out: Path) -> Journal:
        """The journal of the results file ``out``."""
        return cls(out.with_name(f"{out.name}.journal"))

    def load(self, key: str) -> Unit | None:
        """The piece with this `key`, None if it is not (or not wholly) there."""
        try:
            told = json.loads((self.folder / f"{key}.json").read_text())
            predictions = pd.read_parquet(self.folder / f"{key}.parquet")
            cells = [_cell(**cell) for cell in told.pop("cells")]
            return Unit(**told, cells=cells, predictions=predictions)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):  # damaged: the piece is made anew
            return None

    def keep(self, key: str, unit: Unit) -> None:
        """Write a finished piece; the JSON file comes last and says that all is there."""
        write_atomically(self.folder / f"{key}.parquet", lambda path: unit.predictions.to_parquet(path, index=False))
        told = {name: getattr(unit, name) for name in ("results", "floors", "failures", "notes")}
        told["cells"] = [cell._asdict() for cell in unit.cells]
        text = json.dumps(told, default=np.ndarray.tolist)
        write_atomically(self.folder / f"{key}.json", lambda path: path.write_text(text))

    def trim(self, most: int) -> None:
        """Forget all but the ``most`` pieces that were kept last."""
        kept = sorted(self.folder.glob("*.parquet"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in kept[most:]:
            path.with_suffix(".json").unlink(missing_ok=True)  # first: it says that all is there
            path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Forget everything."""
        shutil.rmtree(self.folder, ignore_errors=True)


def key(setting: Setting, plan: Plan, probes: int, seed: int) -> str:
    """The hash by which a piece is found again."""
    tables = [setting.table, *(table for table, _ in setting.elsewhere)]
    asked = {name: value for name, value in plan._asdict().items() if name != "own"}  # functions cannot be told apart
    parts = [asdict(setting.task), asked, probes, seed, _code(), [_content(table) for table in tables]]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _content(table: LatencyTable) -> str:
    rows = pd.util.hash_pandas_object(table.frame).to_numpy().tobytes()
    cards = [repr(table.cards.get(device)) for device in table.devices]
    return hashlib.sha256(rows + "\n".join([*table.devices, *cards]).encode()).hexdigest()


@cache
def _code() -> str:
    """Hash of the whole package, whose every change may change a prediction."""
    package = Path(__file__).parents[1]
    files = sorted([*package.rglob("*.py"), *package.rglob("*.yaml")])
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def _cell(actual_ms: list[float], estimates: dict[str, list[list[float]]], **others: object) -> Cell:
    told = {name: Estimate(*map(np.array, parts)) for name, parts in estimates.items()}
    return Cell(actual_ms=np.array(actual_ms), estimates=told, **others)  # type: ignore[arg-type]
