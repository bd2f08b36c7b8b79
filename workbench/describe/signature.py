"""The behaviour signature: how long a device takes for each probe network, relative to their mean."""

from __future__ import annotations

import numpy as np

from workbench.config import WorkbenchError


def signature(probe_ms: np.ndarray, known: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Scale-free signature of `d` devices.

    Args:
        probe_ms: `d x p` milliseconds on the probes.
        known: `d x p` bool; probes that are left out of mean and signature. All if None.

    Returns:
        `d x p` latency over the mean of the known ones, minus one (0 where unknown), and `d` that mean in ms.
    """
    probe_ms = np.atleast_2d(np.asarray(probe_ms, dtype=np.float64))
    known = np.ones(probe_ms.shape, dtype=bool) if known is None else known
    if not known.any(axis=1).all():
        raise WorkbenchError("A signature expects at least one known probe per device, got none; measure one.")
    mean = np.where(known, probe_ms, 0.0).sum(axis=1) / known.sum(axis=1)
    return np.where(known, probe_ms / mean[:, None] - 1.0, 0.0), mean
