"""``workbench evaluate``: methods on transfer tasks, with an honest count of what was measured."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.common import DataFolders, end, progress_bar, say, show_table
from workbench.config import WorkbenchError, write_atomically

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from workbench.evaluation import EvaluationResult, Journal

SHOWN = {"spearman": "Spearman", "rae": "RAE", "mdape": "median APE", "coverage90": "coverage"}
Gain = Annotated[
    float | None,
    typer.Option(
        help="Or when a further probe lowers errors by this share of how much latencies differ, such as 0.003."
    ),
]


def evaluate(
    tasks: Annotated[Path, typer.Option(help="JSON file: task name -> space, source, target, source_samples.")],
    out: Annotated[Path, typer.Option(help="Results, a JSON list: an object per task, device, seed and method.")],
    only: Annotated[str | None, typer.Option(help="Names of tasks, separated by commas; all if absent.")] = None,
    data: DataFolders = None,
    method: Annotated[list[str] | None, typer.Option(help="Predictor; repeatable. hodm if absent.")] = None,
    probes: Annotated[
        list[int] | None, typer.Option(help="Measurements on each target device; repeatable. 10 if absent.")
    ] = None,
    selector: Annotated[
        str | None, typer.Option(help="How probes are chosen; 'adaptive' chooses one after another.")
    ] = None,
    width: Annotated[
        float | None,
        typer.Option(help="Adaptive selection stops when 90 % intervals are this narrow, such as 0.1 of the latency."),
    ] = None,
    gain: Gain = None,
    seed: Annotated[list[int] | None, typer.Option(help="Random seed; repeatable.")] = None,
    workers: Annotated[int, typer.Option(help="Processes side by side, one thread each.")] = 1,
    predictions: Annotated[Path | None, typer.Option(help="Every prediction with its interval, as Parquet.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="Folder for small CSV files: per task, device, latency quintile; significance.")
    ] = None,
) -> None:
    """Predict target devices from source devices and a few probes, score it, and say which differences are noise.

    What is finished is kept beside --out until all is done: after Ctrl-C, the same command goes on where it was.
    """
    out, predictions, report = _writable(out, predictions, report)
    _refuse_inputs((out, predictions), tasks, data or [])
    from workbench.evaluation import Journal, differences, pairs, write_report
    from workbench.evaluation import evaluate as run_tasks
    from workbench.training.adaptive import Enough

    methods = tuple(dict.fromkeys(method or ["hodm"]))
    journal = Journal.beside(out)
    try:
        with _progress() as (tell, advance):
            result = run_tasks(
                tasks,
                data or [],
                None if only is None else [name.strip() for name in only.split(",") if name.strip()],
                method=methods,
                probes=tuple(probes or [10]),
                selector=selector,
                seeds=tuple(seed or [0]),
                progress=tell,
                enough=Enough(width, gain),
                predictions=predictions is not None,
                journal=journal,
                advance=advance,
                workers=workers,
            )
    except KeyboardInterrupt:
        if journal.folder.is_dir():
            say(f"Interrupted; what is finished is in {journal.folder}, and the same command goes on from there.")
        raise
    if result.results:
        write_atomically(out, lambda path: path.write_text(_json(result.results)))
        if predictions is not None:
            write_atomically(predictions, lambda path: result.predictions.to_parquet(path, index=False))
        compared = differences(result.cells, pairs(methods))
        if report is not None:
            write_report(result, report, methods, compared)
        show_table(_means(result, methods), 200)
        if len(compared):
            show_table(_comparison(compared), 160)
    _end(result, journal)


def _end(result: EvaluationResult, journal: Journal) -> None:
    """Tell what is to be noted; forget the pieces unless something failed: then they need not be done again."""
    for note in result.notes:
        say(f"Note: {note}")
    if result.failures and journal.folder.is_dir():
        say(f"What is finished is kept in {journal.folder}: correct what failed, and the same command does only that.")
    else:
        journal.remove()
    end(result.failures)


def _writable(out: Path, predictions: Path | None, report: Path | None) -> tuple[Path, Path | None, Path | None]:
    """What will be written, absolute, after a check that it can be."""
    from workbench.notebooks import writable

    out, predictions = writable(out), predictions and writable(predictions)
    if out == predictions:
        raise WorkbenchError(f"--out and --predictions are both {out}; give each a file of its own.")
    return out, predictions, report and writable(report / "per_task.csv").parent


def _refuse_inputs(outputs: Sequence[Path | None], tasks: Path, data: Sequence[Path]) -> None:
    """Raise if an output would replace what is read."""
    from workbench.spaces import SPACES

    tables = {f"{space}.parquet" for space in SPACES} | {"devices.yaml"}
    folders = {folder.expanduser().resolve() for folder in data}
    for path in filter(None, outputs):
        if path == tasks.expanduser().resolve() or (path.parent in folders and path.name in tables):
            raise WorkbenchError(f"{path} is among what is read (--tasks, --data); write to another file or folder.")


@contextmanager
def _progress() -> Iterator[tuple[Callable[[str], None], Callable[[int, int], None] | None]]:
    """How to tell a line and how to advance; a bar is for terminals only, since a log keeps every state of it."""
    if not sys.stderr.isatty():
        yield say, None
        return
    from tqdm import tqdm

    with progress_bar("Evaluating", "piece") as advance:

        def tell(line: str) -> None:
            with tqdm.external_write_mode():
                say(line)

        yield tell, advance


def _json(results: Sequence[Mapping[str, object]]) -> str:
    """Strict JSON: what is not a number becomes null."""
    import json

    plain = [
        {name: None if isinstance(value, float) and value != value else value for name, value in row.items()}
        for row in results
    ]
    return json.dumps(plain, indent=1, allow_nan=False) + "\n"


def _means(result: EvaluationResult, methods: Sequence[str]) -> Table:
    """A row per task (and method, and number of probes): means over devices and seeds, the floors' beside them."""
    from rich.table import Table

    from workbench.evaluation import per_task

    frame = per_task(result)
    asked, beside = frame[~frame["floor"]], frame[frame["floor"]]
    varied = (["method"] if len(methods) > 1 else []) + (["probes"] if frame["probes"].nunique() > 1 else [])
    labels = ["task", "devices", "seeds", *varied]
    names = list(beside["method"].unique())
    title = f"{', '.join(methods)}: means over devices and seeds; floors: Spearman (RAE)"
    table = Table(*labels, *SHOWN.values(), "reads", *(f"{name} (floor)" for name in names), title=title)
    for _, row in asked.iterrows():
        cells = [str(row[name]) for name in labels]
        cells += [f"{row[name]:.3f}" for name in SHOWN] + [f"{row['target_reads']:.3g}"]
        same = beside[(beside["task"] == row["task"]) & (beside["probes"] == row["probes"])].set_index("method")
        for name in names:
            there = name in same.index
            cells.append(f"{same.at[name, 'spearman']:.3f} ({same.at[name, 'rae']:.3f})" if there else "")
        table.add_row(*cells)
    return table


def _comparison(compared: pd.DataFrame) -> Table:
    """A row per task and pair of methods, with what `differences` says of Spearman and RAE."""
    from rich.table import Table

    several = compared["probes"].nunique() > 1
    title = "Differences with 95 % intervals (paired bootstrap)"
    table = Table("task", *(["probes"] if several else []), "compared", "Spearman", "RAE", title=title)
    for (task, probes, method, other), rows in compared.groupby(["task", "probes", "method", "other"], sort=False):
        told = {
            row.metric: f"{row.difference:+.3f} [{row.low:+.3f}, {row.high:+.3f}] {row.mark}"
            for row in rows.itertuples()
        }
        pair = f"{method} - {other}"
        table.add_row(task, *([str(probes)] if several else []), pair, told.get("spearman", ""), told.get("rae", ""))
    return table
