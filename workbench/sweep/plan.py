"""From a sweep file to a list of runs, all checked before any of them starts."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.config import WorkbenchError, lookup
from workbench.notebooks import check_parameters, defaults, literal, read_notebook
from workbench.sweep.definition import CASE, INPUTS, RandomSearch, Sweep
from workbench.sweep.identity import code_hash, data_hashes, resolved, run_key, source_cells

if TYPE_CHECKING:
    from nbformat import NotebookNode

#: Draws per random point, since the same one may come again.
TRIES = 100


@dataclass(frozen=True)
class PlannedRun:
    """One run.

    Args:
        number: its place in the plan, from 1.
        key: 16 hex digits, see `run_key`.
        factors: what was varied.
        seed: None if the sweep has none.
        given: the parameters that differ from the notebook's defaults.
        parameters: all of them.
        resources: what the worker has to have, name to amount.
        data: path to hash of what it reads.
    """

    number: int
    key: str
    factors: Mapping[str, Any]
    seed: int | None
    given: Mapping[str, Any]
    parameters: Mapping[str, Any]
    resources: Mapping[str, float]
    data: Mapping[str, str]

    @property
    def label(self) -> str:
        """The run in words: ``case=full, seed=0``."""
        told = [f"{name}={spoken(value)}" for name, value in self.factors.items()]
        return ", ".join(told + ([f"seed={self.seed}"] if self.seed is not None else [])) or f"run {self.number}"


@dataclass(frozen=True)
class Plan:
    """All runs of a sweep.

    Args:
        sweep: the file.
        document: the notebook.
        code: hash of the package.
        runs: in the file's order, the seeds innermost.
    """

    sweep: Sweep
    document: NotebookNode
    code: str
    runs: tuple[PlannedRun, ...]

    @property
    def levels(self) -> dict[str, list[Any]]:
        """The values of each factor, in the file's order."""
        return {
            name: list({spoken(run.factors[name]): run.factors[name] for run in self.runs}.values())
            for name in self.sweep.factors
        }

    def only(self, wanted: Sequence[str]) -> list[PlannedRun]:
        """The runs that fit all of ``wanted``: ``factor=value``, ``seed=0``, or the beginning of a key.

        Of several values for one factor, any will do.
        """
        picks: dict[str, set[str]] = {}
        keys: list[str] = []
        names = dict.fromkeys([*self.sweep.factors, "seed"])
        for wish in wanted:
            name, equals, value = wish.partition("=")
            if equals:
                lookup("factor", names, name.strip())
                picks.setdefault(name.strip(), set()).add(value.strip())
            else:
                keys.append(wish.strip())
        found = [run for run in self.runs if not keys or run.key.startswith(tuple(keys))]
        for name, values in picks.items():
            found = [run for run in found if spoken(run.seed if name == "seed" else run.factors[name]) in values]
        if not found:
            raise WorkbenchError(
                f"No run of {self.sweep.name} fits --only {' '.join(wanted)}; give factor=value or the beginning of a "
                f"key, as --dry-run shows them."
            )
        return found


def spoken(value: Any) -> str:
    """A factor's value as text: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def make_plan(sweep: Sweep) -> Plan:
    """Expand ``sweep`` and check every run against the notebook's own parameters.

    Raises:
        WorkbenchError: a parameter that the notebook does not have or of another type, two runs that are the same, a
            level to compare with that no run has.
    """
    document = read_notebook(sweep.notebook)
    written = defaults(document)
    combined = [(factors, {**sweep.parameters, **given}) for factors, given in _combinations(sweep)]
    seeded = [
        (factors, seed, {**given, **_seed(sweep, written, seed)})
        for factors, given in combined
        for seed in (sweep.seeds or (None,))
    ]
    _check(sweep, document, [given for _, _, given in seeded])
    inputs = [name for name in dict.fromkeys([*INPUTS, *sweep.inputs]) if name in written]
    for name in sweep.inputs:
        lookup(f"parameter of {sweep.notebook.name} in inputs", written, name)
    code, cells, folder = code_hash(), source_cells(document), sweep.notebook.parent
    runs: dict[str, PlannedRun] = {}
    for number, (factors, seed, given) in enumerate(seeded, start=1):
        parameters = resolved(written, given)
        data = data_hashes(parameters, inputs, folder)
        for path, digest in data.items():
            if not digest:
                raise WorkbenchError(f"Sweep {sweep.name} reads {path}, which does not exist; correct the path.")
        resources = _demand(sweep, {**parameters, **factors})
        key = run_key(cells, parameters, resources, code, data)
        run = PlannedRun(number, key, factors, seed, given, parameters, resources, data)
        if key in runs:
            raise WorkbenchError(
                f"Sweep {sweep.name} expects runs that differ, got '{runs[key].label}' and '{run.label}' with the same "
                f"parameters; take one out."
            )
        runs[key] = run
    plan = Plan(sweep, document, code, tuple(runs.values()))
    for name, level in sweep.reference.items():
        lookup(f"reference level of {name}", {spoken(value): value for value in plan.levels[name]}, spoken(level))
    return plan


def _combinations(sweep: Sweep) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Factors and parameters of every combination, without seeds."""
    cases = [({CASE: label}, dict(parameters)) for label, parameters in sweep.cases.items()] or [({}, {})]
    grid = [dict(zip(sweep.grid, values, strict=True)) for values in itertools.product(*sweep.grid.values())]
    together = [dict(zip(sweep.zip, values, strict=True)) for values in zip(*sweep.zip.values(), strict=True)] or [{}]
    drawn = _drawn(sweep.name, sweep.random) if sweep.random else [{}]
    for (label, parameters), *points in itertools.product(cases, grid, together, drawn):
        varied = {name: value for point in points for name, value in point.items()}
        yield {**label, **varied}, {**parameters, **varied}


def _drawn(sweep: str, random: RandomSearch) -> list[dict[str, Any]]:
    generator = np.random.default_rng(random.seed)
    found: dict[str, dict[str, Any]] = {}
    for _ in range(TRIES * random.count):
        point = {name: _draw(choice, generator) for name, choice in random.parameters.items()}
        found.setdefault(json.dumps(point), point)
        if len(found) == random.count:
            return list(found.values())
    raise WorkbenchError(
        f"Sweep {sweep} expects {random.count} different random points, got {len(found)}; ask for fewer, or widen them."
    )


def _draw(choice: Any, generator: np.random.Generator) -> Any:
    if isinstance(choice, list):
        return choice[int(generator.integers(len(choice)))]
    ((kind, (low, high)),) = choice.items()
    if kind == "integer":
        return int(generator.integers(low, high, endpoint=True))
    value = generator.uniform(low, high) if kind == "uniform" else math.exp(generator.uniform(*np.log([low, high])))
    return float(f"{value:.4g}")  # as it is shown, so that a person can give it again


def _seed(sweep: Sweep, written: Mapping[str, str], seed: int | None) -> dict[str, Any]:
    """The parameter that takes the seed: ``seed``, or ``seeds``, a list."""
    if seed is None:
        return {}
    if "seed" in written:
        return {"seed": seed}
    if isinstance(literal(written.get("seeds", "")), list):
        return {"seeds": [seed]}
    raise WorkbenchError(
        f"Sweep {sweep.name} has seeds, but {sweep.notebook.name} has no parameter 'seed' (or 'seeds', a list); "
        "add one to the notebook, or take the seeds out."
    )


def _check(sweep: Sweep, document: NotebookNode, given: Sequence[Mapping[str, Any]]) -> None:
    """Every value of every parameter against the notebook, in as few looks at it as there are values of one."""
    values: dict[str, dict[str, Any]] = {}
    for parameters in given:
        for name, value in parameters.items():
            values.setdefault(name, {}).setdefault(f"{type(value).__name__} {spoken_or_repr(value)}", value)
    columns = {name: list(found.values()) for name, found in values.items()}
    for index in range(max(map(len, columns.values()), default=1)):
        check_parameters(sweep.notebook.name, document, {n: v[min(index, len(v) - 1)] for n, v in columns.items()})


def spoken_or_repr(value: Any) -> str:
    """`spoken`, also of what JSON does not know, such as a date in YAML."""
    try:
        return spoken(value)
    except TypeError:
        return repr(value)


def _demand(sweep: Sweep, known: Mapping[str, Any]) -> dict[str, float]:
    """What a worker has to have: ``device: jetson`` is one of ``device:jetson``, ``gpus: 2`` is two of ``gpus``."""
    found: dict[str, float] = {}
    for name, amount in sweep.resources.items():
        if not isinstance(amount, str):
            found[name] = float(amount)
            continue
        try:
            found[f"{name}:{amount.format_map(known)}"] = 1.0
        except (KeyError, ValueError, IndexError, AttributeError) as error:
            raise WorkbenchError(
                f"Sweep {sweep.name}: resources: {name} expects text with factors or parameters in braces, such as "
                f"{{platform}}, got '{amount}' ({error}); correct the file."
            ) from error
    return found
