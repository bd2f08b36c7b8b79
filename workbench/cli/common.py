"""What several commands need: options, lists of networks, sentences on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.config import WorkbenchError

if TYPE_CHECKING:
    from rich.table import Table

OutFolder = Annotated[Path, typer.Option("--out", help="Folder for what is made.")]
DataFolders = Annotated[
    list[Path] | None,
    typer.Option("--data", help="Folder of latency tables; repeatable. Otherwise WORKBENCH_DATA, separated by ':'."),
]
Space = Annotated[str, typer.Option(help="Search space.")]
Archs = Annotated[int | None, typer.Option(help="How many networks to draw at random.", min=1)]
Probes = Annotated[Path | None, typer.Option(help="File with one network (arch) per line.")]


def networks(space: str, count: int | None, file: Path | None, usual: int = 100) -> list[str]:
    """The networks to measure: those in ``file``, else ``count`` (or ``usual``) drawn with a fixed seed."""
    import numpy as np

    from workbench.spaces import get_space

    if file is None:
        return get_space(space).sample(usual if count is None else count, np.random.default_rng(0))
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


def say(sentence: str) -> None:
    """On standard error, so that standard output holds results only."""
    typer.echo(sentence, err=True)


def complain(sentence: str) -> None:
    """Say what went wrong."""
    say(f"workbench: {sentence}")


def end(failures: Mapping[str, str]) -> None:
    """One sentence per failed task and status 1; nothing if every task ran."""
    for task, sentence in failures.items():
        complain(f"{task}: {sentence}")
    if failures:
        raise typer.Exit(1)


def show_table(table: Table, most: int) -> None:
    """Print ``table`` as wide as it needs, up to ``most`` characters, even where the terminal is narrower."""
    from rich.console import Console

    plain = {"markup": False, "emoji": False, "highlight": False}  # names and sources are text, brackets and all
    console = Console(**plain)
    console.width = max(console.width, Console(width=most, **plain).measure(table).maximum)
    console.print(table)


@contextmanager
def progress_bar(label: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error, unless all is over in a moment; call what it gives with the steps done and all."""
    from tqdm import tqdm

    with tqdm(unit=unit, desc=label, delay=0.2) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show
