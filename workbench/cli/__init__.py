"""The command line: parse, call, print. Nothing imports it; each command imports what it needs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from workbench import __version__
from workbench.cli import devices, probepack
from workbench.cli.common import DataFolders, OutFolder, complain, end, say
from workbench.cli.predict import predict
from workbench.cli.profile import profile
from workbench.cli.selfcheck import selfcheck
from workbench.config import WorkbenchError, write_atomically

app = typer.Typer(
    name="workbench",
    help="Predict how long neural networks take on any device, from a few measurements, and see why.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command()(profile)
app.command()(predict)
app.command()(selfcheck)
app.add_typer(devices.app)
app.add_typer(probepack.app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line: bad input is one sentence on standard error and status 2, Ctrl-C status 130."""
    try:
        app(arguments)
    except WorkbenchError as error:
        complain(str(error))
        raise SystemExit(2) from error
    except KeyboardInterrupt as error:
        raise SystemExit(130) from error


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """What stands before the command."""


@app.command()
def quickstart(
    smoke: Annotated[bool, typer.Option("--smoke", help="A tiny run, to see that everything works.")] = False,
    out: OutFolder = Path("reports/quickstart"),
) -> None:
    """Measure this machine, train, predict all of NAS-Bench-201 on it, check, and write a report."""
    from workbench.notebooks import execute
    from workbench.tracking import project_home

    out = out.expanduser().resolve()
    report = out / "report.html"
    notebook = project_home() / "notebooks" / "00_quickstart.ipynb"
    parameters = {"out": str(out), "smoke": smoke}
    executed = execute(notebook, out / notebook.name, parameters, progress=True)
    if not report.is_file():
        raise WorkbenchError(f"{executed} ran but wrote no {report}; its last cell should write the report there.")
    typer.echo(f"Report: {report}\nNext:   make lab   (the notebooks)\n        make ui    (the runs in MLflow)")


@app.command()
def evaluate(
    tasks: Annotated[Path, typer.Option(help="JSON file: task name -> space, source, target, source_samples.")],
    out: Annotated[Path, typer.Option(help="Results, a JSON list: one object per task, device and seed.")],
    only: Annotated[str | None, typer.Option(help="Names of tasks, separated by commas; all if absent.")] = None,
    data: DataFolders = None,
    method: Annotated[str, typer.Option(help="Predictor.")] = "hodm",
    probes: Annotated[int, typer.Option(help="Measurements on each target device.")] = 10,
    selector: Annotated[str | None, typer.Option(help="How probes are chosen; the method's own way if absent.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Random seed; repeatable.")] = None,
    predictions: Annotated[Path | None, typer.Option(help="Every prediction with its interval, as Parquet.")] = None,
) -> None:
    """Predict target devices from source devices and a few probes, and score it."""
    from workbench.notebooks import writable

    outputs = [writable(path) for path in (out, predictions) if path is not None]
    if len(set(outputs)) < len(outputs):
        raise WorkbenchError(f"--out and --predictions are both {out}; give each a file of its own.")
    from workbench.evaluation import evaluate as run_tasks

    result = run_tasks(
        tasks,
        data or [],
        None if only is None else [name.strip() for name in only.split(",") if name.strip()],
        method=method,
        probes=probes,
        selector=selector,
        seeds=tuple(seed or [0]),
        progress=say,
    )
    if result.results:
        write_atomically(out, lambda path: path.write_text(_json(result.results)))
        if predictions is not None:
            write_atomically(predictions, lambda path: result.predictions.to_parquet(path, index=False))
        _print_means(result.results, result.floors)
    for note in result.notes:
        say(f"Note: {note}")
    end(result.failures)


@app.command()
def ui(port: Annotated[int, typer.Option(help="Where it answers on 127.0.0.1.")] = 5000) -> None:
    """Show the runs in MLflow."""
    from workbench.tracking import UI_VIEW, serve_ui

    server = serve_ui(port)
    say(f"MLflow will answer at {server.url}/#/experiments{UI_VIEW} in some ten seconds; Ctrl-C stops it.")
    _become(server.argv, server.env)


@app.command()
def lab(
    port: Annotated[int, typer.Option(help="Where it answers on 127.0.0.1.")] = 8888,
    browser: Annotated[bool, typer.Option(help="Open a browser window.")] = True,
) -> None:
    """Open the notebooks in JupyterLab."""
    from workbench.notebooks import lab as lab_server
    from workbench.tracking import project_home

    server = lab_server(project_home() / "notebooks", port, browser=browser)
    say(f"JupyterLab will answer at {server.url}; its token is in the address printed below; Ctrl-C stops it.")
    _become(server.argv, server.env)


def _json(results: Sequence[Mapping[str, object]]) -> str:
    """Strict JSON: what is not a number becomes null."""
    import json

    plain = [
        {name: None if isinstance(value, float) and value != value else value for name, value in row.items()}
        for row in results
    ]
    return json.dumps(plain, indent=1, allow_nan=False) + "\n"


def _print_means(results: Sequence[Mapping[str, object]], floors: Sequence[Mapping[str, object]]) -> None:
    """A table with one row per task: means over its devices and seeds, and the floors' with the same probes."""
    import pandas as pd
    from rich.console import Console
    from rich.table import Table

    frame, beside = pd.DataFrame(results), pd.DataFrame(floors)
    shown = {"spearman": "Spearman", "rae": "RAE", "mdape": "median APE", "coverage90": "coverage"}
    names = list(beside["method"].unique())
    head = ["task", "devices", "seeds", *shown.values(), "reads", *(f"{name} (floor)" for name in names)]
    table = Table(*head, title=f"{frame.method[0]}: means over devices and seeds; floors: Spearman (RAE)")
    for task, rows in frame.groupby("task", sort=False):
        means = rows[[*shown, "target_reads"]].astype(float).mean()
        cells = [f"{means[name]:.3f}" for name in shown] + [f"{means['target_reads']:g}"]
        for name in names:
            floor = beside[(beside["task"] == task) & (beside["method"] == name)][["spearman", "rae"]].mean()
            cells.append(f"{floor['spearman']:.3f} ({floor['rae']:.3f})")
        table.add_row(str(task), str(rows.device.nunique()), str(rows.seed.nunique()), *cells)
    console = Console()
    console.width = max(console.width, 130)
    console.print(table)


def _become(argv: Sequence[str], env: Mapping[str, str]) -> None:
    """Turn into the server, so that signals and Ctrl-C reach it and nothing else."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(argv[0], list(argv), dict(env))
