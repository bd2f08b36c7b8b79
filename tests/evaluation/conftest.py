"""No data but the toy devices', and methods that train for a moment only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.evaluation.toy_task import FRAME, TASK, write_tasks
from tests.peers import small_peers
from tests.toy import one_thread, write_table
from workbench.data import sources
from workbench.predictor.hodm import HODMConfig
from workbench.training.fit import FitConfig
from workbench.training.transfer import METHODS, trained_methods


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An own cache, no bundled measurements, and methods that train for a moment only."""
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("WORKBENCH_DATA", raising=False)
    (tmp_path / "none").mkdir()
    monkeypatch.setattr(sources, "BUNDLED", tmp_path / "none")
    small = FitConfig(steps=8, devices=6), HODMConfig(width=12, heads=2)
    for name, method in {**trained_methods(*small), **small_peers()}.items():
        monkeypatch.setitem(METHODS, name, method)
    with one_thread():
        yield


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_table(tmp_path / "data", FRAME)


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    return write_tasks(tmp_path, {"T": TASK})
