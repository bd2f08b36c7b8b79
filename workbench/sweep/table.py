"""The table of a sweep: one row per run and row of its results; what a summary reads."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.config import WorkbenchError, write_atomically
from workbench.sweep.definition import Sweep
from workbench.sweep.plan import spoken
from workbench.sweep.store import MANIFEST, RESULTS, Record
from workbench.tracking import ARTIFACTS

if TYPE_CHECKING:
    import pandas as pd

#: What every row says of its run, besides its factors.
RUN = ("key", "run_id")
COST = ("seconds", "overhead_s", "worker")


class Columns(NamedTuple):
    """The columns of a table of results: text ``labels`` and numeric ``metrics``."""

    labels: list[str]
    metrics: list[str]


class SweepResults(NamedTuple):
    """A sweep as it lies on disk: ``sweep.json`` and the table."""

    manifest: dict[str, Any]
    results: pd.DataFrame


def results_table(sweep: Sweep, records: Sequence[Record], run_ids: Mapping[str, str]) -> tuple[pd.DataFrame, Columns]:
    """The table of ``records``, all of them finished, and which of its columns mean what.

    Where the notebook's own table has a column of a factor's name, the factor stands.
    """
    import pandas as pd

    known = [*RUN, *sweep.factors, *(["seed"] if sweep.seeds else [])]
    rows, labels, metrics = [], {}, {}
    for record in records:
        about = {"key": record.key, "run_id": run_ids.get(record.key, "")}
        about |= {name: _cell(value) for name, value in record.factors.items()}
        about |= {"seed": record.seed} if sweep.seeds else {}
        for row in record.rows or [record.metrics]:
            own = {name: value for name, value in row.items() if name not in known and name not in COST}
            for name, value in own.items():
                (labels if isinstance(value, str) else metrics).setdefault(name)
            rows.append({**about, **own, **{name: getattr(record, name) for name in COST}})
    columns = Columns(list(labels), [name for name in metrics if name not in labels])
    order = [*known, *columns.labels, *columns.metrics, *COST]
    frame = pd.DataFrame(rows, columns=order)
    for name in sweep.factors:
        if frame[name].map(_kind).nunique() > 1:  # a column of a file has one type
            frame[name] = frame[name].map(spoken)
    for name in columns.labels:  # of text, also where some notebooks logged a number or nothing
        frame[name] = frame[name].map(lambda value: "" if value is None or value != value else str(value))
    for name in columns.metrics:
        frame[name] = pd.to_numeric(frame[name], errors="coerce")
    return frame, columns


def read_rows(files: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """The rows of the table called ``results`` among the ``files`` that a notebook logged; none if there is none."""
    import pandas as pd

    readers = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".json": pd.read_json}
    for suffix, read in readers.items():
        content = files.get(f"{ARTIFACTS}/{RESULTS}{suffix}")
        if content is None:
            continue
        try:
            return json.loads(read(io.BytesIO(content)).to_json(orient="records", double_precision=15))
        except ValueError as error:  # pandas' and pyarrow's errors are ValueErrors, too
            raise WorkbenchError(f"the table {RESULTS}{suffix} that it logged cannot be read ({error})") from error
    return []


def means(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The mean of every numeric column, of the rows where it is known."""
    values: dict[str, list[float]] = {}
    for row in rows:
        for name, value in row.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                values.setdefault(name, []).append(float(value))
    return {name: sum(known) / len(known) for name, known in values.items()}


def write_table(folder: Path, frame: pd.DataFrame) -> None:
    """Write ``frame`` as Parquet and as CSV."""
    write_atomically(folder / f"{RESULTS}.parquet", lambda path: frame.to_parquet(path, index=False))
    write_atomically(folder / f"{RESULTS}.csv", lambda path: frame.to_csv(path, index=False))


def load(folder: str | Path) -> SweepResults:
    """What ``workbench ablate`` left in ``folder``."""
    import pandas as pd

    folder = Path(folder)
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        results = pd.read_parquet(folder / f"{RESULTS}.parquet")
    except (OSError, ValueError) as error:
        raise WorkbenchError(
            f"{folder} expects {MANIFEST} and {RESULTS}.parquet of a sweep, got {error}; run 'workbench ablate' first."
        ) from error
    return SweepResults(manifest, results)


def _kind(value: Any) -> str:
    if isinstance(value, bool | str):
        return type(value).__name__
    return "number"


def _cell(value: Any) -> Any:
    """A factor's value as a cell: numbers and text as they are, anything else as text."""
    return value if isinstance(value, bool | int | float | str) else spoken(value)
