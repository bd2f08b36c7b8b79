"""A sweep while it runs: hands runs to workers, decides what is tried again, and keeps what came back at once."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import nbformat

from workbench.config import WorkbenchError, project_home
from workbench.sweep.backlog import Backlog, Demand
from workbench.sweep.cluster import Cluster, ClusterConfig, Ended
from workbench.sweep.definition import INPUTS
from workbench.sweep.plan import Plan, PlannedRun
from workbench.sweep.store import FAILED, FINISHED, Record
from workbench.sweep.table import means, read_rows
from workbench.sweep.task import DONE, STOPPED, Order, Outcome, perform, unrun
from workbench.tracking import CONTENT, Logged, parse_logged

LOOK_S = 1.0  # between two looks at the workers
GONE_S = 60  # after which a kind of worker that is gone is given up
DEATHS = 3  # workers that one run may take with it

#: Told of every run that ended, with how it ended and what it left.
Keep = Callable[[PlannedRun, Record, Outcome], None]


class Work:
    """The runs of ``plan`` on one cluster.

    Args:
        plan: of the sweep.
        cluster: where.
        config: of the cluster.
        frozen: folder with a copy of the package.
        keep: called with everything that ended.
        tell: called with what a person may want to know meanwhile.
        wait: whether runs wait for workers that are not there.
    """

    def __init__(
        self,
        plan: Plan,
        cluster: Cluster,
        config: ClusterConfig,
        frozen: Path,
        keep: Keep,
        tell: Callable[[str], None],
        wait: bool = False,
    ) -> None:
        self._plan, self._cluster, self._config, self._frozen = plan, cluster, config, frozen
        self._keep, self._tell, self._wait = keep, tell, wait
        self._document = nbformat.writes(plan.document)
        self._workers: list[dict[str, float]] = []
        self._out: dict[str, PlannedRun] = {}
        self._tries: dict[str, int] = {}
        self._deaths: dict[str, int] = {}
        self._looked = 0.0
        self._gone_since: float | None = None

    def do(self, runs: Sequence[PlannedRun], fail_fast: bool = False) -> None:
        """Do all ``runs``; with ``fail_fast`` only up to the first one that fails.

        Raises:
            WorkbenchError: a run asks for what no worker has, or one ended in a way that all others would, too.
        """
        backlog = Backlog(runs)
        self._workers = list(self._cluster.workers().values())
        if missing := backlog.missing(self._workers):
            sentence = self._nobody(missing)
            if not self._wait:
                raise WorkbenchError(f"{sentence}; start one that has it, or wait for one with --wait.")
            self._tell(f"{sentence}; waiting for one.")
        while len(backlog):
            self._hand_out(backlog)
            ended = self._cluster.next(LOOK_S)
            if time.monotonic() - self._looked > LOOK_S:
                self._look(backlog)
            if ended is None:
                continue
            run = self._out.pop(ended.name)
            settled = self._settle(run, ended, backlog)
            if settled is None:
                continue
            failed = settled[0].status == FAILED
            if not (failed and fail_fast):
                self._hand_out(backlog)  # the next one is on its way while this one is written
            self._keep(run, *settled)
            if failed and fail_fast:
                return

    def _hand_out(self, backlog: Backlog) -> None:
        for run in backlog.take(self._workers, self._wait):
            self._tries[run.key] = self._tries.get(run.key, 0) + 1
            name = f"{run.key}-{uuid.uuid4().hex[:8]}"  # a scheduler may still know what another command asked for
            self._out[name] = run
            self._cluster.submit(name, perform, self._order(run), run.resources)

    def _look(self, backlog: Backlog) -> None:
        """Which workers there are now; a kind that stays away is given up, unless it is waited for."""
        self._looked = time.monotonic()
        self._workers = list(self._cluster.workers().values())
        missing = [] if self._wait else backlog.missing(self._workers)
        if not missing:
            self._gone_since = None
            return
        self._gone_since = self._gone_since or time.monotonic()
        if time.monotonic() - self._gone_since > GONE_S:
            raise WorkbenchError(f"{self._nobody(missing)} any more; start one and run the same command again.")

    def _settle(self, run: PlannedRun, ended: Ended, backlog: Backlog) -> tuple[Record, Outcome] | None:
        """How ``run`` ended; None if it is tried again."""
        outcome = ended.result if isinstance(ended.result, Outcome) else Outcome("", started=time.time())
        if outcome.status == STOPPED:
            raise WorkbenchError(f"Run '{run.label}' was not done, as {outcome.reason}; what has finished is kept.")
        if ended.killed:
            deaths = self._deaths[run.key] = self._deaths.get(run.key, 0) + 1
            if deaths < DEATHS:
                self._tries[run.key] -= 1
                backlog.again(run)
                return None
            reason = f"Its worker died {deaths} times (killed, or out of memory)"
        elif ended.error is not None:
            what = " ".join(str(ended.error).split())
            reason = f"The worker raised {type(ended.error).__name__}: {what}".rstrip(".")
        else:
            reason = "" if outcome.status == DONE else outcome.reason
        record = self._record(run, outcome, ended.worker, reason)
        if record.status == FAILED and not ended.killed and self._tries[run.key] <= self._plan.sweep.retries:
            self._tell(f"{run.label}: {record.error}; it is tried again.")
            backlog.again(run)
            return None
        backlog.done(run)
        return record, outcome if outcome.notebook else replace(outcome, notebook=unrun(record.error))

    def _record(self, run: PlannedRun, outcome: Outcome, worker: str, reason: str) -> Record:
        """How ``run`` ended; what it logged and cannot be read fails it."""
        logged, rows = Logged(), []
        if not reason:
            try:
                logged = parse_logged(outcome.files[CONTENT]) if CONTENT in outcome.files else Logged()
                rows = read_rows(outcome.files)
            except WorkbenchError as error:
                reason = str(error).rstrip(".")
        known = ("key", "number", "factors", "seed", "parameters", "resources")
        return Record(
            **{name: getattr(run, name) for name in known},
            status=FAILED if reason else FINISHED,
            attempts=self._tries[run.key],
            worker=" on ".join(filter(None, [worker, outcome.host])),
            seconds=outcome.seconds,
            overhead_s=outcome.overhead_s,
            started=outcome.started,
            ended=outcome.ended or time.time(),
            error=reason,
            metrics={**means(rows), **logged.latest},
            rows=rows,
        )

    def _order(self, run: PlannedRun) -> Order:
        sweep, home = self._plan.sweep, project_home()
        folder = sweep.notebook.parent
        place = folder.relative_to(home) if folder.is_relative_to(home) else folder
        memory = self._config.memory_bytes if sweep.memory_gib is None else round(sweep.memory_gib * 2**30)
        files = tuple(sorted((_name(path), digest) for path, digest in run.data.items()))
        return Order(
            key=run.key,
            title=sweep.notebook.name,
            document=self._document,
            given=dict(run.given),
            parameters=dict(run.parameters),
            place=str(place),
            code=self._plan.code,
            frozen=str(self._frozen),
            data=files,
            inputs=tuple(dict.fromkeys([*INPUTS, *sweep.inputs])),
            threads=self._config.threads,
            memory_bytes=memory,
            timeout_s=sweep.timeout_s,
        )

    def _nobody(self, missing: Sequence[Demand]) -> str:
        """That nobody has what is asked for, and what there is."""
        asked = " or ".join(_told(dict(demand)) for demand in missing)
        there = ", ".join(sorted({_told(has) for has in self._workers})) or "none"
        return f"{self._plan.sweep.name} has runs for a worker with {asked}, and no worker has it (there is: {there})"


def _told(resources: Mapping[str, float]) -> str:
    """Resources in words: ``device:jetson, 2 gpus``."""
    return ", ".join(name if amount == 1 else f"{amount:g} {name}" for name, amount in resources.items()) or "nothing"


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]
