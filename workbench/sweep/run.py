"""The story of a sweep: what is finished is skipped, the rest is done, and everything is kept on disk and in MLflow."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from workbench.config import WorkbenchError
from workbench.sweep.cluster import ClusterConfig, open_cluster
from workbench.sweep.identity import freeze
from workbench.sweep.manifest import manifest
from workbench.sweep.mirror import Mirror
from workbench.sweep.plan import Plan, PlannedRun
from workbench.sweep.store import FINISHED, Record, Store, iso
from workbench.sweep.table import results_table, write_table
from workbench.sweep.task import Outcome
from workbench.sweep.work import Work

WRITE_S = 30  # between two writings of the table, while runs end


@dataclass(frozen=True)
class Options:
    """How a plan is carried out.

    Args:
        only: see `Plan.only`; all runs if empty.
        fail_fast: whether the first failed run ends the sweep.
        wait: whether a run waits for a worker that nobody has announced.
        command: for the manifest.
    """

    only: Sequence[str] = ()
    fail_fast: bool = False
    wait: bool = False
    command: Sequence[str] = ()


@dataclass
class SweepReport:
    """What came out.

    Args:
        folder: of the sweep.
        runs: that were asked for.
        skipped: of these, finished before.
        finished: of these, finished now.
        failed: label to reason.
        trouble: why MLflow is not up to date; "" if it is.
        url: of the parent run in MLflow, if it is there.
        wall_s: seconds that it took.
    """

    folder: Path
    runs: int = 0
    skipped: int = 0
    finished: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    trouble: str = ""
    url: str | None = None
    wall_s: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether every run that was asked for is finished."""
        return self.skipped + self.finished == self.runs


def run_sweep(
    plan: Plan,
    folder: Path,
    cluster: ClusterConfig = ClusterConfig(),
    options: Options = Options(),
    advance: Callable[[int, int], None] | None = None,
    tell: Callable[[str], None] | None = None,
    home: Path | None = None,
) -> SweepReport:
    """Carry out ``plan``, and keep everything in ``folder`` and in MLflow.

    Args:
        plan: see `make_plan`.
        folder: for what is kept; what is finished there is not done again.
        cluster: where the runs are executed.
        options: which runs, and what ends the sweep early.
        advance: called with the numbers of ended runs and of all that are to be done.
        tell: called with a sentence on what went wrong but did not end the sweep.
        home: of MLflow, see `tracking_uri`.

    Raises:
        WorkbenchError: the same sweep is running, no worker has what a run asks for, the disk is full, the scheduler
            is gone, or the code changed. What had finished is kept.
    """
    store = Store(Path(folder).resolve())
    with store.lock():
        wanted = plan.only(options.only) if options.only else list(plan.runs)
        told, began = tell or (lambda _: None), time.monotonic()
        sweeping = _Sweeping(plan, store, Mirror(plan, store, home), cluster, options)
        todo = [run for run in wanted if not sweeping.is_finished(run)]
        report = SweepReport(store.folder, len(wanted), len(wanted) - len(todo))

        def keep(run: PlannedRun, record: Record, outcome: Outcome) -> None:
            sweeping.keep(record, outcome)
            if record.status == FINISHED:
                report.finished += 1
            else:
                place = store.notebook(run.key)
                report.failed[run.label] = f"{record.error}; the notebook as far as it ran is {place}."
            if advance:
                advance(report.finished + len(report.failed), len(todo))

        status = "KILLED"
        try:
            sweeping.write()
            if todo:
                frozen = freeze(store.folder / "package", plan.code)
                with open_cluster(cluster) as workers:
                    Work(plan, workers, cluster, frozen, keep, told, options.wait).do(todo, options.fail_fast)
            status = "FINISHED" if report.complete else "FAILED"
        except WorkbenchError:
            status = "FAILED"
            raise
        finally:
            report.wall_s = time.monotonic() - began
            sweeping.finish(status, report.wall_s)
        report.trouble, report.url = sweeping.mirror.trouble, sweeping.mirror.place["url"]
    return report


class _Sweeping:
    """Keeps a sweep: records and table on disk, and their picture in MLflow."""

    def __init__(self, plan: Plan, store: Store, mirror: Mirror, cluster: ClusterConfig, options: Options) -> None:
        self.mirror = mirror
        self._plan, self._store, self._options, self._cluster = plan, store, options, cluster
        known = store.records()
        self._records = {run.key: known[run.key] for run in plan.runs if run.key in known}
        self._started, self._written = time.time(), time.monotonic()

    def is_finished(self, run: PlannedRun) -> bool:
        """Whether ``run`` was finished by this or an earlier command."""
        record = self._records.get(run.key)
        return record is not None and record.status == FINISHED

    def keep(self, record: Record, outcome: Outcome) -> None:
        """Keep a run that ended: first on disk, then in MLflow."""
        self._store.keep(record, outcome.notebook, outcome.files)
        self._records[record.key] = record
        self.mirror.show(record)
        if time.monotonic() - self._written > WRITE_S:
            self.write()

    def write(self, wall_s: float | None = None) -> None:
        """Write the table and the manifest; ``wall_s`` is known at the end only."""
        self._written = time.monotonic()
        order = [self._records[run.key] for run in self._plan.runs if run.key in self._records]
        finished = [record for record in order if record.status == FINISHED]
        frame, columns = results_table(self._plan.sweep, finished, self.mirror.run_ids)
        write_table(self._store.folder, frame)
        told = {
            "command": list(self._options.command),
            "started": iso(self._started),
            "ended": None if wall_s is None else iso(),
            "wall_s": wall_s,
            "workers": self._cluster.workers if self._cluster.scheduler is None else None,
        }
        self._store.write_manifest(manifest(self._plan, self._records, columns, self.mirror.place, **told))

    def finish(self, status: str, wall_s: float) -> None:
        """Bring MLflow up to date and write everything a last time."""
        states = [record.status for record in self._records.values()]
        counts = {"runs": len(self._plan.runs), "finished": states.count(FINISHED)}
        self.mirror.catch_up(self._records)
        try:
            self.write(wall_s)
        finally:
            self.mirror.finish(status, {**counts, "failed": len(states) - counts["finished"], "wall_s": wall_s})
