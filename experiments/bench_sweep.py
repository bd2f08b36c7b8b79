"""What a sweep costs beyond its cells, what two workers save, and what 500 runs weigh; prints a table for the docs.

python experiments/bench_sweep.py [--runs 60] [--seconds 5] [--many 500]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import nbformat
import pandas as pd
import psutil
import yaml

PARAMETERS = "seconds = 1.0\nseed = 0"
# One core is kept busy by a fixed amount of work; what takes several threads by itself gains less from workers.
BUSY = """
value = 0
for _ in range(rounds):
    value += sum(number * number for number in range(1000))
from workbench import tracking
with tracking.run("bench", "busy") as run:
    run.log_metrics({"value": value, "spearman": seed % 7 / 7})
"""
TRIVIAL = """
from workbench import tracking
with tracking.run("bench", "trivial") as run:
    run.log_metrics({"value": float(seed), "spearman": seed % 7 / 7})
"""


class Measured(NamedTuple):
    """A command: wall seconds, mean cell seconds and overhead per run, peak resident MB of the command itself."""

    name: str
    runs: int
    workers: int
    wall_s: float
    cells_s: float
    overhead_s: float
    peak_mb: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=5.0, help="of the cells of a busy run, about")
    parser.add_argument("--many", type=int, default=500)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        rounds = round(asked.seconds / round_s())
        busy = write(home, "busy", f"rounds = {rounds}\n" + PARAMETERS, BUSY, asked.runs)
        trivial = write(home, "trivial", PARAMETERS, TRIVIAL, asked.many)
        ablate(home, write(home, "first", PARAMETERS, TRIVIAL, 1), 1)  # MLflow's database is made once
        rows = [ablate(home, busy, workers) for workers in (1, 2)]
        rows.append(ablate(home, trivial, 2))
        again = ablate(home, trivial, 2, fresh=False)
        began = time.perf_counter()
        frame = pd.read_parquet(home / "trivial-2" / "results.parquet")
        read_s = time.perf_counter() - began
    print(
        "| sweep | runs | workers | wall | cells, mean of a run | beyond them, per run | peak memory of the command |"
    )
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row.name} | {row.runs} | {row.workers} | {row.wall_s:.0f} s | {row.cells_s:.2f} s "
            f"| {row.overhead_s:.2f} s | {row.peak_mb:.0f} MB |"
        )
    print(f"\nTwo workers take {rows[1].wall_s / rows[0].wall_s:.2f} of the time of one.")
    print(f"The finished sweep of {again.runs} runs again: {again.wall_s:.1f} s; its table is read in {read_s:.2f} s.")
    print(f"{len(frame)} rows.")


def round_s() -> float:
    """Seconds of one round of `BUSY`: the best of several, since the machine may be busy."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(2000):
            sum(number * number for number in range(1000))
        times.append((time.perf_counter() - began) / 2000)
    return min(times)


def write(home: Path, name: str, parameters: str, cell: str, runs: int) -> Path:
    """A notebook and a sweep of it with ``runs`` seeds."""
    first = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    notebook = home / f"{name}.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[first, nbformat.v4.new_code_cell(cell)]), notebook)
    file = home / f"{name}.yaml"
    file.write_text(yaml.safe_dump({"notebook": notebook.name, "seeds": list(range(runs)), "metric": "spearman"}))
    return file


def ablate(home: Path, file: Path, workers: int, fresh: bool = True) -> Measured:
    """``workbench ablate`` as a process of its own, whose memory is looked at now and then."""
    out = home / f"{file.stem}-{workers}"
    argv = [sys.executable, "-c", "from workbench.cli import main; main()", "ablate", str(file), "--out", str(out)]
    env = dict(os.environ, WORKBENCH_HOME=str(home))
    env.pop("MLFLOW_TRACKING_URI", None)
    began, peak = time.perf_counter(), 0.0
    with subprocess.Popen([*argv, "--workers", str(workers)], env=env, stderr=subprocess.PIPE, text=True) as process:
        drained = threading.Thread(target=process.stderr.read, daemon=True)
        drained.start()
        while process.poll() is None:
            try:
                peak = max(peak, psutil.Process(process.pid).memory_info().rss / 1e6)
            except psutil.NoSuchProcess:
                break
            time.sleep(0.2)
    wall_s = time.perf_counter() - began
    if process.returncode:
        raise SystemExit(f"{file} ended with status {process.returncode}")
    results = pd.read_parquet(out / "results.parquet")
    cells, beyond = results["seconds"].mean(), (wall_s * workers - results["seconds"].sum()) / len(results)
    return Measured(file.stem, len(results), workers, wall_s, cells, beyond if fresh else 0.0, peak)


if __name__ == "__main__":
    main()
