"""Where a device lies among the known ones: their signatures over the same networks, and two axes through them.

A signature here is the logarithm of a device's latencies minus its own mean: what remains of a device when its speed is
taken away. The axes are the principal components (Pearson 1901) of the *known* devices' signatures, so the map does
not move when a new device lands on it. What an axis means is read off the networks: the physical quantity or the kind
of operator whose amount goes along with the axis's loadings.

Shapes: `d` devices, `a` networks, `q` quantities of networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from workbench.config import WorkbenchError
from workbench.data.networks import encode
from workbench.data.table import LatencyTable
from workbench.graphs.features import PHYSICS, is_depthwise, op_physics
from workbench.graphs.graph import Op
from workbench.spaces import get_space

LEAST_NETWORKS, LEAST_DEVICES = 5, 3
SHARED = 0.9  # of the networks measured on the new device: a known device that has fewer is left out

CLEAR = 0.5  # correlation from which on an axis has a meaning

#: What an axis may go along with, as it is said of a device.
WORDS = {
    "dense_flops": "convolution FLOPs",
    "depthwise_flops": "depthwise FLOPs",
    "grouped_flops": "grouped FLOPs",
    "elementwise_flops": "element-wise work",
    "bytes_read": "memory traffic",
    "bytes_written": "memory traffic",
    "weight_bytes": "weights",
    "launches": "number of operators",
}


class Axis(NamedTuple):
    """One axis of the map.

    Args:
        share: of the variance of the known devices' signatures.
        meaning: what is relatively dearer on devices further along it.
        correlation: Spearman's, of the axis's loadings with that quantity over the networks; not negative.
    """

    share: float
    meaning: str
    correlation: float

    @property
    def title(self) -> str:
        """Meaning, share and correlation in a few words."""
        meaning = f"Unclear, best: {self.meaning}" if self.correlation < CLEAR else self.meaning
        told = f"ρ = {self.correlation:.2f}, {100 * self.share:.0f} % of the variance"
        return f"{meaning[:1].upper()}{meaning[1:]} dearer, {told} →"


class DeviceMap(NamedTuple):
    """Devices in the plane.

    Args:
        points: one row per device, new ones last: ``device, role, family, hardware, x, y`` (role ``source`` is known,
            ``target`` new; the root mean square over the networks of the logarithmic latency ratio to the mean device
            that the axis explains), and for new ones ``nearest`` and ``apart``.
        axes: what x and y mean.
        distances: `new x known`, root mean square of the logarithmic latency ratio after scaling; as ``apart`` is.
        networks: how many the signatures are made of.
    """

    points: pd.DataFrame
    axes: tuple[Axis, Axis]
    distances: pd.DataFrame
    networks: int

    def neighbours(self, device: str, count: int = 5) -> pd.DataFrame:
        """The known devices most like ``device``: ``device, hardware, family, apart``, the nearest first."""
        nearest = self.distances.loc[device].sort_values().head(count)
        about = self.points[self.points["role"] == "source"].set_index("device").loc[nearest.index]
        return about[["hardware", "family"]].assign(apart=nearest).reset_index()


def map_devices(known: LatencyTable, new: pd.DataFrame) -> DeviceMap:
    """Put the devices of ``new`` on the map of ``known``.

    Networks whose output does not depend on their input are left out: some runtimes fold them away.

    Args:
        known: latencies of other devices on networks of the same space, cards for their families.
        new: milliseconds, index ``arch``, one column per new device; the names may be among the known ones.

    Raises:
        WorkbenchError: too few networks in common, or too few known devices that have them.
    """
    space = get_space(known.space)
    new = new.dropna()
    shared = known.frame.reindex([arch for arch in new.index if space.graph(arch).depends_on_input])
    shared = shared.loc[:, shared.notna().mean() >= SHARED].dropna()
    if len(shared) < LEAST_NETWORKS or shared.shape[1] < LEAST_DEVICES:
        raise WorkbenchError(
            f"A device map expects at least {LEAST_NETWORKS} networks measured on the new device and on "
            f"{LEAST_DEVICES} known ones, got {len(shared)} networks on {shared.shape[1]}; measure networks of the "
            f"known tables."
        )
    columns, fresh = log_signature(shared), log_signature(new.loc[shared.index])
    centre = columns.mean(axis=0)
    _, singular, loadings = np.linalg.svd(columns - centre, full_matrices=False)
    share = singular**2 / np.maximum(singular**2, 1e-300).sum()
    signs, axes = _axes(known.space, list(shared.index), loadings[:2], share)
    everything = np.concatenate([columns, fresh]) - centre
    places = everything @ (signs[:, None] * loadings[:2]).T / np.sqrt(len(shared))
    apart = np.sqrt(((fresh[:, None] - columns[None]) ** 2).mean(axis=-1))
    distances = pd.DataFrame(apart, index=new.columns, columns=shared.columns)
    cards = [known.cards.get(name) for name in shared.columns]
    sources = {
        "device": shared.columns,
        "role": "source",
        "family": [(card.family if card else None) or "unknown" for card in cards],
        "hardware": [(card.hardware if card else None) or "unknown" for card in cards],
    }
    nearest = {"nearest": distances.idxmin(axis=1).to_numpy(), "apart": apart.min(axis=1)}
    targets = {"device": new.columns, "role": "target", "family": "new", "hardware": "new", **nearest}
    points = pd.concat([pd.DataFrame(sources), pd.DataFrame(targets)], ignore_index=True)
    return DeviceMap(points.assign(x=places[:, 0], y=places[:, 1]), axes, distances, len(shared))


def log_signature(latency_ms: pd.DataFrame) -> np.ndarray:
    """`d x a` log latencies of `a x d` milliseconds, each device's own mean taken away."""
    logs = np.log(latency_ms.to_numpy(dtype=np.float64).T)
    return logs - logs.mean(axis=1, keepdims=True)


def _axes(
    space: str, archs: Sequence[str], loadings: np.ndarray, share: np.ndarray
) -> tuple[np.ndarray, tuple[Axis, Axis]]:
    """The sign of each of `2 x a` loadings that makes its meaning positive, and the meanings."""
    quantities = _quantities(space, archs)
    ranks = {name: _ranks(values) for name, values in quantities.items()}
    signs, axes, said = [], [], set()
    for loading, part in zip(loadings, share, strict=False):
        along = {
            name: float(np.corrcoef(_ranks(loading), rank)[0, 1]) for name, rank in ranks.items() if name not in said
        }
        name = max(along, key=lambda key: abs(along[key]))
        said.add(name)
        signs.append(-1.0 if along[name] < 0 else 1.0)
        axes.append(Axis(float(part), name, abs(along[name])))
    return np.array(signs), (axes[0], axes[1])


def _quantities(space: str, archs: Sequence[str]) -> dict[str, np.ndarray]:
    """`q` quantities of `a` networks that vary: physical sums, and numbers of operators of a kind."""
    networks = encode(space, archs)
    sums = networks.counts.astype(np.float64) @ op_physics(networks.operators)
    found: dict[str, np.ndarray] = {}
    for name, column in zip(PHYSICS, sums.T, strict=True):
        found[WORDS[name]] = found.get(WORDS[name], 0.0) + column
    kinds = {}
    for op, live, count in zip(networks.operators, networks.live, networks.counts.T, strict=True):
        name = _kind(op)
        if live and name:
            kinds[name] = kinds.get(name, 0.0) + count
    return {name: values for name, values in {**found, **kinds}.items() if np.std(values) > 0}


def _kind(op: Op) -> str | None:
    if op.kind == "conv":
        sort = "depthwise " if is_depthwise(op) else "grouped " if op.groups > 1 else ""
        return f"{sort}{op.kernel}x{op.kernel} convolutions"
    return {"pool": f"{op.kernel}x{op.kernel} pooling", "squeeze_excite": "squeeze-and-excite"}.get(op.kind)


def _ranks(values: np.ndarray) -> np.ndarray:
    return pd.Series(values).rank().to_numpy()
