"""How good the measurements of a table are: defects, devices that are alike, and what any model could reach at best.

Nothing is refused here: a table that the rest of the workbench would not take is described as well.

Shapes: `a` networks, `d` devices, `f` features.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from workbench.config import WorkbenchError
from workbench.data.networks import encode
from workbench.describe.design import MAD, ridge
from workbench.spaces import get_space

#: Of the median: what is below is near zero.
NEAR_ZERO = 0.01
#: An outlier misses the model by more than so many usual misses, and by more than this share of the median.
USUAL_MISSES, OUTLYING_SHARE = 10.0, 0.5
#: The model is fitted on this share of a device's measurements, if it has as many as this.
FITTED_SHARE, FEWEST = 0.8, 50
#: Networks that two devices must share to be compared.
FEWEST_SHARED = 10


class Ceiling(NamedTuple):
    """What a model reaches on the fifth of a device's networks that it was not fitted on.

    A linear model in operator counts and physical sums, given most of the measurements there are: few-shot methods are
    seldom above. It is an estimate from below, since a device need not be linear (a runtime may fold networks away).

    Args:
        spearman: rank correlation of predicted and measured latencies.
        rae: sum|y - p| / sum|y - mean(y)|.
    """

    spearman: float
    rae: float


class Outlier(NamedTuple):
    """A network whose latency the model misses by far: ``ms`` measured, ``expected_ms`` by the model."""

    arch: str
    ms: float
    expected_ms: float


class DeviceCheck(NamedTuple):
    """One column.

    Args:
        device: its name.
        measured: networks with a usable latency.
        unusable: cells that hold something else: text, zero, a negative or an infinite number.
        smallest_ms, median_ms, largest_ms: of the usable ones; NaN if there is none.
        constant, whole: all latencies are equal, are whole milliseconds.
        near_zero: latencies below `NEAR_ZERO` of the median.
        outliers: the farthest first; empty where no model was fitted.
        nearest: the device whose ranking is most alike; None if there is no other.
        nearest_spearman: its rank correlation.
        copied: the nearest device holds the very same latencies.
        ceiling: None with fewer than `FEWEST` measurements, or if they are constant.
    """

    device: str
    measured: int
    unusable: int
    smallest_ms: float
    median_ms: float
    largest_ms: float
    constant: bool
    whole: bool
    near_zero: int
    outliers: tuple[Outlier, ...]
    nearest: str | None
    nearest_spearman: float
    copied: bool
    ceiling: Ceiling | None


class TableCheck(NamedTuple):
    """What `check_table` finds.

    Args:
        space: name of the search space.
        rows: of the table.
        repeated: rows whose arch stood in an earlier row; they are left out of everything else.
        malformed: rows whose arch is none of the space; likewise.
        devices: one per column.
    """

    space: str
    rows: int
    repeated: int
    malformed: int
    devices: tuple[DeviceCheck, ...]

    def missing_share(self, device: DeviceCheck) -> float:
        """The share of the networks without a usable latency on ``device``."""
        return 1 - device.measured / max(self.rows - self.repeated - self.malformed, 1)

    def findings(self) -> list[str]:
        """A sentence for every defect."""
        return [*self._of_rows(), *(sentence for device in self.devices for sentence in self._of_device(device))]

    def _of_rows(self) -> Iterator[str]:
        if self.repeated:
            yield f"{self.repeated:,} of {self.rows:,} rows repeat an arch; keep one row per network."
        if self.malformed:
            yield f"{self.malformed:,} of {self.rows:,} rows hold no arch of {self.space}; correct or remove them."
        if not self.devices:
            yield "There is no column of latencies."

    def _of_device(self, check: DeviceCheck) -> Iterator[str]:
        name, missing = check.device, self.missing_share(check)
        if check.unusable:
            yield f"{name}: {check.unusable:,} cells are no latency (text, zero, negative or infinite)."
        if not check.measured:
            yield f"{name}: nothing was measured."
            return
        if missing:
            yield f"{name}: {missing:.1%} of the networks are not measured."
        if check.constant:
            yield f"{name}: every latency is {check.median_ms:g} ms."
        elif check.whole:
            yield f"{name}: whole milliseconds, {check.smallest_ms:g} to {check.largest_ms:g}."
        if check.near_zero:
            yield (
                f"{name}: {check.near_zero:,} latencies are below {NEAR_ZERO:.0%} of the median, down to "
                f"{check.smallest_ms:.3g} ms."
            )
        if check.outliers:
            arch, ms, expected_ms = check.outliers[0]
            few = "an outlier" if len(check.outliers) == 1 else f"{len(check.outliers):,} outliers, the farthest"
            yield f"{name}: {few} {ms:.4g} ms instead of some {max(expected_ms, 0):.3g} ms, {arch}."
        if check.copied:
            yield f"{name}: the same latencies as {check.nearest}."


def check_table(space: str, frame: pd.DataFrame, generator: np.random.Generator | None = None) -> TableCheck:
    """Describe a latency table as `read_frame` reads it.

    Args:
        space: name of the search space.
        frame: indexed by arch, one column per device; anything may stand in a cell.
        generator: which networks the model is fitted on; seed 0 if None.

    Example: ``check_table("fbnet", read_frame("my_data/fbnet.parquet")).findings()``.

    Raises:
        WorkbenchError: an unknown space.
    """
    repeated = frame.index.duplicated()
    usable = np.array([_belongs(space, arch) for arch in frame.index], dtype=bool) & ~repeated
    kept = frame[usable]
    numbers = kept.apply(pd.to_numeric, errors="coerce").astype(np.float64)
    clean = numbers.where((numbers > 0) & np.isfinite(numbers))
    alike = clean.corr(method="spearman", min_periods=FEWEST_SHARED)
    predicted, tested = _predictions(space, clean, generator or np.random.default_rng(0))
    devices = []
    for index, device in enumerate(clean.columns):
        nearest, correlation = _nearest(alike, device)
        devices.append(
            DeviceCheck(
                str(device),
                unusable=int((kept[device].notna() & clean[device].isna()).sum()),
                **_summary(clean[device]),
                outliers=_outliers(clean[device], predicted[:, index]),
                nearest=nearest,
                nearest_spearman=correlation,
                copied=nearest is not None and clean[device].equals(clean[nearest]),
                ceiling=_ceiling(clean[device].to_numpy(), predicted[:, index], tested[:, index]),
            )
        )
    malformed = int((~usable & ~repeated).sum())
    return TableCheck(space, len(frame), int(repeated.sum()), malformed, tuple(devices))


def _belongs(space: str, arch: object) -> bool:
    family = get_space(space)
    try:
        family.parse(arch)  # type: ignore[arg-type]
    except WorkbenchError:
        return False
    return True


def _summary(column: pd.Series) -> dict:
    measured = column.dropna().to_numpy()
    if not len(measured):
        sizes = dict.fromkeys(("smallest_ms", "median_ms", "largest_ms"), float("nan"))
        return {"measured": 0, **sizes, "constant": False, "whole": False, "near_zero": 0}
    median = float(np.median(measured))
    return {
        "measured": len(measured),
        "smallest_ms": float(measured.min()),
        "median_ms": median,
        "largest_ms": float(measured.max()),
        "constant": len(measured) > 1 and bool(np.ptp(measured) == 0),
        "whole": bool((measured == np.round(measured)).all()),
        "near_zero": int((measured < NEAR_ZERO * median).sum()),
    }


def _nearest(alike: pd.DataFrame, device: object) -> tuple[str | None, float]:
    others = alike[device].drop(device).dropna()
    return (str(others.idxmax()), float(others.max())) if len(others) else (None, float("nan"))


def _predictions(space: str, clean: pd.DataFrame, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """`a x d` milliseconds of a linear model per device, NaN without one, and `a x d` bool: it was not fitted on it."""
    latency_ms = clean.to_numpy()
    predicted, tested = np.full(latency_ms.shape, np.nan), np.zeros(latency_ms.shape, dtype=bool)
    measured = ~np.isnan(latency_ms)
    enough = np.nonzero(measured.sum(axis=0) >= FEWEST)[0]
    if not len(enough):
        return predicted, tested
    networks = encode(space, list(clean.index))
    features = np.concatenate([networks.census, networks.physics], axis=1)
    order = generator.permutation(len(clean))
    patterns, group = np.unique(measured[:, enough], axis=1, return_inverse=True)
    for index, pattern in enumerate(patterns.T):  # devices measured on the same networks share one decomposition
        members = enough[group.ravel() == index]
        rows = order[pattern[order]]
        fitted, left = np.split(rows, [int(FITTED_SHARE * len(rows))])
        varied = features[:, features[fitted].std(axis=0) > 0]
        mean = latency_ms[np.ix_(fitted, members)].mean(axis=0)
        relative = latency_ms[np.ix_(fitted, members)] / mean
        predicted[:, members] = ridge(varied[fitted], relative, varied) * mean
        tested[np.ix_(left, members)] = True
    return predicted, tested


def _outliers(column: pd.Series, predicted: np.ndarray) -> tuple[Outlier, ...]:
    """What the model misses by far, the farthest first; near-zero latencies are told apart."""
    miss = (column - predicted).abs()
    if miss.isna().all():
        return ()
    usual, median = MAD * miss.median(), column.median()
    far = (miss > USUAL_MISSES * usual) & (miss > OUTLYING_SHARE * median) & (column >= NEAR_ZERO * median)
    expected = pd.Series(predicted, index=column.index)
    farthest = miss[far].sort_values(ascending=False).index
    return tuple(Outlier(arch, float(column[arch]), float(expected[arch])) for arch in farthest)


def _ceiling(latency_ms: np.ndarray, predicted: np.ndarray, tested: np.ndarray) -> Ceiling | None:
    actual, said = latency_ms[tested], predicted[tested]
    if not len(actual) or np.ptp(actual) == 0 or np.ptp(said) == 0:
        return None
    rae = np.abs(actual - said).sum() / np.abs(actual - actual.mean()).sum()
    return Ceiling(float(spearmanr(actual, said).statistic), float(rae))
