"""``workbench probepack``: networks for a colleague to measure, and what comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.common import Archs, Probes, Space, end, networks, progress_bar, say

app = typer.Typer(
    name="probepack",
    help="Have networks measured on a machine with nothing but Python and ONNX Runtime.",
    no_args_is_help=True,
)


@app.command()
def make(
    out: Annotated[Path, typer.Option(help="The pack, a zip that does not exist yet.")],
    space: Space = "nasbench201",
    archs: Archs = None,
    probes: Probes = None,
    batch: Annotated[int, typer.Option(help="Images per inference.", min=1)] = 1,
    threads: Annotated[list[int] | None, typer.Option(help="Threads to measure with; repeatable. 1 if absent.")] = None,
) -> None:
    """Write networks (20 if no number is given), and all that is needed to measure them, to one zip."""
    from workbench.profiling.probepack.make import make_pack
    from workbench.spaces import get_space

    chosen = get_space(space)
    wanted = networks(space, archs, probes, usual=20)
    with progress_bar("Packing", "network") as show:
        made = make_pack(chosen, wanted, out, batch, threads or [1], progress=show)
    typer.echo(
        f"{made.path}: networks {made.networks}, references {made.references}, {made.bytes / 1e6:.1f} MB.\n"
        f"There:  python -m pip install onnxruntime && python {made.path.name} --out result.json\n"
        f"Here:   workbench probepack read result.json --pack {made.path} --device NAME --out DIR"
    )


@app.command()
def read(
    result: Annotated[Path, typer.Argument(help="The JSON file that was sent back.")],
    pack: Annotated[Path, typer.Option(help="The pack that was sent out.")],
    device: Annotated[str, typer.Option(help="Name of that machine in the table's columns.")],
    out: Annotated[Path, typer.Option(help="Folder for the table and the card.")],
) -> None:
    """Check what was sent back and turn it into a latency table and a device card."""
    from workbench.profiling.probepack.read import receive

    received = receive(result, pack, device, out)
    table = received.reduced.table
    hardware = next(iter(received.cards.values())).hardware or "unknown hardware"
    typer.echo(
        f"{len(table)} networks measured on {device} ({hardware}), {len(received.failures)} failed; references "
        f"drifted by at most {received.drift:.1%}; table: {received.table_path}"
    )
    for sentence in received.warnings:
        say(f"Note: {sentence}")
    end({f"{column} {arch}": reason for (column, arch), reason in received.failures.items()})
