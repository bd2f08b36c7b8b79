"""Tiny files in the true layout of every published format, made from a table of milliseconds."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from workbench.data.published.hw_nas_bench import block_names
from workbench.data.published.reader import Options
from workbench.spaces import get_space
from workbench.spaces.fbnet import BLOCKS
from workbench.spaces.nasbench201 import OPERATIONS


class Made(NamedTuple):
    """Files of a format, and what must be said to read them."""

    path: Path
    options: Options


def archs_of(space: str = "nasbench201", count: int = 6) -> list[str]:
    return get_space(space).sample(count, np.random.default_rng(0))


def frame_of(space: str = "nasbench201", devices: Sequence[str] = ("gpu_1", "phone"), count: int = 6) -> pd.DataFrame:
    """Milliseconds that differ in every cell."""
    archs = archs_of(space, count)
    values = 1.5 + np.arange(count * len(devices), dtype=np.float64).reshape(count, -1) / 7
    return pd.DataFrame(values, index=pd.Index(archs, name="arch"), columns=list(devices))


def dump(path: Path, content: Any, protocol: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def save(path: Path, content: Any) -> Path:
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)
    return path


def help_networks(space: str, archs: Sequence[str]) -> tuple[str, str, Any]:
    """Folder, file and content with which HELP names its networks."""
    family = get_space(space)
    if space == "nasbench201":
        return "nasbench201", "str_arch2idx.pt", {arch: row for row, arch in enumerate(archs)}
    if space == "fbnet":
        entries = [{"op_idx_list": [BLOCKS.index(block) for block in family.parse(arch)]} for arch in archs]
        return "fbnet", "metainfo.pt", {"arch": entries}
    parsed = [family.parse(arch) for arch in archs]
    entries = [{"wid": None, "ks": list(c.ks), "e": list(c.e), "d": list(c.d), "r": c.r} for c in parsed]
    return "ofa", "ofa_archs.pt", {"arch": entries}


def make_help(folder: Path, frame: pd.DataFrame, space: str = "nasbench201") -> Made:
    name, file, networks = help_networks(space, list(frame.index))
    save(folder / "data" / name / file, networks)
    for device in frame:
        save(folder / "data" / name / "latency" / f"{device}.pt", frame[device].tolist())
    return Made(folder, Options())


def make_eagle(folder: Path, frame: pd.DataFrame) -> Made:
    """Files whose names are no pattern of Eagle's are read one by one; here all devices follow it."""
    family = get_space("nasbench201")
    vectors = [tuple(OPERATIONS.index(operation) for operation in family.parse(arch)) for arch in frame.index]
    for device in frame:
        seconds = [np.float64(value / 1000) for value in frame[device]]
        dump(folder / f"{device}.pickle", dict(zip(vectors, seconds, strict=True)))
    return Made(folder, Options())


def make_hw_nas_bench(folder: Path, frame: pd.DataFrame) -> Made:
    config = [{"name": "infer.tiny", "C": 16, "N": 5, "arch_str": arch, "num_classes": 10} for arch in frame.index]
    part = {"config": config, "eyeriss_energy": [1.0] * len(frame), "eyeriss_arithmetic_intensity": [2.0] * len(frame)}
    part |= {f"{device}_latency": frame[device].tolist() for device in frame}
    blocks = {name: 1.0 for arch in archs_of("fbnet") for name in block_names(arch)}
    content = {"nasbench201": {"cifar10": part, "cifar100": {}}, "fbnet": {"raspi4_latency": blocks}}
    dump(folder / "HW-NAS-Bench-v1_0.pickle", content)
    return Made(folder, Options())


def make_csv(folder: Path, frame: pd.DataFrame, space: str = "nasbench201") -> Made:
    folder.mkdir(parents=True, exist_ok=True)
    (frame * 1000).reset_index().to_csv(folder / "theirs.csv", index=False)
    return Made(folder / "theirs.csv", Options(space=space, unit="us"))


def make_parquet(folder: Path, frame: pd.DataFrame, space: str = "nasbench201") -> Made:
    folder.mkdir(parents=True, exist_ok=True)
    (frame / 1000).reset_index().to_parquet(folder / "theirs.parquet", index=False)
    return Made(folder / "theirs.parquet", Options(space=space, unit="s"))


#: Kind -> what writes a frame in that format into a folder.
FORMATS: dict[str, Callable[[Path, pd.DataFrame], Made]] = {
    "help": make_help,
    "eagle": make_eagle,
    "hw_nas_bench": make_hw_nas_bench,
    "csv": make_csv,
    "parquet": make_parquet,
}
#: Names that every format allows.
DEVICES = ("mobile-cpu-one-int8", "mobile-cpu-two-int8")
