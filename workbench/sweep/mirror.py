"""The sweep in MLflow: one parent, one child per run that ended, made from what lies on disk.

MLflow is a picture of the folder and not the other way round: when it cannot be reached nothing is lost, and the next
command brings it up to date. Children that a killed command left half written are thrown away and made anew.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from workbench.config import WorkbenchError
from workbench.sweep.plan import Plan, spoken
from workbench.sweep.store import FINISHED, MANIFEST, RESULTS, Record, Store
from workbench.tracking import ARTIFACTS, Birth, Child, Family, open_family, read_logged

PAUSE_S = 60  # before MLflow is tried again after it failed
ROLE = {True: "FINISHED", False: "FAILED"}


class Mirror:
    """Keeps the children of one sweep as the store has its records; only one process does so.

    It works in a thread of its own: however long MLflow takes, what comes back from workers is kept on disk at once.

    Args:
        plan, store: of the sweep.
        home: of MLflow, see `tracking_uri`.
    """

    def __init__(self, plan: Plan, store: Store, home: Path | None = None) -> None:
        self._plan, self._store, self._home = plan, store, home
        self._family: Family | None = None
        self._children: dict[str, Child] = {}
        self._not_before = 0.0
        self._thread = ThreadPoolExecutor(1, "mirror")
        self.trouble = ""

    @property
    def run_ids(self) -> dict[str, str]:
        """Key to the id of the child in MLflow."""
        return {key: child.run_id for key, child in list(self._children.items())}

    @property
    def place(self) -> dict[str, str | None]:
        """Where it is: for the manifest; unknown if MLflow could not be used."""
        if self._family is None:
            return dict.fromkeys(("tracking_uri", "experiment_id", "parent_run_id", "url"))
        family = self._family
        told = {"tracking_uri": re.sub(r"//[^/@]*@", "//", family.uri)}  # no password
        told |= {"experiment_id": family.experiment_id, "parent_run_id": family.parent_id, "url": family.url}
        return told

    def show(self, record: Record) -> None:
        """Make the child of ``record`` soon, unless MLflow has failed a moment ago; `catch_up` makes up for it."""
        self._thread.submit(self._try, record)

    def _try(self, record: Record) -> None:
        if time.monotonic() >= self._not_before:
            self._carefully(lambda family: self._show(family, record))

    def catch_up(self, records: Mapping[str, Record]) -> None:
        """Make the children that are missing, and wait for them."""
        self._thread.submit(self._catch_up, records).result()

    def _catch_up(self, records: Mapping[str, Record]) -> None:
        def show_all(family: Family) -> None:
            for record in records.values():
                self._show(family, record)

        self._carefully(show_all)

    def finish(self, status: str, metrics: Mapping[str, float]) -> None:
        """End the parent, with the manifest and the table as its artifacts."""
        self._thread.submit(self._finish, status, metrics).result()
        self._thread.shutdown()

    def _finish(self, status: str, metrics: Mapping[str, float]) -> None:
        if self.trouble:
            return
        files = [self._store.folder / name for name in (MANIFEST, f"{RESULTS}.csv", f"{RESULTS}.parquet")]
        self._carefully(lambda family: family.end(status, metrics, files))

    def _carefully(self, work: Callable[[Family], None]) -> None:
        """Do ``work``; if that fails, say why, and look at all anew the next time: something may be half done."""
        try:
            work(self._open())
            self.trouble = ""
        except WorkbenchError as error:
            self.trouble, self._family, self._children = str(error), None, {}
            self._not_before = time.monotonic() + PAUSE_S

    def _open(self) -> Family:
        """The family, with its children as they are to be at the start."""
        if self._family is not None:
            return self._family
        sweep = self._plan.sweep
        known = {"sweep": sweep.name, "folder": str(self._store.folder)}
        family = open_family(sweep.name, sweep.name, known, self._home)
        params = {"notebook": sweep.notebook.name, "metric": sweep.metric, "direction": sweep.direction}
        tags = {"factors": ", ".join(sweep.factors), "runs": str(len(self._plan.runs))}
        family.begin(params, tags)
        current, found = {run.key for run in self._plan.runs}, {}
        for child in family.children():
            key = child.tags.get("key", "")
            if child.status == "RUNNING" or key in found:
                family.drop(child.run_id)
                continue
            old = "false" if key in current else "true"
            if child.tags.get("superseded") != old:
                family.tag(child.run_id, "superseded", old)
            found[key] = child
        self._family, self._children = family, found
        return family

    def _show(self, family: Family, record: Record) -> None:
        there = self._children.get(record.key)
        if there is not None and there.tags.get("record") == record.stamp:
            return
        if there is not None:
            family.drop(there.run_id)
            del self._children[record.key]
        birth = self._birth(record)
        self._children[record.key] = Child(family.bear(birth), birth.status, birth.tags)

    def _birth(self, record: Record) -> Birth:
        sweep = self._plan.sweep
        logged = read_logged(self._store.logged(record.key))
        tags: dict[str, str] = {**logged.tags, "sweep": sweep.name, "role": "child", "key": record.key}
        tags |= {f"factor.{name}": spoken(value) for name, value in record.factors.items()}
        tags |= {"seed": str(record.seed)} if record.seed is not None else {}
        tags |= {"record": record.stamp, "superseded": "false", "worker": record.worker}
        tags |= {"error": record.error[:1000]} if record.error else {}
        seen = {name for name, _, _ in logged.metrics}
        own = {**record.metrics, "seconds": record.seconds, "overhead_s": record.overhead_s}
        points = [*logged.metrics, *((name, value, 0) for name, value in own.items() if name not in seen)]
        params: dict[str, Any] = {**logged.params, **record.parameters}
        name = ", ".join(spoken(value) for value in record.factors.values()) or f"run {record.number}"
        name += f", seed {record.seed}" if record.seed is not None else ""
        return Birth(
            name,
            tags,
            params,
            points,
            [self._store.logged(record.key) / ARTIFACTS],
            [self._store.notebook(record.key)],
            ROLE[record.status == FINISHED],
            record.started,
            record.ended,
        )
