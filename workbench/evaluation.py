"""Evaluation: metrics, and transfer tasks run under the ledger's rules."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from workbench.config import WorkbenchError, lookup
from workbench.data.networks import Networks, encode
from workbench.data.sources import data_folders, load_table
from workbench.data.table import LatencyTable
from workbench.data.tasks import Ledger, Split, Task, read_tasks
from workbench.describe.dbsel import SELECTORS
from workbench.describe.design import build_design
from workbench.predictor.baselines import FLOORS
from workbench.predictor.method import Estimate, Probed, Sources
from workbench.training.transfer import DEFAULT_SELECTOR, METHODS, choose_probes

METRICS = ("spearman", "kendall", "rae", "mape", "mdape", "acc5", "acc10", "coverage90", "width90")


def score(actual_ms: np.ndarray, estimate: Estimate) -> dict[str, float]:
    """`METRICS` of an estimate against `n` measured latencies.

    ``rae`` is sum|y - p| / sum|y - mean(y)|; ``acc10`` the share within 10 %; ``coverage90`` the share of latencies
    inside the interval and ``width90`` its median width relative to the prediction. A rank correlation with a constant
    is undefined and given as 0: a constant ranks nothing.
    """
    error = np.abs(actual_ms - estimate.ms)
    relative = error / actual_ms
    inside = (estimate.low_ms <= actual_ms) & (actual_ms <= estimate.high_ms)
    spread = np.abs(actual_ms - actual_ms.mean()).sum()
    return {
        "spearman": _rank_correlation(stats.spearmanr, actual_ms, estimate.ms),
        "kendall": _rank_correlation(stats.kendalltau, actual_ms, estimate.ms),
        "rae": float(error.sum() / spread) if spread > 0 else float("nan"),
        "mape": float(relative.mean()),
        "mdape": float(np.median(relative)),
        "acc5": float((relative <= 0.05).mean()),
        "acc10": float((relative <= 0.10).mean()),
        "coverage90": float(inside.mean()),
        "width90": float(np.median((estimate.high_ms - estimate.low_ms) / estimate.ms)),
    }


def _rank_correlation(statistic: Callable[..., Any], actual: np.ndarray, predicted: np.ndarray) -> float:
    if np.ptp(actual) == 0 or np.ptp(predicted) == 0:
        return 0.0
    return float(statistic(actual, predicted).statistic)


@dataclass
class EvaluationResult:
    """What an evaluation gives back.

    Args:
        results: one record per task, target device and seed, with the fields of DESIGN section 5.
        floors: records of the same fields for every floor, with the same probes.
        predictions: ``task, device, arch, role (probe|test), predicted_ms, low_ms, high_ms`` (and ``seed``).
        failures: task name to the reason why it did not run.
        notes: things to know about the splits, such as shared hardware.
    """

    results: list[dict[str, Any]] = field(default_factory=list)
    floors: list[dict[str, Any]] = field(default_factory=list)
    predictions: pd.DataFrame = field(default_factory=pd.DataFrame)
    failures: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def task_means(self) -> pd.DataFrame:
        """Mean metrics per task over target devices and seeds."""
        frame = pd.DataFrame(self.results)
        return frame.groupby("task", sort=False)[list(METRICS)].mean() if len(frame) else frame


def evaluate(
    tasks_file: str | Path,
    data: Sequence[str | Path] = (),
    only: Sequence[str] | None = None,
    method: str = "hodm",
    probes: int = 10,
    selector: str | None = None,
    seeds: Sequence[int] = (0,),
    progress: Callable[[str], None] | None = None,
) -> EvaluationResult:
    """Run ``method`` on the tasks of a file.

    Args:
        tasks_file: JSON, see `read_tasks`.
        data: folders with latency tables; see `load_table`.
        only: names of the tasks to run; all if None.
        method: key of `METHODS`.
        probes: measurements per target device.
        selector: key of `SELECTORS`; the default one if None.
        seeds: each draws other source samples and other initial weights.
        progress: called with one line per finished target device.

    Raises:
        WorkbenchError: a bad task file, data folder, method, selector or number of probes. A task that fails is
            reported in ``failures``.
    """
    lookup("method", METHODS, method)
    lookup("selector", SELECTORS, selector or DEFAULT_SELECTOR)
    data_folders(data)
    if probes < 1:
        raise WorkbenchError(f"The number of probes expects at least 1, got {probes}; correct it.")
    if any(seed < 0 for seed in seeds):
        raise WorkbenchError(f"A seed expects a whole number of at least 0, got {min(seeds)}; correct it.")
    outcome = EvaluationResult()
    frames = []
    for task in read_tasks(tasks_file, only):
        try:
            table = load_table(task.space, [*task.source, *task.target], data)
            networks = encode(task.space, table.archs)
            splits = [Split(table, task.source, target, named=True) for target in task.target]
            outcome.notes += [
                f"{task.name}: {split.target} shares hardware with source {', '.join(split.shared)}, as the task says."
                for split in splits
                if split.shared
            ]
            for seed in seeds:
                for record, floors, frame in run_task(task, table, networks, splits, method, probes, selector, seed):
                    outcome.results.append(record)
                    outcome.floors += floors
                    frames.append(frame)
                    if progress:
                        progress(_line(record))
        except WorkbenchError as error:
            outcome.failures[task.name] = str(error)
    if frames:
        outcome.predictions = pd.concat(frames, ignore_index=True)
    return outcome


def _line(record: dict[str, Any]) -> str:
    return (
        f"{record['task']} seed {record['seed']} {record['device']}: Spearman {record['spearman']:.3f}, "
        f"RAE {record['rae']:.3f}, coverage {record['coverage90']:.2f}"
    )


def draw_sources(task: Task, table: LatencyTable, networks: Networks, generator: np.random.Generator) -> Sources:
    """``task.source_samples`` random architectures on the source devices; nothing of the targets."""
    measured = table.frame[list(task.source)].notna().any(axis=1).to_numpy()
    pool = np.nonzero(measured)[0]
    if len(pool) < 2:
        raise WorkbenchError(
            f"Task {task.name} expects at least 2 measured source architectures, got {len(pool)}; add some."
        )
    rows = np.sort(generator.permutation(pool)[: task.source_samples])
    latency_ms = table.frame[list(task.source)].to_numpy()[rows]
    return Sources(networks, rows, latency_ms, task.source, table.cards)


def run_task(
    task: Task,
    table: LatencyTable,
    networks: Networks,
    splits: Sequence[Split],
    method: str,
    probes: int,
    selector: str | None,
    seed: int,
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]], pd.DataFrame]]:
    """One task with one seed: per target device a results record, its floors' records, and a predictions frame."""
    ledgers = [split.ledger() for split in splits]
    generator = np.random.default_rng(seed)
    sources = draw_sources(task, table, networks, generator)
    candidates = _measurable(networks, ledgers)
    if probes >= len(candidates):
        raise WorkbenchError(
            f"Task {task.name} expects fewer probes than the {len(candidates)} architectures measured on every target, "
            f"so that some are left to test, got {probes} probes; ask for fewer."
        )
    clock = Clock()
    with clock.measure("select_s"):
        design = build_design(networks, sources.rows, sources.latency_ms)
        chosen = choose_probes(design, probes, generator, selector, candidates)
    with clock.measure("pretrain_s"):
        adapt = METHODS[method](sources, design, chosen, generator)
    floors = {name: learn(sources, design, chosen, generator) for name, learn in FLOORS.items() if name != method}
    probe_archs = [networks.archs[row] for row in chosen]
    for split, ledger in zip(splits, ledgers, strict=True):
        card = table.cards.get(split.target)
        probed = Probed(chosen, np.array(ledger.measure_all(probe_archs)))
        with clock.measure("adapt_s"):
            predict = adapt(probed, card)
        with clock.measure("predict_s"):
            estimate = predict()
        beside = {name: floor(probed, card)() for name, floor in floors.items()}
        truth = ledger.reveal()
        test = networks.rows(list(truth.index))
        common = {
            "task": task.name,
            "device": split.target,
            "space": task.space,
            "method": method,
            "selector": selector or DEFAULT_SELECTOR,
            "probes": probes,
            "seed": seed,
            "n_test": len(test),
        }
        record = {**common, **_scored(truth, test, estimate), "target_reads": ledger.reads, **clock.seconds}
        others = [{**common, "method": name, **_scored(truth, test, other)} for name, other in beside.items()]
        yield record, others, _predictions(task.name, split.target, seed, networks, chosen, test, estimate)


def _scored(truth: pd.Series, test: np.ndarray, estimate: Estimate) -> dict[str, float]:
    return score(truth.to_numpy(), Estimate(*(part[test] for part in estimate)))


def _measurable(networks: Networks, ledgers: Sequence[Ledger]) -> np.ndarray:
    common = set.intersection(*(set(ledger.measurable) for ledger in ledgers))
    return np.array([row for row, arch in enumerate(networks.archs) if arch in common], dtype=np.int64)


def _predictions(
    task: str, device: str, seed: int, networks: Networks, probes: np.ndarray, test: np.ndarray, estimate: Estimate
) -> pd.DataFrame:
    rows = np.concatenate([probes, test])
    return pd.DataFrame(
        {
            "task": task,
            "device": device,
            "arch": [networks.archs[row] for row in rows],
            "role": ["probe"] * len(probes) + ["test"] * len(test),
            "predicted_ms": estimate.ms[rows],
            "low_ms": estimate.low_ms[rows],
            "high_ms": estimate.high_ms[rows],
            "seed": seed,
        }
    )


class Clock:
    """Wall-clock seconds of named phases; a phase that runs again is overwritten, not added."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, phase: str) -> Iterator[None]:
        """Time what is inside."""
        start = time.perf_counter()
        yield
        self.seconds[phase] = time.perf_counter() - start
