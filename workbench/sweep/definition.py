"""Sweep files: what a YAML file says that is to be varied, checked where it enters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.config import WorkbenchError, lookup

#: The factor that tells cases apart.
CASE = "case"

DIRECTIONS = ("maximize", "minimize")

#: How a random factor is drawn, and how many numbers that takes.
DISTRIBUTIONS = ("uniform", "log_uniform", "integer")

#: Parameters whose values are paths that a run reads.
INPUTS = ("data", "tasks")


@dataclass(frozen=True)
class RandomSearch:
    """``count`` random points: each parameter has a list to choose from, or a distribution with its two ends."""

    count: int
    seed: int
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Sweep:
    """What a sweep file says.

    Args:
        name: of the sweep, of its folder and of its experiment in MLflow.
        file: the sweep file.
        notebook: what is run.
        parameters: the same in every run.
        grid: parameter -> values; every combination is run.
        zip: parameter -> values, all equally many; the first ones together, then the second ones, ...
        random: points drawn at random.
        cases: label -> parameters.
        seeds: each combination is run with each of them.
        metric, direction: what is looked at ("" for nothing in particular), and which way is better.
        groups: factors that are to be compared; all if the file names none.
        reference: factor -> the level that others are compared with.
        resources: what a worker has to have, per run; text may hold ``{parameter}``.
        workers: what each worker of a local cluster announces.
        inputs: parameters that are paths whose content decides, beside `INPUTS`.
        timeout_s: seconds that all cells of a run may take together.
        memory_gib: memory of a run; None: its share of the machine.
        retries: how often a run that failed is tried again.
    """

    name: str
    file: Path
    notebook: Path
    parameters: Mapping[str, Any]
    grid: Mapping[str, Sequence[Any]]
    zip: Mapping[str, Sequence[Any]]
    random: RandomSearch | None
    cases: Mapping[str, Mapping[str, Any]]
    seeds: tuple[int, ...]
    metric: str
    direction: str
    groups: tuple[str, ...]
    reference: Mapping[str, Any]
    resources: Mapping[str, Any]
    workers: tuple[tuple[str, ...], ...]
    inputs: tuple[str, ...]
    timeout_s: float | None
    memory_gib: float | None
    retries: int

    @property
    def factors(self) -> tuple[str, ...]:
        """What is varied, besides the seed; the columns by which runs are told apart."""
        drawn = self.random.parameters if self.random else ()
        return (*([CASE] if self.cases else []), *self.grid, *self.zip, *drawn)


def read_sweep(path: str | Path) -> Sweep:
    """The sweep file at ``path``; whatever in it is unknown or of the wrong kind raises one sentence."""
    import yaml

    path = Path(path)
    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WorkbenchError(f"There is no sweep file {path}; give the path of an existing .yaml file.") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        what = " ".join(str(error).split())
        raise WorkbenchError(f"Sweep file {path} cannot be read as YAML ({what}); correct it.") from error
    return parse_sweep(told, path)


def parse_sweep(told: object, path: Path) -> Sweep:
    """The sweep that the content ``told`` of the file ``path`` describes."""
    if not isinstance(told, dict):
        raise WorkbenchError(f"Sweep file {path} expects a mapping with 'notebook', got {told!r}; correct it.")
    say = _Say(path)
    for key in told:
        lookup("entry of a sweep file", _ENTRIES, str(key))
    given = {key: check(say, key, told[key]) for key, check in _ENTRIES.items() if told.get(key) is not None}
    if "notebook" not in given:
        raise say("notebook", "the path of a notebook, relative to this file", None)
    given["notebook"] = (path.parent / given["notebook"]).resolve()
    usual: dict[str, Any] = {"name": path.stem, "random": None, "metric": "", "direction": "maximize", "retries": 1}
    usual |= dict.fromkeys(("timeout_s", "memory_gib"))
    usual |= {key: {} for key in ("parameters", "grid", "zip", "cases", "reference", "resources")}
    usual |= dict.fromkeys(("seeds", "groups", "workers", "inputs"), ())
    sweep = Sweep(file=path, **{**usual, **given})
    _check_names(sweep, say)
    return sweep


class _Say:
    """Makes the sentence for a wrong entry of one file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, entry: str, expected: str, got: object) -> WorkbenchError:
        found = "nothing" if got is None else repr(got)
        return WorkbenchError(f"Sweep file {self._path}: {entry} expects {expected}, got {found}; correct the file.")


def _check_names(sweep: Sweep, say: _Say) -> None:
    """Nothing is varied twice, and what is to be compared is varied."""
    varied = list(sweep.factors)
    varied += list(dict.fromkeys(name for parameters in sweep.cases.values() for name in parameters))
    for name in varied:
        if varied.count(name) > 1:
            raise say(name, "to be varied in one place only", "several")
    for name in ("seed", "seeds"):
        if name in varied:
            raise say(name, f"to be given under 'seeds', not varied as '{name}'", name)
    for name in sweep.groups:
        lookup("factor to compare in groups", dict.fromkeys(sweep.factors), name)
    for name in sweep.reference:
        lookup("factor with a reference", dict.fromkeys(sweep.factors), name)
    lengths = {name: len(values) for name, values in sweep.zip.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{length} of {name}" for name, length in lengths.items())
        raise say("zip", "lists of one length", told)


def _text(say: _Say, entry: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise say(entry, "text", value)
    return value.strip()


def _name(say: _Say, entry: str, value: object) -> str:
    text = _text(say, entry, value)
    if not all(part.isalnum() or part in "_-." for part in text) or text.startswith("."):
        raise say(entry, "letters, digits, '_', '-' and '.' only, since a folder is called so", value)
    return text


def _direction(say: _Say, entry: str, value: object) -> str:
    if value not in DIRECTIONS:
        raise say(entry, " or ".join(DIRECTIONS), value)
    return str(value)


def _mapping(say: _Say, entry: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise say(entry, "a mapping from names", value)
    return value


def _lists(say: _Say, entry: str, value: object) -> dict[str, list[Any]]:
    lists = _mapping(say, entry, value)
    for name, values in lists.items():
        _several(say, f"{entry}: {name}", values)
    return lists


def _several(say: _Say, entry: str, value: object) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise say(entry, "a list of at least one value", value)
    if len({f"{type(each).__name__} {each!r}" for each in value}) < len(value):  # 1 and True are no repetition
        raise say(entry, "a list without repetitions", value)
    return value


def _cases(say: _Say, entry: str, value: object) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for case in _several(say, entry, value):
        parameters = dict(_mapping(say, entry, case))
        label = parameters.pop(CASE, None)
        if not isinstance(label, str) or not label.strip() or label in found:
            raise say(f"{entry}: {case!r}", f"a label of its own under '{CASE}'", label)
        found[label] = parameters
    return found


def _random(say: _Say, entry: str, value: object) -> RandomSearch:
    told = _mapping(say, entry, value)
    for key in told:
        lookup("entry of 'random'", dict.fromkeys(("count", "seed", "parameters")), key)
    count = _whole(say, f"{entry}: count", told.get("count"), 1)
    parameters = _mapping(say, f"{entry}: parameters", told.get("parameters"))
    for name, choice in parameters.items():
        _check_choice(say, f"{entry}: {name}", choice)
    return RandomSearch(count, _whole(say, f"{entry}: seed", told.get("seed", 0), 0), parameters)


def _check_choice(say: _Say, entry: str, choice: object) -> None:
    if isinstance(choice, list):
        _several(say, entry, choice)
        return
    told = _mapping(say, entry, choice)
    if len(told) != 1:
        raise say(entry, f"a list, or one of {', '.join(DISTRIBUTIONS)}", choice)
    (kind, ends), *_ = told.items()
    lookup("distribution", dict.fromkeys(DISTRIBUTIONS), kind)
    good = isinstance(ends, list) and len(ends) == 2 and all(_is_number(end) for end in ends) and ends[0] < ends[1]
    if good and kind == "integer":
        good = all(isinstance(end, int) for end in ends)
    if not good or (kind == "log_uniform" and ends[0] <= 0):
        raise say(entry, f"two ends of '{kind}', the lower one first", ends)


def _seeds(say: _Say, entry: str, value: object) -> tuple[int, ...]:
    return tuple(_whole(say, entry, seed, 0) for seed in _several(say, entry, value))


def _names(say: _Say, entry: str, value: object) -> tuple[str, ...]:
    return tuple(_text(say, entry, name) for name in _several(say, entry, value))


def _workers(say: _Say, entry: str, value: object) -> tuple[tuple[str, ...], ...]:
    if not isinstance(value, list) or not value:
        raise say(entry, "a list with what each worker has, such as [device:jetson]", value)
    return tuple(() if each == [] else _names(say, entry, each if isinstance(each, list) else [each]) for each in value)


def _resources(say: _Say, entry: str, value: object) -> dict[str, Any]:
    told = _mapping(say, entry, value)
    for name, amount in told.items():
        if not isinstance(amount, str) and not (_is_number(amount) and amount > 0):
            raise say(f"{entry}: {name}", "text such as jetson, or an amount above 0", amount)
    return told


def _positive(say: _Say, entry: str, value: object) -> float:
    if not _is_number(value) or not value > 0:
        raise say(entry, "a number above 0", value)
    return float(value)


def _count(say: _Say, entry: str, value: object) -> int:
    return _whole(say, entry, value, 0)


def _whole(say: _Say, entry: str, value: object, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise say(entry, f"a whole number of at least {least}", value)
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


_ENTRIES: dict[str, Callable[[_Say, str, object], Any]] = {
    "name": _name,
    "notebook": _text,
    "parameters": _mapping,
    "grid": _lists,
    "zip": _lists,
    "random": _random,
    "cases": _cases,
    "seeds": _seeds,
    "metric": _text,
    "direction": _direction,
    "groups": _names,
    "reference": _mapping,
    "resources": _resources,
    "workers": _workers,
    "inputs": _names,
    "timeout_s": _positive,
    "memory_gib": _positive,
    "retries": _count,
}
