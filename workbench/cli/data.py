"""``workbench data``: tables that others published, and how good a table is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.common import networks, progress_bar, show_table
from workbench.config import WorkbenchError

if TYPE_CHECKING:
    from rich.table import Table

    from workbench.describe.table_check import TableCheck

app = typer.Typer(
    name="data",
    help="Latency tables: import what others published, check how good a table is.",
    no_args_is_help=True,
)

UNIT = "Of the latencies: ms, s or us. Needed for csv and parquet; the other formats state theirs."
CEILING = (
    "nearest: the device with the most similar ranking. ceiling: Spearman (RAE) of a linear model, fitted on 80 % of a "
    "device's networks, on the others: what noise leaves, or less where a device is not linear."
)


@app.command(name="import")
def import_tables(
    kind: Annotated[str, typer.Argument(help="help, eagle, hw_nas_bench, csv or parquet.", show_default=False)],
    path: Annotated[Path, typer.Argument(help="A checkout, folder or file of that format.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Folder for the tables; what it holds is kept.")],
    space: Annotated[
        str | None, typer.Option(help="Search space, where the files do not say it; or only this.")
    ] = None,
    unit: Annotated[str | None, typer.Option(help=UNIT)] = None,
    archs: Annotated[
        Path | None, typer.Option(help="File with one network (arch) per line, in order, where the files name none.")
    ] = None,
    device: Annotated[list[str] | None, typer.Option(help="Only this device; repeatable.")] = None,
) -> None:
    """Turn latencies that others published into tables of ours.

    help: a checkout of github.com/HayeonLee/HELP (ms).

    eagle: latency pickles of github.com/SamsungLabs/eagle, a file or a folder (s).

    hw_nas_bench: HW-NAS-Bench-v1_0.pickle of github.com/GATECH-EIC/HW-NAS-Bench (ms): NAS-Bench-201 on CIFAR-10, or
    with --archs the FBNet networks named there.

    csv, parquet: a column arch and one per device. An empty cell is not measured. Give --space unless the file is
    called SPACE.csv or SPACE.parquet.

    Pickles are read without running what they name. Further devices and networks join the tables in --out; a device
    that is there with other latencies is refused.
    """
    from workbench.data.published import Options, import_published
    from workbench.insight.labels import plural

    given = None if archs is None else tuple(networks(space or "", None, archs))
    options = Options(space, unit, given, tuple(device or ()))
    with progress_bar("Reading", "device") as show:
        imported = import_published(kind, path, out, options, show)
    for table in imported:
        there = f"{plural(len(table.read.archs), 'network')} on {plural(len(table.read.devices), 'device')}"
        latencies = int(table.read.frame.notna().to_numpy().sum())
        typer.echo(f"{table.read.space}: {there}, {latencies:,} latencies, {table.added:,} of them new; {table.path}")


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(help="Folder with latency tables, SPACE.parquet.", show_default=False)],
) -> None:
    """Describe the tables of a folder: defects, devices that are alike, and what a model reaches in spite of noise."""
    from workbench.data.table import read_frame
    from workbench.describe.table_check import check_table
    from workbench.spaces import SPACES

    files = {space: folder / f"{space}.parquet" for space in SPACES if (folder / f"{space}.parquet").is_file()}
    if not files:
        raise WorkbenchError(f"{folder} expects a latency table such as {next(iter(SPACES))}.parquet, found none.")
    frames = {space: read_frame(file) for space, file in files.items()}
    checks = []
    with progress_bar("Checking", "table") as show:
        for space, frame in frames.items():
            checks.append(check_table(space, frame))
            show(len(checks), len(frames))
    for found in checks:
        show_table(_as_table(found), 150)
        for sentence in found.findings():
            typer.echo(f"- {sentence}")


def _as_table(found: TableCheck) -> Table:
    from rich.table import Table

    from workbench.insight.labels import plural

    title = f"{found.space}: {plural(found.rows, 'row')}, {plural(len(found.devices), 'device')}"
    table = Table(title=title, caption=CEILING)
    for heading in ("device", "missing", "smallest ms", "median ms", "largest ms", "nearest", "Spearman", "ceiling"):
        table.add_column(heading, justify="left" if heading in ("device", "nearest") else "right", no_wrap=True)
    for device in found.devices:
        sizes = (device.smallest_ms, device.median_ms, device.largest_ms)
        ceiling = device.ceiling
        table.add_row(
            device.device,
            f"{found.missing_share(device):.1%}",
            *("" if size != size else f"{size:.4g}" for size in sizes),
            device.nearest or "",
            f"{device.nearest_spearman:.3f}" if device.nearest else "",
            f"{ceiling.spearman:.3f} ({ceiling.rae:.3f})" if ceiling else "",
        )
    return table
