"""Latencies that others published, as tables of ours: one file per format, all in `READERS`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from workbench.config import WorkbenchError, lookup
from workbench.data.published.eagle import read_eagle
from workbench.data.published.help import read_help
from workbench.data.published.hw_nas_bench import read_hw_nas_bench
from workbench.data.published.join import add_cards, alone_in, join
from workbench.data.published.plain import read_csv, read_parquet
from workbench.data.published.reader import Options, Progress, Reader
from workbench.data.table import LatencyTable
from workbench.profiling.reduce import tables_in

READERS: Mapping[str, Reader] = {
    "help": read_help,
    "eagle": read_eagle,
    "hw_nas_bench": read_hw_nas_bench,
    "csv": read_csv,
    "parquet": read_parquet,
}


class Imported(NamedTuple):
    """One table that was imported.

    Args:
        path: the file ``<space>.parquet``.
        read: what the published files hold.
        table: what ``path`` now holds, with what was there before.
        added: how many latencies are new in it.
    """

    path: Path
    read: LatencyTable
    table: LatencyTable
    added: int


def import_published(
    kind: str,
    path: str | Path,
    out: str | Path,
    options: Options | None = None,
    progress: Progress | None = None,
) -> list[Imported]:
    """Read ``path`` and write it as ``<space>.parquet`` (and ``devices.yaml``) into ``out``.

    What ``out`` already holds is kept: further devices and networks are added, and a device that is there with other
    latencies is refused. Everything is checked before anything is written; each file is written whole or not at all.

    Args:
        kind: key of `READERS`.
        path: file or folder of that format.
        out: folder for the tables; made if it is not there.
        options: what the files do not say themselves.
        progress: called with the number of devices read and that of all.

    Example: ``import_published("csv", "phone.csv", "my_data", Options(space="fbnet", unit="us"))``.

    Raises:
        WorkbenchError: an unknown kind, files that are not of it, a latency or arch that is none, a unit that nobody
            stated, or other latencies in ``out``.
    """
    reader = lookup("published format", READERS, kind)
    path, out = Path(path), Path(out)
    if not path.exists():
        raise WorkbenchError(f"There is no {path}; name the file or folder of the {kind} format.")
    try:
        tables = reader(path, options or Options(), progress)
    except OSError as error:
        raise WorkbenchError(f"Cannot read {path} ({error.strerror or error}); check the path.") from error
    with alone_in(out):
        joined = [join(table, out) for table in tables]
        # First: it refuses if the cards that are there cannot be read.
        add_cards({name: card for table in tables for name, card in table.cards.items()}, out)
        paths = [
            whole.table.write(out) if whole.added else tables_in(out, whole.table.space).latencies for whole in joined
        ]
    return [
        Imported(file, read, whole.table, whole.added) for file, read, whole in zip(paths, tables, joined, strict=True)
    ]
