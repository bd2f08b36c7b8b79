"""What every other module stands on: the one error type for bad input, name lookup, frozen configs, atomic writes."""

from __future__ import annotations

import dataclasses
import difflib
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


class WorkbenchError(ValueError):
    """Bad input. The message is one sentence: what was expected, what came, what to do."""


def suggest(kind: str, name: str, choices: Iterable[str]) -> str:
    """The sentence for an unknown ``name``, with the nearest of ``choices`` and the list of all."""
    names = sorted(map(str, choices))
    folded = {choice.lower(): choice for choice in names}
    near = difflib.get_close_matches(str(name).lower(), folded, n=1)
    hint = f"; did you mean '{folded[near[0]]}'?" if near else "."
    listed = ", ".join(names[:40]) + (", ..." if len(names) > 40 else "")
    return f"Unknown {kind} '{name}'{hint} Choose from: {listed}"


def lookup(kind: str, table: Mapping[str, T], name: str) -> T:
    """``table[name]``, or a `WorkbenchError` that names the nearest key.

    Example: ``lookup("selector", SELECTORS, "d_optimal")``.
    """
    if name in table:
        return table[name]
    raise WorkbenchError(suggest(kind, name, table))


def override(config: T, changes: Mapping[str, Any]) -> T:
    """A copy of the frozen dataclass ``config`` with ``changes``; an unknown key or a wrong type raises."""
    fields = {field.name: field for field in dataclasses.fields(config)}  # type: ignore[arg-type]
    for key, value in changes.items():
        lookup(f"{type(config).__name__} option", fields, key)
        expected = type(getattr(config, key))
        if expected is float and isinstance(value, int) and not isinstance(value, bool):
            continue
        if not isinstance(value, expected) or isinstance(value, bool) != (expected is bool):
            raise WorkbenchError(
                f"{type(config).__name__} option '{key}' expects {expected.__name__}, got {value!r}; correct the value."
            )
    return dataclasses.replace(config, **changes)  # type: ignore[type-var]


def write_atomically(path: str | Path, write: Callable[[Path], None]) -> Path:
    """Let ``write`` fill a temporary file beside ``path``, then rename it, so that no reader sees half a file."""
    path = Path(path)
    target = path.resolve()  # what a link points to is written, and the link stays
    try:
        check_ordinary(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=target.parent)
    except OSError as error:
        raise WorkbenchError(
            f"Cannot write {path}: {error.strerror or error}; choose an output folder that exists and is writable."
        ) from error
    os.close(handle)
    try:
        write(Path(temporary))
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())  # otherwise a power cut may leave the new name with nothing behind it
        os.chmod(temporary, 0o644)  # mkstemp makes private files; results are to be shared
        os.replace(temporary, target)
    except OSError as error:
        raise WorkbenchError(
            f"Cannot write {path}: {error.strerror or error}; free some space or choose another folder."
        ) from error
    finally:
        Path(temporary).unlink(missing_ok=True)
    return path


def check_ordinary(path: Path) -> None:
    """Raise an `OSError` if ``path`` is there and no file that may be replaced: a rename replaces even a device."""
    if path.exists() and not path.is_file():
        raise OSError("it is a folder" if path.is_dir() else "it is no ordinary file")


def cache_folder() -> Path:
    """Where derived data may be kept (``WORKBENCH_CACHE``, else the user's cache folder)."""
    base = os.environ.get("WORKBENCH_CACHE")
    if base:
        return Path(base)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "workbench-latency"


def project_home() -> Path:
    """The folder of ``mlruns/``, ``reports/`` and ``notebooks/``: ``WORKBENCH_HOME``, this checkout, or the current
    one."""
    if chosen := os.environ.get("WORKBENCH_HOME"):
        return Path(chosen).expanduser().resolve()
    checkout = Path(__file__).resolve().parents[1]
    return checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()
