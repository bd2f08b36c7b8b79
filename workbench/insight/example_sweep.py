"""A tiny sweep for where nothing has been run yet: probe selectors and the floors, on measurements that are at hand.

Its numbers are real, its scale is not: they say that everything works, and little about selectors.
"""

from __future__ import annotations

import hashlib
import json
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from workbench import __version__
from workbench.config import WorkbenchError, write_atomically
from workbench.insight.sweep_table import MANIFEST, RESULTS

if TYPE_CHECKING:
    from workbench.insight.quickstart import Tracker

NAME = "example"
SELECTORS, METHODS = ("balanced", "random"), ("linear", "nearest", "flops")
PROBES = (3, 6, 10)  # numbers of measurements; the last one is compared, all are the steps of a course
SAMPLES = 120  # networks to learn from
MOST_DEVICES = 8


class ExampleRun(NamedTuple):
    """One run: a selector, a method and a seed.

    Args:
        selector, method, seed: what it is.
        results: one row per task and device, with the last of `PROBES`.
        history: metrics by number of measurements.
        seconds: that it took.
    """

    selector: str
    method: str
    seed: int
    results: pd.DataFrame
    history: pd.DataFrame
    seconds: float

    @property
    def name(self) -> str:
        """What a list of runs shows."""
        return f"{self.selector}, {self.method}, seed {self.seed}"

    @property
    def key(self) -> str:
        """What identifies it."""
        return hashlib.sha256(self.name.encode()).hexdigest()[:16]

    @property
    def params(self) -> dict[str, object]:
        """What decided it."""
        return {"selector": self.selector, "method": self.method, "seed": self.seed, "samples": SAMPLES}

    @property
    def tags(self) -> dict[str, str]:
        """To filter by."""
        return {"sweep": NAME, "key": self.key, "seed": str(self.seed)}

    def keep(self, run: Tracker) -> None:
        """Log its course over the number of measurements, and its table of results."""
        run.log_history(self.history)
        run.log_table(self.results, "results.csv")


def example_runs(
    data: Sequence[str | Path] = (), seeds: Sequence[int] = (0, 1), progress: Callable[[int, int], None] | None = None
) -> Iterator[ExampleRun]:
    """Run it: every selector and seed, with every method on the same probes.

    Args:
        data: folders of latency tables, see `load_table`.
        seeds: each draws other networks to learn from.
        progress: called with the numbers of finished and of all evaluations.

    Raises:
        WorkbenchError: less than two devices, or an evaluation that fails.
    """
    from workbench.data.sources import load_table
    from workbench.data.tasks import Task, write_tasks
    from workbench.evaluation import METRICS, evaluate

    space = "nasbench201"
    devices = tuple(load_table(space, None, data).frame.columns)[:MOST_DEVICES]
    if len(devices) < 2:
        raise WorkbenchError(
            f"An example expects two measured devices, got {len(devices)}; give folders with more of them."
        )
    sides = devices[::2], devices[1::2]
    pairs = (("forth", *sides), ("back", *reversed(sides)))
    tasks = [Task(name, space, source, target, SAMPLES) for name, source, target in pairs]
    with tempfile.TemporaryDirectory() as folder:
        file = write_tasks(Path(folder) / "tasks.json", tasks)
        for done, selector in enumerate(SELECTORS):
            began = time.perf_counter()
            found = evaluate(file, data, None, METHODS, PROBES, selector, seeds, predictions=False)
            seconds = (time.perf_counter() - began) / (len(METHODS) * len(seeds))
            for failure in found.failures.values():
                raise WorkbenchError(f"The example could not be run: {failure}")
            rows = pd.DataFrame(found.results)
            for (method, seed), own in rows.groupby(["method", "seed"], sort=False):
                course = own.groupby("probes")[list(METRICS)].mean().rename_axis("step").reset_index()
                last = own[own["probes"] == PROBES[-1]].drop(columns=["probes", "seed", "selector", "method"])
                yield ExampleRun(selector, method, int(seed), last.reset_index(drop=True), course, seconds)
            if progress:
                progress(done + 1, len(SELECTORS))


def save(runs: Sequence[ExampleRun], folder: str | Path) -> Path:
    """Write ``runs`` as a sweep leaves its results, into ``folder``; returns it."""
    folder = Path(folder)
    about = [
        {"key": run.key, "run_id": "", "selector": run.selector, "method": run.method, "seed": run.seed} for run in runs
    ]
    parts = [run.results.assign(**told, seconds=run.seconds) for run, told in zip(runs, about, strict=True)]
    rows = pd.concat(parts, ignore_index=True)[[*about[0], *runs[0].results.columns, "seconds"]]
    manifest = {
        "name": NAME,
        "notebook": "notebooks/80_compare_runs.ipynb",
        "command": ["jupyter", "execute", "notebooks/80_compare_runs.ipynb"],
        "metric": "spearman",
        "direction": "maximize",
        "factors": ["selector", "method"],
        "levels": {"selector": list(SELECTORS), "method": list(METHODS)},
        "reference": {},
        "groups": ["selector", "method"],
        "seeds": sorted({run.seed for run in runs}),
        "parameters": {"samples": SAMPLES, "probes": PROBES[-1]},
        "runs": len(runs),
        "finished": len(runs),
        "failed": 0,
        "versions": {"python": platform.python_version(), "workbench": __version__},
    }
    write_atomically(folder / RESULTS, lambda path: rows.to_parquet(path, index=False))
    write_atomically(folder / MANIFEST, lambda path: path.write_text(json.dumps(manifest, indent=1), encoding="utf-8"))
    return folder
