"""HELP (Lee et al., NeurIPS 2021), github.com/HayeonLee/HELP: one ``.pt`` file per device and search space.

``data/<space>/latency/<device>.pt`` is a list, tensor or array of latencies, one per network. Which networks, in which
order, stands beside it, as the repository's ``loader.py`` reads it: ``nasbench201/str_arch2idx.pt`` (arch string ->
row), ``fbnet/metainfo.pt`` (``arch``: ``op_idx_list`` of 22 block numbers each), ``ofa/ofa_archs.pt`` (``arch``:
``ks``, ``e``, ``d``, ``r`` each). The number after a GPU's name is the batch size. The README gives latencies in ms.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from workbench.config import WorkbenchError, lookup
from workbench.data.published.reader import Options, Progress, canonical, card_like, milliseconds, watched
from workbench.data.published.restricted import TORCH_GLOBALS
from workbench.data.table import LatencyTable, reason
from workbench.devices.device import DeviceCard
from workbench.spaces import get_space
from workbench.spaces.fbnet import BLOCKS
from workbench.spaces.ofa_mobilenetv3 import Choices

SOURCE = "HELP's README"


class Layout(NamedTuple):
    """Where HELP keeps a space: its folder, the file of its networks, and what turns that file into arch strings."""

    folder: str
    networks: str
    archs: Callable[[Any], list[str]]


def _nasbench201(content: Mapping[str, int]) -> list[str]:
    by_row = sorted(content.items(), key=lambda entry: entry[1])
    if [row for _, row in by_row] != list(range(len(by_row))):
        raise ValueError("its row numbers are not 0, 1, 2, ...")
    return [arch for arch, _ in by_row]


def _fbnet(content: Mapping[str, Any]) -> list[str]:
    family = get_space("fbnet")
    rows = [[int(index) for index in entry["op_idx_list"]] for entry in content["arch"]]
    if any(not 0 <= index < len(BLOCKS) for row in rows for index in row):
        raise ValueError(f"a block number is not one of 0 to {len(BLOCKS) - 1}")
    return [family.format([BLOCKS[index] for index in row]) for row in rows]


def _ofa(content: Mapping[str, Any]) -> list[str]:
    family = get_space("ofa_mobilenetv3")
    return [
        family.format(Choices(int(entry["r"]), *(tuple(map(int, entry[key])) for key in ("d", "ks", "e"))))
        for entry in content["arch"]
    ]


LAYOUTS: Mapping[str, Layout] = {
    "nasbench201": Layout("nasbench201", "str_arch2idx.pt", _nasbench201),
    "fbnet": Layout("fbnet", "metainfo.pt", _fbnet),
    "ofa_mobilenetv3": Layout("ofa", "ofa_archs.pt", _ofa),
}


def read_help(path: Path, options: Options, progress: Progress | None = None) -> list[LatencyTable]:
    """The tables of a HELP checkout, of its ``data`` folder, or of one space's folder in it."""
    ms_per_unit = options.fixed_unit("ms", SOURCE)
    found = _latency_files(path, options.space)
    if options.archs is not None and len(found) > 1:
        raise WorkbenchError(
            f"{path} holds several spaces ({', '.join(found)}); say with --space whose archs these are."
        )
    wanted = options.wanted((device for files in found.values() for device in files), path)
    files = {space: [file for name, file in beside.items() if name in wanted] for space, beside in found.items()}
    archs = {space: _archs(space, chosen[0].parent.parent, options) for space, chosen in files.items() if chosen}
    columns: dict[str, dict[str, np.ndarray]] = {space: {} for space in archs}
    every = [(space, file) for space in archs for file in files[space]]
    for owner, file in watched(every, progress):
        columns[owner][file.stem] = milliseconds(_load(file), archs[owner], ms_per_unit, file)
    return [
        LatencyTable(space, pd.DataFrame(columns[space], index=pd.Index(names, name="arch")), _cards(columns[space]))
        for space, names in archs.items()
    ]


def _latency_files(path: Path, only: str | None) -> dict[str, dict[str, Path]]:
    """By space and device, the files below ``path``; none raises."""
    layouts = LAYOUTS if only is None else {only: lookup("space of HELP", LAYOUTS, only)}
    found = {}
    for space, layout in layouts.items():
        places = [path / "data" / layout.folder, path / layout.folder]
        if only is not None or path.resolve().name == layout.folder:
            places.append(path)
        files = [file for place in places for file in sorted((place / "latency").glob("*.pt"))]
        if files:
            found[space] = {file.stem: file for file in files if file.parent == files[0].parent}
    if not found:
        folder = "<space>" if only is None else LAYOUTS[only].folder
        raise WorkbenchError(
            f"{path} expects data/{folder}/latency/<device>.pt as in HELP's repository, found none; name a checkout."
        )
    return found


def _archs(space: str, folder: Path, options: Options) -> list[str]:
    if options.archs is not None:
        return canonical(space, options.archs)
    layout = LAYOUTS[space]
    file = folder / layout.networks
    if not file.is_file():
        raise WorkbenchError(
            f"{folder} expects {layout.networks} with the networks, found none; take it from HELP's repository, or "
            f"name the networks with --archs."
        )
    content = _load(file)
    try:
        archs = layout.archs(content)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        raise WorkbenchError(
            f"{file} expects the networks as HELP's loader reads them, got something else ({reason(error)}); take the "
            f"file from HELP's repository."
        ) from error
    return canonical(space, archs)


def _load(file: Path) -> Any:
    """What a ``.pt`` file holds, read by torch without running anything; tensors as lists."""
    import torch

    try:
        with torch.serialization.safe_globals(TORCH_GLOBALS):
            content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types for a damaged or hostile file: all mean that it is not read
        named = re.search(r"GLOBAL (\S+)", str(error))
        told = f"it names {named[1][:80]!a}, which could run code" if named else reason(error)
        raise WorkbenchError(
            f"Cannot read {file} as tensors, numbers and plain containers ({told}); take the file from its publisher."
        ) from error
    return content.tolist() if isinstance(content, torch.Tensor) else content


def _cards(devices: Mapping[str, Any]) -> dict[str, DeviceCard]:
    """Of the GPUs that only the OFA tables name; the catalog has the others."""
    cards = {}
    for device in devices:
        gpu, _, batch = device.rpartition("_")
        if batch.isdecimal() and int(batch) > 0:
            if gpu == "titan_xp":
                cards[device] = card_like(device, "titan-xp", batch_size=int(batch))
            elif gpu == "v100":  # which V100 (SXM2 or PCIe, 16 or 32 GB) is not said
                cards[device] = DeviceCard(device, hardware="nvidia-v100", family="server-gpu", batch_size=int(batch))
    return cards
