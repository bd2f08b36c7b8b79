"""From a control's move to the updated figure, in the kernel: milliseconds of every panel, 20 moves each.

python experiments/bench_panels.py [panel ...]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

MOVES = 20


def bench_attention() -> list[float]:
    """AttentionExplorer on the bundled measurements: round, head, device, network and comparison by turns."""
    from workbench.insight.attention_study import AttentionStudy, known_devices
    from workbench.insight.panels.attention import AttentionExplorer
    from workbench.training.fit import FitConfig, pretrain
    from workbench.training.lesson import draw_lesson

    devices = ["torch-eager_fp32_t1_b1", "onnxruntime_fp32_t1_b1"]
    lesson = draw_lesson("nasbench201", devices, samples=300, held_out=30)
    parts = (lesson.sources, lesson.design, lesson.probes, np.random.default_rng(0), FitConfig(steps=50))
    panel = AttentionExplorer(AttentionStudy(known_devices(lesson, pretrain(*parts))), compare="another device")
    moves = [{"round": 1}, {"head": 2}, {"device": devices[1]}, {"arch": "fastest"}, {"other_device": devices[0]}]
    back = [{"round": "all"}, {"head": 1}, {"device": devices[0]}, {"arch": "median"}, {"other_device": devices[1]}]
    return [milliseconds(panel, move) for move in ((*moves, *back) * MOVES)[:MOVES]]


def bench_dbsel() -> list[float]:
    """DBSelPanel on the whole of NAS-Bench-201 and nine plausible devices: the number of probes."""
    from workbench.insight.panels.dbsel import DBSelPanel

    panel = DBSelPanel(table=plausible_table("nasbench201", 15_625, 9))
    counts = np.random.default_rng(0).permutation(50)[:MOVES] + 1
    return [milliseconds(panel, {"probes": count}) for count in counts.tolist()]


def bench_run_compare() -> list[float]:
    """RunComparePanel on a thousand made-up runs with results and courses: search, sort, metric, selection."""
    import pandas as pd

    from workbench.insight.panels.run_compare import RunComparePanel

    generator, ids = np.random.default_rng(0), [f"{number:032x}" for number in range(1000)]
    start = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(np.arange(1000), unit="m")
    runs = pd.DataFrame({"run_id": ids, "name": "run", "status": "FINISHED", "start": start, "duration_s": 3.0})
    runs = runs.assign(**{f"params.p{place}": (np.arange(1000) % (place + 2)).astype(str) for place in range(20)})
    runs = runs.assign(**{f"metrics.m{place}": generator.normal(size=1000) for place in range(15)})
    cells = pd.MultiIndex.from_product([["T"], list("abcdef"), range(3)], names=["task", "device", "seed"])
    table = cells.to_frame(index=False).assign(**{f"m{place}": generator.normal(size=18) for place in range(5)})
    course = pd.DataFrame({"metric": "m0", "step": range(100), "value": generator.normal(size=100)})
    histories = pd.concat([course.assign(run_id=run_id) for run_id in ids])
    panel = RunComparePanel(runs, histories, dict.fromkeys(ids, table))
    moves = [{"contains": "p3=1"}, {"sort": "metrics.m2"}, {"metric": "m3"}, {"selected": ids[10:16]}, {"curve": "m0"}]
    back = [{"contains": ""}, {"sort": "start"}, {"metric": "m1"}, {"selected": ids[20:23]}, {"curve": ""}]
    return [milliseconds(panel, move) for move in ((*moves, *back) * MOVES)[:MOVES]]


def bench_transfer(space: str = "nasbench201", networks: int = 15_625) -> list[float]:
    """TransferPanel on the whole of NAS-Bench-201 and ten plausible devices with one percent of noise: from 5 probes
    to 50 in steps of two or three."""
    from workbench.insight.panels.transfer import TransferPanel

    panel = TransferPanel(plausible_table(space, networks, 10), target="device 1", probes=5)
    counts = np.linspace(5, 50, MOVES + 1)[1:].astype(int)
    return [milliseconds(panel, {"probes": count}) for count in counts.tolist()]


def bench_transfer_fbnet() -> list[float]:
    """The same with 5,000 networks of FBNet."""
    return bench_transfer("fbnet", 5_000)


def bench_what_if() -> list[float]:
    """WhatIfPanel on the bundled measurements: every slider by turns, to and fro."""
    from workbench.insight.panels.what_if import WhatIfPanel
    from workbench.insight.what_if import KNOBS

    panel = WhatIfPanel(device="torch-eager_fp32_t1_b1")
    moves = [{knob: 2.0**doublings} for doublings in (0.25, 1.5, -2, 3) for knob in KNOBS]
    return [milliseconds(panel, move) for move in moves[:MOVES]]


def plausible_table(space: str, count: int, devices: int) -> Any:
    """A latency table of ``count`` networks on plausible devices with one percent of noise."""
    import pandas as pd

    from workbench.data.networks import encode
    from workbench.data.table import LatencyTable
    from workbench.describe.plausible import plausible_latencies
    from workbench.spaces import get_space

    generator = np.random.default_rng(0)
    family = get_space(space)
    networks = encode(space, family.all() if count == family.size else family.sample(count, generator))
    latency_ms = plausible_latencies(networks, devices, generator)
    latency_ms *= generator.lognormal(0, 0.01, latency_ms.shape)
    names = [f"device {number}" for number in range(1, devices + 1)]
    frame = pd.DataFrame(np.maximum(latency_ms, 1e-3), index=pd.Index(networks.archs, name="arch"), columns=names)
    return LatencyTable(space, frame)


def milliseconds(panel: Any, move: Mapping[str, Any]) -> float:
    """How long ``panel`` takes to follow ``move``."""
    began = time.perf_counter()
    panel.set(**move)
    return 1e3 * (time.perf_counter() - began)


BENCHES: dict[str, Callable[[], list[float]]] = {
    "attention": bench_attention,
    "dbsel": bench_dbsel,
    "run_compare": bench_run_compare,
    "transfer": bench_transfer,
    "transfer_fbnet": bench_transfer_fbnet,
    "what_if": bench_what_if,
}


def main(panels: list[str]) -> None:
    """Print a Markdown table of the median and the slowest of `MOVES` moves."""
    print("| panel | median (ms) | slowest (ms) |\n|---|---|---|")
    for panel in panels or BENCHES:
        times = BENCHES[panel]()
        print(f"| {panel} | {np.median(times):.0f} | {max(times):.0f} |")


if __name__ == "__main__":
    main(sys.argv[1:])
