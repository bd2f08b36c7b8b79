"""What is known of a sweep as a whole: the file ``sweep.json`` beside the table."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from workbench.sweep.plan import Plan
from workbench.sweep.store import FAILED, FINISHED, Record
from workbench.sweep.table import Columns

#: Packages whose version may decide a result.
PACKAGES = (
    "workbench-latency", "torch", "numpy", "scipy", "pandas", "scikit-learn", "pyarrow", "papermill", "distributed",
    "mlflow", "onnxruntime", "openvino",
)  # fmt: skip


def manifest(
    plan: Plan, records: Mapping[str, Record], columns: Columns, place: Mapping[str, str | None], **told: Any
) -> dict[str, Any]:
    """The content of ``sweep.json``.

    Args:
        plan: of the sweep.
        records: how runs of it ended, by key.
        columns: of the table.
        place: of the sweep in MLflow.
        told: of the command: ``command, started, ended, wall_s, workers``.
    """
    sweep = plan.sweep
    states = [record.status for record in records.values()]
    data = {path: digest for run in plan.runs for path, digest in run.data.items()}
    return {
        "name": sweep.name,
        "sweep_file": str(sweep.file.resolve()),
        "notebook": str(sweep.notebook),
        "metric": sweep.metric or None,
        "direction": sweep.direction,
        "factors": list(sweep.factors),
        "groups": list(sweep.groups or sweep.factors),
        "levels": plan.levels,
        "reference": dict(sweep.reference),
        "seeds": list(sweep.seeds),
        "parameters": dict(sweep.parameters),
        "labels": columns.labels,
        "metrics": columns.metrics,
        "runs": len(plan.runs),
        "finished": states.count(FINISHED),
        "failed": states.count(FAILED),
        "experiment": sweep.name,
        **place,
        "code": plan.code,
        "data": data,
        "versions": versions(),
        **told,
    }


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Versions of Python and of ``packages``, as far as they are installed; nothing is imported."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
