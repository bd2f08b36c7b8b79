"""The bundled catalog and its validator: what is there is plausible and has a source, and each rule can fail."""

from __future__ import annotations

import dataclasses
import re

import pyarrow.parquet as pq
import pytest

from workbench.config import WorkbenchError
from workbench.devices.catalog import CATALOG, PLAUSIBLE, RULES, Roof, by_hardware, check, peak, roof, validate
from workbench.devices.device import CAPABILITY_FIELDS, FAMILIES, NOT_CHECKED, DeviceCard, catalog, write_cards

GPU = DeviceCard(
    "gpu", hardware="gpu", family="desktop-gpu", cores=80, clock_ghz=1.5, peak_fp32_gflops=15_000,
    peak_fp16_gflops=30_000, memory_bandwidth_gbps=900, l1_kib=128, l2_kib=6144, l3_mib=64, memory_gib=16,
    l1_bandwidth_gbps=9000, l2_bandwidth_gbps=3000, l3_bandwidth_gbps=1500, source="data sheet",
)  # fmt: skip
CPU = DeviceCard(
    "cpu", family="server-cpu", cores=10, clock_ghz=2, peak_fp32_gflops=1280, memory_bandwidth_gbps=100, source="sheet"
)

# What breaks a card, and a word of the sentence that must say so.
BROKEN = {
    "no source": (GPU, {"source": None}, "l2_kib has no source"),
    "a figure without a source": (GPU, {"source": {"cores": "data sheet"}}, "clock_ghz has no source"),
    "a source without a figure": (GPU, {"source": {"default": "x", "peak_int8_gops": "x"}}, "no figure"),
    "a mistyped family": (GPU, {"family": "desktop-gup"}, "did you mean 'desktop-gpu'"),
    "a clock in MHz": (GPU, {"clock_ghz": 1500}, "clock_ghz 1500 is outside"),
    "a peak in TFLOP/s": (GPU, {"peak_fp32_gflops": 15}, "peak_fp32_gflops 15 is outside"),
    "a cache in bytes": (GPU, {"l1_kib": 131072}, "l1_kib 131072 is outside"),
    "more cores than a CPU has": (CPU, {"cores": 5120}, "cores 5120 is outside"),
    "caches in the wrong order": (GPU, {"l1_kib": 512, "l2_kib": 256}, "l1_kib 512 is not below l2_kib 256"),
    "L2 and L3 in one unit": (GPU, {"l3_mib": 6}, "l2_kib 6144 is not below l3_mib 6"),
    "a near memory that is slow": (GPU, {"l2_bandwidth_gbps": 800}, "l2_bandwidth_gbps 800 is below l3_bandwidth_gbps"),
    "caches slower than memory": (GPU, {"l3_bandwidth_gbps": 400}, "is below memory_bandwidth_gbps 900"),
    "fp16 below fp32": (GPU, {"peak_fp16_gflops": 10_000}, "peak_fp16_gflops 10000 is below peak_fp32_gflops"),
    "int8 in TOP/s": (GPU, {"peak_int8_gops": 240}, "peak_int8_gops 240 is below peak_fp32_gflops"),
    "a CPU that is too fast": (CPU, {"peak_fp32_gflops": 1400}, "70 operations per cycle and core"),
    "a GPU that is too fast": (GPU, {"cores": 30}, "operations per cycle and core"),
    "a ridge that is too high": (GPU, {"memory_bandwidth_gbps": 9}, "operations per byte"),
}  # fmt: skip


def test_good_cards_pass():
    assert validate({"gpu": GPU, "cpu": CPU, "bare": DeviceCard("bare")}) == []


@pytest.mark.parametrize(("card", "change", "expected"), BROKEN.values(), ids=BROKEN)
def test_each_mistake_is_found_and_said_in_one_sentence(card, change, expected):
    found = validate({"broken": dataclasses.replace(card, **change)})
    assert any(expected in sentence for sentence in found), found
    assert all(re.fullmatch(r"Device 'broken': [^\n]+\.", sentence) for sentence in found)


def test_every_rule_fails_on_some_broken_card():
    broken = [dataclasses.replace(card, **change) for card, change, _ in BROKEN.values()]
    assert [rule.__name__ for rule in RULES if not any(list(rule(card)) for card in broken)] == []


def test_every_figure_has_a_range():
    assert set(PLAUSIBLE) == {"batch_size", "threads", *CAPABILITY_FIELDS}
    assert all(0 < low < high and "" in ranges for ranges in PLAUSIBLE.values() for low, high in ranges.values())


def test_a_figure_far_outside_its_range_is_found_whatever_the_family():
    for name, ranges in PLAUSIBLE.items():
        whole = name in ("batch_size", "threads")
        for family in (None, *FAMILIES):
            low, high = ranges.get((family or "").rpartition("-")[2], ranges[""])
            for value in [high * 2] if whole else [high * 2, low / 2]:
                card = DeviceCard("x", family=family, source="sheet", **{name: int(value) if whole else value})
                assert any(f"{name} " in sentence and "unit" in sentence for sentence in validate({"x": card}))


def test_measured_figures_may_disagree_with_the_data_sheet():
    change = {"peak_fp32_gflops": 1400, "peak_fp16_gflops": 100}
    assert validate({"cpu": dataclasses.replace(CPU, **change)})
    assert validate({"cpu": dataclasses.replace(CPU, **change, passport="0123")}) == []
    assert validate({"cpu": dataclasses.replace(CPU, **change, threads=10)}) == []


def test_a_file_is_checked_entry_by_entry(tmp_path):
    path = write_cards(tmp_path / "devices.yaml", {"gpu": GPU})
    assert check(path) == []
    text = path.read_text() + "typo: {cors: 4}\nslow: {clock_ghz: 1500, source: sheet}\nzero: {cores: 0}\n"
    path.write_text(text)
    typo, zero, slow = check(path)
    assert "did you mean 'cores'" in typo
    assert "'zero'" in zero
    assert "clock_ghz 1500" in slow
    with pytest.raises(WorkbenchError, match="Cannot read"):
        check(tmp_path / "none.yaml")


def test_the_roof_is_in_fp32_where_that_is_known():
    assert peak(GPU) == (15_000, "fp32")
    assert roof(GPU) == Roof(15_000, "fp32", 900)
    assert roof(GPU).ridge == pytest.approx(15_000 / 900)
    assert peak(dataclasses.replace(GPU, peak_fp32_gflops=None)) == (30_000, "fp16")
    assert peak(DeviceCard("tpu", peak_int8_gops=4000)) == (4000, "int8")
    assert peak(DeviceCard("bare")) is None
    assert roof(DeviceCard("tpu", peak_int8_gops=4000)) is None
    assert roof(DeviceCard("phone", memory_bandwidth_gbps=30)) is None


def test_devices_are_grouped_by_hardware_and_figures():
    batches = [dataclasses.replace(GPU, name=f"gpu_{size}", batch_size=size) for size in (1, 32)]
    other = dataclasses.replace(GPU, name="gpu_slow", clock_ghz=1.0)
    assert by_hardware([*batches, other, CPU]) == [batches, [other], [CPU]]


def test_the_catalog_has_no_mistake():
    assert check(CATALOG) == []


def test_the_catalog_covers_many_kinds_of_hardware():
    hardware = {card.hardware: card for card in catalog().values()}
    assert len(hardware) >= 55
    assert {card.family for card in hardware.values()} == set(FAMILIES)


@pytest.mark.parametrize("space", ["nasbench201", "fbnet", "ofa_mobilenetv3"])
def test_the_catalog_covers_the_published_tables(shared_data, space):
    columns = set(pq.read_schema(shared_data / "data" / f"{space}.parquet").names) - {"arch"}
    assert columns
    assert columns <= set(catalog())
    assert all(catalog()[name].batch_size for name in columns)


def test_each_figure_of_the_catalog_has_a_source_and_most_were_checked():
    sources = [
        card.source_of(name)
        for card in {card.hardware: card for card in catalog().values()}.values()
        for name in CAPABILITY_FIELDS
        if getattr(card, name) is not None
    ]
    assert all(sources)
    assert sum(not source.startswith(NOT_CHECKED) for source in sources) > 0.75 * len(sources)


BANDWIDTH = re.compile(
    r"(?:(\d+) channels x (?:(\d+) byte x )?|(\d+) (bit|byte) x )([\d.]+) [MG](?:T|bit)/s(?: x (\d+))?"
)
CYCLES = re.compile(r"(\d+) cores x ([\d.]+) GHz x (\d+) FLOP per cycle")
LANES = re.compile(r"2 x (\d+) CUDA cores x ([\d.]+) GHz")


def by_arithmetic(pattern: re.Pattern[str], figure: str) -> list[tuple[DeviceCard, re.Match[str]]]:
    """The hardware of the catalog whose source of ``figure`` is arithmetic like ``pattern``."""
    cards = {card.hardware: card for card in catalog().values()}.values()
    found = [(card, pattern.search(card.source_of(figure) or "")) for card in cards]
    return [(card, match) for card, match in found if match]


def test_bandwidths_are_what_the_arithmetic_in_their_source_gives():
    found = by_arithmetic(BANDWIDTH, "memory_bandwidth_gbps")
    assert len(found) >= 20
    for card, match in found:
        channels, bytes_of_channel, width, unit, rate, bytes_after = match.groups()
        transferred = int(channels) * int(bytes_of_channel or bytes_after) if channels else int(width)
        expected = transferred * float(rate) / (8 if unit == "bit" else 1)
        expected *= 1 if "Gbit" in match.group() else 1e-3
        assert card.memory_bandwidth_gbps == pytest.approx(expected, rel=0.005), card.name


def test_peaks_are_what_the_arithmetic_in_their_source_gives():
    found = by_arithmetic(CYCLES, "peak_fp32_gflops")
    assert len(found) >= 12
    for card, match in found:
        cores, clock, flop = map(float, match.groups())
        assert card.peak_fp32_gflops == pytest.approx(cores * clock * flop), card.name
        assert (card.cores, card.clock_ghz) == (cores, clock), card.name
    found = by_arithmetic(LANES, "peak_fp32_gflops")
    assert len(found) >= 6
    for card, match in found:
        assert card.peak_fp32_gflops == pytest.approx(2 * int(match[1]) * float(match[2]), rel=0.002), card.name
        assert card.clock_ghz == float(match[2]), card.name


def test_gpus_of_the_published_tables_ran_the_batch_that_their_names_say():
    gpus = [card for card in catalog().values() if card.family == "desktop-gpu" and card.batch_size]
    assert gpus
    assert all(card.name.endswith(f"_{card.batch_size}") for card in gpus)
