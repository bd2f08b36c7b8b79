"""Making a probe pack: networks as ONNX, what they compute, and the modules that time them."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from workbench import __version__
from workbench.config import WorkbenchError, write_atomically
from workbench.devices.backends import TOLERANCES, example_input, export_onnx
from workbench.profiling.probepack.pack import MANIFEST, NETWORK, REFERENCE, FileEntry, Manifest, Pack, PackedNetwork
from workbench.profiling.quality import QualityConfig, choose_references
from workbench.profiling.timing import TimingConfig

if TYPE_CHECKING:
    from workbench.spaces import Space

ENTRY = "workbench.profiling.probepack.run"  # what the pack's __main__.py imports
_SOURCE = Path(__file__).parents[3]
_OLDEST = (1980, 1, 1, 0, 0, 0)  # the same content makes the same zip


class Made(NamedTuple):
    """What was packed: where, under which hash, how many networks and references, how large."""

    path: Path
    hash: str
    networks: int
    references: int
    bytes: int


def make_pack(
    space: Space,
    archs: Sequence[str],
    path: str | Path,
    batch: int = 1,
    threads: Sequence[int] = (1,),
    rounds: int = 3,
    reference_every: int = 20,
    timing: TimingConfig | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Made:
    """Write ``archs`` of ``space`` to the zip ``path``, with three reference networks beside them.

    Args:
        space, archs: the networks; checked before anything is written.
        path: must not exist yet.
        batch: images per inference.
        threads: numbers of threads to measure with.
        rounds: timings of each network, in another random order each.
        reference_every: networks between two passes over the references.
        timing: see `TimingConfig`.
        seed: decides the references.
        progress: called with the number of networks that are packed, and of all.

    Raises:
        WorkbenchError: a malformed arch, a number out of range, a network without a finite output, a ``path``
            that exists or cannot be written.
    """
    path, counts, archs = Path(path), tuple(dict.fromkeys(threads)), list(dict.fromkeys(archs))
    _check(path, archs, counts, batch, rounds, reference_every)
    for arch in archs:
        space.parse(arch)
    references = list(dict.fromkeys(choose_references(space, archs, seed)))
    wanted = [*((NETWORK, arch) for arch in archs), *((REFERENCE, arch) for arch in references)]

    def fill(temporary: Path) -> None:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            writer = _Writer(archive)
            networks = []
            for number, (role, arch) in enumerate(wanted):
                networks.append(writer.network(space, role, arch, number))
                if progress:
                    progress(number + 1, len(wanted))
            for name, file in runner_files().items():
                writer.file(name, file.read_bytes())
            manifest = Manifest(
                workbench=__version__,
                space=space.name,
                batch=batch,
                threads=counts,
                rounds=rounds,
                reference_every=reference_every,
                drift=QualityConfig().drift,
                tolerance=TOLERANCES["fp32"],
                timing=asdict(timing or TimingConfig()),
                networks=tuple(networks),
                files=writer.files,
            )
            writer.file(MANIFEST, json.dumps(manifest.content(), indent=1).encode())

    write_atomically(path, fill)
    return Made(path, Pack(path).hash, len(archs), len(references), path.stat().st_size)


def _check(
    path: Path, archs: Sequence[str], threads: Sequence[int], batch: int, rounds: int, reference_every: int
) -> None:
    if path.exists():
        raise WorkbenchError(f"{path} exists already; remove it or choose another name for the pack.")
    if not archs:
        raise WorkbenchError("There is nothing to pack: expected at least one network, got none; name some.")
    numbers = [("threads", count) for count in threads or [0]]
    for name, value in (*numbers, ("batch", batch), ("rounds", rounds), ("reference_every", reference_every)):
        if value < 1:
            raise WorkbenchError(f"Probe pack: {name} expects at least 1, got {value}; correct it.")


class _Writer:
    """Adds files to a zip and keeps their hashes; a file of the same name is added once."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.archive = archive
        self.files: dict[str, FileEntry] = {}

    def file(self, name: str, content: bytes) -> str:
        if name not in self.files:
            entry = zipfile.ZipInfo(name, _OLDEST)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16  # readable where it is unpacked
            self.archive.writestr(entry, content)
            self.files[name] = FileEntry(hashlib.sha256(content).hexdigest(), len(content))
        return name

    def network(self, space: Space, role: str, arch: str, number: int) -> PackedNetwork:
        """Pack one network with its input, which networks of one shape share, and its output."""
        import torch

        module, shape = space.module(arch), space.input_shape(arch)
        image = example_input(shape, 1)
        with torch.no_grad():
            output = module(image).numpy()
        if not np.isfinite(output).all():
            raise WorkbenchError(f"PackedNetwork '{arch}' has no finite output; check its weights before packing it.")
        return PackedNetwork(
            role=role,
            arch=arch,
            model=self.file(f"networks/{number:04d}.onnx", export_onnx(module, shape)),
            input=self.file(f"inputs/{'x'.join(map(str, shape))}.npy", _npy(image.numpy())),
            output=self.file(f"outputs/{number:04d}.npy", _npy(output)),
        )


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def runner_files() -> dict[str, Path]:
    """What measures a pack, by name in the zip: ``__main__.py``, and the workbench's modules that it imports with
    all that these import in turn."""
    found = {"__main__.py": Path(__file__).with_name("__main__.py")}
    pending = [ENTRY]
    while pending:
        for name, file in _module_files(pending.pop()):
            if name not in found:
                found[name] = file
                pending += _imported(file)
    return found


def _module_files(dotted: str) -> Iterator[tuple[str, Path]]:
    """The files of a module and of the packages around it; of a module's attribute, those of the module."""
    parts = dotted.split(".")
    for count in range(1, len(parts) + 1):
        stem = "/".join(parts[:count])
        for name in (f"{stem}.py", f"{stem}/__init__.py"):
            if (_SOURCE / name).is_file():
                yield name, _SOURCE / name


def _imported(file: Path) -> Iterator[str]:
    """Dotted names of what ``file`` imports from the workbench, but for what only a type checker sees."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    unseen = {id(node) for block in blocks for node in ast.walk(block)}
    for node in ast.walk(tree):
        if id(node) in unseen:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("workbench"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("workbench"):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
