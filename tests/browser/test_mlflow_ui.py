"""A finished run on MLflow's own pages."""

from __future__ import annotations

import pytest

from workbench import tracking
from workbench.servers import serve_ui

pytestmark = [pytest.mark.browser]
NO_CHAT_PANEL = "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')"


def test_a_finished_run_is_shown_with_its_metrics(tab, serve, port, artifacts, mlflow_home):
    import pandas as pd

    with tracking.run("quickstart", "hodm here", {"probes": 16}, home=mlflow_home) as tracked:
        tracked.log_metrics({"spearman": 0.9625})
        tracked.log_history(pd.DataFrame({"loss": [3.0, 2.0, 1.5]}))
        tracked.log_table(pd.DataFrame({"arch": ["a"], "latency_ms": [1.5]}), "predictions")
    server = serve_ui(port, mlflow_home)
    tab.page.add_init_script(NO_CHAT_PANEL)
    tab.page.set_viewport_size({"width": 1280, "height": 1000})
    with serve(server, artifacts / "mlflow.log", "/health") as url:
        tab.page.goto(tracked.url.replace(f"http://127.0.0.1:{tracking.UI_PORT}", url), wait_until="domcontentloaded")
        for text in ("hodm here", "Finished", "spearman", "0.9625", "probes"):
            tab.page.get_by_text(text, exact=False).first.wait_for(timeout=60_000)
        tab.page.wait_for_timeout(1000)
        tab.page.screenshot(path=artifacts / "mlflow_run.png")
        tab.page.goto(f"{url}/#/experiments/{tracked.experiment_id}{tracking.UI_VIEW}")
        tab.page.get_by_text("hodm here").first.wait_for(timeout=60_000)
        tab.page.wait_for_timeout(1000)
        tab.page.screenshot(path=artifacts / "mlflow_experiment.png")
    assert tab.outside == set()
