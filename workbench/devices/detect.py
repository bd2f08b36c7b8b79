"""This machine: what can be read without measuring. Unknown stays ``None``; no host name, user name or path
is read."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

RUNTIMES = ("torch", "onnxruntime", "openvino", "numpy")
_SYS_CPU = Path("/sys/devices/system/cpu")
_UNITS = {"K": 1, "M": 1024, "G": 1024**2}


@dataclass(frozen=True)
class Machine:
    """What was detected.

    Args:
        cpu_model: as the processor names itself, with family and model where it is an x86 (virtual machines
            shorten the name).
        architecture: ``x86_64``, ``arm64``...
        cores: logical processors of the machine; available_cores: those that this process may use (affinity
            and quota).
        cache_kib: size in KiB of each level's data cache, by name (``l1``, ``l2``, ``l3``), one instance.
        memory_gib: main memory, or the container's limit if lower.
        governor, max_clock_mhz: frequency governor and highest clock; None where the system hides it, as most virtual
            machines do.
        cpu_quota: processors the container may use, None without a limit.
        isa: vector and matrix extensions that decide speed.
        microcode: revision of the processor's microcode.
        virtual: whether a hypervisor was seen.
        gpu, gpu_driver, gpu_clock_mhz: the first NVIDIA GPU, its driver's version, its highest clock.
        runtimes: installed versions of what networks may run on.
    """

    cpu_model: str | None
    architecture: str
    system: str
    cores: int | None
    available_cores: int
    cache_kib: dict[str, int]
    memory_gib: float | None
    governor: str | None
    max_clock_mhz: float | None
    cpu_quota: float | None
    memory_limit_gib: float | None
    isa: tuple[str, ...]
    microcode: str | None
    virtual: bool | None
    gpu: str | None
    gpu_driver: str | None
    gpu_clock_mhz: float | None
    python: str
    runtimes: dict[str, str]


def detect() -> Machine:
    """Read everything that this system shows; works, with unknowns, wherever Python runs."""
    cpuinfo = _cpuinfo()
    quota, limit = _cpu_quota(), _memory_limit_gib()
    memory = _memory_gib()
    max_clock_khz = _text(_SYS_CPU / "cpu0/cpufreq/cpuinfo_max_freq")
    gpu, driver, gpu_clock = _gpu()
    flags = (cpuinfo.get("flags") or cpuinfo.get("Features") or "").split()
    return Machine(
        cpu_model=_cpu_model(cpuinfo),
        architecture=platform.machine(),
        system=f"{platform.system()} {platform.release()}",
        cores=os.cpu_count(),
        available_cores=_available_cores(quota),
        cache_kib=_caches() or _caches_macos(),
        memory_gib=_smaller(memory, limit),
        governor=_text(_SYS_CPU / "cpu0/cpufreq/scaling_governor"),
        max_clock_mhz=int(max_clock_khz) / 1000 if max_clock_khz else None,
        cpu_quota=quota,
        memory_limit_gib=limit,
        isa=tuple(sorted(set(flags) & _INTERESTING)),
        microcode=cpuinfo.get("microcode"),
        virtual="hypervisor" in flags if flags else None,
        gpu=gpu,
        gpu_driver=driver,
        gpu_clock_mhz=gpu_clock,
        python=platform.python_version(),
        runtimes=_runtimes(),
    )


def fingerprint(machine: Machine | None = None) -> dict[str, Any]:
    """What decides the numbers on this machine, ready for JSON, with its hash as ``passport``.

    Two tables whose passports differ were not measured under the same conditions.
    """
    content = json.loads(json.dumps(asdict(machine or detect())))
    return {**content, "passport": passport(content)}


def platform_conditions(machine: Machine, backend: str, version: str, precision: str, threads: int) -> dict[str, Any]:
    """What decides the numbers of one way to run networks on ``machine``, with its hash as ``passport``: of the
    runtimes only the one that runs them, and how it is set."""
    everything = {key: value for key, value in asdict(machine).items() if key not in ("runtimes", "python")}
    run = {"backend": backend, "version": version, "precision": precision, "threads": threads}
    content = json.loads(json.dumps({**everything, **run}))
    return {**content, "passport": passport(content)}


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The conditions in which two fingerprints differ, each with both values; not their hashes."""
    names = [name for name in {**one, **other} if name != "passport"]
    return {name: (one.get(name), other.get(name)) for name in names if one.get(name) != other.get(name)}


def passport(content: Mapping[str, Any]) -> str:
    """16 hexadecimal digits that depend on the JSON of ``content`` (but for an old ``passport``) and nothing
    else."""
    kept = {key: value for key, value in content.items() if key != "passport"}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


_INTERESTING = {
    "avx",
    "avx2",
    "fma",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
    "amx_bf16",
    "amx_int8",
    "asimd",
    "asimdhp",
    "asimddp",
    "bf16",
    "i8mm",
    "sve",
    "sve2",
}


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None  # this system does not show it: unknown


def _cpuinfo() -> dict[str, str]:
    """The first processor's lines of /proc/cpuinfo."""
    first = (_text(Path("/proc/cpuinfo")) or "").split("\n\n")[0]
    pairs = (line.split(":", 1) for line in first.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def _cpu_model(cpuinfo: Mapping[str, str]) -> str | None:
    name = cpuinfo.get("model name") or _sysctl("machdep.cpu.brand_string")
    device_tree = _text(Path("/proc/device-tree/model"))
    name = name or (device_tree.rstrip("\0") if device_tree else None) or platform.processor() or None
    if name and "cpu family" in cpuinfo:
        name += f" (family {cpuinfo['cpu family']} model {cpuinfo.get('model', '?')})"
    return re.sub(r"\s+", " ", name) if name else None


def _available_cores(quota: float | None) -> int:
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(affinity, int(quota)) if quota else affinity)


def _cpu_quota() -> float | None:
    unified = (_text(Path("/sys/fs/cgroup/cpu.max")) or "max").split()
    if unified[0] != "max":
        return int(unified[0]) / int(unified[1])
    quota = int(_text(Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")) or -1)
    period = int(_text(Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")) or 100_000)
    return quota / period if quota > 0 else None


def _memory_limit_gib() -> float | None:
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = _text(Path(path))
        if text and text.isdigit() and int(text) < 2**60:  # an absent limit is a huge number in version 1
            return round(int(text) / 2**30, 2)
    return None


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 2)
    except (ValueError, OSError, AttributeError):
        return None


def _smaller(first: float | None, second: float | None) -> float | None:
    known = [value for value in (first, second) if value is not None]
    return min(known) if known else None


def _gpu() -> tuple[str | None, str | None, float | None]:
    """Name, driver version and highest clock in MHz of the first NVIDIA GPU, as its own tool says."""
    said = _output("nvidia-smi", "--query-gpu=name,driver_version,clocks.max.sm", "--format=csv,noheader,nounits")
    parts = [part.strip() for part in (said or "").splitlines()[0].split(",")] if said else []
    if len(parts) != 3:
        return None, None, None
    return parts[0], parts[1], float(parts[2]) if parts[2].replace(".", "", 1).isdigit() else None


def _caches() -> dict[str, int]:
    """Data caches of processor 0, in KiB, from sysfs."""
    found: dict[str, int] = {}
    for index in sorted((_SYS_CPU / "cpu0/cache").glob("index*")):
        kind, level, size = (_text(index / name) for name in ("type", "level", "size"))
        if kind in ("Data", "Unified") and level and size and size[-1] in _UNITS:
            found[f"l{level}"] = int(size[:-1]) * _UNITS[size[-1]]
    return found


def _caches_macos() -> dict[str, int]:
    sizes = {
        level: _sysctl(f"hw.{key}")
        for level, key in (("l1", "l1dcachesize"), ("l2", "l2cachesize"), ("l3", "l3cachesize"))
    }
    return {level: int(size) // 1024 for level, size in sizes.items() if size and size.isdigit() and int(size) >= 1024}


def _sysctl(name: str) -> str | None:
    return _output("sysctl", "-n", name) if platform.system() == "Darwin" else None


def _output(*command: str) -> str | None:
    """What a tool of the system prints; None where it is not there or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def _runtimes() -> dict[str, str]:
    found = {}
    for package in RUNTIMES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
