"""What every prediction method is given and gives back, so that one evaluation compares them all.

A method is a function: `Pretrain` learns from source devices and returns an `Adapt`, which turns what was measured on
a target device into a `Predict`, which gives an `Estimate` for every network. Nothing is kept between targets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from workbench.config import WorkbenchError
from workbench.data.networks import Networks
from workbench.describe.design import Design
from workbench.devices.device import DeviceCard

Z90 = 1.6448536269514722  # half width of a Gaussian's central 90 %, in standard deviations


@dataclass(frozen=True)
class Sources:
    """The source side of a transfer: all that may be seen before a target is measured.

    Args:
        networks: all `a` networks (their graphs, not their latencies).
        rows: `s` rows of ``networks`` measured on the source devices.
        latency_ms: `s x d` milliseconds on the `d` source devices, NaN where not measured.
        devices: `d` names.
        cards: what is known of devices, source and target.
    """

    networks: Networks
    rows: np.ndarray
    latency_ms: np.ndarray
    devices: tuple[str, ...]
    cards: Mapping[str, DeviceCard] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.latency_ms.shape != (len(self.rows), len(self.devices)):
            raise WorkbenchError(
                f"Source latencies expect {len(self.rows)} x {len(self.devices)} (networks x devices), "
                f"got {' x '.join(map(str, self.latency_ms.shape))}; match them."
            )

    def siblings(self, device: int) -> list[int]:
        """Columns of the devices that run on the same hardware as column ``device``, itself included."""
        hardware = [card.hardware if (card := self.cards.get(name)) else None for name in self.devices]
        same = [index for index, other in enumerate(hardware) if other is not None and other == hardware[device]]
        return same or [device]

    @property
    def mean_ms(self) -> np.ndarray:
        """`d` mean latency of each source device."""
        return np.nanmean(self.latency_ms, axis=0)


class Estimate(NamedTuple):
    """Latency of `a` networks on one device in milliseconds, with a 90 % interval."""

    ms: np.ndarray
    low_ms: np.ndarray
    high_ms: np.ndarray


class Probed(NamedTuple):
    """What was measured on the target device: `p` rows of the networks, and their milliseconds."""

    rows: np.ndarray
    ms: np.ndarray

    @property
    def mean_ms(self) -> float:
        """Mean latency of the probes: the scale of everything that is relative to the device."""
        return float(self.ms.mean())


Predict = Callable[[], Estimate]
#: What was measured on the target, and its card if there is one.
Adapt = Callable[[Probed, DeviceCard | None], Predict]
#: The array is the pool of rows that the target's probes will come from.
Pretrain = Callable[[Sources, Design, np.ndarray, np.random.Generator], Adapt]


def some_probes(method: str, probed: Probed) -> Probed:
    """``probed``, if there is at least one and all are finite numbers above zero."""
    if not len(probed.ms):
        raise WorkbenchError(
            f"Method '{method}' expects at least 1 probe on the target, got 0; measure more, or choose a method that "
            f"needs none."
        )
    if not (np.isfinite(probed.ms) & (probed.ms > 0)).all():
        raise WorkbenchError(
            f"Method '{method}' expects positive probe latencies in ms, got {probed.ms.tolist()}; measure them again."
        )
    return probed


def gaussian_estimate(mean_ms: np.ndarray, sd_ms: np.ndarray | float, scale_ms: float) -> Estimate:
    """An `Estimate` from mean and standard deviation; latencies are kept above a thousandth of ``scale_ms``."""
    least = 1e-3 * scale_ms
    half = Z90 * sd_ms
    return Estimate(*(np.maximum(value, least) for value in (mean_ms, mean_ms - half, mean_ms + half)))
