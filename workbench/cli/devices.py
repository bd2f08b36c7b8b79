"""``workbench devices``: what devices are like, by their cards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.common import show_table
from workbench.config import WorkbenchError, lookup

if TYPE_CHECKING:
    from workbench.devices.device import DeviceCard

app = typer.Typer(
    name="devices",
    help="What devices are like: list, show, compare and check their cards.",
    no_args_is_help=True,
)

DataFolders = Annotated[
    list[Path] | None,
    typer.Option("--data", help="Folder with a devices.yaml; repeatable. Otherwise WORKBENCH_DATA, separated by ':'."),
]


RIDGE = "ridge: operations per byte above which the arithmetic is the limit, below it the memory"
COLUMNS = {
    "hardware": False,
    "as": False,
    "family": False,
    "peak": True,
    "memory GB/s": True,
    "ridge": True,
    "L1 KiB": True,
    "L2 KiB": True,
    "L3 MiB": True,
    "checked": True,
}


@app.command(name="list")
def list_devices(
    family: Annotated[str | None, typer.Option(help="Only this family, such as server-gpu.")] = None,
    measured: Annotated[bool, typer.Option("--measured", help="Only those of the data folders.")] = False,
    data: DataFolders = None,
) -> None:
    """List the hardware of the catalog, and what was measured in the data folders."""
    from rich.table import Table

    from workbench.devices.catalog import by_hardware
    from workbench.insight.labels import plural

    catalogued, own = _catalog_and_own(data)
    cards = own if measured else {**catalogued, **own}
    if family is not None:
        families = {card.family: None for card in cards.values() if card.family}
        lookup("family", families, family)
    groups = [group for group in by_hardware(cards.values()) if family in (None, group[0].family)]
    title = f"{plural(sum(map(len, groups)), 'device')}, by hardware and figures"
    table = Table(title=title, caption=RIDGE)
    for heading, numeric in COLUMNS.items():
        table.add_column(heading, justify="right" if numeric else "left", no_wrap=True)
    for group in groups:
        table.add_row(*_line(group, own))
    show_table(table, 220)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Device or hardware, as `workbench devices list` names it.")],
    data: DataFolders = None,
) -> None:
    """Show every figure of a device with its unit and its source, and what is not known."""
    from rich.table import Table

    from workbench.devices.device import CAPABILITY_FIELDS
    from workbench.insight.comparison import shown
    from workbench.insight.labels import split_unit, spoken

    cards = _all_cards(data)
    card = _find(name, cards)
    run = [f"{word} {value}" for word, value in _how_it_ran(card) if value is not None and name == card.name]
    title = ", ".join(filter(None, [name, card.family, *run]))
    table = Table("figure", "value", "unit", "source", title=title)
    for field in CAPABILITY_FIELDS:
        if getattr(card, field) is not None:
            source = card.source_of(field) or "no source"
            table.add_row(spoken(field), shown(getattr(card, field)), split_unit(field)[1], source)
    show_table(table, 150)
    unknown = [spoken(field) for field in CAPABILITY_FIELDS if getattr(card, field) is None]
    typer.echo(f"Unknown: {', '.join(unknown)}." if unknown else "Nothing is unknown.")
    same = [other.name for other in cards.values() if card.hardware and other.hardware == card.hardware]
    typer.echo(f"Hardware: {card.hardware}; as {', '.join(same)}." if card.hardware else "Hardware: not stated.")


@app.command()
def compare(
    names: Annotated[list[str], typer.Argument(help="Devices or hardware; ratios are to the first.")],
    out: Annotated[Path | None, typer.Option(help="A page with the rooflines too, one HTML file.")] = None,
    data: DataFolders = None,
) -> None:
    """Compare devices: their figures, and with --out their rooflines."""
    from rich.table import Table

    from workbench.insight.comparison import figures_of, with_ratios, write_comparison

    cards = _all_cards(data)
    chosen = {name: _find(name, cards) for name in names}
    compared = with_ratios(figures_of(chosen))
    table = Table("figure", "unit", *chosen, title=f"In brackets: times the figure of {names[0]}")
    for row in compared.itertuples(index=False):
        table.add_row(*(cell if isinstance(cell, str) else "unknown" for cell in row))
    show_table(table, 220)
    if out is not None:
        typer.echo(f"Page: {write_comparison(out, chosen)}")


@app.command()
def check(
    file: Annotated[Path | None, typer.Argument(help="A devices.yaml; the bundled catalog if absent.")] = None,
) -> None:
    """Check cards: unknown fields, figures without a source, figures that cannot be right. Status 1 if any is found."""
    from workbench.devices.catalog import CATALOG
    from workbench.devices.catalog import check as mistakes_in

    found = mistakes_in(file or CATALOG)
    for sentence in found:
        typer.echo(f"workbench: {sentence}", err=True)
    if found:
        raise typer.Exit(1)
    typer.echo(f"{file or 'The catalog'}: no mistake found.")


def _catalog_and_own(data: Sequence[Path] | None) -> tuple[dict[str, DeviceCard], dict[str, DeviceCard]]:
    """The catalog's cards, and those of the data folders, of which the first that names a device counts."""
    from workbench.data.sources import data_folders
    from workbench.devices.device import catalog, read_cards

    files = [folder / "devices.yaml" for folder in reversed(data_folders(data or []))]
    own = {name: card for file in files if file.is_file() for name, card in read_cards(file).items()}
    return catalog(), own


def _all_cards(data: Sequence[Path] | None) -> dict[str, DeviceCard]:
    catalogued, own = _catalog_and_own(data)
    return {**catalogued, **own}


def _find(name: str, cards: dict[str, DeviceCard]) -> DeviceCard:
    """The device of that name, else the first device on the hardware of that name."""
    by_hardware = {card.hardware: card for card in reversed(cards.values()) if card.hardware}
    known = {**by_hardware, **cards}
    like = [other for other in known if name.lower() in other.lower()][:4]
    if name not in known and like:
        meant = " or ".join(f"'{other}'" for other in like)
        raise WorkbenchError(f"Unknown device '{name}'; did you mean {meant}? See `workbench devices list`.")
    return lookup("device", known, name)


def _how_it_ran(card: DeviceCard) -> list[tuple[str, object]]:
    return [("batch", card.batch_size), ("in", card.precision), ("by", card.runtime), ("threads", card.threads)]


def _line(group: Sequence[DeviceCard], own: dict[str, DeviceCard]) -> list[str]:
    """One row of the list: devices of one hardware, whose figures are the same."""
    from workbench.devices.catalog import peak, roof
    from workbench.devices.device import CAPABILITY_FIELDS, NOT_CHECKED
    from workbench.insight.comparison import shown
    from workbench.insight.labels import quantity

    card = group[0]
    names = [other.name for other in group if other.name != card.hardware]
    best, drawn = peak(card), roof(card)
    sources = [card.source_of(field) or NOT_CHECKED for field in CAPABILITY_FIELDS if getattr(card, field) is not None]
    seen = sum(not source.startswith(NOT_CHECKED) for source in sources)
    ridge = None if drawn is None else float(f"{drawn.ridge:.3g}")
    figures = [card.memory_bandwidth_gbps, ridge, card.l1_kib, card.l2_kib, card.l3_mib]
    return [
        card.hardware or card.name,
        "".join(names[:1]) + (f" +{len(names) - 1}" if len(names) > 1 else ""),
        card.family or "",
        "" if best is None else f"{quantity(1e9 * best[0], 'OP/s' if best[1] == 'int8' else 'FLOP/s')} {best[1]}",
        *("" if figure is None else shown(figure) for figure in figures),
        "measured" if card.name in own else f"{seen} of {len(sources)}",
    ]
