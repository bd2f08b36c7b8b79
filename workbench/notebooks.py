"""Runs notebooks with parameters, in this very interpreter; the only module that imports papermill."""

from __future__ import annotations

import ast
import logging
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.config import WorkbenchError, check_ordinary, suggest
from workbench.insight.show import STATIC
from workbench.kernel import Deadline, KernelConfig, Watch, kernel_manager
from workbench.servers import Server, check_port

if TYPE_CHECKING:
    from nbformat import NotebookNode

LAB_PORT = 8888
#: How often a kernel is started that dies before it answers, and what Jupyter says then.
STARTS, STILLBORN = 3, "died before replying"
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class NotebookFailed(WorkbenchError):
    """A notebook that could not be run to its end; ``reason`` says why, without the files' names."""

    def __init__(self, sentence: str, reason: str) -> None:
        super().__init__(sentence)
        self.reason = reason

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (str(self), self.reason)


def execute(
    notebook: Path,
    out: Path,
    parameters: Mapping[str, Any],
    progress: bool = True,
    folder: Path | None = None,
    kernel: KernelConfig = KernelConfig(),
) -> Path:
    """Run ``notebook`` with ``parameters`` and write it with its outputs to ``out``.

    Args:
        notebook: The notebook to run; it is not changed.
        out: The executed notebook. It is saved after every cell, so a failure leaves what was done.
        parameters: Values for names that the notebook's parameters cell defines; others are refused.
        progress: Show a progress bar on the terminal.
        folder: Where its cells run; the notebook's own folder if None.
        kernel: Environment and bounds of the process that runs them.

    Raises:
        NotebookFailed: One sentence, for a cell that raised, a kernel that died or was over its bounds.
        WorkbenchError: One sentence, for a notebook that is missing or not one, a parameter that is unknown
            or of another type than its default, or an ``out`` that cannot be written.

    Example: ``execute(Path("notebooks/00_quickstart.ipynb"), Path("reports/run.ipynb"), {"smoke": True})``
    """
    notebook = Path(notebook)
    document = read_notebook(notebook)
    values = {name: _plain(value) for name, value in parameters.items()}
    check_parameters(notebook.name, document, values)
    out = writable(Path(out))
    if out == notebook.resolve():
        raise WorkbenchError(f"The executed notebook would overwrite {notebook}; choose another output file.")
    bar = {"desc": notebook.stem} if progress else False
    with Watch(kernel.memory_bytes) as watch:
        _run(document, notebook, out, values, bar, folder or notebook.resolve().parent, kernel, watch)
    return out


def writable(path: Path) -> Path:
    """``path``, absolute, after trying that a file can be written there: before the work, not after it."""
    path = path.expanduser().resolve()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        check_ordinary(path)
        with tempfile.TemporaryFile(dir=path.parent):  # os.access is no answer for root or a read-only mount
            pass
    except OSError as error:
        raise WorkbenchError(f"Cannot write {path} ({error.strerror or error}); choose another output file.") from error
    return path


def lab(folder: Path, port: int = LAB_PORT, token: str | None = None, browser: bool = True) -> Server:
    """The command for JupyterLab on ``folder``, on 127.0.0.1 and with a token; it works offline.

    Args:
        folder: What it shows.
        port: Where it answers; a `WorkbenchError` if that is taken.
        token: What a browser must show; JupyterLab makes one up and prints it if None.
        browser: Open a browser window.
    """
    if not folder.is_dir():
        raise WorkbenchError(f"There is no folder {folder} to open; run from a checkout or set WORKBENCH_HOME to one.")
    check_port(port)
    argv = [sys.executable, "-m", "jupyterlab", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}"]
    argv += ["--ServerApp.port_retries=0", f"--ServerApp.root_dir={folder.resolve()}"]
    argv += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--LabApp.news_url=None"]
    argv += [] if browser else ["--no-browser"]
    argv += ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    # Not among the arguments, which every user of the machine can read.
    own = {"JUPYTER_TOKEN": token} if token else {}
    return Server(argv, {**os.environ, **own}, f"http://127.0.0.1:{port}")


def defaults(document: NotebookNode) -> dict[str, str]:
    """The parameters that a notebook defines, with their defaults as they are written there."""
    import papermill

    return {name: told["default"] for name, told in papermill.inspect_notebook(document).items()}


def check_parameters(title: str, document: NotebookNode, parameters: Mapping[str, Any]) -> None:
    """Refuse parameters that the notebook ``title`` does not define, or of another type than the default.

    papermill itself only logs an unknown name, and writes a value of a type it does not know as a string.
    """
    defined = defaults(document)
    for name, value in parameters.items():
        if name not in defined:
            raise WorkbenchError(f"{title}: {suggest('parameter', name, defined) if defined else _none(name)}")
        default = literal(defined[name])
        if not _fits(value, default):
            raise WorkbenchError(
                f"{title}: parameter '{name}' expects {_type(default)} like its default {default!r}, "
                f"got {value!r}; correct the value."
            )


def _run(
    document: NotebookNode,
    notebook: Path,
    out: Path,
    parameters: dict[str, Any],
    bar: dict[str, str] | bool,
    folder: Path,
    kernel: KernelConfig,
    watch: Watch,
) -> None:
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # what it would log is raised below
    bounds: dict[str, Any] = {} if kernel.timeout_s is None else {"timeout_func": Deadline(kernel.timeout_s)}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="papermill|nbformat")
            with_a_kernel(
                lambda: papermill.execute_notebook(
                    document,
                    str(out).replace("{", "{{").replace("}", "}}"),  # papermill formats the path
                    parameters=parameters,
                    kernel_name="python3",
                    language="python",
                    kernel_manager_class=kernel_manager({STATIC: "1", **kernel.env}, watch.follow),
                    progress_bar=bar,
                    cwd=folder,
                    shutdown_kernel="immediate" if kernel.hasty else "graceful",
                    store_widget_state=False,  # 5 MB a figure otherwise
                    **bounds,
                )
            )
    except PapermillExecutionError as error:
        line = next(iter(error.source.strip().splitlines()), "")
        what = ": ".join(filter(None, [error.ename, _one_line(error.evalue)])).rstrip(".")
        cell = f"Cell In [{error.exec_count}] ('{line}')"
        raise NotebookFailed(
            f"{cell} of {notebook} raised {what}; the notebook as far as it ran is {out}.", f"{cell} raised {what}"
        ) from error
    except (DeadKernelError, CellTimeoutError) as error:
        reason = "it died, perhaps for want of memory"
        if isinstance(error, CellTimeoutError):
            reason = f"it ran for more than {kernel.timeout_s:g} s"
        reason = f"stopped since {watch.reason or reason}"
        raise NotebookFailed(
            f"The kernel of {notebook} {reason}; the notebook as far as it ran is {out}.", f"The kernel {reason}"
        ) from error


def with_a_kernel(execute: Callable[[], object]) -> None:
    """Call ``execute``, and again where its kernel died before it did anything: another process may take a port that
    was meant for it."""
    for left in reversed(range(STARTS)):
        try:
            execute()
            return
        except RuntimeError as error:
            if STILLBORN not in str(error) or not left:
                raise


def read_notebook(notebook: Path) -> NotebookNode:
    """The notebook as a document that names a Python kernel; anything unreadable raises."""
    import nbformat

    if not notebook.is_file():
        raise WorkbenchError(f"There is no notebook {notebook}; give the path of an existing .ipynb file.")
    try:
        document = nbformat.read(notebook, as_version=4)
    except (
        nbformat.reader.NotJSONError,
        nbformat.ValidationError,
        AttributeError,
        OSError,
        ValueError,
    ) as error:
        raise WorkbenchError(
            f"{notebook} cannot be read as a notebook ({type(error).__name__}); save it again."
        ) from error
    if "kernelspec" not in document.metadata:  # papermill needs one even to read the parameters
        document.metadata["kernelspec"] = {
            "name": "python3",
            "display_name": "Python 3",
            "language": "python",
        }
    return document


def _plain(value: Any) -> Any:
    """A path as a string and a NumPy scalar as a Python number: what a parameters cell can hold."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", None) == 0 else value


def literal(text: str) -> Any:
    """The value of a default as written in the parameters cell; None (anything goes) for an expression."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None


def _fits(value: Any, default: Any) -> bool:
    if default is None:
        return value is None or isinstance(value, (bool, int, float, str, list, tuple, dict))
    if isinstance(value, bool) or isinstance(default, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    kinds = {float: (int, float), list: (list, tuple), tuple: (list, tuple)}
    return isinstance(value, kinds.get(type(default), type(default)))


def _type(default: Any) -> str:
    return "a plain Python value" if default is None else type(default).__name__


def _none(name: str) -> str:
    return f"Unknown parameter '{name}', as the notebook has none; tag a cell 'parameters' or give none."


def _one_line(text: str) -> str:
    return " ".join(ANSI.sub("", text or "").split())
