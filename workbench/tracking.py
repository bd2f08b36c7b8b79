"""Runs, metrics, figures and models in MLflow; the only module that imports it, and only when a run is made.

Everything goes through `MlflowClient`, so nothing depends on a global "active run". MLflow's home is the
folder ``mlruns/``: the database ``mlflow.db`` and one artifact folder per experiment.
"""

from __future__ import annotations

import logging
import numbers
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import __version__
from workbench.config import WorkbenchError

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from plotly.graph_objects import Figure

    Load = Callable[[Path], Callable[[pd.DataFrame], pd.DataFrame]]

UI_PORT = 5000
PARAMS_PER_BATCH = 100  # MLflow's own limits
METRICS_PER_BATCH = 1000
PARAM_LENGTH = 6000
# What stands beside a model instead of a pickle.
MODEL_CODE = '''"""What MLflow runs to load this model, whose weights are the safetensors and JSON files beside it."""

from {module} import {function}
from workbench.tracking import offer

offer({function})
'''
# With these the UI shows training runs, not its pages for chat models.
EXPERIMENT_KIND = "custom_model_development"
UI_VIEW = "?workflowType=machine_learning"


def project_home() -> Path:
    """The folder of ``mlruns/`` and ``notebooks/``: ``WORKBENCH_HOME``, this checkout, or the current one."""
    if chosen := os.environ.get("WORKBENCH_HOME"):
        return Path(chosen).expanduser().resolve()
    checkout = Path(__file__).resolve().parents[1]
    return checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()


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


class Run:
    """One open MLflow run; made by `run`, written to until its ``with`` block ends."""

    def __init__(self, client: MlflowClient, uri: str, experiment_id: str, run_id: str) -> None:
        self._client = client
        self._uri = uri
        self.experiment_id = experiment_id
        self.run_id = run_id

    @property
    def url(self) -> str:
        """The run's page: on the tracking server if there is one, else where ``make ui`` shows it."""
        base = self._uri.rstrip("/") if self._uri.startswith("http") else f"http://127.0.0.1:{UI_PORT}"
        return f"{base}/#/experiments/{self.experiment_id}/runs/{self.run_id}{UI_VIEW}"

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log parameters; nested mappings become dotted names.

        A value that is too long for MLflow is kept whole as the artifact ``params/<name>.txt``, and the
        parameter says so.
        """
        from mlflow.entities import Param

        entries = []
        for name, value in _flatten(params):
            text = str(value)
            if len(text) > PARAM_LENGTH:
                self._client.log_text(self.run_id, text, f"params/{_slug(name)}.txt")
                note = f"... [{len(text)} characters, whole in params/{_slug(name)}.txt]"
                text = text[: PARAM_LENGTH - len(note)] + note
            entries.append(Param(name, text))
        for start in range(0, len(entries), PARAMS_PER_BATCH):
            self._client.log_batch(self.run_id, params=entries[start : start + PARAMS_PER_BATCH])

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log numbers at ``step`` in one batch; nested mappings become dotted names."""
        self._log_metrics([(name, value, step) for name, value in _flatten(metrics)])

    def log_history(self, history: pd.DataFrame) -> None:
        """Log a ``steps x metrics`` table, NaN cells left out; the index or a column ``step`` is the step."""
        if "step" in history.columns:
            history = history.set_index("step")
        cells = history.stack().dropna()  # index: step, metric
        self._log_metrics([(str(name), value, int(step)) for (step, name), value in cells.items()])

    def log_table(self, table: pd.DataFrame, name: str) -> None:
        """Keep ``table`` as the artifact ``name``, which ends in .csv (the default), .json or .parquet."""
        name = name if Path(name).suffix in {".csv", ".json", ".parquet"} else f"{name}.csv"
        with self._artifact(name) as path:
            if path.suffix == ".csv":
                table.to_csv(path, index=False)
            elif path.suffix == ".json":
                table.to_json(path, orient="records", indent=1)
            else:
                table.to_parquet(path)

    def log_figure(self, figure: Figure, name: str, html: bool = False) -> None:
        """Keep a Plotly figure as ``<name>.json`` (some KB), with ``html`` also as an offline page (5 MB)."""
        stem = name.removesuffix(".json").removesuffix(".html")
        with self._artifact(f"{stem}.json") as path:
            figure.write_json(path)
        if html:
            with self._artifact(f"{stem}.html") as path:
                figure.write_html(path, include_plotlyjs=True)

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """Copy the file at ``path`` into the run's artifacts (into ``folder`` there, if given)."""
        if not Path(path).is_file():
            raise WorkbenchError(f"There is no file {path} to log; write it before logging it.")
        self._client.log_artifact(self.run_id, str(path), folder)

    def log_model(self, folder: Path, load: Load, example: pd.DataFrame) -> str:
        """Keep a saved model such that MLflow can run it, without a pickle of anything.

        Args:
            folder: the saved model: ``*.safetensors`` and ``*.json``.
            load: a function of a module that makes of such a folder a function from table to table.
            example: a table that the loaded model takes; with what it gives, the model's signature.

        Returns:
            Its address for ``mlflow.pyfunc.load_model``.
        """
        from mlflow.entities import LoggedModelOutput

        for pattern in ("*.safetensors", "*.json"):
            if not any(Path(folder).glob(pattern)):
                raise WorkbenchError(f"A saved model has a {pattern}, {folder} has none; save the model there first.")
        with tempfile.TemporaryDirectory() as place:
            packed = _pack(Path(folder), load, example, Path(place))
            model = self._client.create_logged_model(self.experiment_id, "model", self.run_id)
            self._client.log_model_artifacts(model.model_id, str(packed))
        self._client.log_outputs(self.run_id, [LoggedModelOutput(model.model_id, step=0)])
        self._client.finalize_logged_model(model.model_id, "READY")
        return f"models:/{model.model_id}"

    def _log_metrics(self, rows: list[tuple[str, Any, int]]) -> None:
        from mlflow.entities import Metric

        now_ms = int(time.time() * 1000)
        metrics = [Metric(name, _number(name, value), now_ms, step) for name, value, step in rows]
        for start in range(0, len(metrics), METRICS_PER_BATCH):
            self._client.log_batch(self.run_id, metrics=metrics[start : start + METRICS_PER_BATCH])

    @contextmanager
    def _artifact(self, name: str) -> Iterator[Path]:
        """A temporary file to be filled, then logged under the relative path ``name``."""
        target = Path(name)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / target.name
            yield path
            parent = target.parent.as_posix()
            self._client.log_artifact(self.run_id, str(path), None if parent == "." else parent)


@contextmanager
def run(
    experiment: str,
    name: str,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    home: Path | None = None,
) -> Iterator[Run]:
    """Open a run and log ``params``; it ends FINISHED, FAILED when the body raises, KILLED when interrupted.

    Example::

        with run("quickstart", "hodm", params={"probes": 16}) as tracked:
            tracked.log_metrics({"spearman": 0.96})
    """
    uri = tracking_uri(home)
    client = _client(uri)
    experiment_id = _experiment(client, uri, experiment)
    opened = client.create_run(experiment_id, run_name=name, tags=_tags(tags or {}))
    tracked = Run(client, uri, experiment_id, opened.info.run_id)
    try:
        tracked.log_params(params or {})
        yield tracked
    except BaseException as error:
        client.set_tag(tracked.run_id, "error", f"{type(error).__name__}: {error}"[:PARAM_LENGTH])
        killed = isinstance(error, KeyboardInterrupt)
        client.set_terminated(tracked.run_id, status="KILLED" if killed else "FAILED")
        raise
    client.set_terminated(tracked.run_id, status="FINISHED")


def offer(load: Load) -> None:
    """Give MLflow the model that it is about to save or to load; called by `MODEL_CODE` and by nothing else."""
    import pandas as pd
    from mlflow.models import set_model
    from mlflow.pyfunc import PythonModel

    class Model(PythonModel):
        def load_context(self, context: Any) -> None:
            self._predict = load(Path(context.artifacts["weights"]))

        def predict(self, context: Any, model_input: pd.DataFrame) -> pd.DataFrame:
            return self._predict(model_input)

        # MLflow wants the types themselves, not their names.
        predict.__annotations__.update(dict.fromkeys(("model_input", "return"), pd.DataFrame))

    set_model(Model())


def _pack(folder: Path, load: Load, example: pd.DataFrame, place: Path) -> Path:
    """The model in ``folder`` in MLflow's format, somewhere in ``place``."""
    from mlflow.models import infer_signature
    from mlflow.pyfunc import save_model

    logging.getLogger("mlflow.pyfunc").setLevel(logging.WARNING)
    code, packed = place / "load_model.py", place / "packed"
    code.write_text(MODEL_CODE.format(module=load.__module__, function=load.__name__))
    parts = {"python_model": code, "artifacts": {"weights": str(folder)}}
    parts |= {"signature": infer_signature(example, load(folder)(example)), "input_example": example}
    parts["pip_requirements"] = [
        f"workbench-latency=={__version__}"
    ]  # MLflow would try what is imported: half a minute
    save_model(packed, **parts)
    return packed


def _client(uri: str) -> MlflowClient:
    """A client whose SQLite database exists and is complete."""
    prepare(uri)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # MLflow reads it while it is imported
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def _fill_database(database: Path, artifacts: Path) -> None:
    """Create MLflow's tables in the new file ``database``; its Default experiment writes to ``artifacts``."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    for chatty in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    store = SqlAlchemyStore(f"sqlite:///{database}", artifacts.as_uri())
    store.engine.dispose()  # the file is renamed next


def _experiment(client: MlflowClient, uri: str, name: str) -> str:
    """The id of the experiment ``name``; a new one on SQLite keeps its artifacts beside the database."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        database = database_of(uri)
        location = (database.parent / "artifacts" / _slug(name)).as_uri() if database else None
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


def _tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags that MLflow's fluent interface sets by itself (user, source, commit), then ``tags``."""
    from mlflow.tracking.context.registry import resolve_tags

    return resolve_tags({name: str(value) for name, value in tags.items()})


def database_of(uri: str) -> Path | None:
    """The file behind a ``sqlite:///`` address, absolute; None for any other address."""
    return Path(uri.removeprefix("sqlite:///")).resolve() if uri.startswith("sqlite:///") else None


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _number(name: str, value: Any) -> float:
    if isinstance(value, numbers.Real) or (hasattr(value, "item") and getattr(value, "ndim", None) == 0):
        return float(value)
    raise TypeError(f"Metric '{name}' expects a number, got {value!r}; log anything else as a parameter or a table.")


def _slug(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name)
