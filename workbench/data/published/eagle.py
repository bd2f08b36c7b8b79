"""Eagle and its LatBench (Dudziak et al., NeurIPS 2020), github.com/SamsungLabs/eagle: one pickle per device.

The README: "The latency benchmarks are stored as dictionary in the Pickle files: {(arch_vector): latency value in
seconds}", for NAS-Bench-201; that of the paper's supplement says the same. ``eagle/models/nasbench201/utils.py``: a
vector holds six operation numbers, in the order of the arch string; 0 none, 1 skip_connect, 2 nor_conv_1x1,
3 nor_conv_3x3, 4 avg_pool_3x3. File names are ``<family>-<hardware>-<precision>.pickle`` (in the supplement without
the precision), with spellings of their own.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from workbench.config import WorkbenchError
from workbench.data.published.reader import Options, Progress, card_like, milliseconds, watched
from workbench.data.published.restricted import read_pickle
from workbench.data.table import LatencyTable
from workbench.devices.device import DeviceCard
from workbench.spaces import get_space
from workbench.spaces.nasbench201 import EDGES, OPERATIONS

SPACE, SOURCE = "nasbench201", "Eagle's README"

_NAME = re.compile(r"((?:desktop|embedded|embeeded|mobile)-(?:cpu|gpu|dsp|tpu))-(.+?)(?:-(fp32|fp16|int8))?")
_FAMILIES = {"embeeded-tpu": "edge-tpu"}
#: What a file name calls it -> the catalog's name of the same hardware.
_CATALOGUED = {
    "gtx-1080-ti": "gtx-1080-ti",
    "jetson-nono": "jetson-nano-4gb",
    "edgetpu": "google-coral-edge-tpu",
    "snapdragon-855-kryo-485": "qualcomm-snapdragon-855-cpu",
    "snapdragon-855-hexagon-690": "qualcomm-hexagon-690",
    "hexagon-690": "qualcomm-hexagon-690",
    "snapdragon-855-adren0-640": "qualcomm-adreno-640",
}


def read_eagle(path: Path, options: Options, progress: Progress | None = None) -> list[LatencyTable]:
    """The table of one pickle, or of all latency pickles in a folder; a device is called as its file is."""
    ms_per_unit = options.fixed_unit("s", SOURCE)
    options.without_archs(path)
    if options.space not in (None, SPACE):
        raise WorkbenchError(f"Eagle measured {SPACE} only, got the space {options.space}; leave --space out.")
    files = {file.stem: file for file in _files(path)}
    wanted = options.wanted(files, path)
    columns = {device: _column(files[device], ms_per_unit) for device in watched(wanted, progress)}
    rows = list(dict.fromkeys(arch for column in columns.values() for arch in column.index))
    frame = pd.DataFrame({name: column.reindex(rows) for name, column in columns.items()}).rename_axis("arch")
    return [LatencyTable(SPACE, frame, {name: card for name in columns if (card := _card(name))})]


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    # the same folder holds accuracies in the same layout, so only the names of latency files count
    return sorted(file for file in path.iterdir() if file.suffix in (".pickle", ".pkl") and _NAME.fullmatch(file.stem))


def _column(file: Path, ms_per_unit: float) -> pd.Series:
    content = read_pickle(file)
    if not isinstance(content, dict) or not content:
        raise WorkbenchError(
            f"{file} expects a dictionary from arch vector to seconds, got "
            f"{'nothing' if isinstance(content, dict) else type(content).__name__}; check which file this is."
        )
    archs = [_arch(vector, file) for vector in content]
    return pd.Series(milliseconds(list(content.values()), archs, ms_per_unit, file), index=archs)


def _arch(vector: object, file: Path) -> str:
    numbers = vector if isinstance(vector, tuple) else ()
    if len(numbers) != len(EDGES) or not all(type(n) is int and 0 <= n < len(OPERATIONS) for n in numbers):
        raise WorkbenchError(
            f"{file} expects networks as tuples of {len(EDGES)} numbers from 0 to {len(OPERATIONS) - 1}, got "
            f"{reprlib.repr(vector)}; check which file this is."
        )
    return get_space(SPACE).format([OPERATIONS[number] for number in numbers])


def _card(device: str) -> DeviceCard | None:
    """What the file's name says; None for a file with a name of its own."""
    named = _NAME.fullmatch(device)
    if named is None:
        return None
    family, hardware, precision = named.groups()
    known: Mapping[str, str] = _CATALOGUED
    if hardware in known:
        return card_like(device, known[hardware], precision=precision)
    return DeviceCard(device, hardware=hardware, family=_FAMILIES.get(family, family), precision=precision)
