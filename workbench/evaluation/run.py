"""The tasks of a file, run one after another under the ledger's rules."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from workbench.config import WorkbenchError, lookup
from workbench.data.sources import data_folders
from workbench.data.tasks import Task, read_tasks
from workbench.describe.dbsel import SELECTORS
from workbench.evaluation.ahead import Piece, made_ahead, unit_of
from workbench.evaluation.journal import Journal
from workbench.evaluation.metrics import METRICS
from workbench.evaluation.setting import prepare
from workbench.evaluation.unit import Cell, Plan, Unit
from workbench.predictor.method import Pretrain
from workbench.training.adaptive import ADAPTIVE, SPEND, Enough
from workbench.training.transfer import DEFAULT_SELECTOR


@dataclass
class EvaluationResult:
    """What an evaluation gives back.

    Args:
        results: one record per task, target device, seed, number of probes and method, with the fields of DESIGN
            section 5.
        floors: records of the same fields for every floor that was not asked for, with the same probes.
        predictions: ``task, device, arch, role (probe|test), predicted_ms, low_ms, high_ms`` (and ``seed, method,
            probes``).
        cells: what `differences` and `by_quantile` are made from, one per task, target device, seed and number of
            probes.
        failures: name of what did not run (the task, with its method and number of probes where there are several)
            to the reason.
        notes: things to know about the splits and the floors, such as shared hardware.
    """

    results: list[dict[str, Any]] = field(default_factory=list)
    floors: list[dict[str, Any]] = field(default_factory=list)
    predictions: pd.DataFrame = field(default_factory=pd.DataFrame)
    cells: list[Cell] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def task_means(self) -> pd.DataFrame:
        """Mean metrics per task (and per method and number of probes where there are several)."""
        frame = pd.DataFrame(self.results)
        if frame.empty:
            return frame
        keys = ["task", *(name for name in ("method", "probes") if frame[name].nunique() > 1)]
        return frame.groupby(keys, sort=False)[list(METRICS)].mean()


def evaluate(
    tasks_file: str | Path,
    data: Sequence[str | Path] = (),
    only: Sequence[str] | None = None,
    method: str | Sequence[str] = "hodm",
    probes: int | Sequence[int] = 10,
    selector: str | None = None,
    seeds: Sequence[int] = (0,),
    progress: Callable[[str], None] | None = None,
    enough: Enough = SPEND,
    predictions: bool = True,
    journal: Journal | None = None,
    advance: Callable[[int, int], None] | None = None,
    own: Mapping[str, Pretrain] | None = None,
    workers: int = 1,
    watch: Callable[[EvaluationResult], None] | None = None,
) -> EvaluationResult:
    """Run one or several methods on the tasks of a file, with the same probes.

    Args:
        tasks_file: JSON, see `read_tasks`.
        data: folders with latency tables; see `load_table`.
        only: names of the tasks to run; all if None.
        method: keys of `METHODS` or of ``own``.
        probes: measurements per target device (the budget of adaptive selection); with several numbers, everything
            runs with each of them. With 0, methods that need no measurement are told none.
        selector: key of `SELECTORS`, or "adaptive"; the default one if None.
        seeds: each draws other source samples and other initial weights.
        progress: called with one line per finished record.
        enough: when adaptive selection stops before its budget is spent.
        predictions: whether to keep every prediction, which is much for many methods and numbers of probes.
        journal: where finished pieces are kept, and taken from if they are there.
        advance: called with the numbers of finished pieces and of all.
        own: methods that stand beside those of `METHODS`, or in the place of one; no journal knows them.
        workers: processes that make pieces side by side, through the journal.
        watch: called after every piece with all there is by then.

    Raises:
        WorkbenchError: a bad task file, data folder, method, selector, wish to stop or number of probes. A task that
            fails is reported in ``failures``.
    """
    methods = (method,) if isinstance(method, str) else tuple(dict.fromkeys(method))
    counts = (probes,) if isinstance(probes, int) else tuple(dict.fromkeys(probes))
    seeds = tuple(dict.fromkeys(seeds))
    plan = Plan(methods, selector or DEFAULT_SELECTOR, enough, predictions, own or {})
    _check(plan, counts, seeds)
    _check_journal(journal, own, workers)
    data_folders(data)
    tasks = read_tasks(tasks_file, only)

    outcome, frames = EvaluationResult(), []
    variants = list(itertools.product(counts, seeds))
    pieces = [(task, *variant) for task in tasks for variant in variants]
    alone = nullcontext(lambda piece: None)
    with made_ahead(pieces, data, plan, journal, workers) if journal and workers > 1 else alone as wait:
        for number, task in enumerate(tasks):
            for done, unit in enumerate(_units(task, data, plan, counts, variants, journal, outcome, wait), start=1):
                frames += [unit.predictions] if len(unit.predictions) else []
                for record in unit.results if progress else ():
                    progress(_line(record, plan, counts))
                if advance:
                    advance(number * len(variants) + done, len(pieces))
                if watch:
                    watch(outcome)
    if frames:
        outcome.predictions = pd.concat(frames, ignore_index=True)
    return outcome


def _check(plan: Plan, counts: Sequence[int], seeds: Sequence[int]) -> None:
    for name in plan.methods:
        lookup("method", plan.known, name)
    lookup("selector", dict.fromkeys([*SELECTORS, ADAPTIVE]), plan.selector)
    if plan.enough != SPEND and plan.selector != ADAPTIVE:
        raise WorkbenchError(
            f"A width or gain to stop at expects the selector '{ADAPTIVE}', got '{plan.selector}'; choose that, or "
            f"neither."
        )
    plan.enough.check()
    for what, values in (("method", plan.methods), ("number of probes", counts), ("seed", seeds)):
        if not values:
            raise WorkbenchError(f"An evaluation expects at least one {what}, got none; give one.")
    if min(counts) < 0:
        raise WorkbenchError(f"The number of probes expects at least 0, got {min(counts)}; correct it.")
    if min(seeds) < 0:
        raise WorkbenchError(f"A seed expects a whole number of at least 0, got {min(seeds)}; correct it.")


def _check_journal(journal: Journal | None, own: Mapping[str, Pretrain] | None, workers: int) -> None:
    if own and journal:
        raise WorkbenchError("A journal expects methods that it can tell apart, got some of your own; leave it out.")
    if workers < 1 or (workers > 1 and not journal):
        raise WorkbenchError(
            f"An evaluation expects at least 1 worker, and a journal for several, got {workers}; ask for 1, or give a "
            f"journal."
        )


def _units(
    task: Task,
    data: Sequence[str | Path],
    plan: Plan,
    counts: Sequence[int],
    variants: Sequence[tuple[int, int]],
    journal: Journal | None,
    outcome: EvaluationResult,
    wait: Callable[[Piece], None],
) -> Iterator[Unit]:
    """The pieces of ``task``, each after it was added to ``outcome``; what failed with one seed is not tried again."""
    try:
        setting = prepare(task, data)
    except WorkbenchError as error:
        outcome.failures[task.name] = str(error)
        return
    outcome.notes += setting.notes
    for probes, seed in variants:
        names = {method: _varied(task.name, method, probes, plan, counts) for method in plan.methods}
        if set(names.values()) <= set(outcome.failures):
            continue
        wait((task, probes, seed))
        unit = unit_of(setting, plan, probes, seed, journal)
        outcome.results += unit.results
        outcome.floors += unit.floors
        outcome.cells += unit.cells
        outcome.failures |= {names[method]: sentence for method, sentence in unit.failures.items()}
        outcome.notes += [note for note in unit.notes if note not in outcome.notes]
        yield unit


def _varied(what: str, method: str, probes: int, plan: Plan, counts: Sequence[int]) -> str:
    """``what``, with method and number of probes where there are several."""
    parts = [what]
    parts += [method] if len(plan.methods) > 1 else []
    parts += [f"{probes} probes"] if len(counts) > 1 else []
    return ", ".join(parts)


def _line(record: dict[str, Any], plan: Plan, counts: Sequence[int]) -> str:
    where = f"{record['task']} seed {record['seed']} {record['device']}"
    return (
        f"{_varied(where, record['method'], record['probes'], plan, counts)}: Spearman {record['spearman']:.3f}, "
        f"RAE {record['rae']:.3f}, coverage {record['coverage90']:.2f}, {record['target_reads']} reads"
    )
