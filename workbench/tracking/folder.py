"""A run kept as a folder: what a notebook logs in a sweep, where MLflow belongs to the command that runs the sweep.

The folder holds ``run.json`` (parameters, tags, metrics) and ``artifacts/``. Several runs of one notebook share it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.config import WorkbenchError, write_atomically
from workbench.tracking.model import check_saved
from workbench.tracking.run import Run

if TYPE_CHECKING:
    import pandas as pd

    from workbench.tracking.model import Load

ARTIFACTS, CONTENT = "artifacts", "run.json"


@dataclass
class Logged:
    """What a folder holds besides its artifacts.

    Args:
        params: name to text.
        tags: name to text.
        metrics: name, value and step, in the order in which they were logged.
    """

    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: list[tuple[str, float, int]] = field(default_factory=list)

    @property
    def latest(self) -> dict[str, float]:
        """The value of every metric at its highest step, the last one logged there."""
        found: dict[str, tuple[int, float]] = {}
        for name, value, step in self.metrics:
            if name not in found or step >= found[name][0]:
                found[name] = (step, value)
        return {name: value for name, (_, value) in found.items()}


def read_logged(folder: Path) -> Logged:
    """What was logged into ``folder``; nothing where there is no such folder."""
    try:
        return parse_logged((folder / CONTENT).read_bytes())
    except FileNotFoundError:
        return Logged()
    except OSError as error:
        what = error.strerror or error
        raise WorkbenchError(f"Cannot read {folder / CONTENT} ({what}); make it readable.") from error


def parse_logged(content: bytes) -> Logged:
    """What the file `CONTENT` says."""
    try:
        told = json.loads(content)
        metrics = [(name, float(value), step) for name, value, step in told["metrics"]]
        return Logged(told["params"], told["tags"], metrics)
    except (ValueError, KeyError, TypeError) as error:
        raise WorkbenchError(f"{CONTENT} expects what a run logged, got {error!r}; run it again.") from error


class FolderRun(Run):
    """A run that is written into ``folder``; a context manager."""

    def __init__(self, folder: Path, tags: Mapping[str, str]) -> None:
        self._folder = folder
        self._logged = read_logged(folder)
        self._logged.tags |= {name: str(value) for name, value in tags.items()}
        self.experiment_id = ""
        self.run_id = folder.name

    @property
    def url(self) -> str:
        """The folder: it becomes a run in MLflow only after the notebook has ended."""
        return self._folder.as_uri()

    def __enter__(self) -> FolderRun:
        return self

    def __exit__(self, *exception: object) -> None:
        content = {"params": self._logged.params, "tags": self._logged.tags, "metrics": self._logged.metrics}
        write_atomically(self._folder / CONTENT, lambda path: path.write_text(json.dumps(content)))

    def _keep_params(self, params: list[tuple[str, str]]) -> None:
        self._logged.params |= dict(params)

    def _keep_metrics(self, rows: list[tuple[str, float, int]]) -> None:
        self._logged.metrics += rows

    def _keep_file(self, path: Path, folder: str | None) -> None:
        place = self._folder / ARTIFACTS / (folder or "")
        place.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place / path.name)

    def log_model(self, folder: Path, load: Load, example: pd.DataFrame) -> str:
        """Keep the saved model's files; ``load`` reads them from the folder that is returned."""
        check_saved(Path(folder))
        place = self._folder / ARTIFACTS / "model"
        shutil.copytree(folder, place, dirs_exist_ok=True)
        return str(place)
