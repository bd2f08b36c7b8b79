"""Fixtures for every test: the measurements beside the checkout, and an MLflow home of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

settings.register_profile("unhurried", deadline=None)  # another busy process must fail no test
settings.load_profile("unhurried")


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true"}


def skip_or_fail(reason: str) -> None:
    """What is missing on a person's machine skips a test; in continuous integration it fails it."""
    if in_ci():
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def missing() -> Callable[[str], None]:
    """Says that something is missing, with the reason: a skip on a person's machine, a failure in CI."""
    return skip_or_fail


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder ``../shared`` with other people's measurements and the published tasks."""
    folder = ROOT.parent / "shared"
    if not (folder / "data").is_dir() or not (folder / "bench" / "tasks.json").is_file():
        skip_or_fail(f"the published measurements are not at {folder}")
    return folder


@pytest.fixture(scope="session")
def mlflow_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database, made once for all workers: it takes 11 s."""
    from workbench.tracking import prepare, tracking_uri

    base = tmp_path_factory.getbasetemp()
    home = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "mlflow_template"
    prepare(tracking_uri(home))  # under its own lock: the first worker makes it, the others wait
    return home / "mlruns" / "mlflow.db"


@pytest.fixture
def mlflow_home(mlflow_template: Path, tmp_path: Path) -> Path:
    """A folder whose ``mlruns/`` holds a fresh, complete MLflow database."""
    home = tmp_path / "home"
    (home / "mlruns").mkdir(parents=True)
    shutil.copy(mlflow_template, home / "mlruns" / "mlflow.db")
    return home
