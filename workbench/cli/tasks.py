"""``workbench tasks``: the task file of a whole study."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.common import DataFolders, say

if TYPE_CHECKING:
    from workbench.data.studies import Study

app = typer.Typer(
    name="tasks",
    help="Write the task file of a study, for 'workbench evaluate --tasks'.",
    no_args_is_help=True,
)

Space = Annotated[str, typer.Option(help="Search space, whose devices are those of the data folders.")]
Out = Annotated[Path, typer.Option(help="The task file, JSON.")]
Samples = Annotated[int, typer.Option(help="Architectures known of each source device.", min=2)]


@app.command()
def leave_one_device_out(space: Space, out: Out, data: DataFolders = None, source_samples: Samples = 900) -> None:
    """One task per piece of hardware: its devices are predicted from all devices on other hardware."""
    from workbench.data.studies import devices_table, leave_one_device_out

    _write(leave_one_device_out(devices_table(space, data or []), source_samples), out, data or [])


@app.command()
def leave_one_family_out(space: Space, out: Out, data: DataFolders = None, source_samples: Samples = 900) -> None:
    """One task per family of devices: no GPU was seen, no phone was seen, ..."""
    from workbench.data.studies import devices_table, leave_one_family_out

    _write(leave_one_family_out(devices_table(space, data or []), source_samples), out, data or [])


@app.command()
def cross_space(
    space: Space,
    source_space: Annotated[list[str], typer.Option(help="Space that the source devices are known from; repeatable.")],
    out: Out,
    data: DataFolders = None,
    source_samples: Samples = 900,
) -> None:
    """One task per piece of hardware: sources are other hardware, measured on networks of other spaces only."""
    from workbench.data.studies import cross_space, devices_table

    elsewhere = [devices_table(other, data or []) for other in dict.fromkeys(source_space)]
    _write(cross_space(devices_table(space, data or []), elsewhere, source_samples), out, data or [])


def _write(study: Study, out: Path, data: Sequence[Path]) -> None:
    from workbench.data.tasks import write_tasks

    write_tasks(out, study.tasks)
    for task in study.tasks:
        typer.echo(f"{task.name}: {_count(task.source, 'source')}, {_count(task.target, 'target')}")
    for note in study.notes:
        say(f"Note: {note}")
    folders = [word for folder in data for word in ("--data", str(folder))]
    command = ["workbench", "evaluate", "--tasks", str(out), *folders, "--out", "results.json"]
    typer.echo(f"Tasks: {out}\nNext:  {shlex.join(command)}")


def _count(devices: Sequence[str], kind: str) -> str:
    return f"{len(devices)} {kind}{'s' if len(devices) != 1 else ''}"
