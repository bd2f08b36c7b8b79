"""A finished run on MLflow's own pages."""

from __future__ import annotations

import pytest

from tests.toy import TARGETS, one_thread, toy_networks, toy_predictor
from workbench import tracking
from workbench.insight.attention_study import AttentionStudy
from workbench.servers import serve_ui

pytestmark = [pytest.mark.browser]
NO_CHAT_PANEL = "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')"
PICTURE = "() => Array.from(document.images).some((image) => image.naturalWidth >= 1000)"


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
        tab.page.goto(at(tracked.url, url), wait_until="domcontentloaded")
        for text in ("hodm here", "Finished", "spearman", "0.9625", "probes"):
            tab.page.get_by_text(text, exact=False).first.wait_for(timeout=60_000)
        tab.page.wait_for_timeout(1000)
        tab.page.screenshot(path=artifacts / "mlflow_run.png")
        tab.page.goto(f"{url}/#/experiments/{tracked.experiment_id}{tracking.UI_VIEW}")
        tab.page.get_by_text("hodm here").first.wait_for(timeout=60_000)
        tab.page.wait_for_timeout(1000)
        tab.page.screenshot(path=artifacts / "mlflow_experiment.png")
    assert tab.outside == set()


@pytest.mark.slow
def test_a_finished_run_shows_parameters_metrics_and_its_attention(
    tab, serve, port, artifacts, mlflow_home, chromium, monkeypatch
):
    """The attention map is there as a picture, and as a page that works offline and can be pointed at."""
    monkeypatch.setenv("BROWSER_PATH", chromium)
    with one_thread():
        study = AttentionStudy(toy_predictor(), toy_networks().archs)
        arch = study.find("median", "phone")
        with tracking.run("attention", "on a phone", {"rounds": study.rounds}, home=mlflow_home) as tracked:
            study.keep(tracked, arch, *TARGETS)
            tracked.log_figure(study.figures(arch, "phone")["attention_map"], "figures/attention_page", html=True)
    tab.page.add_init_script(NO_CHAT_PANEL)
    tab.page.set_viewport_size({"width": 1600, "height": 1100})
    place, _, view = tracked.url.partition("?")
    with serve(serve_ui(port, mlflow_home), artifacts / "mlflow_attention.log", "/health") as url:
        tab.page.goto(at(tracked.url, url), wait_until="domcontentloaded")
        for text in ("on a phone", "Finished", "rounds", "faithfulness_on_phone"):
            tab.page.get_by_text(text, exact=False).first.wait_for(timeout=60_000)
        tab.page.screenshot(path=artifacts / "mlflow_attention_run.png")
        tab.page.goto(at(f"{place}/artifacts/figures/attention_map.png?{view}", url))
        tab.page.wait_for_function(PICTURE, timeout=60_000)
        tab.page.wait_for_timeout(500)
        tab.page.screenshot(path=artifacts / "mlflow_attention_picture.png")
        tab.page.get_by_text("attention_page.html").first.click()
        page = tab.page.frame_locator("iframe")
        page.get_by_text("What each operator looks at").wait_for(timeout=60_000)
        tab.page.wait_for_timeout(500)
        tab.page.screenshot(path=artifacts / "mlflow_attention_page.png")
    assert tab.outside == set()


def at(address: str, server: str) -> str:
    """``address`` of a run, on ``server``."""
    return address.replace(f"http://127.0.0.1:{tracking.UI_PORT}", server)
