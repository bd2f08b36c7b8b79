"""Makes `workbench/data/bundled` of campaigns: the tables as they are, rows in the order of the draw.

    python experiments/make_bundled.py CAMPAIGN_FOLDER [CAMPAIGN_FOLDER ...]

The campaigns are those of the data card (`workbench profile --archs N`, so the networks are the first N of a seeded
draw). The table's last rows are held out of the quick start's training: in that order they are a random sample. A
campaign in a further folder may have measured only some of the networks, on other platforms or another machine; columns
of which most stayed in quarantine are left out.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from workbench.config import WorkbenchError, write_atomically
from workbench.data.sources import BUNDLED
from workbench.devices.device import read_cards, write_cards
from workbench.profiling.reduce import tables_in
from workbench.spaces import SPACES, get_space

DOUBTED = 0.5  # share of a column in quarantine beyond which it is left out


def make(folders: list[Path], out: Path) -> None:
    """Write tables, cards, summaries and the fingerprints of the campaigns in ``folders`` to ``out``."""
    cards, summaries, conditions = {}, [], {}
    for space in SPACES:
        found = [files for files in (tables_in(folder, space) for folder in folders) if files.latencies.is_file()]
        tables = []
        for files in found:
            summary = pd.read_parquet(files.summary)
            table, summary = trusted(pd.read_parquet(files.latencies).set_index("arch"), summary)
            tables.append(table if tables else in_order_of_the_draw(table, space))
            summaries.append(summary.assign(space=space))
            cards |= {name: card for name, card in read_cards(files.cards).items() if name in table}
            conditions.setdefault(space, []).append(json.loads(files.conditions.read_text()))
            print(f"{space}: {len(table)} networks on {table.shape[1]} platforms from {files.latencies.parent.name}")
        if tables:
            joined = pd.concat([table.reindex(tables[0].index) for table in tables], axis=1).reset_index()
            write_atomically(out / f"{space}.parquet", lambda path, joined=joined: write(joined, path))
    if not summaries:
        raise WorkbenchError(f"There is no finished campaign in {', '.join(map(str, folders))}; give its --out folder.")
    write_cards(out / "devices.yaml", cards)
    write_atomically(out / "raw_summary.parquet", lambda path: write(pd.concat(summaries, ignore_index=True), path))
    text = json.dumps(conditions, indent=1)
    write_atomically(out / "conditions.json", lambda path: path.write_text(text, encoding="utf-8"))


def trusted(table: pd.DataFrame, summary: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both without the columns of which more than `DOUBTED` stayed in quarantine."""
    doubted = summary.groupby("platform")["quarantined"].mean()
    for name in (left_out := list(doubted.index[doubted > DOUBTED])):
        print(f"left out: {name}, {doubted[name]:.0%} in quarantine")
    return table.drop(columns=left_out), summary[~summary["platform"].isin(left_out)]


def in_order_of_the_draw(table: pd.DataFrame, space: str) -> pd.DataFrame:
    """``table`` with its rows as `workbench profile --archs` drew them."""
    drawn = get_space(space).sample(len(table), np.random.default_rng(0))
    if set(drawn) != set(table.index):
        raise WorkbenchError(f"{space} expects the first {len(table)} networks of the draw; measure with --archs.")
    return table.loc[drawn]


def write(frame: pd.DataFrame, path: Path) -> None:
    frame.to_parquet(path, index=False, compression="zstd")


if __name__ == "__main__":
    try:
        make([Path(name) for name in sys.argv[1:]], BUNDLED)
    except WorkbenchError as error:
        sys.exit(str(error))
