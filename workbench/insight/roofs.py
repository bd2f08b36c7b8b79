"""The measured roofs of this machine, and where the operators of networks hit them.

An operator's roof is the roofline (Williams, Waterman and Patterson 2009) of the smallest memory that holds what it
reads and writes. Bytes are those of every operator on its own, batch norm and activation as separate passes, as eager
execution moves them: a runtime that fuses operators moves fewer and may lie above that roof.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from workbench.config import WorkbenchError
from workbench.devices.microbench import MicroBench
from workbench.graphs.features import PHYSICS, cost_key, is_depthwise, op_physics
from workbench.graphs.graph import Op
from workbench.insight.labels import short_arch
from workbench.spaces import get_space

LEVELS = ("l1", "l2", "l3")
PRODUCT, CONVOLUTION, DEPTHWISE = "matrix product", "3x3 convolution", "depthwise convolution"
CEILINGS = {PRODUCT: "peak_fp32_gflops", CONVOLUTION: "conv_fp32_gflops", DEPTHWISE: "depthwise_fp32_gflops"}
FLOPS = [PHYSICS.index(name) for name in PHYSICS if name.endswith("_flops")]
BYTES = [PHYSICS.index(name) for name in ("bytes_read", "bytes_written")]
WEIGHTS = PHYSICS.index("weight_bytes")


class Roofs(NamedTuple):
    """What a machine reaches with a number of threads.

    Args:
        compute_gflops: `PRODUCT` and, as far as they were measured, `CONVOLUTION` and `DEPTHWISE` -> 10^9 FLOP/s in
            fp32. A convolution may lie above the product: FLOPs are those of its definition, and there are algorithms
            that need fewer (Winograd's, Lavin and Gray 2016).
        bandwidth_gbps: ``L1``, ``L2``, ``L3`` as far as they were found, and ``memory`` -> 10^9 bytes/s.
        size_kib: of the caches among them.
    """

    compute_gflops: dict[str, float]
    bandwidth_gbps: dict[str, float]
    size_kib: dict[str, float]

    def slope_gbps(self, working_set_kib: np.ndarray) -> np.ndarray:
        """`n` bandwidths of the smallest memory that holds each working set."""
        slope = np.full(len(working_set_kib), self.bandwidth_gbps["memory"])
        for level in sorted(self.size_kib, key=self.size_kib.__getitem__, reverse=True):
            slope = np.where(working_set_kib <= self.size_kib[level], self.bandwidth_gbps[level], slope)
        return slope

    def ceiling_gflops(self, op: Op) -> float:
        """The ceiling of what ``op`` computes; that of the matrix product where it has none of its own."""
        own = DEPTHWISE if is_depthwise(op) else CONVOLUTION if op.kind == "conv" and op.kernel > 1 else PRODUCT
        return self.compute_gflops.get(own, self.compute_gflops[PRODUCT])


def measured_roofs(bench: MicroBench, threads: int) -> Roofs:
    """The roofs that the micro-benchmark found with ``threads`` threads; raises where it did not measure them."""
    found, sizes = bench.at(threads), bench.caches_kib()
    if "peak_fp32_gflops" not in found:
        counts = sorted({figure.threads for figure in bench.figures})
        raise WorkbenchError(
            f"The roofs with {threads} threads are not known, only with {counts}; measure with microbench([{threads}])."
        )
    levels = {level.upper(): found[f"{level}_bandwidth_gbps"] for level in LEVELS if f"{level}_bandwidth_gbps" in found}
    return Roofs(
        {name: found[field] for name, field in CEILINGS.items() if field in found},
        {**levels, "memory": found["memory_bandwidth_gbps"]},
        {level.upper(): sizes[level] for level in LEVELS if level in sizes and level.upper() in levels},
    )


def choose_three(space: str, archs: Sequence[str]) -> dict[str, str]:
    """A small, a medium and a large network (by FLOPs) of ``archs`` with their short names, if possible without
    operators that a runtime may fold away."""
    graphs = {arch: get_space(space).graph(arch) for arch in archs}
    whole = [arch for arch in archs if all(graphs[arch].live)]
    candidates = whole if len(whole) >= 3 else list(archs)
    flops = {arch: op_physics(graphs[arch].ops)[:, FLOPS].sum(1) @ _copies(graphs[arch].ops) for arch in candidates}
    order = sorted(candidates, key=flops.__getitem__)
    picked = {"small": order[0], "medium": order[len(order) // 2], "large": order[-1]}
    return {f"{size} {short_arch(arch)}": arch for size, arch in picked.items()}


def operator_roofs(space: str, networks: Mapping[str, str], roofs: Roofs, batch: int = 1) -> pd.DataFrame:
    """The distinct operators of ``networks`` (name -> arch) under their roofs.

    Returns:
        One row per network and distinct operator: ``network, name, copies, flops, bytes, intensity, gflops, least_ms``;
        FLOPs, bytes and the time at the roof are those of all copies. Operators without arithmetic have intensity 0
        and the time that their bytes take.
    """
    rows = []
    for network, arch in networks.items():
        for op, copies in _distinct(get_space(space).graph(arch).ops):
            cost = op_physics([op])[0]
            moved = cost[WEIGHTS] + batch * (cost[BYTES].sum() - cost[WEIGHTS])
            if moved > 0:
                rows.append((network, op_words(op), copies, batch * cost[FLOPS].sum(), moved, roofs.ceiling_gflops(op)))
    frame = pd.DataFrame(rows, columns=["network", "name", "copies", "flops", "bytes", "ceiling"])
    slope = roofs.slope_gbps(frame["bytes"].to_numpy() / 1024)
    seconds = 1e-9 * frame["copies"] * np.maximum(frame["bytes"] / slope, frame["flops"] / frame["ceiling"])
    return frame.assign(
        flops=frame["flops"] * frame["copies"],
        bytes=frame["bytes"] * frame["copies"],
        intensity=frame["flops"] / frame["bytes"],
        gflops=np.minimum(frame["ceiling"], frame["flops"] / frame["bytes"] * slope),
        least_ms=1e3 * seconds,
    ).drop(columns="ceiling")


def network_points(operators: pd.DataFrame, networks: Mapping[str, str], latency_ms: pd.DataFrame) -> pd.DataFrame:
    """The networks of `operator_roofs` as measured.

    Args:
        latency_ms: index ``arch``, one column per device.

    Returns:
        One row per network and device: ``network, device, latency_ms, least_ms, intensity, gflops, roof_gflops``.
    """
    sums = operators.groupby("network", sort=False)[["flops", "bytes", "least_ms"]].sum()
    rows = []
    for name, part in sums.iterrows():
        for device, taken in latency_ms.loc[networks[name]].dropna().items():
            rows.append(
                {
                    "network": name,
                    "device": device,
                    "latency_ms": taken,
                    "least_ms": part["least_ms"],
                    "intensity": part["flops"] / part["bytes"],
                    "gflops": part["flops"] / taken * 1e-6,
                    "roof_gflops": part["flops"] / part["least_ms"] * 1e-6,
                }
            )
    return pd.DataFrame(rows)


def _distinct(ops: Sequence[Op]) -> Iterator[tuple[Op, int]]:
    """One of the operators that cost the same, and how many there are."""
    alike: dict[tuple, list[Op]] = {}
    for op in ops:
        alike.setdefault(cost_key(op), []).append(op)
    for same in alike.values():
        yield same[0], int(_copies(same).sum())


def _copies(ops: Sequence[Op]) -> np.ndarray:
    return np.array([op.repeat for op in ops], dtype=np.float64)


def op_words(op: Op) -> str:
    """``3x3 conv 16→16, 32x32``."""
    sort = "depthwise " if is_depthwise(op) else "grouped " if op.groups > 1 else ""
    kernel = f"{op.kernel}x{op.kernel} " if op.kind in ("conv", "pool") else ""
    return f"{sort}{kernel}{op.kind.replace('_', ' ')} {op.in_channels}→{op.out_channels}, {op.out_size}x{op.out_size}"
