"""Running a pack where nothing but NumPy and ONNX Runtime can be imported; interruptions; what is not timed."""

from __future__ import annotations

import io
import json
import signal
import socket
import subprocess
import sys
import time
import zipfile
from importlib import metadata
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from workbench.devices.backends import BACKENDS, Network, Platform
from workbench.devices.detect import detect
from workbench.profiling.probepack.make import make_pack
from workbench.profiling.probepack.pack import NETWORK, REFERENCE, Pack
from workbench.profiling.probepack.result import missing_tasks, network_tasks, read_result, write_result
from workbench.profiling.probepack.run import MOST_STARTS, run_pack
from workbench.spaces import get_space

#: Runs its first argument as Python runs a zip, but lets nothing be imported that is neither in it, nor in the standard
#: library, nor NumPy or ONNX Runtime with what the latter brings along.
BARE = """
import runpy, sys
allowed = {"__main__", "numpy", "onnxruntime", "workbench", "flatbuffers", "google", "packaging", "_distutils_hack"}
class Wall:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in allowed and top not in sys.stdlib_module_names:
            raise ImportError(f"the wall keeps out {name}")
sys.meta_path.insert(0, Wall())
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    ours = {m.__file__ for n, m in sys.modules.items() if n.partition(".")[0] == "workbench"}
    assert all(file.startswith(sys.argv[0]) for file in ours), ours
    outside = [n for n in ("torch", "pandas", "psutil", "pyarrow", "yaml", "filelock", "onnx") if n in sys.modules]
    assert not outside, outside
"""


def bare(pack: Path, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-c", BARE, str(pack), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300, check=False)


def refused(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done
    (line,) = done.stderr.splitlines()
    return line.removeprefix("probe pack: ")


def test_a_pack_runs_with_numpy_and_onnxruntime_alone(pack_path, tmp_path):
    done = bare(pack_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "[4/4]" in done.stdout
    assert "Please send back result.json" in done.stdout
    result = read_result(tmp_path / "result.json", Pack(pack_path))
    assert result.complete
    assert not missing_tasks(result, Pack(pack_path).manifest)
    assert not result.failed()


def test_an_unpacked_pack_runs_the_same(pack_path, tmp_path):
    with zipfile.ZipFile(pack_path) as archive:
        archive.extractall(tmp_path / "folder")
    done = bare(tmp_path / "folder", "--out", "back.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert read_result(tmp_path / "back.json", Pack(pack_path)).complete


def test_without_onnxruntime_it_says_what_to_install(pack_path, tmp_path):
    program = BARE.replace('"onnxruntime", ', "")
    command = [sys.executable, "-I", "-c", program, str(pack_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300, check=False)
    assert "python -m pip install onnxruntime" in refused(done)
    assert not list(tmp_path.iterdir())


def test_a_damaged_pack_is_refused_before_anything_is_measured(pack_path, repacked, tmp_path):
    damaged = repacked(tmp_path / "pack.zip", {"networks/0001.onnx": b"damaged"}, seal=False)
    assert "0001.onnx" in refused(bare(damaged, cwd=tmp_path))
    assert not (tmp_path / "result.json").exists()


def test_bad_arguments_are_refused(pack_path, measured, tmp_path):
    many = detect().available_cores + 1
    assert f"{many} threads" in refused(bare(pack_path, "--threads", many, cwd=tmp_path))
    assert "0 threads" in refused(bare(pack_path, "--threads", 0, cwd=tmp_path))
    (tmp_path / "file").write_text("mine")
    assert "not a sound result" in refused(bare(pack_path, "--out", "file", cwd=tmp_path))
    assert "Cannot write" in refused(bare(pack_path, "--out", "file/result.json", cwd=tmp_path))
    assert (tmp_path / "file").read_text() == "mine"


def test_what_is_sent_back_names_no_person_host_or_path(measured):
    document = json.loads(measured.read_text())
    texts: list[str] = []

    def collect(value: object) -> None:
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, dict | list):
            for one in value.values() if isinstance(value, dict) else value:
                collect(one)

    collect(document["content"])
    assert "onnxruntime" not in texts  # keys are not collected, values are
    assert any("CPUExecutionProvider" in text for text in texts)
    for secret in (str(Path.home()), str(measured.parent), socket.gethostname()):
        assert not [text for text in texts if secret in text]


def test_a_killed_run_goes_on_and_measures_nothing_twice(pack_path, tmp_path):
    pack, out = Pack(pack_path), tmp_path / "result.json"
    command = [sys.executable, str(pack_path), "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    assert process.stdout is not None
    while not process.stdout.readline().startswith("[2/"):
        assert process.poll() is None
    process.kill()
    process.communicate()
    before = read_result(out, pack).rows
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300, check=True)
    after = read_result(out, pack)
    assert after.rows[: len(before)] == before
    assert after.complete
    assert not missing_tasks(after, pack.manifest)
    left = len(network_tasks(pack.manifest, (1,))) - len([row for row in before if row.task.role == NETWORK])
    assert f"[{left}/{left}]" in done.stdout
    again = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300, check=True)
    assert "is complete already" in again.stdout
    assert read_result(out, pack) == after


def test_an_interrupted_run_says_so_and_blames_no_network(pack_path, tmp_path):
    command = [sys.executable, str(pack_path)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, start_new_session=True
    )
    assert process.stdout is not None
    while not process.stdout.readline().startswith("[1/"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    if process.returncode == 0:
        pytest.skip("it was finished before the signal came")
    assert process.returncode == 130
    assert "the same command goes on" in err
    result = read_result(tmp_path / "result.json", Pack(pack_path))
    assert not result.complete
    assert result.begun == {}
    assert result.rows


def test_a_network_that_keeps_killing_its_process_is_given_up(pack_path, measured, tmp_path):
    pack, out = Pack(pack_path), tmp_path / "result.json"
    result = read_result(measured, pack)
    victim = network_tasks(pack.manifest, (1,))[-1]
    result.rows = [row for row in result.rows if row.task != victim]
    result.begun, result.complete = {victim: MOST_STARTS}, False
    write_result(out, result, pack)
    after = run_pack(pack, out, None, lambda line: None)
    (row,) = [row for row in after.rows if row.task == victim]
    assert "process ended" in row.failure
    assert after.complete
    assert after.begun == {}
    result.begun = {victim: MOST_STARTS - 1}
    write_result(tmp_path / "once.json", result, pack)
    (row,) = [r for r in run_pack(pack, tmp_path / "once.json", None, lambda line: None).rows if r.task == victim]
    assert row.failure is None


@pytest.mark.parametrize("what", ["threads", "machine", "runtime"])
def test_a_result_begun_under_other_conditions_is_not_continued(pack_path, measured, tmp_path, refusal, what):
    pack, out = Pack(pack_path), tmp_path / "result.json"
    result = read_result(measured, pack)
    if what == "threads":
        result.threads = (2,)
        result.rows = []
    elif what == "machine":
        from workbench.devices.detect import passport

        result.machine["governor"] = "another"
        result.machine["passport"] = passport(result.machine)
    else:
        result.runtime["onnxruntime"] = "0.1"
    write_result(out, result, pack)
    before = out.read_bytes()
    assert f"begun with other {what}" in refusal(run_pack, pack, out, None, lambda line: None)
    assert out.read_bytes() == before


def test_a_network_that_computes_something_else_is_not_timed(pack_path, repacked, tmp_path, archs):
    def npy(array: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        np.save(buffer, array)
        return buffer.getvalue()

    true = np.load(io.BytesIO(Pack(pack_path).read("outputs/0000.npy")))
    cases = {
        "off by a relative 0.0": true * np.float32(1.01),
        "of shape (1, 11)": np.zeros((1, 11), np.float32),
    }
    for expected, wrong in cases.items():
        pack = Pack(repacked(tmp_path / "pack.zip", {"outputs/0000.npy": npy(wrong)}))
        (tmp_path / "result.json").unlink(missing_ok=True)
        result = run_pack(pack, tmp_path / "result.json", None, lambda line: None)
        ((task, reason),) = result.failed().items()
        assert task.arch == archs[0]
        assert expected in reason
    nearly = Pack(repacked(tmp_path / "near.zip", {"outputs/0000.npy": npy(true * np.float32(1.0005))}))
    assert not run_pack(nearly, tmp_path / "near.json", None, lambda line: None).failed()


def test_a_network_that_cannot_be_loaded_is_recorded_with_its_reason(repacked, tmp_path, archs):
    pack, said = Pack(repacked(tmp_path / "pack.zip", {"networks/0001.onnx": b"no network"})), []
    result = run_pack(pack, tmp_path / "result.json", None, said.append)
    assert {task.arch for task in result.failed()} == {archs[1]}
    assert result.complete
    assert any("1 of the pack's networks could not be measured" in line for line in said)
    assert read_result(tmp_path / "result.json", pack) == result


def test_references_stand_before_between_and_behind_the_networks(pack_path, measured):
    roles = [row.task.role for row in read_result(measured, Pack(pack_path)).rows]
    assert roles == [REFERENCE] * 3 + [NETWORK] * 3 + [REFERENCE] * 3 + [NETWORK] + [REFERENCE] * 3


@pytest.mark.skipif(not Path("/proc/stat").is_file(), reason="this system does not tell who uses its processors")
def test_programs_that_run_beside_it_are_noticed(pack_path, tmp_path):
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        result = run_pack(Pack(pack_path), tmp_path / "result.json", None, lambda line: None)
    finally:
        busy.kill()
        busy.wait()
    assert result.foreign_load > 0.1
    assert read_result(tmp_path / "result.json", Pack(pack_path)).foreign_load == result.foreign_load


def test_batch_and_threads_are_those_asked_for(archs, timing, tmp_path):
    counts = (1, 2) if detect().available_cores > 1 else (1,)
    made = make_pack(
        get_space("nasbench201"), archs[:1], tmp_path / "p.zip", batch=3, threads=counts, rounds=1, timing=timing
    )
    result = run_pack(Pack(made.path), tmp_path / "result.json", None, lambda line: None)
    assert not result.failed()
    assert [row.task.threads for row in result.of_role(NETWORK)] == list(counts)
    assert Pack(made.path).manifest.batch == 3


def test_sessions_are_opened_as_the_workbench_opens_them(pack_path, archs, tmp_path, monkeypatch):
    seen: list[tuple[object, ...]] = []
    real = onnxruntime.InferenceSession

    class Options(onnxruntime.SessionOptions):
        def __init__(self) -> None:
            super().__init__()
            self.dimensions: list[tuple[str, int]] = []

        def add_free_dimension_override_by_name(self, name: str, value: int) -> None:
            super().add_free_dimension_override_by_name(name, value)
            self.dimensions.append((name, value))

    names = [
        name
        for name in dir(onnxruntime.SessionOptions())
        if isinstance(getattr(onnxruntime.SessionOptions(), name), bool | int | str) and not name.startswith("_")
    ]

    def spy(model: bytes, options: Options, providers: list[str]) -> onnxruntime.InferenceSession:
        settings = {name: getattr(options, name) for name in names}
        seen.append((model, tuple(options.dimensions), settings, tuple(providers)))
        return real(model, options, providers=providers)

    monkeypatch.setattr(onnxruntime, "SessionOptions", Options)
    monkeypatch.setattr(onnxruntime, "InferenceSession", spy)
    run_pack(Pack(pack_path), tmp_path / "result.json", None, lambda line: None)
    theirs = {str(call[0][:200]): call for call in seen}
    seen.clear()
    space = get_space("nasbench201")
    network = Network(space.module(archs[0]), space.input_shape(archs[0]))
    BACKENDS["onnxruntime"].prepare(network, Platform("onnxruntime"))
    (ours,) = seen
    assert len(names) > 5
    assert ours in theirs.values()


@pytest.mark.slow
def test_a_pack_runs_in_an_environment_of_its_own(pack_path, tmp_path, missing):
    made = subprocess.run(
        [sys.executable, "-m", "venv", tmp_path / "venv"], capture_output=True, text=True, check=False
    )
    if made.returncode:
        missing(f"no virtual environment can be made here: {made.stdout}{made.stderr}")
    (python,) = [path for path in (tmp_path / "venv").glob("*/python*") if path.stem == "python"]
    wanted = [f"{name}=={metadata.version(name)}" for name in ("numpy", "onnxruntime")]
    done = subprocess.run(
        [python, "-m", "pip", "install", "-q", *wanted], capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:
        missing(f"pip cannot install {' and '.join(wanted)} here: {done.stderr.splitlines()[-1:]}")
    torch = subprocess.run([python, "-c", "import torch"], capture_output=True, check=False)
    assert torch.returncode != 0
    started = time.time()
    done = subprocess.run([python, pack_path], capture_output=True, text=True, cwd=tmp_path, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    result = read_result(tmp_path / "result.json", Pack(pack_path))
    assert result.complete
    assert not result.failed()
    assert result.machine["runtimes"].keys() == {"numpy", "onnxruntime"}
    assert all(row.started_at >= started - 1 for row in result.rows)
