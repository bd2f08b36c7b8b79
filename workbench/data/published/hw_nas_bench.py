"""HW-NAS-Bench (Li et al., ICLR 2021), github.com/GATECH-EIC/HW-NAS-Bench: one pickle, ``HW-NAS-Bench-v1_0.pickle``.

As its ``hw_nas_bench_api.py`` reads it: ``nasbench201[<dataset>][<device>_latency]`` is a list with one latency per
network, and ``nasbench201[<dataset>]["config"][row]["arch_str"]`` says which. ``fbnet[<device>_latency]`` is a table of
blocks: a network's latency is the sum over its stem, blocks, head, pooling and classifier, whose names are written out
below. The README prints latencies with the unit ms. Energy and arithmetic intensity, which stand beside, are not read.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workbench.config import WorkbenchError
from workbench.data.published.reader import Options, Progress, canonical, card_like, milliseconds, watched
from workbench.data.published.restricted import read_pickle
from workbench.data.table import LatencyTable
from workbench.devices.device import DeviceCard
from workbench.spaces import get_space
from workbench.spaces.fbnet import CLASSES, HEAD, POSITIONS, RESOLUTION, STEM

FILE, SOURCE, METRIC = "HW-NAS-Bench-v1_0.pickle", "HW-NAS-Bench's README", "_latency"

#: Of the three data sets, the one whose input and classifier are those of our space.
DATASET = "cifar10"


def read_hw_nas_bench(path: Path, options: Options, progress: Progress | None = None) -> list[LatencyTable]:
    """The table of one space of the pickle, or of the checkout that holds it.

    NAS-Bench-201 (on CIFAR-10) unless ``options`` say otherwise. FBNet (on CIFAR-100) is a table of blocks, so the
    networks must be given.
    """
    options.fixed_unit("ms", SOURCE)
    space = options.space or ("nasbench201" if options.archs is None else "fbnet")
    if space not in ("nasbench201", "fbnet"):
        raise WorkbenchError(f"HW-NAS-Bench measured nasbench201 and fbnet, got the space {space}; choose one of them.")
    file = path / FILE if path.is_dir() else path
    content = _inside(read_pickle(file), space, file)
    if space == "fbnet":
        return [_fbnet(content, options, file, progress)]
    options.without_archs(f"The nasbench201 part of {file}")
    return [_nasbench201(_inside(content, DATASET, file), options, file, progress)]


def _nasbench201(content: Any, options: Options, file: Path, progress: Progress | None) -> LatencyTable:
    configs = _inside(content, "config", file)
    rows = range(len(configs))
    try:
        named = [configs[row]["arch_str"] for row in rows]
    except (TypeError, KeyError, IndexError) as error:
        raise _unlike(file, f"config of each network with its arch_str in nasbench201, {DATASET}") from error
    archs = canonical("nasbench201", named)
    wanted = options.wanted(_devices(content), file)
    columns = {
        device: milliseconds(content[device + METRIC], archs, 1.0, f"{file}, {device}{METRIC}")
        for device in watched(wanted, progress)
    }
    return LatencyTable("nasbench201", pd.DataFrame(columns, index=pd.Index(archs, name="arch")), _cards(columns))


def _fbnet(content: Any, options: Options, file: Path, progress: Progress | None) -> LatencyTable:
    if options.archs is None:
        raise WorkbenchError(
            f"The fbnet part of {file} holds latencies of blocks and no networks; name those to add up with --archs."
        )
    archs = canonical("fbnet", options.archs)
    networks = [block_names(arch) for arch in archs]
    wanted = options.wanted(_devices(content), file)
    columns = {}
    for device in watched(wanted, progress):
        where = f"{file}, fbnet, {device}{METRIC}"
        table = _inside(content, device + METRIC, file)
        names = list(dict.fromkeys(name for network in networks for name in network))
        parts = dict(zip(names, _parts(table, names, where), strict=True))
        sums = np.array([sum(parts[name] for name in network) for network in networks], dtype=np.float64)
        columns[device] = milliseconds(sums, archs, 1.0, where)
    return LatencyTable("fbnet", pd.DataFrame(columns, index=pd.Index(archs, name="arch")), _cards(columns))


def block_names(arch: str) -> list[str]:
    """What HW-NAS-Bench calls the parts of the FBNet ``arch``, on CIFAR-100: their costs add up to the network's."""
    names = [f"ConvNorm_H{RESOLUTION}_W{RESOLUTION}_Cin3_Cout{STEM}_kernel3_stride1_group1"]
    for block, (inputs, outputs, size, stride) in zip(get_space("fbnet").parse(arch), POSITIONS, strict=True):
        shape = f"H{size}_W{size}_Cin{inputs}_Cout{outputs}"
        if block == "skip":
            names.append(f"Skip_{shape}_stride{stride}")
            continue
        kernel, expansion, *group = (part[1:] for part in block.split("_"))
        groups = group[0] if group else 1
        names.append(f"ConvBlock_{shape}_exp{expansion}_kernel{kernel}_stride{stride}_group{groups}")
    width, size = POSITIONS[-1].outputs, POSITIONS[-1].size
    names.append(f"ConvNorm_H{size}_W{size}_Cin{width}_Cout{HEAD}_kernel1_stride1_group1")
    names.append(f"AvgP_H{size}_W{size}_Cin{HEAD}_Cout{HEAD}_kernel{size}_stride1")
    return [*names, f"FC_Cin{HEAD}_Cout{CLASSES}"]


def _parts(table: Any, names: list[str], where: str) -> list[float]:
    """Milliseconds of the blocks called ``names``; a block may cost nothing, a network may not."""
    missing = [name for name in names if not isinstance(table, Mapping) or name not in table]
    if missing:
        raise _unlike(where, f"the block {missing[0]}")
    for name in names:
        value = table[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value) or value < 0:
            raise WorkbenchError(
                f"{where}: {name} expects a latency, got {reprlib.repr(value)}; download the file anew."
            )
    return [float(table[name]) for name in names]


def _devices(content: Any) -> list[str]:
    return [str(name).removesuffix(METRIC) for name in content if str(name).endswith(METRIC)]


def _inside(content: Any, key: str, where: Path) -> Any:
    if not isinstance(content, Mapping) or not isinstance(content.get(key), Mapping | list):
        raise _unlike(where, f"a part '{key}'")
    return content[key]


def _unlike(where: str | Path, expected: str) -> WorkbenchError:
    return WorkbenchError(f"{where} expects {expected}, as HW-NAS-Bench has it, found none; check which file this is.")


def _cards(devices: Mapping[str, Any]) -> dict[str, DeviceCard]:
    """Of the two that the catalog does not have under these names.

    ``dev/proj_edgegpu/EdgeGPU_Benchmark.py`` runs TensorRT on a Jetson TX2, one image at a time. An Edge TPU computes
    in int8 only.
    """
    cards = {
        "edgegpu": card_like("edgegpu", "jetson-tx2-8gb", batch_size=1, runtime="tensorrt"),
        "edgetpu": card_like("edgetpu", "google-coral-edge-tpu", precision="int8"),
    }
    return {name: card for name, card in cards.items() if name in devices}
