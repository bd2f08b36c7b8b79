"""One task with one seed and one number of probes: the piece of work that an evaluation consists of."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from workbench.config import WorkbenchError
from workbench.data.networks import Networks
from workbench.data.tasks import Ledger
from workbench.describe.design import Design, build_design
from workbench.devices.device import DeviceCard
from workbench.evaluation.metrics import score
from workbench.evaluation.setting import Setting
from workbench.predictor.baselines import FLOORS
from workbench.predictor.method import Adapt, Estimate, Pretrain, Probed
from workbench.predictor.roofline import ZeroShot
from workbench.training.adaptive import ADAPTIVE, POOL, SPEND, Enough, search
from workbench.training.transfer import METHODS, choose_probes

#: Where no probe is measured, a model may still be pre-trained on a pool of this many.
UNMEASURED = 10

#: Test architectures per device that significance and breakdown look at.
SAMPLE = 1000


class Plan(NamedTuple):
    """What an evaluation does with every task.

    Args:
        methods: keys of `METHODS`, the first one first.
        selector: key of `SELECTORS`, or `ADAPTIVE`.
        enough: when adaptive selection stops before its budget is spent.
        predictions: whether every prediction is kept.
        own: methods that stand beside those of `METHODS`, or in the place of one.
    """

    methods: tuple[str, ...]
    selector: str
    enough: Enough = SPEND
    predictions: bool = True
    own: Mapping[str, Pretrain] = MappingProxyType({})

    @property
    def known(self) -> dict[str, Pretrain]:
        """Every method there is."""
        return {**METHODS, **self.own}


class Cell(NamedTuple):
    """`n` random test architectures of one device, as every method predicted them.

    Args:
        actual_ms: `n` measured milliseconds.
        estimates: method -> `n` estimates.
        exact: method -> its ``spearman`` and ``rae`` on all test architectures.
    """

    task: str
    device: str
    seed: int
    probes: int
    actual_ms: np.ndarray
    estimates: dict[str, Estimate]
    exact: dict[str, dict[str, float]]


@dataclass
class Unit:
    """What a piece of work gives.

    Args:
        results: a record of DESIGN section 5 per method asked for and target device.
        floors: the same for the floors that were not asked for.
        cells: one per target device.
        predictions: ``task, device, arch, role (probe|test), predicted_ms, low_ms, high_ms, seed, method, probes`` of
            the methods asked for.
        failures: method -> why it could not run.
        notes: which floors were left out, and why.
    """

    results: list[dict[str, Any]] = field(default_factory=list)
    floors: list[dict[str, Any]] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    predictions: pd.DataFrame = field(default_factory=pd.DataFrame)
    failures: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class _Target(NamedTuple):
    """A target device after its probes were measured; ``search_s`` seconds were spent on choosing its own."""

    name: str
    ledger: Ledger
    probed: Probed
    card: DeviceCard | None
    search_s: float


class _Answer(NamedTuple):
    estimate: Estimate
    seconds: dict[str, float]


def run_unit(setting: Setting, plan: Plan, probes: int, seed: int) -> Unit:
    """Choose and measure probes, let every method (and every floor) see the same ones, score.

    Every method is given the generator as it was after the choice, so it gives what it would give alone.

    Raises:
        WorkbenchError: too few architectures for that many probes, or sources that cannot be described.
    """
    task, networks = setting.task, setting.networks
    ledgers = [split.ledger() for split in setting.splits]
    candidates = _measurable(networks, ledgers)
    if probes >= len(candidates):
        raise WorkbenchError(
            f"Task {task.name} expects fewer probes than the {len(candidates)} architectures measured on every target, "
            f"so that some are left to test, got {probes} probes; ask for fewer."
        )
    generator = np.random.default_rng(seed)
    sources = setting.draw(generator)
    clock = Clock()
    with clock.measure("select_s"):
        design = build_design(networks, sources.rows, sources.latency_ms)
        pool = _pool(design, plan, probes, generator, candidates)
    zero_shot = ZeroShot(sources, design) if plan.selector == ADAPTIVE else None
    targets = [_probe(setting, plan, design, zero_shot, pool, probes, ledger) for ledger in ledgers]

    unit = Unit()
    answers: dict[str, list[_Answer]] = {}
    learners = {name: plan.known[name] for name in plan.methods} | {
        name: learn for name, learn in FLOORS.items() if name not in plan.methods
    }
    for name, learn in learners.items():
        own = Clock()
        try:
            with own.measure("pretrain_s"):
                adapt = learn(sources, design, pool, copy.deepcopy(generator))
            answers[name] = [_answer(adapt, target, {**own.seconds, **clock.seconds}) for target in targets]
        except WorkbenchError as error:
            if name in plan.methods:
                unit.failures[name] = str(error)
            else:
                unit.notes.append(f"{task.name}: floor {name} is left out of {probes} probes: {error}")
    frames: list[pd.DataFrame] = []
    for index, target in enumerate(targets):
        told = {name: each[index] for name, each in answers.items()}
        frames += _score(unit, setting, plan, probes, seed, target, told)
    if frames:
        unit.predictions = pd.concat(frames, ignore_index=True)
    return unit


def _measurable(networks: Networks, ledgers: Sequence[Ledger]) -> np.ndarray:
    """Rows that are measured on every target, so that all can have the same probes."""
    common = set.intersection(*(set(ledger.measurable) for ledger in ledgers))
    return np.array([row for row, arch in enumerate(networks.archs) if arch in common], dtype=np.int64)


def _pool(
    design: Design, plan: Plan, probes: int, generator: np.random.Generator, candidates: np.ndarray
) -> np.ndarray:
    """The rows that a target's probes will come from: all of them, unless it chooses among them or has none."""
    if probes == 0:
        return choose_probes(design, min(UNMEASURED, len(candidates)), generator, None, candidates)
    if plan.selector == ADAPTIVE:
        return choose_probes(design, min(max(POOL, probes), len(candidates) - 1), generator, None, candidates)
    return choose_probes(design, probes, generator, plan.selector, candidates)


def _probe(
    setting: Setting,
    plan: Plan,
    design: Design,
    zero_shot: ZeroShot | None,
    pool: np.ndarray,
    probes: int,
    ledger: Ledger,
) -> _Target:
    archs, card = setting.networks.archs, setting.table.cards.get(ledger.device)
    clock = Clock()
    with clock.measure("search_s"):
        if zero_shot:  # each target chooses its own
            expected = zero_shot.expect(card)
            probed = search(design, pool, lambda row: ledger.measure(archs[row]), probes, plan.enough, expected).probed
        else:
            rows = pool[:probes]
            probed = Probed(rows, np.array(ledger.measure_all(archs[row] for row in rows), dtype=np.float64))
    return _Target(ledger.device, ledger, probed, card, clock.seconds["search_s"])


def _answer(adapt: Adapt, target: _Target, seconds: dict[str, float]) -> _Answer:
    clock = Clock()
    with clock.measure("adapt_s"):
        predict = adapt(target.probed, target.card)
    with clock.measure("predict_s"):
        estimate = predict()
    times = {"pretrain_s": seconds["pretrain_s"], "select_s": seconds["select_s"] + target.search_s}
    return _Answer(estimate, times | clock.seconds)


def _score(
    unit: Unit, setting: Setting, plan: Plan, probes: int, seed: int, target: _Target, answers: dict[str, _Answer]
) -> list[pd.DataFrame]:
    """Reveal the target, add records and a cell to ``unit``, and return the predictions of the methods asked for."""
    task, reads = setting.task, target.ledger.reads
    truth = target.ledger.reveal()
    actual_ms, test = truth.to_numpy(), setting.networks.rows(list(truth.index))
    common = {"task": task.name, "device": target.name, "space": task.space}
    asked = {"selector": plan.selector, "probes": probes, "seed": seed, "n_test": len(test)}
    sample = np.sort(np.random.default_rng(0).permutation(len(test))[:SAMPLE])
    estimates, exact, frames = {}, {}, []
    for name, answer in answers.items():
        scores = score(actual_ms, _rows(answer.estimate, test))
        record = {**common, "method": name, **asked, **scores, "target_reads": reads, **answer.seconds}
        estimates[name] = _rows(answer.estimate, test[sample])
        exact[name] = {metric: scores[metric] for metric in ("spearman", "rae")}
        if name not in plan.methods:
            unit.floors.append(record)
            continue
        unit.results.append(record)
        if not plan.predictions:
            continue
        frame = _predictions(setting.networks, target.probed.rows, test, answer.estimate)
        labels = {"seed": seed, "method": name, "probes": probes}
        frames.append(frame.assign(task=task.name, device=target.name, **labels)[["task", "device", *frame, *labels]])
    unit.cells.append(Cell(task.name, target.name, seed, probes, actual_ms[sample], estimates, exact))
    return frames


def _predictions(networks: Networks, probes: np.ndarray, test: np.ndarray, estimate: Estimate) -> pd.DataFrame:
    rows = np.concatenate([probes, test])
    predicted = _rows(estimate, rows)
    return pd.DataFrame(
        {
            "arch": [networks.archs[row] for row in rows],
            "role": ["probe"] * len(probes) + ["test"] * len(test),
            "predicted_ms": predicted.ms,
            "low_ms": predicted.low_ms,
            "high_ms": predicted.high_ms,
        }
    )


def _rows(estimate: Estimate, rows: np.ndarray) -> Estimate:
    return Estimate(*(part[rows] for part in estimate))


class Clock:
    """Wall-clock seconds of named phases; a phase that runs again is overwritten, not added."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, phase: str) -> Iterator[None]:
        """Time what is inside."""
        start = time.perf_counter()
        yield
        self.seconds[phase] = time.perf_counter() - start
