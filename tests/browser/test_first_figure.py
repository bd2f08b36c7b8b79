"""How soon a person who opens notebook 20 sees something: kept in artifacts/first_figure.json, not judged."""

from __future__ import annotations

import json
import shutil
import time

import pytest

from tests.browser.conftest import NOTEBOOKS

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_notebook_20_at_full_size_shows_its_first_figure(open_notebook, artifacts, tmp_path, mlflow_home, monkeypatch):
    monkeypatch.setenv("WORKBENCH_HOME", str(mlflow_home))
    monkeypatch.delenv("WORKBENCH_SMOKE", raising=False)
    copy = tmp_path / "notebooks" / "20_select_probes.ipynb"
    copy.parent.mkdir()
    shutil.copyfile(NOTEBOOKS / copy.name, copy)
    notebook = open_notebook(copy)
    ready_s = notebook.page.evaluate("performance.now()") / 1000  # since the browser left for the page
    begun = time.monotonic()
    notebook.start()
    assert notebook.wait_for_figures() >= 1
    ran_s = time.monotonic() - begun
    notebook.finish(limit_s=240)
    told = {"page_with_idle_kernel_s": round(ready_s, 2), "run_all_to_first_figure_s": round(ran_s, 2)}
    (artifacts / "first_figure.json").write_text(json.dumps(told))
