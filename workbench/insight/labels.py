"""Words for axes, hovers and tables: short architecture names, units, safe text."""

from __future__ import annotations

import hashlib
import html
import math
import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

NASBENCH201_LETTERS = {
    "none": "0",
    "skip_connect": "s",
    "nor_conv_1x1": "1",
    "nor_conv_3x3": "3",
    "avg_pool_3x3": "p",
}
NASBENCH201_KEY = (
    "A network such as 3-s0-13p is read node by node, one letter per incoming edge: "
    "0 none, s skip, 1 conv 1x1, 3 conv 3x3, p pool."
)
_EDGE = re.compile(r"(\w+)~\d+")
LONGEST = 22

# Suffix of a field's name -> how people write that unit. Longest first:
# the first that fits is taken.
UNITS = (
    ("_gflops_per_s", "GFLOP/s"),
    ("_flops_per_s", "FLOP/s"),
    ("_tflops", "TFLOP/s"),
    ("_gflops", "GFLOP/s"),
    ("_gops", "GOP/s"),
    ("_gbps", "GB/s"),
    ("_percent", "%"),
    ("_pct", "%"),
    ("_millions", "millions"),
    ("_bytes", "bytes"),
    ("_kib", "KiB"),
    ("_mib", "MiB"),
    ("_gib", "GiB"),
    ("_ghz", "GHz"),
    ("_mhz", "MHz"),
    ("_ns", "ns"),
    ("_us", "µs"),
    ("_ms", "ms"),
    ("_s", "s"),
    ("_watts", "W"),
    ("_w", "W"),
    ("_nm", "nm"),
)
UNITS_OF_NAMES = {
    "accuracy": "%",
    "parameters": "count",
    "flops": "FLOPs per run",
    "bytes": "bytes per run",
    "cores": "count",
    "threads": "count",
    "batch_size": "count",
}
_FIELD = re.compile(r"[a-z][a-z0-9_]*")
#: Scores of a prediction, in the words of every table.
METRIC_NAMES = {
    "spearman": "Spearman", "kendall": "Kendall", "rae": "RAE", "mape": "Mean APE", "mdape": "Median APE",
    "acc5": "Within 5\u00a0%", "acc10": "Within 10\u00a0%", "coverage90": "Coverage", "width90": "Interval width",
}  # fmt: skip
#: Those that are shares of one, which tables for people show in percent.
SHARES = ("mape", "mdape", "acc5", "acc10", "coverage90", "width90")
_ACRONYMS = {
    "cpu": "CPU", "gpu": "GPU", "fp32": "fp32", "bf16": "bf16", "int8": "int8", "llc": "LLC", "dram": "DRAM",
    "l1": "L1", "l1d": "L1d", "l1i": "L1i", "l2": "L2", "l3": "L3", "flops": "FLOPs", "simd": "SIMD",
    "ram": "RAM",
    "os": "OS", "id": "ID", "macs": "MACs", "rae": "RAE", "spearman": "Spearman",
    "torch": "PyTorch", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "numpy": "NumPy",
}  # fmt: skip


@lru_cache(maxsize=20_000)
def short_arch(arch: str) -> str:
    """A name of at most `LONGEST` characters for an ``arch`` string.

    A NAS-Bench-201 cell becomes its six edges, one letter each, grouped by node
    (``|nor_conv_3x3~0|+|skip_connect~0|none~1|+|...`` -> ``3-s0-13p``; see `NASBENCH201_KEY`). Any other long
    string keeps its beginning and gets the first six digits of its hash, so that two of them do not look
    alike.
    """
    arch = str(arch)
    nodes = [_EDGE.findall(node) for node in arch.split("+")]
    if [len(node) for node in nodes] == [1, 2, 3] and all(op in NASBENCH201_LETTERS for node in nodes for op in node):
        return "-".join("".join(NASBENCH201_LETTERS[op] for op in node) for node in nodes)
    if len(arch) <= LONGEST:
        return arch
    return f"{arch[: LONGEST - 8]}… {hashlib.sha256(arch.encode()).hexdigest()[:6]}"


def safe(text: object) -> str:
    """``text`` for a Plotly label or a page: what looks like a tag is shown, not obeyed."""
    return html.escape(str(text), quote=False)


def safe_arch(arch: str) -> str:
    """`short_arch`, safe in a label."""
    return safe(short_arch(arch))


def split_unit(field: str) -> tuple[str, str]:
    """``"bandwidth_gbps"`` -> ``("bandwidth", "GB/s")``; no unit is ``""``."""
    if field in UNITS_OF_NAMES:
        return field, UNITS_OF_NAMES[field]
    for suffix, unit in UNITS:
        if field.endswith(suffix) and len(field) > len(suffix):
            return field[: -len(suffix)], unit
    return field, ""


_NAMES = {"l1_kib": "L1 cache", "l2_kib": "L2 cache", "l3_mib": "L3 cache", "memory_gib": "Main memory"}


def spoken(field: str) -> str:
    """``"peak_fp32_gflops"`` -> ``"Peak fp32"``: a field's name without its unit, as people write it."""
    if field in _NAMES:
        return _NAMES[field]
    words = [_ACRONYMS.get(word, word) for word in split_unit(field)[0].split("_")]
    sentence = " ".join(words)
    return sentence[:1].upper() + sentence[1:]


def unit_of(field: str) -> str:
    """The unit in a field's name; none for a count."""
    return split_unit(field)[1].replace("count", "")


def heading(field: object) -> object:
    """A column's name in words, with its unit if it is one of our field names."""
    if field in METRIC_NAMES:
        return METRIC_NAMES[str(field)]
    if not _FIELD.fullmatch(str(field)):
        return field
    unit = unit_of(str(field))
    return spoken(str(field)) + (f" ({unit})" if unit else "")


def share_title(name: str) -> str:
    """The column of one of `SHARES` in percent."""
    return f"{METRIC_NAMES[name]} (%)"


def in_percent(frame: pd.DataFrame) -> pd.DataFrame:
    """``frame`` with its `SHARES` in percent, to a tenth, in columns that say so."""
    shares = [name for name in frame if name in SHARES]
    return frame.assign(**{name: (100 * frame[name]).round(1) for name in shares}).rename(
        columns={name: share_title(name) for name in shares}
    )


def capital(name: object) -> object:
    """``name`` with a capital letter, as columns begin."""
    return name[:1].upper() + name[1:] if isinstance(name, str) else name


def written(value: object) -> str:
    """A value of any kind as people write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 1000 else str(value)
    if isinstance(value, list | tuple | set):
        return ", ".join(map(str, value))
    return str(value)


def axis_title(field: str) -> str:
    """``"accuracy_percent"`` -> ``"Accuracy (%)"``; a field without a unit says so."""
    return f"{spoken(field)} ({split_unit(field)[1] or 'no unit'})"


def quantity(value: float, unit: str = "") -> str:
    """``1.234e9, "FLOPs"`` -> ``"1.23 GFLOPs"``: three digits and a prefix."""
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}".rstrip()


def milliseconds(value: float) -> str:
    """``12.3456`` -> ``"12.3 ms"``."""
    return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")) + " ms"


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten within ``low`` and ``high``; Plotly's own ticks crowd a log axis."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
    return [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]


def plural(count: int, noun: str) -> str:
    """``1, "check"`` -> ``"1 check"``; ``1234, "network"`` -> ``"1,234 networks"``."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
