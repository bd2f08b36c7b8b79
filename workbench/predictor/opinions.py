"""What is thought of a device before the head corrects it: by sources, plausible devices, its card, and a learnt model.

Shapes: `a` networks, `p` probes, `d` source devices.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from workbench.predictor.likely import Expected


class PriorMean(NamedTuple):
    """What is thought of the device before the head corrects it; only its shape counts, not its scale.

    Args:
        name: whose opinion it is.
        ms: `a` milliseconds.
        probe_ms: `p` milliseconds of each probe; where ``ms`` has seen the probes, predicted from the *other* probes,
            so that its fit can be judged.
        odds: of this opinion before anything is measured, relative to the others.
    """

    name: str
    ms: np.ndarray
    probe_ms: np.ndarray
    odds: float = 1.0


def shaped(name: str, latency: np.ndarray, probes: np.ndarray, probe_ms: np.ndarray) -> PriorMean:
    """A prior mean in any unit (`a`), scaled to the probes by the median of their ratios: a few may be wild."""
    ms = latency * np.median(probe_ms / latency[probes])
    return PriorMean(name, ms, ms[probes])


def opinions(
    shapes: Mapping[str, np.ndarray], probes: np.ndarray, probe_ms: np.ndarray, expected: Expected | None = None
) -> list[PriorMean]:
    """`shaped` of several, and of what the device's card lets expect, if it has one, before and after the probes; the
    columns of an `a x d` shape share the odds of one: at most one of them is right."""
    found = []
    for name, shape in ({**shapes, "card": expected.usual} if expected else shapes).items():
        columns = shape.T if shape.ndim == 2 else [shape]
        found += [shaped(name, column, probes, probe_ms)._replace(odds=1 / len(columns)) for column in columns]
    return [*found, PriorMean("likely device", *expected.given(probes, probe_ms))] if expected else found
