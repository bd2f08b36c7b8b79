"""Where runs are kept: MLflow's address, its database, its experiments."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.config import WorkbenchError, project_home

if TYPE_CHECKING:
    from mlflow import MlflowClient

# With it the UI shows training runs, not its pages for chat models.
EXPERIMENT_KIND = "custom_model_development"


def tracking_uri(home: Path | None = None) -> str:
    """Where runs are kept: in ``home`` if given, else ``MLFLOW_TRACKING_URI``, else the project's database.

    Example: ``sqlite:////home/me/workbench/mlruns/mlflow.db``. Plain folders (``file:./mlruns``) are refused,
    because MLflow refuses them.
    """
    chosen = os.environ.get("MLFLOW_TRACKING_URI") if home is None else None
    if not chosen:
        return f"sqlite:///{(home or project_home()).resolve() / 'mlruns' / 'mlflow.db'}"
    if "://" not in chosen or chosen.startswith("file:"):
        raise WorkbenchError(
            f"MLFLOW_TRACKING_URI is '{chosen}', a plain folder, which MLflow no longer supports; "
            "unset it, or give a database such as sqlite:///mlflow.db or a server's http address."
        )
    database = database_of(chosen)
    return f"sqlite:///{database}" if database else chosen


def prepare(uri: str) -> None:
    """Make the SQLite database of ``uri`` if there is none, once: processes that meet a fresh one break it.

    It grows under another name and is renamed when complete, so a file of its own name is always usable.
    """
    database = database_of(uri)
    if database is None or database.exists():
        return
    from filelock import FileLock

    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{database}.lock"):
            if not database.exists():
                unfinished = database.with_name(f".{database.name}.unfinished")
                unfinished.unlink(missing_ok=True)
                _fill_database(unfinished, database.parent / "artifacts")
                unfinished.replace(database)
    except OSError as error:
        raise WorkbenchError(
            f"Cannot make the MLflow database {database} ({error.strerror or error}); "
            "make its folder writable or set MLFLOW_TRACKING_URI."
        ) from error


def quieten() -> None:
    """Have MLflow send and draw nothing; it reads this while it is imported."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


def open_client(uri: str) -> MlflowClient:
    """A client whose SQLite database exists and is complete."""
    prepare(uri)
    quieten()
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def open_experiment(client: MlflowClient, uri: str, name: str) -> str:
    """The id of the experiment ``name``; a new one on SQLite keeps its artifacts beside the database."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        database = database_of(uri)
        location = (database.parent / "artifacts" / slug(name)).as_uri() if database else None
        try:
            return client.create_experiment(name, location, {"mlflow.experimentKind": EXPERIMENT_KIND})
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)  # another process was faster
    if found.lifecycle_stage == "deleted":
        raise WorkbenchError(
            f"The MLflow experiment '{name}' was deleted; run 'mlflow experiments restore --experiment-id "
            f"{found.experiment_id}' or choose another experiment name."
        )
    return found.experiment_id


def usual_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags that MLflow's fluent interface sets by itself (user, source, commit), then ``tags``."""
    from mlflow.tracking.context.registry import resolve_tags

    return resolve_tags({name: str(value) for name, value in tags.items()})


def database_of(uri: str) -> Path | None:
    """The file behind a ``sqlite:///`` address, absolute; None for any other address."""
    return Path(uri.removeprefix("sqlite:///")).resolve() if uri.startswith("sqlite:///") else None


def slug(name: str) -> str:
    """``name`` as a file can be called."""
    return re.sub(r"[^\w.-]+", "_", name)


def _fill_database(database: Path, artifacts: Path) -> None:
    """Create MLflow's tables in the new file ``database``; its Default experiment writes to ``artifacts``."""
    quieten()
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    for chatty in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    store = SqlAlchemyStore(f"sqlite:///{database}", artifacts.as_uri())
    store.engine.dispose()  # the file is renamed next
