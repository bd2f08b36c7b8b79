"""The pack itself: its manifest, and files that are what the manifest says they are."""

from __future__ import annotations

import hashlib
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from workbench.config import WorkbenchError
from workbench.profiling.probepack.checked import Fields, Malformed, parse

MANIFEST = "manifest.json"
FORMAT = "workbench probe pack"
VERSION = 1
NETWORK, REFERENCE = "network", "reference"
LARGEST_MANIFEST = 2**24
LARGEST_FILE = 2**31  # what ONNX can hold in one file

_NAME = re.compile(r"[A-Za-z0-9_]+([./][A-Za-z0-9_]+)*")  # relative, no way up, the same on every system


class PackedNetwork(NamedTuple):
    """One network of a pack.

    Args:
        role: `NETWORK` or `REFERENCE`.
        arch: how its space writes it.
        model, input, output: names of its files: ONNX with a free dimension ``batch``, and arrays of
            `1 x c x h x w` and `1 x ...` that belong together.
    """

    role: str
    arch: str
    model: str
    input: str
    output: str


class FileEntry(NamedTuple):
    """Hash (hexadecimal SHA-256) and size of one file."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """What is in a pack and how it is to be measured.

    Args:
        workbench: version that made it.
        space: search space of the networks.
        batch: images per inference.
        threads: each network is measured with each of these numbers, unless who runs the pack asks for others.
        rounds: how often each network is measured, in another random order each time.
        reference_every: networks between two passes over the references.
        drift: references that deviate more than this share from their median call for a warning.
        tolerance: largest accepted norm of (output - expected output) as a share of the latter's norm.
        timing: fields of `TimingConfig`.
        networks: with the references.
        files: every file but the manifest, by name.
    """

    workbench: str
    space: str
    batch: int
    threads: tuple[int, ...]
    rounds: int
    reference_every: int
    drift: float
    tolerance: float
    timing: Mapping[str, Any]
    networks: tuple[PackedNetwork, ...]
    files: Mapping[str, FileEntry]

    def of_role(self, role: str) -> list[PackedNetwork]:
        """Its networks of one role, in order."""
        return [network for network in self.networks if network.role == role]

    def content(self) -> dict[str, Any]:
        """Ready for JSON."""
        networks = [network._asdict() for network in self.networks]
        files = {name: entry._asdict() for name, entry in self.files.items()}
        return {"format": FORMAT, "version": VERSION, **asdict(self), "networks": networks, "files": files}


def parse_manifest(text: bytes) -> Manifest:
    """The manifest in a JSON document; raises `Malformed` at the first thing that is not as it should be."""
    fields = Fields(parse(text), "the manifest", ("format", "version", *Manifest.__dataclass_fields__))
    fields.equals("format", FORMAT)
    fields.equals("version", VERSION)
    files = {name: _file_entry(name, entry) for name, entry in fields.plain("files", depth=2).items()}
    networks = tuple(_network(entry, files) for entry in fields.list("networks"))
    if len({network[:2] for network in networks}) < len(networks):
        raise Malformed("the manifest names a network twice")
    if {network.role for network in networks} != {NETWORK, REFERENCE}:
        raise Malformed("the manifest expects networks and references, and lacks one of them")
    return Manifest(
        workbench=fields.text("workbench"),
        space=fields.text("space"),
        batch=fields.whole("batch", 1, 2**16),
        threads=fields.wholes("threads", 1, 2**12),
        rounds=fields.whole("rounds", 1, 100),
        reference_every=fields.whole("reference_every", 1, 2**20),
        drift=fields.number("drift", 0, 10),
        tolerance=fields.number("tolerance", 0, 1),
        timing=fields.plain("timing"),
        networks=networks,
        files=files,
    )


def _file_entry(name: str, entry: object) -> FileEntry:
    if not _NAME.fullmatch(name):
        raise Malformed(f"the manifest names a file {name[:60]!a}, which is no plain name inside the pack")
    fields = Fields(entry, f"the manifest's entry for {name}", FileEntry._fields)
    return FileEntry(fields.text("sha256"), fields.whole("bytes", 0, LARGEST_FILE))


def _network(entry: object, files: Mapping[str, FileEntry]) -> PackedNetwork:
    fields = Fields(entry, "a network of the manifest", PackedNetwork._fields)
    network = PackedNetwork(*(fields.text(name) for name in PackedNetwork._fields))
    if network.role not in (NETWORK, REFERENCE) or not files.keys() >= set(network[2:]):
        raise Malformed(f"the manifest's network {network.arch[:60]!a} has an unknown role or file")
    return network


class Pack:
    """A pack as a zip, or as the folder it was unpacked into.

    Args:
        location: the zip or the folder.

    Attributes:
        manifest: see `Manifest`.
        hash: the manifest's SHA-256, which names the pack.

    Raises:
        WorkbenchError: there is no pack, its manifest is malformed, or the zip holds files of other names.
    """

    def __init__(self, location: str | Path) -> None:
        self.location = Path(location)
        if not self.location.exists():
            raise WorkbenchError(f"There is no probe pack at {location}; check the path.")
        text = self._bytes(MANIFEST, LARGEST_MANIFEST)
        self.hash = hashlib.sha256(text).hexdigest()
        try:
            self.manifest = parse_manifest(text)
        except Malformed as error:
            raise self._refused(str(error)) from error
        if not self.location.is_dir():
            self._check_names()

    def read(self, name: str) -> bytes:
        """The content of a file, after comparing it with the manifest."""
        entry = self.manifest.files[name]
        content = self._bytes(name, entry.bytes)
        if len(content) != entry.bytes or hashlib.sha256(content).hexdigest() != entry.sha256:
            raise self._refused(f"its file {name} is not the one that was packed")
        return content

    def verify(self) -> None:
        """Compare every file with the manifest."""
        for name in self.manifest.files:
            self.read(name)

    def _check_names(self) -> None:
        with zipfile.ZipFile(self.location) as archive:
            names = archive.namelist()
        expected = {MANIFEST, *self.manifest.files}
        for name in names:
            if name not in expected:
                raise self._refused(f"it holds a file {name[:60]!a} that its manifest does not name")
        if len(names) > len(expected):
            raise self._refused("it holds a file twice")

    def _bytes(self, name: str, limit: int) -> bytes:
        """A file's content; its size is checked before it is read."""
        try:
            if self.location.is_dir():
                path = self.location / name
                _check_size(path.stat().st_size, limit)
                return path.read_bytes()
            with zipfile.ZipFile(self.location) as archive:
                entry = archive.getinfo(name)
                _check_size(entry.file_size, limit)
                return archive.read(entry)
        except (OSError, KeyError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
            # zipfile raises the last two for encrypted, unknown or impossible entries
            reason = str(error.strerror or error) if isinstance(error, OSError) else str(error)
            raise self._refused(f"its file {name} cannot be read ({reason[:100]})") from error

    def _refused(self, phrase: str) -> WorkbenchError:
        return WorkbenchError(f"{self.location} is not a sound probe pack: {phrase}; get it anew from who made it.")


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise ValueError(f"{size} bytes, at most {limit} are expected")
