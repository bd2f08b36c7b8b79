"""Small tables for the figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from workbench.devices.backends import get_platforms
from workbench.devices.microbench import MicroBench, MicroBenchConfig, microbench
from workbench.insight import figures
from workbench.insight.device_profile import networks_to_measure
from workbench.insight.live import LiveCampaign
from workbench.profiling.calm import CalmConfig
from workbench.profiling.campaign import CampaignSummary, profile
from workbench.profiling.passes import CampaignConfig
from workbench.profiling.quality import QualityConfig
from workbench.profiling.reduce import tables_in
from workbench.profiling.timing import TimingConfig
from workbench.spaces import get_space

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


@pytest.fixture
def mapped() -> pd.DataFrame:
    """Six known devices, three of them at the same place, and a new one close to the lonely ``far``."""
    names, x = ["a", "b", "c", "d", "far", "<i>e</i>"], [0.0, 0.0, 0.001, -0.2, 0.3, -0.1]
    known = pd.DataFrame({"device": names, "role": "source", "family": ["gpu"] * 3 + ["cpu"] * 3, "hardware": "chip"})
    known = known.assign(x=x, y=[0.0, 0.0, 0.001, 0.1, -0.2, 0.1])
    new = {"device": "mine", "role": "target", "family": "new", "hardware": "new", "x": 0.29, "y": -0.19}
    return pd.concat([known, pd.DataFrame([{**new, "nearest": "far", "apart": 0.05}])], ignore_index=True)


@pytest.fixture
def passes() -> pd.DataFrame:
    """Two platforms, four passes over the references a minute apart; ``slow`` drifts by 30 % in the third."""
    minutes = np.arange(4.0)
    drifts = {"steady": [0.0, 0.01, 0.0, -0.01], "slow": [0.0, 0.02, 0.3, 0.0]}
    rows = [(name, 1e9 + 60 * m, d) for name, drift in drifts.items() for m, d in zip(minutes, drift, strict=True)]
    return pd.DataFrame(rows, columns=["platform", "started_at", "drift"])


@pytest.fixture
def bursts() -> pd.DataFrame:
    """A burst every six seconds on each of two platforms; ``slow`` in quarantine from the second minute on, its last
    ones repetitions; the load is unknown of the first."""
    seconds = np.tile(np.arange(3, 183, 6.0), 2)
    frame = pd.DataFrame({"platform": ["steady"] * 30 + ["slow"] * 30, "started_at": 1e9 + seconds})
    slow = frame["platform"] == "slow"
    return frame.assign(
        reference=False,
        quarantined=slow & (seconds > 60),
        again=slow & (seconds > 150),
        slower=np.where(slow & (seconds > 60), 0.4, 0.01),
        foreign_load=np.where(seconds > 3, 0.05, np.nan),
    )


class Campaign(NamedTuple):
    """A campaign that was really run, and what it was run with."""

    summary: CampaignSummary
    bench: MicroBench
    probes: list[str]
    config: CampaignConfig


@pytest.fixture(scope="session")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """Eight networks on two platforms of this machine, with next to no patience; watched live."""
    quick = TimingConfig(0, 0.001, warmup_window=1, min_runs=3, max_runs=5, min_s=0, budget_s=0.01)
    quality = QualityConfig(max_attempts=0, calm=CalmConfig(patience_s=0, retries=0))
    config = CampaignConfig(quick, 2, 8, quality, gate_s=0.05, bench_s=0, quiet_s=0.02)
    sizes = MicroBenchConfig(min_rounds=1, max_rounds=1, share_s=0, call_s=0, sweep_to_mib=1, per_octave=1)
    space, out = get_space("nasbench201"), tmp_path_factory.mktemp("campaign")
    platforms = get_platforms(["torch-eager_fp32_t1_b1", "torch-eager_fp32_t1_b2"])
    archs, probes = networks_to_measure(space.name, 8, 6, seed=0)
    with LiveCampaign(tables_in(out, space.name).raw, config) as live:
        summary = profile(space, archs, platforms, out, progress=live, device="mine", config=config)
    return Campaign(summary, microbench([1], seconds=0.05, config=sizes), probes, config)


Inputs = dict[str, tuple[Callable[..., go.Figure], dict[str, object]]]


@pytest.fixture
def inputs(
    networks: pd.DataFrame,
    operators: pd.DataFrame,
    hardware: pd.DataFrame,
    attention: np.ndarray,
    signatures: pd.DataFrame,
    mapped: pd.DataFrame,
    passes: pd.DataFrame,
    bursts: pd.DataFrame,
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
    courses = pd.DataFrame(
        {
            "method": ["hodm"] * 4 + ["linear"] * 3,
            "probes": [3, 3, 10, 20, 3, 10, 20],
            "spearman": [0.8, 0.84, 0.92, 0.95, 0.7, 0.9, 0.94],
            "rae": [0.5, 0.46, 0.3, 0.2, 0.9, 0.4, 0.25],
            "coverage90": [0.8, 0.84, 0.91, 0.9, 0.7, 0.95, 0.99],
        }
    )
    under_roofs = pd.DataFrame(
        {
            "network": ["small", "small", "large"],
            "name": ["conv", "skip", "conv"],
            "copies": [3, 2, 5],
            "intensity": [30.0, 0.0, 40.0],
            "gflops": [100.0, 0.0, 100.0],
            "least_ms": [0.3, 0.1, 2.0],
        }
    )
    measured = pd.DataFrame(
        {
            "network": ["small", "large"],
            "device": "mine",
            "latency_ms": [1.0, 4.0],
            "least_ms": [0.4, 2.0],
            "intensity": [20.0, 40.0],
            "gflops": [12.0, 50.0],
        }
    )
    changed = pd.DataFrame({"arch": ARCHS, "base_rank": [2, 1, 9, 4], "rank": [1, 2, 9, 7]})
    changed = changed.assign(base_low_ms=0.9, base_ms=[2.0, 1, 9, 4], base_high_ms=10.0)
    changed = changed.assign(low_ms=0.4, predicted_ms=[1.0, 1, 5, 4], high_ms=20.0)
    roofs = {"compute_gflops": {"matrix product": 100.0}, "bandwidth_gbps": {"memory": 18.0}}
    received = pd.DataFrame(
        {
            "name": ["cores", "probe 1", "probe <2>"],
            "kind": ["capability", "probe", "probe"],
            "attention_percent": [60.0, 30.0, 10.0],
            "effect_percent": [5.0, 2.0, 8.0],
        }
    )
    placed = pd.DataFrame({"arch": ARCHS, "x": [0.0, 1, 2, 3], "y": [1.0, 0, 2, 1], "latency": [0.5, 1, 1.5, 9]})
    placed = placed.assign(rank=[0.0, 30, 60, 100], disagreement=[5.0, 1, 2, 0])
    numbered = placed.iloc[:2].assign(number=[1, 2], locked=[False, True])
    titled = pd.DataFrame({"arch": ARCHS[:2], "title": ["1. a <cell>", "2. nothing"]})
    courses_of_width = pd.DataFrame({"probes": [1, 3], "low": [90.0, 30], "median": [99.0, 40], "high": [120.0, 60]})
    left_out = pd.DataFrame({"device": ["a", "a", "<b>", "<b>"], "probes": [1, 3, 1, 3]})
    left_out = left_out.assign(spearman=[0.5, 0.9, 0.4, 0.8], rae=[0.9, 0.3, 1.1, 0.5])
    tried = pd.DataFrame(
        {"factor": ["<case>", "<case>", "probes"], "level": ["none", "half", "20"], "reference": ["all", "all", "5"]}
    )
    tried = tried.assign(difference=[-0.2, 0.01, 0.1], low=[-0.3, -0.1, np.nan], high=[-0.1, 0.12, np.nan])
    tried = tried.assign(mark=["worse", "noise", "untested"])
    by_level = pd.DataFrame(
        {"x": [5, 20, 5, 20], "line": ["all", "all", "<none>", "<none>"], "value": [0.8, 0.9, 0.7, 0.8]}
    )
    ranked = pd.DataFrame({"configuration": ["all", "half", "<none>"], "rank": [1.2, 1.8, 3.0]})
    of_runs = pd.DataFrame(
        {"run": ["<first>", "second"], "value": [0.9, 0.8], "low": [0.85, np.nan], "high": [0.95, np.nan]}
    )
    over_steps = pd.DataFrame(
        {"run": ["<first>"] * 3 + ["second"] * 2, "step": [1, 2, 3, 1, 2], "value": [9.0, 1, 0.1, 8, 2]}
    )
    arguments: dict[str, dict[str, object]] = {
        "attention_difference": {
            "maps": attention[0],
            "operators": operators.assign(where=["both", "first", "second", "both"], shape="3x3"),
            "hardware": hardware.assign(where=["both", "neither", "first"]),
            "names": ("one device", "another <device>"),
        },
        "attention_faithfulness": {"frame": received, "faithfulness": -0.5},
        "architecture_map": {"frame": placed, "probes": numbered, "titles": ("More work →", "Unclear"), "total": 30},
        "attention_map": {
            "attention": attention,
            "operators": operators,
            "hardware": hardware,
            "faithfulness": 0.6,
        },
        "bandwidth_sweep": {"frame": sweep, "caches": {"l1": 48, "l3": 1e6}},
        "block_diagrams": {"frame": titled.assign(arch="k3_e6|" * 20 + "k5_e1_g2|skip"), "space": "fbnet"},
        "cell_graphs": {"frame": titled},
        "critical_difference": {"frame": ranked, "least": 0.9, "blocks": 12},
        "device_map": {"frame": mapped, "x_title": "Convolutions dearer →", "y_title": "Pooling dearer →"},
        "error_by_quantile": {"frame": networks},
        "expected_width": {"frame": courses_of_width, "count": 3},
        "factor_effects": {"frame": tried, "metric": "spearman"},
        "floors": {"frame": methods},
        "latency_change": {"frame": changed},
        "left_out_curve": {"frame": left_out, "count": 3},
        "learning_curve": {"frame": courses},
        "level_curves": {"frame": by_level, "factor": "probes", "by": "case", "metric": "spearman"},
        "network_roofline": {"operators": under_roofs, "networks": measured, **roofs},
        "operator_costs": {"frame": operators, "measured_ms": 4.0},
        "pareto": {"frame": networks, "objective": "accuracy_percent"},
        "predicted_against_measured": {"frame": networks},
        "rank_change": {"frame": changed, "spearman": 0.4, "total": 9},
        "rank_disagreement": {"frame": placed, "probes": numbered, "devices": 3},
        "ranking": {"frame": networks},
        "reference_timeline": {"frame": passes, "bursts": bursts},
        "roofline": {"compute_gflops": {"fp32": 100.0}, "bandwidth_gbps": {"DRAM": 18.0}, "points": points},
        "run_curves": {"frame": over_steps, "metric": "loss"},
        "run_scores": {"frame": of_runs.assign(cases=[12, 1]), "metric": "spearman"},
        "signature": {"frame": signatures},
        "training_curve": {"frame": pd.DataFrame({"step": [1, 2, 3], "loss": [1.0, 0.1, 0.01]})},
        "validation_by_device": {"frame": pd.DataFrame({"step": [1, 2], "a": [0.5, 0.3], "b": [0.5, 0.1]})},
    }
    return {name: (function, arguments[name]) for name, function in figures.FIGURES.items()}
