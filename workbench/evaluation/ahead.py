"""Pieces of an evaluation made ahead by several processes, which leave them in a journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from workbench.config import WorkbenchError
from workbench.data.tasks import Task
from workbench.evaluation.journal import Journal, key
from workbench.evaluation.setting import Setting, prepare
from workbench.evaluation.unit import Plan, Unit, run_unit

#: A task, a number of probes, a seed.
Piece = tuple[Task, int, int]


def unit_of(setting: Setting, plan: Plan, probes: int, seed: int, journal: Journal | None) -> Unit:
    """A piece of work, from the journal or anew; what cannot run is no error but its failures."""
    place = key(setting, plan, probes, seed) if journal else ""
    unit = journal.load(place) if journal else None
    if unit is not None:
        return unit
    try:
        unit = run_unit(setting, plan, probes, seed)
    except WorkbenchError as error:
        return Unit(failures=dict.fromkeys(plan.methods, str(error)))
    if journal:
        journal.keep(place, unit)
    return unit


@contextmanager
def made_ahead(
    pieces: Sequence[Piece], data: Sequence[str | Path], plan: Plan, journal: Journal, workers: int
) -> Iterator[Callable[[Piece], None]]:
    """A function that returns when a piece is in the ``journal``, or when it turned out that it cannot be.

    ``workers`` processes make the pieces in their order, with one thread each, so that they do not fight for cores.
    """
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    folders = tuple(str(folder) for folder in data)
    there: set[Piece] = set()
    with parallel_config(backend="loky", inner_max_num_threads=1):
        made = Parallel(n_jobs=workers, return_as="generator", pre_dispatch=2 * workers)(
            delayed(_make)(piece, folders, plan, journal) for piece in pieces
        )

        def wait(piece: Piece) -> None:
            try:
                while piece not in there:
                    there.add(next(made))
            except TerminatedWorkerError as error:
                raise WorkbenchError(
                    f"An evaluation expects its {workers} processes to live, but one was ended from outside, perhaps "
                    f"for its memory; ask for fewer workers. What is finished is kept."
                ) from error

        try:
            yield wait
        finally:
            made.close()


def _make(piece: Piece, folders: tuple[str, ...], plan: Plan, journal: Journal) -> Piece:
    task, probes, seed = piece
    with suppress(WorkbenchError):  # said again, and to the reader, by the process that asked
        unit_of(_prepared(task, folders), plan, probes, seed, journal)
    return piece


@lru_cache(maxsize=1)
def _prepared(task: Task, folders: tuple[str, ...]) -> Setting:
    return prepare(task, folders)
