"""Runs, metrics, figures and models in MLflow; the only package that imports it, and only when a run is made.

Everything goes through `MlflowClient`, so nothing depends on a global "active run". MLflow's home is the
folder ``mlruns/``: the database ``mlflow.db`` and one artifact folder per experiment.
"""

from __future__ import annotations

from workbench.tracking.family import Birth, Child, Family, open_family
from workbench.tracking.folder import ARTIFACTS, CONTENT, Logged, parse_logged, read_logged
from workbench.tracking.model import offer
from workbench.tracking.run import PARAM_LENGTH, RUN_FOLDER, UI_PORT, UI_VIEW, Run, run
from workbench.tracking.store import database_of, prepare, project_home, tracking_uri

__all__ = [
    "ARTIFACTS",
    "CONTENT",
    "PARAM_LENGTH",
    "RUN_FOLDER",
    "UI_PORT",
    "UI_VIEW",
    "Birth",
    "Child",
    "Family",
    "Logged",
    "Run",
    "database_of",
    "offer",
    "open_family",
    "parse_logged",
    "prepare",
    "project_home",
    "read_logged",
    "run",
    "tracking_uri",
]
