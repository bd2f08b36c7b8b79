"""Toy devices with cards, and a table of them."""

from __future__ import annotations

from tests.toy import SOURCES, TARGETS, Roofline, toy_frame, toy_networks
from workbench.data.table import LatencyTable
from workbench.devices.device import DeviceCard

NETWORKS = toy_networks(120)
DEVICES = {**SOURCES, "phone": TARGETS["phone"]}


def card_of(name: str, device: Roofline) -> DeviceCard:
    """What a data sheet would say of ``device``."""
    return DeviceCard(
        name, family="mobile-cpu", batch_size=1, cores=4, clock_ghz=2.0, peak_fp32_gflops=device.gflops,
        memory_bandwidth_gbps=device.gbps, launch_overhead_us=device.launch_us, l2_kib=512,
    )  # fmt: skip


CARDS = {name: card_of(name, device) for name, device in DEVICES.items()}


def carded_table(**cards: DeviceCard) -> LatencyTable:
    """`DEVICES` measured on `NETWORKS`, with `CARDS` and further ``cards``."""
    return LatencyTable("nasbench201", toy_frame(NETWORKS, DEVICES), {**CARDS, **cards})
