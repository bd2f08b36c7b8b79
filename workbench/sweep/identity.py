"""What decides a run, as a hash: its notebook, its parameters, the code, the data it reads, what it was tied to."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.config import WorkbenchError
from workbench.notebooks import literal

if TYPE_CHECKING:
    from nbformat import NotebookNode

PACKAGE = Path(__file__).resolve().parents[1]
#: Files of the package that a result may depend on: sources, catalogs, bundled measurements.
CODE = ("*.py", "*.yaml", "*.parquet", "*.json")
#: Files of a data folder that a run may read.
DATA = {".parquet", ".yaml", ".yml", ".json", ".csv"}


def code_hash(package: Path | None = None) -> str:
    """Hash of the ``package`` (this one, if None) as it is on disk now: the next kernel would import exactly that."""
    package, digest = package or PACKAGE, hashlib.sha256()
    for file in sorted({file for pattern in CODE for file in package.rglob(pattern)}):
        digest.update(f"{file.relative_to(package)}\0{_file_hash(file, *_stamp(file))}\0".encode())
    return digest.hexdigest()


def freeze(place: Path, code: str) -> Path:
    """A copy of the package below ``place``, whose hash is ``code``, for kernels to import; other copies there go.

    Raises:
        WorkbenchError: the package is not the one with that hash any more.
    """
    copy = place / code[:16] / PACKAGE.name
    if not (copy.is_dir() and code_hash(copy) == code):
        try:
            for old in place.glob("[0-9a-f]" * 16):
                shutil.rmtree(old, ignore_errors=True)
            shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        except OSError as error:
            raise WorkbenchError(
                f"Cannot copy the package to {place} ({error.strerror or error}); free some space or choose another "
                "folder."
            ) from error
        if code_hash(copy) != code:
            raise WorkbenchError("The package changed while the sweep was planned; run the same command again.")
    return copy.parent


def data_hashes(parameters: Mapping[str, Any], inputs: Iterable[str], folder: Path) -> dict[str, str]:
    """Hash of every file that a run reads: named by the parameters ``inputs``, or in ``WORKBENCH_DATA``.

    Args:
        parameters: all parameters of the run.
        inputs: names of those that are a path or a list of paths, relative to ``folder``.
        folder: where the cells run.

    Returns:
        Path to hash; a path that does not exist maps to "".
    """
    found: dict[str, str] = {}
    named = [path for name in inputs for path in _paths(parameters.get(name))]
    named += [part for part in os.environ.get("WORKBENCH_DATA", "").split(os.pathsep) if part]
    for path in dict.fromkeys(named):
        place = folder / Path(path).expanduser()
        files = sorted(file for file in place.iterdir() if file.suffix in DATA) if place.is_dir() else [place]
        for file in files:
            found[os.path.normpath(file)] = _file_hash(file, *_stamp(file)) if file.is_file() else ""
    return found


def run_key(
    cells: Sequence[str],
    parameters: Mapping[str, Any],
    resources: Mapping[str, float],
    code: str,
    data: Mapping[str, str],
) -> str:
    """16 hex digits that two runs share only if they would give the same.

    The data counts by content and file name, so that a checkout elsewhere has the same keys.
    """
    smoke = bool(os.environ.get("WORKBENCH_SMOKE"))
    files = sorted((Path(path).name, digest) for path, digest in data.items())
    told = [list(cells), dict(parameters), dict(resources), code, files, smoke]
    text = json.dumps(told, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def source_cells(document: NotebookNode) -> list[str]:
    """The code of a notebook without its parameters cell: what text around it says decides nothing."""
    cells = [cell for cell in document.cells if cell.cell_type == "code"]
    return [cell.source for cell in cells if "parameters" not in cell.metadata.get("tags", [])]


def resolved(defaults: Mapping[str, str], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters of a run: those given, and the defaults; a default that is an expression stays as written."""
    own = {name: value if (value := literal(text)) is not None else text for name, text in defaults.items()}
    return {**own, **parameters}


def _paths(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value else []
    return [item for item in value if isinstance(item, str)] if isinstance(value, list | tuple) else []


def _stamp(file: Path) -> tuple[int, int]:
    try:
        told = file.stat()
    except OSError:
        return 0, 0
    return told.st_mtime_ns, told.st_size


@lru_cache(maxsize=4096)
def _file_hash(file: Path, modified_ns: int, size: int) -> str:
    """Hash of a file's content, read again only when the file has changed."""
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise WorkbenchError(f"Cannot read {file} ({error.strerror or error}); make it readable.") from error
