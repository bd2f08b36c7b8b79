"""One run that is written to, and where it goes: MLflow, or a folder that is read later."""

from __future__ import annotations

import numbers
import os
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.config import WorkbenchError
from workbench.tracking.model import check_saved, pack
from workbench.tracking.store import open_client, open_experiment, slug, tracking_uri, usual_tags

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from plotly.graph_objects import Figure

    from workbench.tracking.model import Load

UI_PORT = 5000
PARAMS_PER_BATCH = 100  # MLflow's own limits
METRICS_PER_BATCH = 1000
PARAM_LENGTH = 6000
UI_VIEW = "?workflowType=machine_learning"  # shows training runs, not pages for chat models

#: Set to a folder where a run is to be written there instead of to MLflow: a notebook in a sweep.
RUN_FOLDER = "WORKBENCH_RUN_FOLDER"


class Run(ABC):
    """One open run; made by `run`, written to until its ``with`` block ends.

    A kind of run says where parameters, metrics, files and models are kept; what they look like is the same for all.
    """

    experiment_id: str
    run_id: str

    @property
    @abstractmethod
    def url(self) -> str:
        """Where a person can see it."""

    @abstractmethod
    def _keep_params(self, params: list[tuple[str, str]]) -> None: ...

    @abstractmethod
    def _keep_metrics(self, rows: list[tuple[str, float, int]]) -> None: ...

    @abstractmethod
    def _keep_file(self, path: Path, folder: str | None) -> None: ...

    @abstractmethod
    def log_model(self, folder: Path, load: Load, example: pd.DataFrame) -> str:
        """Keep a saved model, without a pickle of anything.

        Args:
            folder: the saved model: ``*.safetensors`` and ``*.json``.
            load: a function of a module that makes of such a folder a function from table to table.
            example: a table that the loaded model takes; with what it gives, the model's signature.

        Returns:
            Its address: for ``mlflow.pyfunc.load_model`` where the run is in MLflow.
        """

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log parameters; nested mappings become dotted names.

        A value that is too long for MLflow is kept whole as the artifact ``params/<name>.txt``, and the
        parameter says so.
        """
        entries = []
        for name, value in _flatten(params):
            text = str(value)
            if len(text) > PARAM_LENGTH:
                whole = f"params/{slug(name)}.txt"
                with self._artifact(whole) as path:
                    path.write_text(text)
                note = f"... [{len(text)} characters, whole in {whole}]"
                text = text[: PARAM_LENGTH - len(note)] + note
            entries.append((name, text))
        self._keep_params(entries)

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log numbers at ``step`` in one batch; nested mappings become dotted names."""
        self.log_points((name, value, step) for name, value in _flatten(metrics))

    def log_points(self, points: Iterable[tuple[str, float, int]]) -> None:
        """Log name, value and step of many metrics at once."""
        self._keep_metrics([(name, _number(name, value), step) for name, value, step in points])

    def log_history(self, history: pd.DataFrame) -> None:
        """Log a ``steps x metrics`` table, NaN cells left out; the index or a column ``step`` is the step."""
        if "step" in history.columns:
            history = history.set_index("step")
        cells = history.stack().dropna()  # index: step, metric
        self.log_points((str(name), value, int(step)) for (step, name), value in cells.items())

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

    def log_figure(self, figure: Figure, name: str, html: bool = False, image: bool = False) -> None:
        """Keep a Plotly figure as ``<name>.json`` (some KB).

        Args:
            html: also as a page that works offline (5 MB).
            image: also as a picture, which MLflow's pages show at once; as that page where there is no Chromium.
        """
        from workbench.insight.export import export

        stem = name.removesuffix(".json").removesuffix(".html")
        with self._artifact(f"{stem}.json") as path:
            figure.write_json(path)
        if image:
            try:
                with self._artifact(f"{stem}.png") as path:
                    export(figure, path)
            except WorkbenchError:
                html = True
        if html:
            with self._artifact(f"{stem}.html") as path:
                export(figure, path)

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """Copy the file at ``path`` into the run's artifacts (into ``folder`` there, if given)."""
        if not Path(path).is_file():
            raise WorkbenchError(f"There is no file {path} to log; write it before logging it.")
        self._keep_file(Path(path), folder)

    @contextmanager
    def _artifact(self, name: str) -> Iterator[Path]:
        """A temporary file to be filled, then kept under the relative path ``name``."""
        target = Path(name)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / target.name
            yield path
            parent = target.parent.as_posix()
            self._keep_file(path, None if parent == "." else parent)


class MlflowRun(Run):
    """A run in MLflow."""

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

    def _keep_params(self, params: list[tuple[str, str]]) -> None:
        from mlflow.entities import Param

        entries = [Param(name, text) for name, text in params]
        for start in range(0, len(entries), PARAMS_PER_BATCH):
            self._client.log_batch(self.run_id, params=entries[start : start + PARAMS_PER_BATCH])

    def _keep_metrics(self, rows: list[tuple[str, float, int]]) -> None:
        from mlflow.entities import Metric

        now_ms = int(time.time() * 1000)
        metrics = [Metric(name, value, now_ms, step) for name, value, step in rows]
        for start in range(0, len(metrics), METRICS_PER_BATCH):
            self._client.log_batch(self.run_id, metrics=metrics[start : start + METRICS_PER_BATCH])

    def _keep_file(self, path: Path, folder: str | None) -> None:
        self._client.log_artifact(self.run_id, str(path), folder)

    def log_model(self, folder: Path, load: Load, example: pd.DataFrame) -> str:
        """Keep a saved model such that MLflow can run it; see `Run.log_model`."""
        from mlflow.entities import LoggedModelOutput

        check_saved(Path(folder))
        with tempfile.TemporaryDirectory() as place:
            packed = pack(Path(folder), load, example, Path(place))
            model = self._client.create_logged_model(self.experiment_id, "model", self.run_id)
            self._client.log_model_artifacts(model.model_id, str(packed))
        self._client.log_outputs(self.run_id, [LoggedModelOutput(model.model_id, step=0)])
        self._client.finalize_logged_model(model.model_id, "READY")
        return f"models:/{model.model_id}"


@contextmanager
def run(
    experiment: str,
    name: str,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    home: Path | None = None,
) -> Iterator[Run]:
    """Open a run and log ``params``; it ends FINISHED, FAILED when the body raises, KILLED when interrupted.

    In a sweep it is written to a folder, which becomes a run of the sweep's own experiment.

    Example::

        with run("quickstart", "hodm", params={"probes": 16}) as tracked:
            tracked.log_metrics({"spearman": 0.96})
    """
    if redirected := os.environ.get(RUN_FOLDER):
        from workbench.tracking.folder import FolderRun

        with FolderRun(Path(redirected), tags or {}) as kept:
            kept.log_params(params or {})
            yield kept
        return
    uri = tracking_uri(home)
    client = open_client(uri)
    experiment_id = open_experiment(client, uri, experiment)
    opened = client.create_run(experiment_id, run_name=name, tags=usual_tags(tags or {}))
    tracked = MlflowRun(client, uri, experiment_id, opened.info.run_id)
    try:
        tracked.log_params(params or {})
        yield tracked
    except BaseException as error:
        client.set_tag(tracked.run_id, "error", f"{type(error).__name__}: {error}"[:PARAM_LENGTH])
        killed = isinstance(error, KeyboardInterrupt)
        client.set_terminated(tracked.run_id, status="KILLED" if killed else "FAILED")
        raise
    client.set_terminated(tracked.run_id, status="FINISHED")


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _number(name: Any, value: Any) -> float:
    if isinstance(value, numbers.Real) or (hasattr(value, "item") and getattr(value, "ndim", None) == 0):
        return float(value)
    raise TypeError(f"Metric '{name}' expects a number, got {value!r}; log anything else as a parameter or a table.")
