"""What binds an operator: its arithmetic, what it moves, or that it has to be launched at all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.devices.catalog import PEAKS
from workbench.devices.device import DeviceCard
from workbench.graphs.features import BYTES, PHYSICS, op_physics
from workbench.graphs.graph import Op
from workbench.insight.roofs import BYTES as MOVED
from workbench.insight.roofs import CEILINGS, FLOPS, LEVELS, PRODUCT, WEIGHTS, Roofs

#: What may bind an operator, in the order of `card_terms`, and the physical quantities that speak for it.
BOUNDS = {
    "compute": tuple(name for name in PHYSICS if name.endswith("_flops")),
    "memory": tuple(name for name in PHYSICS if "bytes" in name),
    "launch": ("launches",),
}
#: Of an operator that has nothing to do.
NOTHING = "nothing"
LAUNCHES = PHYSICS.index("launches")
WIDTHS = {"fp32": 4, "fp16": 2, "bf16": 2, "int8": 1}  # bytes per number


def card_roofs(card: DeviceCard) -> Roofs | None:
    """The roofs that ``card`` tells of, in the precision that it was run in; None without a peak or a bandwidth."""
    precision = card.precision or "fp32"
    field = {name: field for field, name in PEAKS.items()}.get(precision)
    peak = getattr(card, field) if field else None
    if peak is None or card.memory_bandwidth_gbps is None:
        return None
    ceilings = {name: getattr(card, own) for name, own in CEILINGS.items()} if precision == "fp32" else {}
    sizes = {"l1": card.l1_kib, "l2": card.l2_kib, "l3": 1024 * card.l3_mib if card.l3_mib else None}
    speeds = {level: getattr(card, f"{level}_bandwidth_gbps") for level in LEVELS}
    cached = [level for level in LEVELS if sizes[level] and speeds[level]]
    return Roofs(
        {name: value for name, value in ceilings.items() if value} | {PRODUCT: peak},
        {level.upper(): speeds[level] for level in cached} | {"memory": card.memory_bandwidth_gbps},
        {level.upper(): sizes[level] for level in cached},
    )


def card_terms(ops: Sequence[Op], card: DeviceCard | None) -> np.ndarray | None:
    """`n x 3` milliseconds that one copy of each operator computes, moves and is launched at the roofs of ``card``.

    None where the card does not know all three.
    """
    roofs = card_roofs(card) if card else None
    if roofs is None or card.launch_overhead_us is None:
        return None
    work, batch = op_physics(ops), card.batch_size or 1
    width = WIDTHS.get(card.precision or "fp32", BYTES) / BYTES
    moved = width * (work[:, WEIGHTS] + batch * (work[:, MOVED].sum(axis=1) - work[:, WEIGHTS]))
    ceilings = np.array([roofs.ceiling_gflops(op) for op in ops])
    compute = batch * work[:, FLOPS].sum(axis=1) / ceilings * 1e-6
    return np.stack(
        [compute, moved / roofs.slope_gbps(moved / 1024) * 1e-6, work[:, LAUNCHES] * card.launch_overhead_us * 1e-3], 1
    )


def charge_terms(charges: np.ndarray, quantities: Sequence[str]) -> np.ndarray:
    """`n x 3` of `card_terms`, from what a model charges `n` operators for each of its ``quantities`` (`n x q`)."""
    columns = [[index for index, name in enumerate(quantities) if name in names] for names in BOUNDS.values()]
    return np.stack([charges[:, chosen].sum(axis=1) for chosen in columns], axis=1)


def bound(terms: np.ndarray) -> list[str]:
    """The name of the largest term of each of `n` operators; `NOTHING` where all are zero."""
    names = list(BOUNDS)
    return [names[index] if row[index] > 0 else NOTHING for row, index in zip(terms, terms.argmax(1), strict=True)]
