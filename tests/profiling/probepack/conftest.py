"""One small pack, measured once: two networks and three references, next to no patience."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workbench.profiling.probepack.checked import digest
from workbench.profiling.probepack.make import make_pack
from workbench.profiling.probepack.pack import MANIFEST, Pack
from workbench.profiling.probepack.run import run_pack
from workbench.profiling.timing import TimingConfig
from workbench.spaces import get_space

QUICK = TimingConfig(
    warmup_min_s=0, warmup_max_s=0.001, warmup_window=1, min_runs=3, max_runs=5, min_s=0, budget_s=0.01
)
ARCHS = [
    "|none~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|nor_conv_1x1~2|",
    "|none~0|+|none~0|none~1|+|avg_pool_3x3~0|none~1|none~2|",
]


@pytest.fixture(scope="session")
def archs() -> list[str]:
    return list(ARCHS)


@pytest.fixture(scope="session")
def timing() -> TimingConfig:
    """Timings that take no time and mean nothing."""
    return QUICK


@pytest.fixture(scope="session")
def pack_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pack") / "pack.zip"
    make_pack(get_space("nasbench201"), ARCHS, path, rounds=2, reference_every=3, timing=QUICK)
    return path


@pytest.fixture(scope="session")
def measured(pack_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The complete result of the pack on this machine."""
    path = tmp_path_factory.mktemp("result") / "result.json"
    run_pack(Pack(pack_path), path, None, lambda line: None)
    return path


@pytest.fixture(scope="session")
def changed(measured: Path) -> Callable[..., Path]:
    """Writes the result with its content changed, by default under a hash that fits, as a cheat would."""

    def change(path: Path, edit: Callable[[dict[str, Any]], object], seal: bool = True) -> Path:
        document = json.loads(measured.read_text())
        edit(document["content"])
        if seal:
            document["sha256"] = digest(document["content"])
        path.write_text(json.dumps(document))
        return path

    return change


@pytest.fixture(scope="session")
def repacked(pack_path: Path) -> Callable[..., Path]:
    """Writes the pack with some files replaced, added (or left out where the content is None), and the manifest edited;
    by default the manifest's hashes fit the new files."""

    def repack(
        path: Path,
        files: dict[str, bytes | None] | None = None,
        edit: Callable[[dict[str, Any]], object] = lambda manifest: None,
        seal: bool = True,
    ) -> Path:
        with zipfile.ZipFile(pack_path) as archive:
            contents = {name: archive.read(name) for name in archive.namelist()}
        contents.update(files or {})
        manifest = json.loads(contents.pop(MANIFEST))
        for name, content in (files or {}).items():
            if seal and content is not None:
                entry = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
                manifest["files"][name] = entry
        edit(manifest)
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in {**contents, MANIFEST: json.dumps(manifest).encode()}.items():
                if content is not None:
                    archive.writestr(name, content)
        return path

    return repack
