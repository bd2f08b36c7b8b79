"""HODM adapted to some devices, as one thing that can be kept: it predicts any network of its space on them.

What was learnt speaks about the networks at hand; here it is cut loose from them. Networks are described in the terms
of the training (`Terms`), the design follows from that description (`DesignMap`), and a device is what was measured
on it. The adaptation is closed-form: `transfer` does it again whenever it is asked for, and nothing of its inside has
to be kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy.sparse import csr_array, hstack
from scipy.sparse.linalg import lsqr
from torch.nn.functional import pad

from workbench import __version__
from workbench.config import WorkbenchError, lookup
from workbench.data.networks import Networks
from workbench.data.terms import Terms
from workbench.describe.design import Design
from workbench.describe.interactions import Interactions, arch_choices
from workbench.devices.device import DeviceCard
from workbench.predictor.hodm import Operators
from workbench.predictor.method import Estimate, Probed
from workbench.predictor.roofline import Expectation
from workbench.training.fit import Pretrained
from workbench.training.transfer import Transferred, transfer

#: Relative difference beyond which a design is not the function that it is taken for, and an adaptation that is done
#: again not the one that was kept.
DESIGN_ERROR, ADAPTATION_ERROR = 1e-6, 0.01

#: Networks that a stream predicts at once.
CHUNK = 4096

INPUTS, OUTPUTS = ("space", "arch", "device"), ("latency_ms", "low_ms", "high_ms")


class DesignMap(NamedTuple):
    """A `Design` as a function of networks: every field of it is additive over operators, but for interactions.

    Nearly all follows from census, physical sums and roots, which are known of any operator; what does not is kept per
    operator, and is zero for one that was not there. Principal components follow from the source devices.

    Args:
        centre: `c` mean of census, physical sums and roots.
        weights: field of the design -> `c x f` (or `c`).
        offsets: field of the design -> `f` (or a scalar).
        rest: field of the design, if it needs one -> `v + 1` per operator and for all networks.
        middle, rotation: `d` mean of the source devices, and `d x r` from them to the principal components.
        interactions: the part of the source devices that is not additive.
    """

    centre: np.ndarray
    weights: dict[str, np.ndarray]
    offsets: dict[str, np.ndarray]
    rest: dict[str, np.ndarray]
    middle: np.ndarray
    rotation: np.ndarray
    interactions: Interactions | None

    @classmethod
    def of(cls, networks: Networks, design: Design) -> DesignMap:
        """The map that gave ``design``; where there is none, a `WorkbenchError` says so."""
        described = _described(networks)
        centre, scale = described.mean(axis=0), described.std(axis=0)
        centred = (described - centre) / scale
        weights, offsets, rest = {}, {}, {}
        additive = design._replace(source=design.source - _interacting(design.interactions, networks))._asdict()
        del additive["interactions"], additive["principal"]
        for name, values in additive.items():
            offsets[name] = values.mean(axis=0)
            solution, *_ = np.linalg.lstsq(centred, values - offsets[name], rcond=None)
            weights[name] = (solution.T / scale).T
            missing = values - offsets[name] - centred @ solution
            accepted = DESIGN_ERROR * np.abs(values).max()
            if values.ndim == 1 and np.abs(missing).max() > accepted:
                rest[name] = _per_operator(networks.counts, missing)
                missing = missing - _with_constant(networks.counts) @ rest[name]
            if np.abs(missing).max() > accepted:
                raise WorkbenchError(
                    f"A design that can be kept expects '{name}' to be additive over operators, got a difference of "
                    f"{np.abs(missing).max():.2g}; teach DesignMap the new kind of feature."
                )
        middle = design.source.mean(axis=0)
        rotation, *_ = np.linalg.lstsq(design.source - middle, design.principal, rcond=None)
        return cls(centre, weights, offsets, rest, middle, rotation, design.interactions)

    def __call__(self, networks: Networks) -> Design:
        """The design of ``networks``, which are in the terms of those that the map was made from."""
        centred = _described(networks) - self.centre
        fields = {name: centred @ weights + self.offsets[name] for name, weights in self.weights.items()}
        for name, rest in self.rest.items():
            fields[name] = fields[name] + _with_constant(networks.counts[:, : len(rest) - 1]) @ rest
        fields["source"] = fields["source"] + _interacting(self.interactions, networks)
        principal = (fields["source"] - self.middle) @ self.rotation
        return Design(**fields, principal=principal, interactions=self.interactions)


def _interacting(interactions: Interactions | None, networks: Networks) -> np.ndarray | float:
    return interactions(arch_choices(networks.space, networks.archs)) if interactions else 0.0


def _described(networks: Networks) -> np.ndarray:
    return np.concatenate([networks.census, networks.physics, networks.roots], axis=1)


def _with_constant(counts: np.ndarray) -> csr_array:
    return hstack([csr_array(counts.astype(np.float64)), np.ones((len(counts), 1))], format="csr")


def _per_operator(counts: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The smallest `v + 1` weights that make ``values`` `a` out of ``counts`` `a x v` and a constant."""
    return lsqr(_with_constant(counts), values, atol=1e-12, btol=1e-12, conlim=0, iter_lim=20_000)[0]


@dataclass(frozen=True)
class AdaptedDevice:
    """A device that HODM was adapted to.

    Args:
        probe_ms: `p` measured milliseconds of the probes.
        card: None if there is none.
        factor: how much calibration widened the intervals.
        expectation: what its card lets expect; None if nothing.
        predicted_ms: `p` milliseconds that the adapted model gave the probes; empty before it did.
    """

    probe_ms: np.ndarray
    card: DeviceCard | None
    factor: float = 1.0
    expectation: Expectation | None = None
    predicted_ms: np.ndarray = field(default_factory=lambda: np.empty(0))

    def adapt(self, pretrained: Pretrained, networks: Networks, design: Design) -> Transferred:
        """``pretrained``, which speaks about ``networks`` with this ``design``, adapted to the device."""
        parts = networks.counts, design.source, design.deviations
        expected = self.expectation(*parts) if self.expectation else None
        probed = Probed(pretrained.probes, self.probe_ms)
        return transfer(pretrained, design, probed, self.card, self.factor, expected=expected)


@dataclass(frozen=True)
class AdaptedPredictor:
    """See the module's docstring.

    Args:
        terms: in which networks are described.
        pretrained: the model; its networks are the probes and nothing else.
        probes: `p` arch strings.
        design: of networks in these terms.
        devices: by name.
    """

    terms: Terms
    pretrained: Pretrained
    probes: tuple[str, ...]
    design: DesignMap
    devices: Mapping[str, AdaptedDevice]

    @classmethod
    def of(cls, pretrained: Pretrained, networks: Networks, design: Design) -> AdaptedPredictor:
        """``pretrained`` and ``design``, cut loose from the ``networks`` they speak about; no device yet."""
        rows = np.arange(len(pretrained.probes))
        probes = tuple(networks.archs[row] for row in pretrained.probes)
        loose = replace(pretrained, counts=pretrained.counts[pretrained.probes], probes=rows)
        return cls(Terms.of(networks), loose, probes, DesignMap.of(networks, design), {})

    def add(
        self,
        device: str,
        probe_ms: np.ndarray,
        card: DeviceCard | None,
        factor: float = 1.0,
        expectation: Expectation | None = None,
    ) -> AdaptedPredictor:
        """One that also knows ``device``; see `AdaptedDevice`."""
        new = AdaptedDevice(np.asarray(probe_ms, dtype=np.float64), card, float(factor), expectation)
        new = replace(new, predicted_ms=self._adapt(self.probes, new).estimate.ms)
        return replace(self, devices={**self.devices, device: new})

    def predict(self, archs: Sequence[str], device: str) -> Estimate:
        """Milliseconds of ``archs``, any of the space, on ``device``.

        Raises:
            WorkbenchError: an unknown device, a malformed arch, or a workbench that adapts differently than the one
                that the device was added by.
        """
        known = lookup("device of this model", self.devices, device)
        asked = [*self.probes, *archs]
        estimate = self._adapt(asked, known).estimate
        again = estimate.ms[: len(self.probes)]
        if not np.allclose(again, known.predicted_ms, rtol=ADAPTATION_ERROR):
            raise WorkbenchError(
                f"Workbench {__version__} expects to adapt to '{device}' as the model did when it was saved, but its "
                f"probes differ by up to {np.abs(again / known.predicted_ms - 1).max():.1%}; train and save it again."
            )
        return Estimate(*(part[len(self.probes) :] for part in estimate))

    def stream(self, archs: Iterable[str], device: str, chunk: int = CHUNK) -> Iterator[tuple[list[str], Estimate]]:
        """`predict` for as many networks as one likes, ``chunk`` at a time: memory does not grow with their number."""
        rest = iter(archs)
        while part := list(islice(rest, chunk)):
            yield part, self.predict(part, device)

    def __call__(self, frame: pd.DataFrame) -> pd.DataFrame:
        """`predict` for a table.

        Args:
            frame: columns ``space``, ``arch`` and ``device``, a prediction per row.

        Returns:
            Columns ``latency_ms``, ``low_ms`` and ``high_ms`` (the 90 % interval), with the same index.
        """
        for column in INPUTS:
            if column not in frame:
                got = ", ".join(map(str, frame.columns))
                raise WorkbenchError(f"A prediction expects {', '.join(INPUTS)} as columns, got {got}; add '{column}'.")
            if frame[column].isna().any():
                raise WorkbenchError(f"A prediction expects '{column}' in every row, got a gap; fill it in.")
        for space in frame["space"].unique():
            lookup("space of this model", {self.terms.space: None}, str(space))
        values = np.full((len(frame), len(OUTPUTS)), np.nan)
        for device, rows in frame.reset_index(drop=True).groupby("device").groups.items():
            estimate = self.predict(frame["arch"].iloc[rows].tolist(), str(device))
            values[rows] = np.stack(estimate, axis=1)
        return pd.DataFrame(values, index=frame.index, columns=list(OUTPUTS))

    def ask(self, archs: Sequence[str], devices: Sequence[str]) -> pd.DataFrame:
        """The table that asks for each of ``archs`` on each of ``devices``."""
        rows = [(self.terms.space, arch, device) for device in devices for arch in archs]
        return pd.DataFrame(rows, columns=list(INPUTS))

    def example(self) -> pd.DataFrame:
        """A small table that can be predicted."""
        return self.ask(self.probes[:2], list(self.devices)[:2])

    def about(self, archs: Sequence[str]) -> tuple[Pretrained, Networks]:
        """The model as it speaks about ``archs``, any of the space, of which the probes come first; and these networks
        in its terms."""
        networks = self.terms.describe(archs)
        new = len(networks.operators) - len(self.terms.operators)
        speaking = replace(
            self.pretrained,
            operators=Operators(torch.tensor(networks.features), torch.tensor(networks.quantities)),
            counts=torch.tensor(networks.counts),
            hears=pad(self.pretrained.hears, (0, new)),  # operators that were not there when hardware learnt to listen
        )
        return speaking, networks

    def _adapt(self, archs: Sequence[str], device: AdaptedDevice) -> Transferred:
        """HODM adapted to ``device``, its networks being ``archs``, of which the probes come first."""
        speaking, networks = self.about(archs)
        return device.adapt(speaking, networks, self.design(networks))
