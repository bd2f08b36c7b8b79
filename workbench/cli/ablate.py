"""``workbench ablate``: a sweep of notebook runs, on all cores or a cluster."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.common import end, progress_bar, say, show_table
from workbench.config import WorkbenchError, project_home

if TYPE_CHECKING:
    from workbench.sweep import ClusterConfig, Plan, Store, Sweep, SweepReport

EVERY = 10  # runs between two lines in a log


def ablate(
    sweep: Annotated[Path, typer.Argument(help="Sweep file, such as experiments/ablation_parts.yaml.")],
    workers: Annotated[
        int | None, typer.Option(help="Workers on this machine; one per core (or as the file says) if absent.", min=1)
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of an existing Dask scheduler, such as tcp://10.0.0.1:8786.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and list the runs; run none.")] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Only runs with this factor=value (or seed=0, or beginning of a key); repeatable."),
    ] = None,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="End with the first run that fails.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Let runs wait for a worker with what they ask for, if there is none.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder of the sweep; reports/sweeps/NAME if absent.")] = None,
    report: Annotated[bool, typer.Option("--report", help="Then write the summary of what matters.")] = False,
) -> None:
    """Run a notebook with everything that a sweep file varies, and keep it all in one table and in MLflow.

    What is finished is skipped: after Ctrl-C, a crash or a failure, the same command goes on where it was.
    """
    if workers is not None and scheduler is not None:
        raise WorkbenchError("--workers and --scheduler exclude each other; a cluster has its own workers.")
    from workbench.sweep import Options, Store, make_plan, read_sweep, run_sweep

    described = read_sweep(sweep)
    cluster = _cluster(described, workers, scheduler)
    plan = make_plan(described)
    folder = (out or project_home() / "reports" / "sweeps" / described.name).expanduser().resolve()
    if dry_run:
        _show_plan(plan, Store(folder), only or [])
        return
    options = Options(only or [], fail_fast, wait, ["workbench", *sys.argv[1:]])
    try:
        with _progress() as (tell, advance):
            done = run_sweep(plan, folder, cluster, options, advance, tell)
    except KeyboardInterrupt:
        say(f"Interrupted; what is finished is in {folder}, and the same command goes on from there.")
        raise
    _show_report(done)
    if report:
        from workbench.insight.sweep_report import report as write_summary

        typer.echo(f"Report: {write_summary(folder)}")
    failures = dict(done.failed)
    if done.trouble:
        failures["MLflow"] = f"{done.trouble} The results are in {folder}; the same command brings MLflow up to date."
    end(failures)


def _cluster(sweep: Sweep, workers: int | None, scheduler: str | None) -> ClusterConfig:
    """As many local workers as asked for, else as the file describes, else one per core."""
    from workbench.sweep import ClusterConfig, cores

    count = workers or len(sweep.workers) or cores()
    if scheduler is None and count < len(sweep.workers):
        raise WorkbenchError(
            f"Sweep file {sweep.file} describes {len(sweep.workers)} workers, got --workers {count}; "
            "ask for at least as many, or leave --workers out."
        )
    return ClusterConfig(count, scheduler, sweep.workers)


@contextmanager
def _progress() -> Iterator[tuple[Callable[[str], None], Callable[[int, int], None]]]:
    """How to tell a line and how to advance: a bar with the time that is left on a terminal, lines in a log."""
    if not sys.stderr.isatty():
        yield say, _count
        return
    from tqdm import tqdm

    with progress_bar("Ablating", "run") as advance:

        def tell(line: str) -> None:
            with tqdm.external_write_mode():
                say(line)

        yield tell, advance


def _count(done: int, total: int) -> None:
    """A line now and then."""
    if done % EVERY == 0 or done == total:
        say(f"{done} of {total} runs")


def _show_plan(plan: Plan, store: Store, only: list[str]) -> None:
    """A row per run: number, key, what is varied, what it asks for, how it ended before."""
    from rich.table import Table

    from workbench.sweep.plan import spoken

    records, runs = store.records(), plan.only(only) if only else plan.runs
    factors = [*plan.sweep.factors, *(["seed"] if plan.sweep.seeds else [])]
    states = [records[run.key].status if run.key in records else "to do" for run in runs]
    left = len(states) - states.count("finished")
    title = f"{plan.sweep.name}: {left} of {len(runs)} runs to do"
    table = Table("run", "key", *factors, "needs", "state", title=title)
    for run, state in zip(runs, states, strict=True):
        cells = [spoken(run.seed if name == "seed" else run.factors[name]) for name in factors]
        table.add_row(str(run.number), run.key, *cells, ", ".join(run.resources), state)
    show_table(table, 200)


def _show_report(done: SweepReport) -> None:
    parts = [f"{done.finished} finished", f"{done.skipped} were finished before", f"{len(done.failed)} failed"]
    typer.echo(f"{done.runs} runs: {', '.join(parts)}, in {done.wall_s:.1f} s.")
    typer.echo(f"Table:  {done.folder / 'results.csv'}")
    if done.url:
        typer.echo(f"MLflow: {done.url}   (workbench ui)")
