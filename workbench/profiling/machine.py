"""The card of this machine: what was detected, joined with what was measured."""

from __future__ import annotations

import re
from typing import Any

from workbench.devices.backends import BACKENDS, Platform
from workbench.devices.detect import Machine, detect
from workbench.devices.device import DeviceCard
from workbench.devices.microbench import MicroBench, MicroBenchConfig, microbench

#: Words in a model's name, as regular expressions, that tell its family.
FAMILIES = {
    "server-cpu": r"epyc|xeon|neoverse|graviton|ampere altra",
    "mobile-cpu": r"raspberry|cortex-a\d+|snapdragon|jetson",
    "server-gpu": r"tesla|[abhlpv]\d{1,2}0s?|g[bh]200|[lt]4",
    "laptop-gpu": r"laptop|max-q",
    "embedded-gpu": r"jetson|orin|xavier|tegra",
}


def this_machine(
    platform: Platform, machine: Machine | None = None, bench: MicroBench | None = None, hasty: bool = False
) -> DeviceCard:
    """The card of this machine as ``platform`` runs on it: detected, with figures as measured for its threads.

    The caches' sizes are those that the sweep found; of one that it did not find, what the system says.

    Args:
        platform: backend, precision, threads and batch.
        machine, bench: detected and measured (about 20 s) if None. The figures of a micro-benchmark of another device
            than the platform's are left out.
        hasty: whether it is measured only to see that everything works, see `MicroBenchConfig.hasty`.
    """
    machine, device = machine or detect(), platform.device
    config = MicroBenchConfig.hasty() if hasty else None
    bench = bench or microbench([platform.threads], machine, device=device, config=config)
    measured = bench.at(platform.threads) if bench.device == device else {}
    figures = {name: float(f"{value:.4g}") for name, value in measured.items()}
    if platform.backend not in ("torch_eager", "torch_cuda"):
        figures.pop("launch_overhead_us", None)  # measured for torch's dispatcher, which is not in the way here
    detected = _gpu() if device == "cuda" else _cpu(machine, platform.threads)
    return DeviceCard(
        name=platform.name,
        batch_size=platform.batch,
        precision=platform.precision,
        runtime=f"{platform.backend} {BACKENDS[platform.backend].require()}",
        threads=platform.threads,
        source="detected and measured by workbench.devices.microbench",
        **{**detected, **figures},
    )


def _cpu(machine: Machine, threads: int) -> dict[str, Any]:
    caches = machine.cache_kib
    return {
        "hardware": machine.cpu_model,
        "family": family(machine.cpu_model, "cpu"),
        "cores": threads,
        "l1_kib": caches.get("l1"),
        "l2_kib": caches.get("l2"),
        "l3_mib": caches["l3"] / 1024 if "l3" in caches else None,
        "memory_gib": machine.memory_gib,
    }


def _gpu() -> dict[str, Any]:
    import torch

    gpu = torch.cuda.get_device_properties(torch.cuda.current_device())
    return {
        "hardware": gpu.name,
        "family": family(gpu.name, "gpu"),
        "cores": gpu.multi_processor_count,
        "l2_kib": gpu.L2_cache_size / 1024,
        "memory_gib": round(gpu.total_memory / 2**30, 2),
    }


def family(model: str | None, kind: str) -> str | None:
    """The family of a ``cpu`` or ``gpu`` by its model's name: a desktop's unless the name says otherwise."""
    if not model:
        return None
    said = (name for name in FAMILIES if name.endswith(kind))
    return next((name for name in said if re.search(rf"\b({FAMILIES[name]})\b", model.lower())), f"desktop-{kind}")
