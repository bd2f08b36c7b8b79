"""A parent run with many children in one experiment, written by one process: what a sweep becomes in MLflow.

A child is known by its tag ``key``. It is made, filled and ended in one go; one that is still running when a family is
opened was left by a process that was killed, and is for the caller to `drop`.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.config import WorkbenchError
from workbench.tracking.run import PARAM_LENGTH, MlflowRun
from workbench.tracking.store import (
    database_of,
    open_client,
    open_experiment,
    prepare,
    quieten,
    tracking_uri,
    usual_tags,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

PARENT = "mlflow.parentRunId"  # how MLflow's own pages find children
PAGE = 1000
WAIT_S = 20.0  # for a database that another process is writing to


class Child(NamedTuple):
    """A child as MLflow has it."""

    run_id: str
    status: str
    tags: Mapping[str, str]


class Birth(NamedTuple):
    """What a child is made of.

    Args:
        name: what a list of runs shows.
        tags: flat, to filter by; ``key`` is among them.
        params: nested mappings become dotted names.
        metrics: name, value, step.
        folders: their files become artifacts.
        files: further artifacts.
        status: FINISHED or FAILED.
        started, ended: seconds since 1970.
    """

    name: str
    tags: Mapping[str, str]
    params: Mapping[str, Any]
    metrics: Sequence[tuple[str, float, int]]
    folders: Sequence[Path]
    files: Sequence[Path]
    status: str
    started: float
    ended: float


class Family:
    """The parent run called ``name`` in the experiment ``experiment``; see `open_family`."""

    def __init__(self, client: MlflowClient, uri: str, experiment_id: str, parent_id: str) -> None:
        self._client = client
        self.uri = uri
        self.experiment_id = experiment_id
        self.parent_id = parent_id
        self._usual = usual_tags({})  # asks git: once is enough

    @property
    def url(self) -> str:
        """The parent's page."""
        return self._run(self.parent_id).url

    def children(self) -> list[Child]:
        """All children, the half-written ones included."""
        with usable(self.uri):
            found = _search(self._client, self.experiment_id, f"tags.`{PARENT}` = '{self.parent_id}'")
            return [Child(run.info.run_id, run.info.status, run.data.tags) for run in found]

    def bear(self, birth: Birth) -> str:
        """Make a child, whole; returns its id. Whoever is killed here leaves it RUNNING."""
        with usable(self.uri):
            tags = {**self._usual, **birth.tags, PARENT: self.parent_id}
            made = self._client.create_run(
                self.experiment_id, start_time=round(1000 * birth.started), tags=tags, run_name=birth.name
            )
            run = self._run(made.info.run_id)
            run.log_params(birth.params)
            run.log_points(birth.metrics)
            for folder in birth.folders:
                if folder.is_dir() and any(folder.iterdir()):
                    self._client.log_artifacts(run.run_id, str(folder))
            for file in birth.files:
                if file.is_file():
                    run.log_file(file)
            self._client.set_terminated(run.run_id, birth.status, round(1000 * birth.ended))
        return run.run_id

    def tag(self, run_id: str, name: str, value: str) -> None:
        """Set a tag of a child."""
        with usable(self.uri):
            self._client.set_tag(run_id, name, value[:PARAM_LENGTH])

    def drop(self, run_id: str) -> None:
        """Delete a child; a half-written one is ended first, so that even the deleted runs show none as running."""
        with usable(self.uri):
            self._client.set_terminated(run_id, "KILLED")
            self._client.delete_run(run_id)

    def begin(self, params: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """The parent runs (again); ``params`` that it has already stay as they are, since MLflow changes none."""
        with usable(self.uri):
            self._client.update_run(self.parent_id, status="RUNNING")
            known = self._client.get_run(self.parent_id).data.params
            self._run(self.parent_id).log_params({name: value for name, value in params.items() if name not in known})
            for name, value in tags.items():
                self._client.set_tag(self.parent_id, name, value[:PARAM_LENGTH])

    def end(self, status: str, metrics: Mapping[str, float], files: Sequence[Path]) -> None:
        """The parent ends; ``files`` become its artifacts."""
        with usable(self.uri):
            parent = self._run(self.parent_id)
            parent.log_metrics(metrics)
            for file in files:
                if file.is_file():
                    parent.log_file(file)
            self._client.set_terminated(self.parent_id, status)

    def _run(self, run_id: str) -> MlflowRun:
        return MlflowRun(self._client, self.uri, self.experiment_id, run_id)


def open_family(experiment: str, name: str, tags: Mapping[str, str], home: Path | None = None) -> Family:
    """The parent with exactly these ``tags``, made if there is none.

    Raises:
        WorkbenchError: MLflow cannot be reached, or its database is locked.
    """
    # a server that is not there is to be noticed soon; MLflow would try for minutes
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    uri = tracking_uri(home)
    prepare(uri)
    with usable(uri):
        client = open_client(uri)
        # the one sentence is ours; MLflow would print whole tracebacks beside it
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
        experiment_id = open_experiment(client, uri, experiment)
        for run in _search(client, experiment_id, "tags.role = 'parent'"):
            if all(run.data.tags.get(tag) == value for tag, value in tags.items()):
                return Family(client, uri, experiment_id, run.info.run_id)
        made = client.create_run(experiment_id, run_name=name, tags=usual_tags({**tags, "role": "parent"}))
    return Family(client, uri, experiment_id, made.info.run_id)


@contextmanager
def usable(uri: str) -> Iterator[None]:
    """`told`, after trying that the database can be written to: MLflow itself would wait for a locked one for long."""
    database = database_of(uri)
    with told(uri):
        if database is not None:
            with closing(sqlite3.connect(database, timeout=WAIT_S, isolation_level=None)) as tried:
                tried.execute("BEGIN IMMEDIATE")
                tried.execute("ROLLBACK")
        yield


@contextmanager
def told(uri: str) -> Iterator[None]:
    """What MLflow, its database or its server raises, as one sentence."""
    quieten()
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, sqlite3.Error, RequestException, OSError) as error:
        what = " ".join(str(error).split())
        if "database is locked" in what:
            reason, remedy = "its database is locked by another process", "end that process"
        else:
            reason, remedy = what[:200].rstrip(" ."), "see that it runs, or set MLFLOW_TRACKING_URI to another"
        raise WorkbenchError(f"MLflow at {uri} could not be used, as {reason}; {remedy}.") from error


def _search(client: MlflowClient, experiment_id: str, query: str) -> Iterator[Any]:
    token = None
    while True:
        page = client.search_runs([experiment_id], query, max_results=PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
