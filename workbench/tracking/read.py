"""What runs have logged, as tables: thousands of runs at once, their metrics over the steps, the tables they kept.

A SQLite database is read as it stands, without MLflow: importing that takes 3 s, and building its objects for a
thousand runs several more. A tracking server is asked through `MlflowClient`. Both give the same tables.
"""

from __future__ import annotations

import math
import os
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import quote, urlparse
from urllib.request import url2pathname

from workbench.config import WorkbenchError, suggest
from workbench.tracking.family import told
from workbench.tracking.store import database_of, open_client, tracking_uri

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import Run

    Numbers = TypeVar("Numbers", pd.DataFrame, pd.Series)

#: What is known of every run; then come its parameters, metrics and tags, as ``params.NAME`` and so on.
BASE = ("run_id", "name", "experiment", "status", "start", "duration_s", "parent")
PARENT, SUPERSEDED = "mlflow.parentRunId", "superseded"
HISTORY = ("run_id", "metric", "step", "value")
PAGE = 1000  # runs that a server is asked for at once
WAIT_S = 20.0  # for a database that another process is writing to
SUFFIXES = {".csv", ".json", ".parquet"}
LARGEST = sys.float_info.max  # MLflow stores it in place of what is infinite

CHOSEN = f"""
    SELECT r.run_uuid FROM runs r JOIN experiments e ON e.experiment_id = r.experiment_id
    WHERE r.lifecycle_stage = 'active' AND e.lifecycle_stage = 'active'
        AND (:experiment IS NULL OR e.name = :experiment)
        AND (:superseded OR NOT EXISTS
            (SELECT 1 FROM tags t WHERE t.run_uuid = r.run_uuid AND t.key = '{SUPERSEDED}' AND t.value = 'true'))
    ORDER BY r.start_time DESC, r.run_uuid LIMIT :limit
"""
QUERIES = {
    "info": f"""
        SELECT r.run_uuid AS run_id, r.name, e.name AS experiment, r.status, r.start_time, r.end_time
        FROM runs r JOIN experiments e ON e.experiment_id = r.experiment_id
        WHERE r.run_uuid IN ({CHOSEN}) ORDER BY r.start_time DESC, r.run_uuid""",
    "params": f"SELECT run_uuid AS run_id, key, value FROM params WHERE run_uuid IN ({CHOSEN})",
    "metrics": f"""
        SELECT run_uuid AS run_id, key, CASE WHEN is_nan THEN NULL ELSE value END AS value
        FROM latest_metrics WHERE run_uuid IN ({CHOSEN})""",
    "tags": f"SELECT run_uuid AS run_id, key, value FROM tags WHERE run_uuid IN ({CHOSEN})",
}


class _Parts(NamedTuple):
    """What runs consist of: ``info`` has a row per run, the others ``run_id, key, value``."""

    info: pd.DataFrame
    params: pd.DataFrame
    metrics: pd.DataFrame
    tags: pd.DataFrame


def runs(
    experiment: str | None = None, home: Path | None = None, limit: int = 5000, superseded: bool = False
) -> pd.DataFrame:
    """One row per run, the newest first; none where nothing has been tracked yet.

    Args:
        experiment: its name; all experiments if None.
        home: see `tracking_uri`.
        limit: the newest so many.
        superseded: whether to list runs of a sweep whose code, data or file has changed since.

    Returns:
        Columns `BASE` (``start`` in UTC; ``duration_s`` NaN for a run that goes on; ``parent`` is a run id or "") and
        ``params.NAME`` (text), ``metrics.NAME`` (the last value) and ``tags.NAME`` for each name that any of the runs
        has, NaN where a run has none. Tags that MLflow sets by itself are left out.

    Raises:
        WorkbenchError: an unknown experiment, or a store that cannot be read.
    """
    uri = tracking_uri(home)
    database = database_of(uri)
    if database is None:
        with _server(uri) as client:
            parts = _ask_server(client, experiment, limit, superseded)
    elif database.exists():
        parts = _query_database(database, experiment, limit, superseded)
    else:
        parts = None
    return _assembled(parts)


def history(run_ids: Sequence[str], metric: str | None = None, home: Path | None = None) -> pd.DataFrame:
    """Metrics over the steps.

    Args:
        run_ids: of the runs.
        metric: its name; all that a run has logged at more than one step if None.
        home: see `tracking_uri`.

    Returns:
        Columns `HISTORY`, by run, metric and step; of a step that was logged twice the last value.
    """
    import pandas as pd

    uri = tracking_uri(home)
    database = database_of(uri)
    frame = pd.DataFrame(columns=[*HISTORY, "timestamp"])
    if database is None:
        with _server(uri) as client:
            frame = pd.DataFrame(_asked_history(client, run_ids, metric), columns=frame.columns)
    elif database.exists() and len(run_ids):
        marks = ", ".join("?" * len(run_ids))
        query = f"""
            SELECT run_uuid AS run_id, key AS metric, step, CASE WHEN is_nan THEN NULL ELSE value END AS value,
                timestamp
            FROM metrics WHERE run_uuid IN ({marks}) AND (? IS NULL OR key = ?)"""
        with _opened(database) as connection:
            frame = pd.read_sql_query(query, connection, params=[*run_ids, metric, metric])
    frame = frame.astype({"step": "int64", "value": "float64"})
    frame = frame.sort_values([*HISTORY[:3], "timestamp"], kind="stable").drop_duplicates(HISTORY[:3], keep="last")
    if metric is None:
        frame = frame[frame.groupby(["run_id", "metric"])["step"].transform("size") > 1]
    return frame[list(HISTORY)].assign(value=_finite(frame["value"])).reset_index(drop=True)


def table(run_id: str, name: str = "results", home: Path | None = None) -> pd.DataFrame | None:
    """The table that a run has logged as ``name`` (``.csv`` if it has no ending); None if it has none of that name."""
    import pandas as pd

    name = name if Path(name).suffix in SUFFIXES else f"{name}.csv"
    with tempfile.TemporaryDirectory() as folder:
        path = _artifact(run_id, name, Path(folder), tracking_uri(home))
        if path is None:
            return None
        try:
            if path.suffix == ".csv":
                return pd.read_csv(path)
            return pd.read_json(path) if path.suffix == ".json" else pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise WorkbenchError(
                f"The table {name} of run {run_id} cannot be read ({error}); log it again or leave the run out."
            ) from error


def _assembled(parts: _Parts | None) -> pd.DataFrame:
    """The table of `runs`."""
    import pandas as pd

    if parts is None or parts.info.empty:
        return pd.DataFrame(columns=list(BASE))
    info = parts.info.set_index("run_id")
    clocks = (info[name].astype("Int64") for name in ("start_time", "end_time"))
    start, end = (pd.to_datetime(clock, unit="ms", utc=True) for clock in clocks)
    base = info[["name", "experiment", "status"]].assign(start=start, duration_s=(end - start).dt.total_seconds())
    base["duration_s"] = base["duration_s"].astype("float64")
    tags = _wide(parts.tags, base.index)
    base["parent"] = tags[PARENT].fillna("") if PARENT in tags else ""
    own = tags[[name for name in tags if not name.startswith("mlflow.")]]
    metrics = _finite(_wide(parts.metrics, base.index).astype("float64"))
    wide = {"params": _wide(parts.params, base.index), "metrics": metrics, "tags": own}
    return pd.concat([base, *(part.add_prefix(f"{kind}.") for kind, part in wide.items())], axis=1).reset_index()


def _wide(long: pd.DataFrame, index: pd.Index) -> pd.DataFrame:
    """One row per run of ``index`` and one column per key, by name."""
    return long.pivot(index="run_id", columns="key", values="value").reindex(index).rename_axis(columns=None)


def _finite(values: Numbers) -> Numbers:
    """``values`` with infinite ones as what they were."""
    return values.replace({LARGEST: math.inf, -LARGEST: -math.inf})


def _query_database(database: Path, experiment: str | None, limit: int, superseded: bool) -> _Parts:
    import pandas as pd

    asked = {"experiment": experiment, "limit": limit, "superseded": superseded}
    with _opened(database) as connection:
        if experiment is not None:
            rows = connection.execute("SELECT name FROM experiments WHERE lifecycle_stage = 'active'")
            _check(experiment, [name for (name,) in rows])
        return _Parts(**{name: pd.read_sql_query(query, connection, params=asked) for name, query in QUERIES.items()})


@contextmanager
def _opened(database: Path) -> Iterator[sqlite3.Connection]:
    """``database`` for reading only."""
    import pandas as pd

    connection = None
    try:
        connection = sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True, timeout=WAIT_S)
        yield connection
    except (sqlite3.Error, pd.errors.DatabaseError) as error:
        raise WorkbenchError(
            f"The MLflow database {database} cannot be read ({error.__cause__ or error}); "
            "wait for what is writing to it, or give another one with MLFLOW_TRACKING_URI."
        ) from error
    finally:
        if connection is not None:
            connection.close()


def _check(experiment: str, known: Sequence[str]) -> None:
    if experiment not in known:
        raise WorkbenchError(suggest("experiment", experiment, known))


@contextmanager
def _server(uri: str) -> Iterator[MlflowClient]:
    """The tracking server at ``uri``; what goes wrong with it is told in a sentence, and soon."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    with told(uri):
        yield open_client(uri)


def _ask_server(client: MlflowClient, experiment: str | None, limit: int, superseded: bool) -> _Parts:
    import pandas as pd

    names = {found.experiment_id: found.name for found in _pages(client.search_experiments)}
    if experiment is not None:
        _check(experiment, list(names.values()))
        names = {key: name for key, name in names.items() if name == experiment}
    found: list[Run] = []
    order = ["attributes.start_time DESC"]
    for run in _pages(client.search_runs, experiment_ids=list(names), order_by=order, max_results=PAGE):
        if len(found) == limit:
            break
        if superseded or run.data.tags.get(SUPERSEDED) != "true":
            found.append(run)
    info = [
        (at.run_id, at.run_name, names[at.experiment_id], at.status, at.start_time, at.end_time)
        for at in (run.info for run in found)
    ]
    parts = [
        pd.DataFrame(
            [(run.info.run_id, key, value) for run in found for key, value in getattr(run.data, kind).items()],
            columns=["run_id", "key", "value"],
        )
        for kind in ("params", "metrics", "tags")
    ]
    columns = ["run_id", "name", "experiment", "status", "start_time", "end_time"]
    return _Parts(pd.DataFrame(info, columns=columns), *parts)


def _pages(search: Callable[..., Any], **asked: Any) -> Iterator[Any]:
    """Everything that ``search`` finds, page by page."""
    token = None
    while True:
        page = search(**asked, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _asked_history(client: MlflowClient, run_ids: Sequence[str], metric: str | None) -> Iterator[tuple]:
    for run_id in run_ids:
        for name in [metric] if metric else client.get_run(run_id).data.metrics:
            for point in client.get_metric_history(run_id, name):
                yield run_id, name, point.step, point.value, point.timestamp


def _artifact(run_id: str, name: str, folder: Path, uri: str) -> Path | None:
    """Where the artifact ``name`` lies on this machine, fetched into ``folder`` if need be; None if there is none."""
    database = database_of(uri)
    address = ""
    if database is not None:
        if not database.exists():
            return None
        with _opened(database) as connection:
            row = connection.execute("SELECT artifact_uri FROM runs WHERE run_uuid = ?", [run_id]).fetchone()
        if row is None:
            return None
        address = row[0] or ""
    if address.startswith(("file:", "/")):
        path = Path(url2pathname(urlparse(address).path)) / name
        return path if path.is_file() else None
    from mlflow.exceptions import MlflowException

    try:
        return Path(open_client(uri).download_artifacts(run_id, name, str(folder)))
    except (MlflowException, OSError):  # a server says in many ways that it has no such file
        return None
