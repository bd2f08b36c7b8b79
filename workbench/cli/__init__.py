"""The command line: parse, call, print. Nothing imports it; each command imports what it needs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from workbench import __version__
from workbench.cli import data, devices, probepack, tasks
from workbench.cli.ablate import ablate
from workbench.cli.common import OutFolder, complain, say
from workbench.cli.evaluate import evaluate
from workbench.cli.predict import predict
from workbench.cli.profile import profile
from workbench.cli.selfcheck import selfcheck
from workbench.config import WorkbenchError

app = typer.Typer(
    name="workbench",
    help="Predict how long neural networks take on any device, from a few measurements, and see why.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command()(evaluate)
app.command()(ablate)
app.command()(profile)
app.command()(predict)
app.command()(selfcheck)
app.add_typer(data.app)
app.add_typer(devices.app)
app.add_typer(probepack.app)
app.add_typer(tasks.app)


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
def ui(port: Annotated[int, typer.Option(help="Where it answers on 127.0.0.1.")] = 5000) -> None:
    """Show the runs in MLflow."""
    from workbench.servers import serve_ui
    from workbench.tracking import UI_VIEW

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


@app.command()
def gallery(
    out: OutFolder = Path("reports/gallery"),
    smoke: Annotated[bool, typer.Option("--smoke", help="Tiny runs, to see that everything works.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="Beginning of a notebook's name; repeatable.")] = None,
) -> None:
    """Run the notebooks and render them as a small website that works offline."""
    from workbench.gallery import gallery as make_gallery
    from workbench.tracking import project_home

    found = sorted((project_home() / "notebooks").glob("[0-9]*.ipynb"))
    chosen = [path for path in found if not only or path.name.startswith(tuple(only))]
    index = make_gallery(chosen, out.expanduser().resolve(), smoke)
    typer.echo(f"Gallery: {index}")


@app.command("app")
def app_(
    port: Annotated[int, typer.Option(help="Where it answers on 127.0.0.1.")] = 8866,
    browser: Annotated[bool, typer.Option(help="Open a browser window.")] = True,
) -> None:
    """Serve notebooks as apps: their texts, panels and figures, without the code."""
    from workbench.servers import serve_app
    from workbench.tracking import project_home

    server = serve_app(project_home() / "notebooks", port, browser=browser)
    say(f"The apps will answer at {server.url} in some seconds; Ctrl-C stops it.")
    _become(server.argv, server.env)


def _become(argv: Sequence[str], env: Mapping[str, str]) -> None:
    """Turn into the server, so that signals and Ctrl-C reach it and nothing else."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(argv[0], list(argv), dict(env))
