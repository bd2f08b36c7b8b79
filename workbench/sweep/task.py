"""What a worker does: one notebook run from beginning to end, in a folder of its own, given back as bytes.

Nothing is shared with the command but the messages of the cluster, so a worker may be on another machine. It needs the
same package and the same data, and says so if they are not.
"""

from __future__ import annotations

import errno
import os
import socket
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.config import WorkbenchError, project_home
from workbench.kernel import KernelConfig
from workbench.notebooks import NotebookFailed, execute
from workbench.sweep.identity import PACKAGE, code_hash, data_hashes
from workbench.tracking import RUN_FOLDER

if TYPE_CHECKING:
    from nbformat import NotebookNode

#: How an attempt may end. `STOPPED` says that no other run would fare better, so that the sweep has to end.
DONE, ERROR, STOPPED = "done", "error", "stopped"
#: What one run may log, bytes.
MOST_LOGGED = 512 * 2**20
#: papermill changes the folder of the whole process, so a process runs one notebook at a time.
ALONE = threading.Lock()


@dataclass(frozen=True)
class Order:
    """What a worker is told to run.

    Args:
        key: of the run.
        title: the notebook's file name.
        document: the notebook, as text.
        given: parameters that differ from its defaults.
        parameters: all parameters.
        place: where its cells run: relative to the project's home, else absolute.
        code: hash of the package that the key was made with.
        frozen: folder with a copy of that package, if the worker can see it.
        data: file name and hash of what is read.
        inputs: names of the parameters that are paths.
        threads: that numerical libraries may use.
        memory_bytes: that the kernel may use; None: as much as there is.
        timeout_s: for all cells; None: no bound.
    """

    key: str
    title: str
    document: str
    given: Mapping[str, Any]
    parameters: Mapping[str, Any]
    place: str
    code: str
    frozen: str
    data: tuple[tuple[str, str], ...]
    inputs: tuple[str, ...]
    threads: int
    memory_bytes: int | None
    timeout_s: float | None


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended.

    Args:
        status: `DONE`, `ERROR` or `STOPPED`.
        reason: why, if it was not done.
        notebook: as far as it ran, as text.
        files: what it logged, relative path to content.
        seconds, overhead_s: of its cells, and of everything around them.
        started, ended: seconds since 1970, by the worker's clock.
        host: where.
    """

    status: str
    reason: str = ""
    notebook: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict)
    seconds: float = 0.0
    overhead_s: float = 0.0
    started: float = 0.0
    ended: float = 0.0
    host: str = ""


def perform(order: Order) -> Outcome:
    """Run one notebook; whatever goes wrong is an `Outcome`, too."""
    with ALONE:
        began = time.time()
        try:
            return _perform(order, began)
        except (WorkbenchError, OSError) as error:
            return _stopped(order, error, began)


def _perform(order: Order, began: float) -> Outcome:
    clock = time.perf_counter()
    folder = _folder(order.place)
    frozen = _frozen(order)
    _check_data(order, folder)
    with tempfile.TemporaryDirectory(prefix="workbench-run-") as scratch:
        place = Path(scratch)
        notebook, out, logged = place / order.title, place / "out" / order.title, place / "logged"
        notebook.write_text(order.document, encoding="utf-8")
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(order.threads))
        env = {RUN_FOLDER: str(logged), "WORKBENCH_HOME": str(project_home()), **threads}
        if frozen is not None:
            env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(frozen), os.environ.get("PYTHONPATH")]))
        kernel = KernelConfig(env, order.timeout_s, order.memory_bytes, hasty=True)
        status, reason, files = DONE, "", {}
        try:
            execute(notebook, out, order.given, progress=False, folder=folder or place, kernel=kernel)
            files = _collect(logged)
        except NotebookFailed as error:
            status, reason = ERROR, error.reason
        if os.strerror(errno.ENOSPC) in reason:
            status = STOPPED
        text, seconds = _read_out(out, reason)
        took = time.perf_counter() - clock
    return Outcome(status, reason, text, files, seconds, max(took - seconds, 0.0), began, time.time(), _host())


def _frozen(order: Order) -> Path | None:
    """Where the kernel finds the package that the sweep was planned with; None if the installed one is that."""
    frozen = Path(order.frozen)
    if (frozen / PACKAGE.name).is_dir() and code_hash(frozen / PACKAGE.name) == order.code:
        return frozen
    if code_hash() != order.code:
        raise WorkbenchError(
            f"the package on {_host()} is not the one that the sweep was planned with; install the same one on every "
            "worker, and run the command again"
        )
    return None


def _check_data(order: Order, folder: Path | None) -> None:
    """The key says which data a result comes from; with others here, it would lie."""
    found = data_hashes(order.parameters, order.inputs, folder or Path("/"))
    there = sorted((Path(path).name, digest) for path, digest in found.items())
    if there != sorted(order.data):
        raise WorkbenchError(
            f"the data on {_host()} are not those that the sweep was planned with; "
            "leave them alone while a sweep runs, put the same ones on every worker, and run the command again"
        )


def _folder(place: str) -> Path | None:
    """Where the cells run; None if there is no such folder here."""
    folder = Path(place) if os.path.isabs(place) else project_home() / place
    return folder if folder.is_dir() else None


def _collect(logged: Path) -> dict[str, bytes]:
    files = [path for path in sorted(logged.rglob("*")) if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    if size > MOST_LOGGED:
        reason = f"It logged {size / 2**20:.0f} MB, where {MOST_LOGGED / 2**20:.0f} are allowed"
        raise NotebookFailed(f"{reason}; log less.", reason)
    return {path.relative_to(logged).as_posix(): path.read_bytes() for path in files}


def _read_out(out: Path, reason: str) -> tuple[str, float]:
    """The executed notebook as text, with the ``reason`` of a failure on top, and how long its cells took."""
    import nbformat

    try:
        document = nbformat.read(out, as_version=4)
    except (OSError, ValueError, nbformat.ValidationError):  # killed so early that nothing was saved
        document = nbformat.v4.new_notebook()
    if reason:
        document.cells.insert(0, _note(reason))
    return nbformat.writes(document), sum(map(_duration, document.cells))


def unrun(reason: str) -> str:
    """The notebook of a run of which nothing is left but the ``reason``, as text."""
    import nbformat

    return nbformat.writes(nbformat.v4.new_notebook(cells=[_note(reason)]))


def _note(reason: str) -> NotebookNode:
    import nbformat

    return nbformat.v4.new_markdown_cell(f"**This run failed.** {reason}.")


def _duration(cell: NotebookNode) -> float:
    return cell.metadata.get("papermill", {}).get("duration") or 0.0


def _stopped(order: Order, error: Exception, began: float) -> Outcome:
    """What ends a run before its cells could; a full disk or other code would end all others, too."""
    reason, cause = " ".join(str(error).split()).rstrip("."), error.__cause__ or error
    if getattr(cause, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        reason = f"the disk of {_host()} is full ({tempfile.gettempdir()}); free some space and run the command again"
    return Outcome(STOPPED, reason, started=began, ended=time.time(), host=_host())


def _host() -> str:
    return socket.gethostname()
