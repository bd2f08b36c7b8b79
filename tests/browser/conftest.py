"""A real JupyterLab and real MLflow pages on loopback, driven in Chromium."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from workbench.notebooks import lab
from workbench.servers import Server

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
SETTINGS = {  # no questions, no news, and every cell in the page so that it can be looked at
    "apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    "notebook-extension/tracker": {"windowingMode": "none"},
}
# A figure can be there and yet have no height.
VISIBLE = """Array.from(document.querySelectorAll('.jp-OutputArea .js-plotly-plot')).filter(
    (plot) => plot.querySelector('.main-svg') && plot.offsetHeight > 100)"""
START = """() => {
    window.allCells = window.jupyterapp.commands.execute('notebook:run-all-cells').then(() => 'done');
}"""
FINISH = """async (limit) => {
    const late = new Promise((resolve) => setTimeout(() => resolve('still running'), limit));
    return await Promise.race([window.allCells, late]);
}"""
ERRORS = """() => window.jupyterapp.shell.currentWidget.content.widgets
    .flatMap((cell) => cell.model.type === 'code' ? cell.model.outputs.toJSON() : [])
    .filter((output) => output.output_type === 'error')
    .map((output) => output.ename + ': ' + output.evalue)"""
IDLE = """() => window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"""
HEIGHT = """() => Math.max(
    ...Array.from(document.querySelectorAll('.jp-NotebookPanel *'), (element) => element.scrollHeight))"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def artifacts() -> Path:
    """Where screenshots and logs of the servers stay, to be looked at."""
    folder = Path(__file__).parent / "artifacts"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def chromium(missing: Callable[[str], None]) -> str:
    """The browser's executable: ``CHROMIUM``, or what the machine has."""
    names = [os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"]
    found = next(filter(None, (shutil.which(name) for name in names if name)), None)
    if found is None:
        missing("there is no Chromium; install it (apt-get install chromium) or set CHROMIUM")
    return str(found)


class Tab:
    """A browser tab that remembers what it asked of which host, and what went wrong in it."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.outside: set[str] = set()
        self.crashes: list[str] = []
        page.on("request", self._note)
        page.on("pageerror", lambda error: self.crashes.append(str(error)))

    def _note(self, request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:")):
            self.outside.add(request.url)


@pytest.fixture
def tab(chromium: str) -> Iterator[Tab]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=FLAGS)
        yield Tab(browser.new_page(viewport={"width": 1280, "height": 900}))
        browser.close()


@contextmanager
def serving(server: Server, log: Path, ready: str, limit_s: float = 120) -> Iterator[str]:
    """Start ``server``, wait until its path ``ready`` answers, yield its address; end it and its children."""
    with log.open("w") as stream:
        process = subprocess.Popen(
            server.argv, env=server.env, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        deadline = time.monotonic() + limit_s
        while not answers(server.url + ready):
            assert process.poll() is None, f"the server died: {log.read_text()[-2000:]}"
            assert time.monotonic() < deadline, f"no answer in {limit_s} s: {log.read_text()[-2000:]}"
            time.sleep(0.25)
        yield server.url
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # its own session: kernels and workers end with it
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(15)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return response.status == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


class Notebook:
    """A notebook that is open in JupyterLab."""

    def __init__(self, tab: Tab, address: str) -> None:
        self.tab, self.page = tab, tab.page
        self.page.goto(address, wait_until="domcontentloaded")
        self.page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=90_000)
        self.page.wait_for_function(IDLE, timeout=90_000)

    def run_all(self, limit_s: float) -> None:
        """Run every cell and fail on an error output, or when it takes longer than ``limit_s``."""
        self.start()
        self.finish(limit_s)

    def start(self) -> None:
        """Begin to run every cell."""
        self.page.evaluate(START)

    def finish(self, limit_s: float) -> None:
        """Wait for the end of what `start` began; fail on an error output, or after ``limit_s``."""
        assert self.page.evaluate(FINISH, limit_s * 1000) == "done"
        assert self.page.evaluate(ERRORS) == []

    def wait_for_figures(self, count: int = 1) -> int:
        """Wait until ``count`` Plotly figures can be seen; returns how many there are."""
        self.page.wait_for_function(f"(n) => {VISIBLE}.length >= n", arg=count, timeout=60_000)
        return self.page.evaluate(f"() => {VISIBLE}.length")

    def screenshot(self, path: Path, width: int = 1280) -> None:
        """The whole notebook as one picture, ``width`` pixels wide."""
        self.page.set_viewport_size({"width": width, "height": min(12_000, self.page.evaluate(HEIGHT) + 160)})
        self.page.evaluate(
            "() => document.querySelectorAll('.jp-WindowedPanel-outer, .jp-Notebook').forEach((p) => p.scrollTo(0, 0))"
        )
        self.page.wait_for_timeout(2500)  # cells that were out of sight and figures are drawn for the new size
        self.page.screenshot(path=path)


@pytest.fixture
def open_notebook(tab: Tab, artifacts: Path, tmp_path: Path, monkeypatch) -> Iterator[Callable[[Path], Notebook]]:
    """A function that opens a notebook in a fresh JupyterLab on the notebook's folder."""
    settings = tmp_path / "settings"
    for name, values in SETTINGS.items():
        file = settings / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    monkeypatch.setenv("JUPYTERLAB_SETTINGS_DIR", str(settings))
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    started = []

    def start(notebook: Path, dark: bool = False) -> Notebook:
        theme = settings / "@jupyterlab" / "apputils-extension" / "themes.jupyterlab-settings"
        theme.write_text(json.dumps({"theme": "JupyterLab Dark" if dark else "JupyterLab Light"}))
        token = secrets.token_hex(16)
        server = lab(notebook.parent, free_port(), token, browser=False)
        server.argv.append("--LabApp.expose_app_in_browser=True")
        running = serving(server, artifacts / f"jupyterlab_{notebook.stem}.log", f"/api/status?token={token}")
        url = running.__enter__()
        started.append(running)
        return Notebook(tab, f"{url}/lab/tree/{notebook.name}?token={token}&reset")

    yield start
    for running in started:
        running.__exit__(None, None, None)


@pytest.fixture
def open_smoke(open_notebook, tmp_path: Path, mlflow_home, monkeypatch) -> Callable[..., Notebook]:
    """A function that opens a copy of one of the project's notebooks, as a tiny run with an MLflow home of its own."""
    monkeypatch.setenv("WORKBENCH_HOME", str(mlflow_home))
    monkeypatch.setenv("WORKBENCH_SMOKE", "1")

    def start(name: str, dark: bool = False) -> Notebook:
        copy = tmp_path / "notebooks" / name
        copy.parent.mkdir()
        shutil.copyfile(NOTEBOOKS / name, copy)
        (tmp_path / "experiments").symlink_to(NOTEBOOKS.parent / "experiments")  # tasks are read from beside the folder
        return open_notebook(copy, dark)

    return start


@pytest.fixture
def serve() -> Callable[..., Any]:
    return serving


@pytest.fixture
def port() -> int:
    return free_port()
