"""Device cards: what is known of a device, each figure with its unit in its name, unknown left out.

A card file is YAML: a mapping from device name to the card's fields. It may also give specifications once per
piece of hardware, as the bundled catalog does::

    hardware:
      raspberry-pi-4: {family: mobile-cpu, cores: 4, clock_ghz: 1.5, source: Raspberry Pi 4 product brief}
    devices:
      raspi4: {hardware: raspberry-pi-4, batch_size: 1}
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import yaml

from workbench.config import WorkbenchError, lookup, write_atomically

#: The usual families; a card may name another one.
FAMILIES = (
    "desktop-gpu",
    "server-gpu",
    "embedded-gpu",
    "desktop-cpu",
    "server-cpu",
    "mobile-cpu",
    "mobile-gpu",
    "mobile-dsp",
    "edge-tpu",
    "vpu",
    "fpga",
    "asic",
)


@dataclass(frozen=True)
class DeviceCard:
    """What is known of one device as it was measured; ``None`` is unknown, never zero.

    Args:
        name: column name in a latency table.
        hardware: what a split keeps apart; one piece of hardware may appear as several devices (batch sizes,
            runtimes).
        family: kind of device, one of `FAMILIES` or any other text.
        batch_size, precision, runtime, threads: how it was run (``32``, ``"fp32"``, ``"onnxruntime 1.31.1"``,
            ``2``).
        cores: physical cores (CPU), streaming multiprocessors (GPU) or processing elements (ASIC).
        clock_ghz: as the vendor states it: base of server CPUs, boost of GPUs, fastest cluster of phones.
        peak_fp32_gflops, peak_fp16_gflops, peak_bf16_gflops, peak_int8_gops: 10^9 operations/s, a
            multiply-add counts as two.
        memory_bandwidth_gbps: 10^9 bytes/s of main memory; l1, l2, l3 likewise for the caches.
        l1_kib, l2_kib, l3_mib: L1 and L2 (per core on CPUs, L2 of the whole chip on GPUs) and the last level,
            2^10 and 2^20 bytes.
        memory_gib: main memory, 2^30 bytes.
        launch_overhead_us: time to dispatch one operator that does next to nothing.
        conv_fp32_gflops, depthwise_fp32_gflops: 10^9 operations/s of a dense 3x3 and of a depthwise 3x3 convolution.
        elementwise_gbps, reduction_gbps: 10^9 bytes/s read and written by an addition of two tensors, and read by a
            sum, both larger than any cache.
        parallel_efficiency: speed-up of a matrix product on all cores over one, per core; at most about 1.
        source: where the figures come from.
        passport: hash of what decided the measured figures, see `detect.passport`.
    """

    name: str
    hardware: str | None = None
    family: str | None = None
    batch_size: int | None = None
    precision: str | None = None
    runtime: str | None = None
    threads: int | None = None
    cores: float | None = None
    clock_ghz: float | None = None
    peak_fp32_gflops: float | None = None
    peak_fp16_gflops: float | None = None
    peak_bf16_gflops: float | None = None
    peak_int8_gops: float | None = None
    memory_bandwidth_gbps: float | None = None
    l1_kib: float | None = None
    l2_kib: float | None = None
    l3_mib: float | None = None
    memory_gib: float | None = None
    l1_bandwidth_gbps: float | None = None
    l2_bandwidth_gbps: float | None = None
    l3_bandwidth_gbps: float | None = None
    launch_overhead_us: float | None = None
    conv_fp32_gflops: float | None = None
    depthwise_fp32_gflops: float | None = None
    elementwise_gbps: float | None = None
    reduction_gbps: float | None = None
    parallel_efficiency: float | None = None
    source: str | None = None
    passport: str | None = None

    def __post_init__(self) -> None:
        for name in ("batch_size", "threads", *CAPABILITY_FIELDS):
            value = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value) or value <= 0:
                raise WorkbenchError(
                    f"Device '{self.name}': {name} expects a finite number above zero, got {value!r}; leave "
                    f"an unknown figure out."
                )
        for name in ("batch_size", "threads"):
            value = getattr(self, name)
            if value is not None and value != int(value):
                raise WorkbenchError(
                    f"Device '{self.name}': {name} expects a whole number, got {value!r}; correct the card."
                )
        for name in _TEXTS:
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise WorkbenchError(f"Device '{self.name}': {name} expects text, got {value!r}; put it in quotes.")

    def known(self) -> dict[str, Any]:
        """The fields that are known, without ``name``, as plain text and numbers: what a card file holds."""
        return {
            field.name: _plain(getattr(self, field.name))
            for field in fields(self)
            if field.name != "name" and getattr(self, field.name) is not None
        }


def _plain(value: Any) -> Any:
    """NumPy's numbers as Python's, which YAML and JSON can write."""
    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, Real) else value


_TEXTS = ("name", "hardware", "family", "precision", "runtime", "source", "passport")

#: Names of the numeric capability fields, in the order of the card.
CAPABILITY_FIELDS: tuple[str, ...] = tuple(
    field.name for field in fields(DeviceCard) if field.name not in (*_TEXTS, "batch_size", "threads")
)

_FIELDS = {field.name: field for field in fields(DeviceCard)}


def read_cards(path: str | Path) -> dict[str, DeviceCard]:
    """The cards in the YAML file ``path``, by device name.

    Raises:
        WorkbenchError: the file cannot be read, is not a mapping of mappings, has an unknown key or an
        impossible value.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WorkbenchError(f"Cannot read device cards {path}: {error.strerror}; check the path.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise WorkbenchError(
            f"Device cards {path} are not valid YAML ({str(error).splitlines()[0]}); correct the file."
        ) from error
    if content is None:
        return {}
    shared: Mapping[str, Any] = {}
    if isinstance(content, Mapping) and set(content) == {"hardware", "devices"}:
        shared, content = content["hardware"], content["devices"]
    if not isinstance(content, Mapping) or not isinstance(shared, Mapping):
        raise WorkbenchError(
            f"Device cards {path}: expected a mapping from device name to card, got "
            f"{type(content).__name__}; correct the file."
        )
    return {str(name): _card(str(name), entry, shared, path) for name, entry in content.items()}


def _card(name: str, entry: object, shared: Mapping[str, Any], path: Path) -> DeviceCard:
    if not isinstance(entry, Mapping):
        raise WorkbenchError(
            f"Device '{name}' in {path}: expected a mapping of card fields, got {type(entry).__name__}; "
            f"correct the file."
        )
    merged = dict(entry)
    if shared:
        specification = lookup("hardware", shared, str(entry.get("hardware")))
        merged = {**specification, **entry}
    for key in merged:
        lookup(f"field of device '{name}'", _FIELDS, str(key))
    merged.pop("name", None)
    return DeviceCard(name=name, **merged)


def write_cards(path: str | Path, cards: Mapping[str, DeviceCard]) -> Path:
    """Write ``cards`` as YAML, atomically; unknown fields are left out."""
    content = {name: card.known() for name, card in cards.items()}
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
    return write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


@cache
def _catalog() -> dict[str, DeviceCard]:
    return read_cards(Path(__file__).with_name("catalog.yaml"))


def catalog() -> dict[str, DeviceCard]:
    """The cards of the bundled catalog: public specifications, by device name."""
    return dict(_catalog())
