"""Device cards: what is known of a device, each figure with its unit in its name, unknown left out.

A card file is YAML: a mapping from device name to the card's fields. It may also give specifications once per
piece of hardware, as the bundled catalog does; hardware that no device names is a device of its own name::

    hardware:
      raspberry-pi-4: {family: mobile-cpu, cores: 4, clock_ghz: 1.5, source: Raspberry Pi 4 product brief}
    devices:
      raspi4: {hardware: raspberry-pi-4, batch_size: 1}
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeGuard

import yaml

from workbench.config import WorkbenchError, lookup, write_atomically

#: The usual families; a card may name another one.
FAMILIES = (
    "desktop-gpu",
    "server-gpu",
    "embedded-gpu",
    "laptop-gpu",
    "desktop-cpu",
    "server-cpu",
    "laptop-cpu",
    "mobile-cpu",
    "mobile-gpu",
    "mobile-dsp",
    "server-tpu",
    "edge-tpu",
    "edge-npu",
    "vpu",
    "fpga",
    "asic",
)

#: In the mapping that `DeviceCard.source` may be: the document of every figure that has no entry of its own.
DEFAULT_SOURCE = "default"

#: How the source of a figure begins that has not been compared with the document that it names.
NOT_CHECKED = "not checked"


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
        cores: physical cores (CPU), streaming multiprocessors or compute units (GPU), processing elements (ASIC),
            DSP slices (FPGA).
        clock_ghz: as the vendor states it: base of server and desktop CPUs, boost of GPUs, the highest of the
            fastest cores of laptops and phones.
        peak_fp32_gflops, peak_fp16_gflops, peak_bf16_gflops, peak_int8_gops: 10^9 operations/s on dense data, a
            multiply-add counts as two; matrix units count, except for fp32.
        memory_bandwidth_gbps: 10^9 bytes/s of main memory; l1, l2, l3 likewise for the caches.
        l1_kib, l2_kib, l3_mib: L1 for data (of one core), L2 (what one core of a CPU can use, of the whole chip on
            GPUs, the on-chip buffer of accelerators) and the last level, 2^10 and 2^20 bytes.
        memory_gib: main memory, 2^30 bytes.
        launch_overhead_us: time to dispatch one operator that does next to nothing.
        conv_fp32_gflops, depthwise_fp32_gflops: 10^9 operations/s of a dense 3x3 and of a depthwise 3x3 convolution.
        elementwise_gbps, reduction_gbps: 10^9 bytes/s read and written by an addition of two tensors, and read by a
            sum, both larger than any cache.
        parallel_efficiency: speed-up of a matrix product on all cores over one, per core; at most about 1.
        source: where the figures come from: one text for all, or a mapping from a figure's field to its text with
            ``default`` for the others; see `source_of`.
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
    source: str | Mapping[str, str] | None = field(default=None, hash=False)
    passport: str | None = None

    @property
    def kind(self) -> str:
        """The end of the family's name: ``gpu`` of ``desktop-gpu``; empty where the family is not known."""
        return (self.family or "").rpartition("-")[2]

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
        if isinstance(self.source, Mapping):
            object.__setattr__(self, "source", self._checked_sources(self.source))
        elif self.source is not None and not isinstance(self.source, str):
            raise WorkbenchError(
                f"Device '{self.name}': source expects text, or a mapping from figure to text, got {self.source!r}; "
                f"put it in quotes."
            )

    def _checked_sources(self, sources: Mapping[str, str]) -> dict[str, str]:
        for figure, text in sources.items():
            lookup(f"figure in the sources of device '{self.name}'", _SOURCED, str(figure))
            if not isinstance(text, str) or not text.strip():
                raise WorkbenchError(
                    f"Device '{self.name}': the source of {figure} expects text, got {text!r}; name the document."
                )
        return dict(sources)

    def source_of(self, figure: str) -> str | None:
        """The document, or the arithmetic, behind a figure; None where the figure or its source is not known.

        Example: ``card.source_of("memory_bandwidth_gbps")``.

        Raises:
            WorkbenchError: a card has no such figure.
        """
        lookup("figure of a device card", _SOURCED, figure)
        if getattr(self, figure, None) is None:
            return None
        if isinstance(self.source, Mapping):
            return self.source.get(figure, self.source.get(DEFAULT_SOURCE))
        return self.source

    def known(self) -> dict[str, Any]:
        """The fields that are known, without ``name``, as plain text and numbers: what a card file holds."""
        return {
            entry.name: _plain(getattr(self, entry.name))
            for entry in fields(self)
            if entry.name != "name" and getattr(self, entry.name) is not None
        }


def _plain(value: Any) -> Any:
    """NumPy's numbers as Python's, which YAML and JSON can write."""
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Mapping):
        return dict(value)
    return float(value) if isinstance(value, Real) else value


_TEXTS = ("name", "hardware", "family", "precision", "runtime", "passport")

#: Names of the numeric capability fields, in the order of the card.
CAPABILITY_FIELDS: tuple[str, ...] = tuple(
    entry.name for entry in fields(DeviceCard) if entry.name not in (*_TEXTS, "source", "batch_size", "threads")
)

#: PyYAML's parser in C, where it was built with it: eight times as fast.
SAFE_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FIELDS = {entry.name: entry for entry in fields(DeviceCard)}
_SOURCED = dict.fromkeys((DEFAULT_SOURCE, *CAPABILITY_FIELDS))


def check_device_name(name: str) -> None:
    """Raise unless ``name`` can be a column of a latency table."""
    if not name.isprintable() or not 0 < len(name) <= 100 or name == "arch":
        raise WorkbenchError(
            f"A device name expects 1 to 100 printable characters other than 'arch', got {name[:60]!a}; correct it."
        )


def read_cards(path: str | Path) -> dict[str, DeviceCard]:
    """The cards in the YAML file ``path``, by device name.

    Raises:
        WorkbenchError: the file cannot be read, is not a mapping of mappings, has an unknown key or an
        impossible value.
    """
    entries, hardware = read_entries(path)
    return {name: card_of(name, entry, hardware, path) for name, entry in entries.items()}


def read_entries(path: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the YAML file ``path`` says of each device, and of each piece of hardware, as it stands.

    Raises:
        WorkbenchError: the file cannot be read or is not a mapping.
    """
    path = Path(path)
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=SAFE_LOADER)
    except OSError as error:
        raise WorkbenchError(f"Cannot read device cards {path}: {error.strerror}; check the path.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise WorkbenchError(
            f"Device cards {path} are not valid YAML ({str(error).splitlines()[0]}); correct the file."
        ) from error
    if content is None:
        return {}, {}
    shared: Any = {}
    if isinstance(content, Mapping) and set(content) == {"hardware", "devices"}:
        shared, content = content["hardware"], content["devices"]
    if not isinstance(content, Mapping) or not isinstance(shared, Mapping):
        raise WorkbenchError(
            f"Device cards {path}: expected a mapping from device name to card, got "
            f"{type(content).__name__}; correct the file."
        )
    entries = {str(name): entry for name, entry in content.items()}
    used = {str(entry.get("hardware")) for entry in entries.values() if isinstance(entry, Mapping)}
    hardware = {str(name): entry for name, entry in shared.items()}
    alone = {name: {"hardware": name} for name in hardware if name not in used and name not in entries}
    return {**entries, **alone}, hardware


def card_of(name: str, entry: object, hardware: Mapping[str, Any], path: str | Path) -> DeviceCard:
    """The card of the device ``name`` from its ``entry`` in ``path``, completed by that of its hardware.

    Raises:
        WorkbenchError: the entry or that of its hardware is not a mapping, has an unknown key or an impossible value.
    """
    specification = lookup("hardware", hardware, str(entry.get("hardware"))) if hardware and _is_card(entry) else {}
    for part in (entry, specification):
        if not _is_card(part):
            raise WorkbenchError(
                f"Device '{name}' in {path}: expected a mapping of card fields, got {type(part).__name__}; "
                f"correct the file."
            )
    merged = {**specification, **entry, "source": _merged_source(specification, entry)}
    for key in merged:
        lookup(f"field of device '{name}'", _FIELDS, str(key))
    return DeviceCard(**{**merged, "name": name})


def _is_card(entry: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(entry, Mapping)


def _merged_source(specification: Mapping[str, Any], entry: Mapping[str, Any]) -> Any:
    """What the device says of its own figures, and what the hardware says of the others."""
    said = [part for part in (specification, entry) if part.get("source") is not None]
    if len(said) < 2:
        return said[0]["source"] if said else None
    return {**_sources_by_figure(specification), **_sources_by_figure(entry)}


def _sources_by_figure(part: Mapping[str, Any]) -> dict[str, Any]:
    named = dict(part["source"]) if isinstance(part["source"], Mapping) else {DEFAULT_SOURCE: part["source"]}
    default = named.pop(DEFAULT_SOURCE, None)
    return named if default is None else {name: default for name in CAPABILITY_FIELDS if name in part} | named


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
