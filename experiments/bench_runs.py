"""How long a thousand runs take to open, and a sweep of 500 runs to sum up; each in a process of its own.

    python experiments/bench_runs.py [FOLDER]

FOLDER keeps the MLflow database of made-up runs for the next time; a temporary one if none is given.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

RUNS, SWEPT = 1000, 500
DEVICES, STEPS = 6, 50
REPEATS = 5

OPEN = """
import time; began = time.perf_counter()
from pathlib import Path
from functools import partial
from workbench.insight.panels.run_compare import RunComparePanel
from workbench.tracking import read
imported = time.perf_counter()
home = Path({home!r})
runs = read.runs(home=home)
listed = time.perf_counter()
panel = RunComparePanel(runs, partial(read.history, home=home), partial(read.table, home=home))
opened = time.perf_counter()
assert len(runs) >= {count} and not panel.message, panel.message
panel.set(contains="probes=10")
moved = time.perf_counter()
print(imported - began, listed - imported, opened - listed, moved - opened)
"""
THROUGH_MLFLOW = """
import time; began = time.perf_counter()
from pathlib import Path
from workbench.tracking import read
from mlflow import MlflowClient
imported = time.perf_counter()
read.database_of = lambda uri: None
runs = read.runs(home=Path({home!r}))
assert len(runs) >= {count}
print(imported - began, time.perf_counter() - imported)
"""
SUMMARY = """
import time; began = time.perf_counter()
from workbench.insight.sweep_report import report
from workbench.insight.sweep_summary import summarise
from workbench.insight.sweep_table import read_sweep
imported = time.perf_counter()
summary = summarise(read_sweep({folder!r}))
figures = summary.figures
summed = time.perf_counter()
report({folder!r}, pictures=False)
print(imported - began, summed - imported, time.perf_counter() - summed)
"""


def fill(home: Path) -> None:
    """Log runs until there are `RUNS`, each as a sweep's child is: 20 parameters, 15 metrics, courses, a table."""
    from workbench import tracking
    from workbench.tracking import read

    generator = np.random.default_rng(0)
    for number in range(len(read.runs(home=home)), RUNS):
        params = {"probes": 5 * (number % 4 + 1), "case": f"case {number % 6}", "seed": number // 24}
        params |= {f"parameter_{place}": place for place in range(17)}
        tags = {"sweep": "made up", "role": "child", "key": f"{number:016x}", "superseded": "false"}
        scores = generator.normal(0.9, 0.02, DEVICES)
        table = pd.DataFrame({"task": "T", "device": [f"device {i}" for i in range(DEVICES)], "spearman": scores})
        course = pd.DataFrame({"loss": np.exp(-np.arange(STEPS) / 10), "validation_loss": 1.0 / (1 + np.arange(STEPS))})
        with tracking.run("made up", f"run {number}", params, tags, home) as run:
            run.log_metrics({"spearman": scores.mean(), **{f"metric_{place}": place for place in range(12)}})
            run.log_history(course)
            run.log_table(table, "results.csv")


def sweep(folder: Path) -> Path:
    """A sweep of `SWEPT` runs as it lies in its folder: 5 x 5 x 4 levels, 5 seeds, `DEVICES` devices."""
    generator = np.random.default_rng(0)
    levels = {"case": [f"case {i}" for i in range(5)], "probes": [3, 5, 10, 15, 20], "width": [16, 32, 64, 128]}
    grid = pd.MultiIndex.from_product([*levels.values(), range(5)], names=[*levels, "seed"]).to_frame(index=False)
    assert len(grid) == SWEPT
    grid = grid.assign(key=[f"{number:016x}" for number in range(SWEPT)], run_id="", seconds=3.0)
    rows = grid.merge(pd.DataFrame({"task": "T", "device": [f"device {i}" for i in range(DEVICES)]}), how="cross")
    rows = rows.assign(**{name: generator.normal(0.9, 0.02, len(rows)) for name in ("spearman", "rae", "mdape")})
    manifest = {"name": "made up", "metric": "spearman", "direction": "maximize", "factors": list(levels)}
    manifest |= {"groups": list(levels), "levels": levels, "reference": {}, "seeds": list(range(5))}
    manifest |= {"runs": SWEPT, "finished": SWEPT, "failed": 0}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sweep.json").write_text(json.dumps(manifest))
    rows.to_parquet(folder / "results.parquet", index=False)
    return folder


def measured(program: str, **names: object) -> list[float]:
    """Medians of what the program prints, over `REPEATS` processes."""
    times = []
    for _ in range(REPEATS):
        done = subprocess.run([sys.executable, "-c", program.format(**names)], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
        times.append([float(word) for word in done.stdout.splitlines()[-1].split()])
    return np.median(times, axis=0).tolist()


def main(place: str) -> None:
    """Fill, measure, print."""
    home = Path(place)
    began = time.perf_counter()
    fill(home)
    print(f"{RUNS} runs logged in {time.perf_counter() - began:.0f} s\n")
    opened = measured(OPEN, home=str(home), count=RUNS)
    through = measured(THROUGH_MLFLOW, home=str(home), count=RUNS)
    summed = measured(SUMMARY, folder=str(sweep(home / "sweep")))
    rows = [
        (f"RunComparePanel on {RUNS:,} runs", sum(opened[:3]), "import, read, draw", opened[:3]),
        ("a search in it", opened[3], "search and list", opened[3:]),
        (f"the same {RUNS:,} runs through MLflow", sum(through), "import, read", through),
        (f"summary of {SWEPT} runs", sum(summed[:2]), "import, sum up", summed[:2]),
        ("its paper pack, without pictures", summed[2], "write", summed[2:]),
    ]
    print("| what | s | of it |\n|---|---|---|")
    for what, whole, parts, seconds in rows:
        print(f"| {what} | {whole:.2f} | {parts}: {', '.join(f'{second:.2f}' for second in seconds)} |")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(folder)
