"""A training to learn from: source devices, networks held out to validate on, and targets that are only ever probed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from workbench.config import WorkbenchError, lookup
from workbench.data.networks import encode
from workbench.data.sources import load_table
from workbench.data.table import LatencyTable
from workbench.data.tasks import Split
from workbench.describe.design import Design, build_design
from workbench.predictor.method import Sources
from workbench.training.fit import FitConfig, Pretrained
from workbench.training.losses import LOSSES
from workbench.training.transfer import choose_probes

#: A device measured on less than this share of the networks that another one was measured on teaches mostly noise.
WELL_MEASURED = 0.5


@dataclass(frozen=True)
class Lesson:
    """What HODM is to learn from, and what is held back.

    Args:
        table: milliseconds on all of these devices.
        splits: one per target.
        sources: what may be learnt from; its ``networks`` are those of the table.
        held_out: `h` rows of the networks, measured on source devices, that nobody learns from.
        design: of the sources.
        probes: `p` rows of networks that were measured on every target, the most informative first.
    """

    table: LatencyTable
    splits: tuple[Split, ...]
    sources: Sources
    held_out: np.ndarray
    design: Design
    probes: np.ndarray

    @property
    def held_out_ms(self) -> np.ndarray:
        """`h x d` milliseconds of the held-out networks on the source devices, NaN where not measured."""
        archs = [self.sources.networks.archs[row] for row in self.held_out]
        return self.table.frame.loc[archs, list(self.sources.devices)].to_numpy()

    @property
    def probe_archs(self) -> list[str]:
        """The probes' arch strings."""
        return [self.sources.networks.archs[row] for row in self.probes]

    @property
    def devices(self) -> pd.DataFrame:
        """One row per device: ``device, role, networks`` (measured), ``hardware``, and with how many sources a target
        shares it."""
        shared = {split.target: f"{len(split.shared)} of {len(split.source)} sources" for split in self.splits}
        names = [*self.sources.devices, *shared]
        hardware = [self.table.hardware(name) for name in names]
        return pd.DataFrame(
            {
                "device": names,
                "role": ["source"] * len(self.sources.devices) + ["target"] * len(shared),
                "networks": self.table.frame[names].notna().sum().to_numpy(),
                "hardware": ["unknown" if name is None else name for name in hardware],
                "shared with": [shared.get(name, "") for name in names],
            }
        )

    def source_readings(self) -> np.ndarray:
        """`d x p` milliseconds that the source devices take for the probes: their signatures, as in training."""
        return (self.design.source[self.probes] * self.sources.mean_ms).T


def draw_lesson(
    space: str,
    targets: Sequence[str],
    sources: Sequence[str] = (),
    folders: Sequence[str | Path] = (),
    samples: int = 900,
    held_out: int = 100,
    probes: int = 10,
    seed: int = 0,
) -> Lesson:
    """Draw what is learnt from and what is held out, and choose the probes; no target latency is read.

    Args:
        space: search space.
        targets: devices to predict.
        sources: devices to learn from; none: see `choose_sources`.
        folders: of latency tables, see `load_table`.
        samples: networks to learn from, fewer where there are not so many.
        held_out: further networks to validate on.
        probes: measurements on each target.
        seed: of both draws.

    Raises:
        WorkbenchError: an unknown space or device, a target among the sources, or too few networks.
    """
    whole = load_table(space, None, folders)
    if not targets:
        raise WorkbenchError(f"A lesson expects a target device, got none; choose from {', '.join(whole.devices)}.")
    chosen = tuple(sources) or choose_sources(whole, targets)
    table = whole.select([*chosen, *targets])
    splits = tuple(Split(table, chosen, target, named=True) for target in targets)  # who shares hardware is shown
    networks, generator = encode(space, table.archs), np.random.default_rng(seed)
    measured = table.frame[list(chosen)].notna()
    pool = generator.permutation(np.flatnonzero(measured.any(axis=1)))
    kept = min(samples, len(pool) - held_out)
    if held_out < 1 or kept < 2:
        raise WorkbenchError(
            f"A lesson expects at least 1 network to hold out and 2 to learn from, got {held_out} and "
            f"{max(kept, 0)} of {len(pool)} measured ones; hold out fewer, or measure more."
        )
    rows, others = np.sort(pool[:kept]), np.sort(pool[kept : kept + held_out])
    taught = (measured.iloc[rows].sum() > 1).to_numpy()
    chosen = tuple(name for name, there in zip(chosen, taught, strict=True) if there)
    known = Sources(networks, rows, table.frame[list(chosen)].to_numpy()[rows], chosen, table.cards)
    design = build_design(networks, rows, known.latency_ms)
    open_ = np.setdiff1d(np.flatnonzero(table.frame[list(targets)].notna().all(axis=1)), others)
    if not 1 <= probes < len(open_):
        raise WorkbenchError(
            f"A lesson expects 1 to {len(open_) - 1} probes (networks measured on every target), got {probes}; "
            "correct the number."
        )
    return Lesson(table, splits, known, others, design, choose_probes(design, probes, generator, None, open_))


def choose_sources(table: LatencyTable, targets: Sequence[str]) -> tuple[str, ...]:
    """Well-measured devices that run on other hardware than every target; where there are none, all but the targets."""
    taken = {table.hardware(target) for target in targets} - {None}
    others = [name for name in table.devices if name not in targets]
    counts = table.frame[others].notna().sum()
    well = [name for name in others if counts[name] >= WELL_MEASURED * counts.max()]
    return tuple([name for name in well if table.hardware(name) not in taken] or well)


class Validation(NamedTuple):
    """How well held-out networks are predicted.

    Args:
        loss: that of `pretrain`, on the source devices as they are.
        errors: `d` medians over the networks of the relative error on each source device; NaN where none was measured.
    """

    loss: float
    errors: np.ndarray


class Course:
    """The course of a training: the loss of every step, and now and then how well held-out networks are predicted.

    Example::

        course = Course(lesson, steps)
        pretrain(..., progress=course, watch=course.check)

    Args:
        lesson: whose held-out networks are predicted.
        steps: of the training.
        checks: how often, about.
        config: of the training; its loss is used.

    Attributes:
        validations: by step, where there was one.
    """

    def __init__(self, lesson: Lesson, steps: int, checks: int = 40, config: FitConfig = FitConfig()) -> None:
        self.steps = steps
        self._lesson, self._config, self._every = lesson, config, max(1, steps // checks)
        self._losses: list[float] = []
        self.validations: dict[int, Validation] = {}

    def __call__(self, step: int, loss: float) -> None:
        """Note the ``loss`` of ``step``."""
        self._losses.append(loss)

    def check(self, step: int, pretrained: Pretrained) -> None:
        """Predict the held-out networks, if it is time."""
        if step == 1 or step % self._every == 0 or step == self.steps:
            self.validations[step] = validate(pretrained, self._lesson, self._config)

    @property
    def history(self) -> pd.DataFrame:
        """``step, loss, validation_loss``, one row per step; NaN where nothing was predicted."""
        steps = range(1, len(self._losses) + 1)
        validation = [self.validations[step].loss if step in self.validations else np.nan for step in steps]
        return pd.DataFrame({"step": steps, "loss": self._losses, "validation_loss": validation})

    @property
    def errors(self) -> pd.DataFrame:
        """``step`` and one column per source device: the median relative error on its held-out networks, a share."""
        rows = [validation.errors for validation in self.validations.values()]
        frame = pd.DataFrame(rows, columns=list(self._lesson.sources.devices), dtype=float)
        frame.insert(0, "step", list(self.validations))
        return frame

    def smooth(self, window: int = 25) -> pd.DataFrame:
        """The `history` of the steps after which was predicted, the loss averaged over the last ``window``: every step
        draws other devices, so single ones jump."""
        history = self.history
        loss = history["loss"].rolling(window, min_periods=1).mean()
        return history.assign(loss=loss).dropna(ignore_index=True)


def read_sources(pretrained: Pretrained, lesson: Lesson) -> np.ndarray:
    """`h x d` milliseconds that HODM alone reads off the source devices' signatures for the held-out networks."""
    readings = lesson.source_readings()
    columns = [
        pretrained.predict(reading[None], lesson.sources.cards.get(device), rows=lesson.held_out)[:, 0]
        for device, reading in zip(lesson.sources.devices, readings, strict=True)
    ]
    return np.stack(columns, axis=1)


def validate(pretrained: Pretrained, lesson: Lesson, config: FitConfig = FitConfig()) -> Validation:
    """Predict the held-out networks on every source device."""
    scale = lesson.source_readings().mean(axis=1)  # d
    actual, predicted = lesson.held_out_ms / scale, read_sources(pretrained, lesson) / scale
    parts = (predicted, np.nan_to_num(actual), ~np.isnan(actual))
    tensors = (torch.tensor(part, dtype=torch.float32) for part in parts)
    loss = lookup("loss", LOSSES, config.loss)(*tensors, config.huber).item()
    errors = pd.DataFrame(np.abs(predicted / actual - 1)).median()  # without the NaN of what was not measured
    return Validation(loss, errors.to_numpy())
