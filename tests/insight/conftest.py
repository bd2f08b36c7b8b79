"""Small tables for the figures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from workbench.insight import figures

ARCHS = [
    "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|nor_conv_1x1~0|nor_conv_3x3~1|avg_pool_3x3~2|",
    "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
    "<script>alert('x')</script>",
    "k3_e6|" * 22,
]


@pytest.fixture
def networks() -> pd.DataFrame:
    """40 predicted networks, a quarter of them measured, one measurement outside its interval."""
    generator = np.random.default_rng(0)
    predicted = np.sort(generator.uniform(2, 20, 40))
    frame = pd.DataFrame(
        {
            "arch": [*ARCHS, *(f"network-{index}" for index in range(36))],
            "role": ["probe"] * 10 + ["check"] * 30,
            "predicted_ms": predicted,
            "low_ms": 0.9 * predicted,
            "high_ms": 1.1 * predicted,
            "measured_ms": predicted * generator.uniform(0.95, 1.05, 40),
            "accuracy_percent": generator.uniform(10, 94, 40),
            "parameters": generator.integers(1, 9, 40) * 1e5,
        }
    )
    frame.loc[39, "measured_ms"] = 2 * frame.loc[39, "predicted_ms"]
    return frame


@pytest.fixture
def operators() -> pd.DataFrame:
    """Four operators and the correction of their graph."""
    return pd.DataFrame(
        {
            "name": ["stem", "cell <b>", "pool", "correction for the graph"],
            "predicted_ms": [1.0, 2.5, 0.5, -0.25],
            "kind": ["conv", "conv", "pool", "correction"],
            "flops": [1e6, 2e9, 0.0, np.nan],
        }
    )


@pytest.fixture
def hardware() -> pd.DataFrame:
    """Three hardware properties, the second unknown."""
    return pd.DataFrame(
        {"name": ["cores", "L3 cache", "probe 1"], "known": [True, False, True], "value": [2, None, 1.5]}
    )


@pytest.fixture
def attention(operators: pd.DataFrame, hardware: pd.DataFrame) -> np.ndarray:
    """2 rounds x 2 heads x 4 operators x 3 properties; rows sum to one, nothing on the unknown property."""
    weights = np.random.default_rng(1).uniform(0.1, 1, (2, 2, len(operators), len(hardware)))
    weights[..., 1] = 0
    return weights / weights.sum(axis=-1, keepdims=True)


@pytest.fixture
def signatures() -> pd.DataFrame:
    """Three devices, five probes; the second source behaves exactly like the target, twice as slow."""
    probes = [f"network-{index}" for index in range(5)]
    latency = {"mine": [1.0, 2, 3, 4, 5], "other": [5.0, 1, 4, 2, 3], "twin": [2.0, 4, 6, 8, 10]}
    return pd.concat(
        pd.DataFrame(
            {
                "device": device,
                "role": "target" if device == "mine" else "source",
                "arch": probes,
                "latency_ms": values,
            }
        )
        for device, values in latency.items()
    )


Inputs = dict[str, tuple[Callable[..., go.Figure], dict[str, object]]]


@pytest.fixture
def inputs(
    networks: pd.DataFrame,
    operators: pd.DataFrame,
    hardware: pd.DataFrame,
    attention: np.ndarray,
    signatures: pd.DataFrame,
) -> Inputs:
    """Figure name -> its function and arguments that it accepts."""
    sweep = pd.DataFrame(
        {
            "working_set_kib": [4.0, 64, 4096] * 2,
            "bandwidth_gbps": [90.0, 40, 9] * 2,
            "threads": [1] * 3 + [2] * 3,
        }
    )
    points = pd.DataFrame({"name": ["conv", "add"], "intensity": [30.0, 0.2], "gflops": [60.0, 1.5]})
    methods = pd.DataFrame(
        {
            "method": ["hodm", "linear", "linear"],
            "spearman": [0.97, 0.95, 0.93],
            "rae": [0.2, 0.3, 0.34],
            "mdape": [0.05] * 3,
        }
    )
    arguments: dict[str, dict[str, object]] = {
        "attention_map": {
            "attention": attention,
            "operators": operators,
            "hardware": hardware,
            "faithfulness": 0.6,
        },
        "bandwidth_sweep": {"frame": sweep, "caches": {"l1": 48, "l3": 1e6}},
        "floors": {"frame": methods},
        "operator_costs": {"frame": operators, "measured_ms": 4.0},
        "pareto": {"frame": networks, "objective": "accuracy_percent"},
        "predicted_against_measured": {"frame": networks},
        "ranking": {"frame": networks},
        "roofline": {"compute_gflops": {"fp32": 100.0}, "bandwidth_gbps": {"DRAM": 18.0}, "points": points},
        "signature": {"frame": signatures},
        "training_curve": {"frame": pd.DataFrame({"step": [1, 2, 3], "loss": [1.0, 0.1, 0.01]})},
    }
    return {name: (function, arguments[name]) for name, function in figures.FIGURES.items()}
