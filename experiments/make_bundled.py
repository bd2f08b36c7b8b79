"""Makes `workbench/data/bundled` of finished campaigns: the tables as they are, rows in the order of the draw.

    python experiments/make_bundled.py CAMPAIGN_FOLDER [CAMPAIGN_FOLDER ...]

The campaigns are those of the data card (`workbench profile --archs N`, so the networks are the first N of a seeded
draw). The table's last rows are held out of the quick start's training: in that order they are a random sample.
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


def make(folders: list[Path], out: Path) -> None:
    """Write tables, cards, summaries and the fingerprint of the campaigns in ``folders`` to ``out``."""
    cards, summaries, conditions = {}, [], {}
    for folder in folders:
        for space in SPACES:
            files = tables_in(folder, space)
            if not files.latencies.is_file():
                continue
            table = in_order_of_the_draw(pd.read_parquet(files.latencies).set_index("arch"), space)
            write_atomically(out / f"{space}.parquet", lambda path, table=table: write(table.reset_index(), path))
            summaries.append(pd.read_parquet(files.summary).assign(space=space))
            cards |= read_cards(files.cards)
            conditions[space] = json.loads(files.conditions.read_text())
            gaps = f"{table.isna().mean().mean():.2%} missing"
            print(f"{space}: {len(table)} networks on {table.shape[1]} platforms, {gaps}")
    if not summaries:
        raise WorkbenchError(f"There is no finished campaign in {', '.join(map(str, folders))}; give its --out folder.")
    write_cards(out / "devices.yaml", cards)
    write_atomically(out / "raw_summary.parquet", lambda path: write(pd.concat(summaries, ignore_index=True), path))
    text = json.dumps(conditions, indent=1)
    write_atomically(out / "conditions.json", lambda path: path.write_text(text, encoding="utf-8"))


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
