"""The card of this machine: what was detected, joined with what was measured."""

from __future__ import annotations

from workbench.devices.backends import BACKENDS, Platform
from workbench.devices.detect import Machine, detect
from workbench.devices.device import DeviceCard
from workbench.devices.microbench import MicroBench, microbench


def this_machine(platform: Platform, machine: Machine | None = None, bench: MicroBench | None = None) -> DeviceCard:
    """The card of this machine as ``platform`` runs on it: detected, with rates as measured for its threads.

    Args:
        platform: backend, precision, threads and batch.
        machine, bench: detected and measured (about 10 s) if None.
    """
    machine = machine or detect()
    bench = bench or microbench([platform.threads], machine)
    rates = {name: float(f"{value:.4g}") for name, value in bench.at(platform.threads).items()}
    if platform.backend != "torch_eager":
        rates.pop("launch_overhead_us", None)  # measured for torch's dispatcher, which is not in the way here
    caches = machine.cache_kib
    return DeviceCard(
        name=platform.name,
        hardware=machine.cpu_model,
        family=_family(machine),
        batch_size=platform.batch,
        precision=platform.precision,
        runtime=f"{platform.backend} {BACKENDS[platform.backend].require()}",
        threads=platform.threads,
        cores=platform.threads,
        l1_kib=caches.get("l1"),
        l2_kib=caches.get("l2"),
        l3_mib=caches["l3"] / 1024 if "l3" in caches else None,
        memory_gib=machine.memory_gib,
        source="detected and measured by workbench.devices.microbench",
        **rates,
    )


def _family(machine: Machine) -> str | None:
    model = (machine.cpu_model or "").lower()
    if any(word in model for word in ("epyc", "xeon", "neoverse", "graviton", "ampere altra")):
        return "server-cpu"
    if any(word in model for word in ("raspberry", "cortex-a", "snapdragon", "jetson")):
        return "mobile-cpu"
    return "desktop-cpu" if machine.cpu_model else None
