"""What a pack holds, and that a damaged or a foreign one is refused."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict

import numpy as np
import pytest
import torch

from workbench.devices.backends import example_input
from workbench.graphs.features import physics
from workbench.profiling.probepack.make import make_pack, runner_files
from workbench.profiling.probepack.pack import MANIFEST, NETWORK, REFERENCE, Pack
from workbench.spaces import get_space

SPACE = get_space("nasbench201")


def test_a_pack_holds_what_its_manifest_says(pack_path, archs, timing):
    pack = Pack(pack_path)
    pack.verify()
    manifest = pack.manifest
    assert [network.arch for network in manifest.of_role(NETWORK)] == archs
    assert (manifest.space, manifest.batch, manifest.threads) == ("nasbench201", 1, (1,))
    assert manifest.timing == asdict(timing)
    with zipfile.ZipFile(pack_path) as archive:
        assert sorted(archive.namelist()) == sorted([*manifest.files, MANIFEST])


def test_references_are_small_medium_and_large_and_no_probes(pack_path, archs):
    references = [network.arch for network in Pack(pack_path).manifest.of_role(REFERENCE)]
    flops = [sum(op.repeat * physics(op).flops for op in SPACE.graph(arch).ops) for arch in references]
    assert len(references) == 3
    assert flops == sorted(set(flops))
    assert not set(references) & set(archs)


def test_the_stored_output_is_what_torch_computes_for_the_stored_input(pack_path):
    pack = Pack(pack_path)
    for network in pack.manifest.networks:
        image, output = (np.load(io.BytesIO(pack.read(name))) for name in (network.input, network.output))
        np.testing.assert_array_equal(image, example_input((3, 32, 32), 1).numpy())
        with torch.no_grad():
            np.testing.assert_array_equal(output, SPACE.module(network.arch)(torch.from_numpy(image)).numpy())


def test_the_same_networks_make_the_same_pack(pack_path, archs, timing, tmp_path):
    again = make_pack(SPACE, archs, tmp_path / "again.zip", rounds=2, reference_every=3, timing=timing)
    assert again.hash == Pack(pack_path).hash
    assert again.path.read_bytes() == pack_path.read_bytes()
    other = make_pack(SPACE, archs, tmp_path / "other.zip", rounds=3, reference_every=3, timing=timing)
    assert other.hash != again.hash


def test_the_modules_in_a_pack_are_those_of_the_workbench_and_few(pack_path):
    pack, files = Pack(pack_path), runner_files()
    assert {"__main__.py", "workbench/profiling/timing.py", "workbench/devices/detect.py"} <= set(files)
    assert {name for name in pack.manifest.files if name.endswith(".py")} == set(files)
    for name, file in files.items():
        assert pack.read(name) == file.read_bytes()
    assert not [name for name in files if name.startswith(("workbench/spaces", "workbench/predictor", "workbench/cli"))]


def test_nothing_is_packed_from_bad_input(archs, tmp_path, refusal):
    out = tmp_path / "pack.zip"
    assert "Malformed nasbench201 arch" in refusal(make_pack, SPACE, [archs[0], "|x~0|"], out)
    assert "at least one network" in refusal(make_pack, SPACE, [], out)
    for name in ("batch", "rounds", "reference_every"):
        assert name in refusal(make_pack, SPACE, archs, out, **{name: 0})
    assert "threads" in refusal(make_pack, SPACE, archs, out, threads=(1, 0))
    assert not list(tmp_path.iterdir())
    out.write_text("mine")
    assert "exists already" in refusal(make_pack, SPACE, archs, out)
    assert out.read_text() == "mine"


def test_a_pack_that_cannot_be_written_leaves_nothing(archs, tmp_path, refusal):
    (tmp_path / "file").touch()
    assert "Cannot write" in refusal(make_pack, SPACE, archs, tmp_path / "file" / "pack.zip")


def entry(manifest):
    return manifest["files"]["networks/0000.onnx"]


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda m: m["files"].update({"../evil.py": entry(m)}), "no plain name"),
        (lambda m: m["files"].update({"/etc/evil": entry(m)}), "no plain name"),
        (lambda m: m["files"].update({"a\\..\\evil": entry(m)}), "no plain name"),
        (lambda m: m["files"].update({"networks/9999.onnx": entry(m)}), "9999.onnx cannot be read"),
        (lambda m: entry(m).update(bytes=10), "at most 10 are expected"),
        (lambda m: entry(m).update(bytes=2**40), "whole number"),
        (lambda m: entry(m).update(sha256="0" * 64), "not the one that was packed"),
        (lambda m: m.update(format="another"), "format expects"),
        (lambda m: m.update(version=2), "version expects"),
        (lambda m: m.update(threads=[]), "threads expects"),
        (lambda m: m.update(threads=[True]), "threads expects"),
        (lambda m: m.update(batch=1.5), "batch expects"),
        (lambda m: m.update(more=1), "unknown key"),
        (lambda m: m.pop("space"), "has no 'space'"),
        (lambda m: m["networks"].append(m["networks"][0]), "twice"),
        (lambda m: m.update(networks=[n for n in m["networks"] if n["role"] == "network"]), "lacks one of them"),
        (lambda m: m["networks"][0].update(model="networks/none.onnx"), "unknown role or file"),
        (lambda m: m["networks"][0].update(role="spy"), "unknown role or file"),
    ],
)
def test_a_manifest_that_is_not_sound_is_refused(repacked, refusal, tmp_path, edit, expected):
    path = repacked(tmp_path / "pack.zip", edit=edit)
    assert expected in refusal(lambda: Pack(path).verify())


def test_a_zip_with_other_files_than_its_manifest_names_is_refused(pack_path, repacked, refusal, tmp_path):
    stray = repacked(tmp_path / "stray.zip", {"../../evil.py": b"raise SystemExit"}, seal=False)
    assert "'../../evil.py' that its manifest does not name" in refusal(Pack, stray)
    lacking = repacked(tmp_path / "lacking.zip", {"networks/0001.onnx": None})
    assert "0001.onnx cannot be read" in refusal(lambda: Pack(lacking).verify())
    twice = tmp_path / "twice.zip"
    twice.write_bytes(pack_path.read_bytes())
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(twice, "a") as archive:
        archive.writestr("__main__.py", "")
    assert "a file twice" in refusal(Pack, twice)


def test_a_damaged_zip_is_refused(pack_path, refusal, tmp_path):
    content = pack_path.read_bytes()
    path = tmp_path / "pack.zip"
    assert "There is no probe pack" in refusal(Pack, path)
    path.write_bytes(content[: len(content) // 2])
    assert "cannot be read" in refusal(Pack, path)
    path.write_bytes(content[:1000] + bytes(64) + content[1064:])
    assert "cannot be read" in refusal(lambda: Pack(path).verify())
    path.write_text(json.dumps({}))
    assert "cannot be read" in refusal(Pack, path)
    assert "cannot be read" in refusal(Pack, tmp_path)
