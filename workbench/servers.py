"""Local servers, always on loopback: how to start MLflow's pages, and what starting any of them needs."""

from __future__ import annotations

import os
import secrets
import socket
import sys
from pathlib import Path
from typing import NamedTuple

from workbench.config import WorkbenchError
from workbench.tracking import UI_PORT, database_of, prepare, tracking_uri

APP_PORT = 8866
# Voilà's page asks another host for icons that nothing here needs; apps are to work, and to be private, without it.
OWN_ONLY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob: ws:"


class Server(NamedTuple):
    """How to start a local server: the command, its whole environment, and the address it answers at."""

    argv: list[str]
    env: dict[str, str]
    url: str


def serve_ui(port: int = UI_PORT, home: Path | None = None) -> Server:
    """The command for MLflow's UI on 127.0.0.1; one worker and no job runner: it answers in 12 s, not 78 s.

    Makes the database if there is none. Raises a `WorkbenchError` when ``port`` is taken.
    """
    check_port(port)
    uri = tracking_uri(home)
    argv = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    argv += ["--backend-store-uri", uri]
    prepare(uri)
    if database := database_of(uri):
        argv += ["--default-artifact-root", (database.parent / "artifacts").as_uri()]
    env = dict(os.environ, MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false", MLFLOW_DISABLE_TELEMETRY="true")
    return Server(argv, env, f"http://127.0.0.1:{port}")


def serve_app(folder: Path, port: int = APP_PORT, token: str | None = None, browser: bool = True) -> Server:
    """The command that serves the notebooks of ``folder`` as apps (Voilà) on 127.0.0.1, without their code.

    Args:
        folder: its notebooks are listed; each runs afresh for every reader, in the folder itself.
        port: a `WorkbenchError` if it is taken.
        token: what a browser must show; made up if None. It is part of the address that is returned.
        browser: open a browser window.
    """
    if not folder.is_dir():
        raise WorkbenchError(f"There is no folder {folder} to serve; run from a checkout or set WORKBENCH_HOME to one.")
    check_port(port)
    token = token or secrets.token_hex(16)
    argv = [sys.executable, "-m", "voila", str(folder.resolve()), f"--port={port}", "--Voila.ip=127.0.0.1"]
    argv += ["--Voila.auto_token=True", "--strip_sources=True", "--show_tracebacks=False"]
    argv += ["--VoilaConfiguration.theme=light"]
    settings = {"headers": {"Content-Security-Policy": OWN_ONLY}}
    argv += [f"--Voila.tornado_settings={settings!r}"]
    argv += [] if browser else ["--no-browser"]
    # Not among the arguments, which every user of the machine can read.
    return Server(argv, {**os.environ, "JUPYTER_TOKEN": token}, f"http://127.0.0.1:{port}/?token={token}")


def check_port(port: int) -> None:
    """Raise a `WorkbenchError` if nothing can listen on ``port`` of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise WorkbenchError(f"Cannot listen on port {port} ({error}); choose another one with --port.") from error
