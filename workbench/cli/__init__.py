"""The command line: parse, call, print. Nothing imports it; each command imports what it needs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench import __version__
from workbench.config import WorkbenchError, write_atomically

if TYPE_CHECKING:
    from workbench.profiling.campaign import CampaignSummary, Progress

app = typer.Typer(
    name="workbench",
    help="Predict how long neural networks take on any device, from a few measurements, and see why.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

OutFolder = Annotated[Path, typer.Option("--out", help="Folder for what is made.")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line: bad input is one sentence on standard error and status 2, Ctrl-C status 130."""
    try:
        app(arguments)
    except WorkbenchError as error:
        _complain(str(error))
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
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of latency tables; repeatable. Otherwise WORKBENCH_DATA, separated by ':'."),
    ] = None,
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
        progress=_say,
    )
    if result.results:
        write_atomically(out, lambda path: path.write_text(_json(result.results)))
        if predictions is not None:
            write_atomically(predictions, lambda path: result.predictions.to_parquet(path, index=False))
        _print_means(result.results, result.floors)
    for note in result.notes:
        _say(f"Note: {note}")
    _end(result.failures)


@app.command()
def profile(
    out: OutFolder,
    device: Annotated[str | None, typer.Option(help="Name of this machine in the table's columns.")] = None,
    space: Annotated[str, typer.Option(help="Search space.")] = "nasbench201",
    archs: Annotated[int | None, typer.Option(help="How many networks to draw at random.", min=1)] = None,
    probes: Annotated[Path | None, typer.Option(help="File with one network (arch) per line.")] = None,
    budget: Annotated[float | None, typer.Option(help="Begin no network after this many seconds.", min=1)] = None,
    platform: Annotated[
        list[str] | None,
        typer.Option(help="Way to execute, such as torch-eager_fp32_t1_b1; repeatable. Ten of them if absent."),
    ] = None,
) -> None:
    """Measure networks on this machine; the same command again continues where an interrupted one ended."""
    from tqdm import tqdm

    from workbench.devices.backends import get_platforms
    from workbench.notebooks import writable
    from workbench.profiling.campaign import profile as measure
    from workbench.spaces import get_space

    chosen, platforms, networks = get_space(space), get_platforms(platform), _archs(space, archs, probes)
    writable(out / f"{space}.parquet")
    with tqdm(unit="timing", desc="Measuring") as bar:

        def show(progress: Progress) -> None:
            bar.total = progress.total
            bar.update(progress.done - bar.n)

        summary = measure(chosen, networks, platforms, out, budget, show, device=device)
    _print_campaign(summary)
    _end({f"{row.platform} {row.arch}": row.failure for row in summary.failures.itertuples()})


@app.command()
def ui(port: Annotated[int, typer.Option(help="Where it answers on 127.0.0.1.")] = 5000) -> None:
    """Show the runs in MLflow."""
    from workbench.tracking import UI_VIEW, serve_ui

    server = serve_ui(port)
    _say(f"MLflow will answer at {server.url}/#/experiments{UI_VIEW} in some ten seconds; Ctrl-C stops it.")
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
    _say(f"JupyterLab will answer at {server.url}; its token is in the address printed below; Ctrl-C stops it.")
    _become(server.argv, server.env)


def _archs(space: str, count: int | None, file: Path | None) -> list[str]:
    """The networks to measure: those in ``file``, else ``count`` drawn with a fixed seed."""
    import numpy as np

    from workbench.spaces import get_space

    if file is None:
        return get_space(space).sample(100 if count is None else count, np.random.default_rng(0))
    if count is not None:
        raise WorkbenchError("--archs and --probes exclude each other; give one of them.")
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise WorkbenchError(f"Cannot read {file} as a list of networks ({error}); give one arch per line.") from error
    archs = [line.strip() for line in lines if line.strip()]
    if not archs:
        raise WorkbenchError(f"{file} names no network; give one arch per line.")
    return archs


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


def _print_campaign(summary: CampaignSummary) -> None:
    worst, quiet = summary.drift["drift"].abs().max(), "quiet" if summary.stability.stable else "not quiet"
    typer.echo(
        f"{summary.measured} timings ({summary.repeated} of them repetitions) in {summary.seconds:.0f} s; "
        f"{summary.missing} left undone; references drifted by at most {worst:.1%}; "
        f"at the start the machine was {quiet}: {summary.stability.reason}"
    )
    typer.echo(f"Table: {summary.table_path}")


def _end(failures: Mapping[str, str]) -> None:
    """One sentence per failed task and status 1; nothing if every task ran."""
    for task, sentence in failures.items():
        _complain(f"{task}: {sentence}")
    if failures:
        raise typer.Exit(1)


def _become(argv: Sequence[str], env: Mapping[str, str]) -> None:
    """Turn into the server, so that signals and Ctrl-C reach it and nothing else."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(argv[0], list(argv), dict(env))


def _say(sentence: str) -> None:
    typer.echo(sentence, err=True)


def _complain(sentence: str) -> None:
    typer.echo(f"workbench: {sentence}", err=True)
