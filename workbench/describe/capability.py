"""The capability vector: what a card says about a device, with a mask for what it does not say."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from workbench.devices.device import DeviceCard

#: Entry -> the value that counts as 0 on the logarithmic scale (a mid-range device), in the entry's own unit.
REFERENCE = {
    "batch_size": 1.0,
    "threads": 1.0,
    "cores": 8.0,
    "clock_ghz": 2.0,
    "peak_fp32_gflops": 1000.0,
    "peak_fp16_gflops": 1000.0,
    "peak_bf16_gflops": 1000.0,
    "peak_int8_gops": 1000.0,
    "memory_bandwidth_gbps": 100.0,
    "l1_kib": 32.0,
    "l2_kib": 1024.0,
    "l3_mib": 16.0,
    "l1_bandwidth_gbps": 300.0,
    "l2_bandwidth_gbps": 150.0,
    "l3_bandwidth_gbps": 80.0,
    "launch_overhead_us": 5.0,
}

#: Names of the entries, in the order of `CapabilityVector.values`.
ENTRIES = tuple(REFERENCE)


class CapabilityVector(NamedTuple):
    """Log-scaled capabilities, `c` entries in the order of `ENTRIES`.

    Args:
        values: `c` float64, log10 of the figure over its reference; 0 where unknown.
        known: `c` bool; an unknown entry is never read as zero.
    """

    values: np.ndarray
    known: np.ndarray


def capability_vector(card: DeviceCard | None) -> CapabilityVector:
    """The vector of ``card``; without a card everything is unknown."""
    raw = [getattr(card, entry, None) for entry in ENTRIES]
    known = np.array([value is not None for value in raw])
    scaled = [np.log10(value / REFERENCE[entry]) if value else 0.0 for entry, value in zip(ENTRIES, raw, strict=True)]
    return CapabilityVector(np.array(scaled, dtype=np.float64), known)
