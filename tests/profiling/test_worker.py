"""Timing in another process: what a network breaks, hangs or kills is a reason, and the others are timed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from torch import Tensor, nn

from workbench.devices.backends import Platform
from workbench.profiling.calm import CalmConfig, Watched
from workbench.profiling.timing import TimingConfig
from workbench.profiling.worker import Worker, WorkerConfig
from workbench.spaces.nasbench201 import NASBench201

PLATFORM = Platform("torch_eager")
TIMING = TimingConfig(warmup_min_s=0, warmup_max_s=0.001, warmup_window=1, min_runs=3, max_runs=5, min_s=0)
CALM = CalmConfig(patience_s=0, retries=0)


class Faulty(nn.Module):
    """Does what its name says, on every call."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault

    def forward(self, x: Tensor) -> Tensor:
        if self.fault == "hang":
            while True:
                time.sleep(0.01)
        if self.fault == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.fault == "exit":
            os._exit(3)
        if self.fault == "nan":
            return x.flatten(1)[:, :10] * float("nan")
        if self.fault == "several":
            return x, x
        if self.fault == "no pair" and len(x) == 2:
            raise RuntimeError("no pair")
        return x.flatten(1)[:, :10]


class Faults:
    """A search space whose networks are called after their faults; ``calls`` counts how often one was built."""

    name = "faults"

    def __init__(self, calls: Path) -> None:
        self.calls = calls

    def module(self, arch: str) -> nn.Module:
        with self.calls.open("a") as file:
            file.write(f"{arch} {os.getpid()}\n")
        return Faulty(arch).eval()

    def input_shape(self, arch: str) -> tuple[int, int, int]:
        return (3, 8, 8)


@pytest.fixture
def space(tmp_path) -> Faults:
    return Faults(tmp_path / "calls")


def worker(space: Faults, **config: float) -> Worker:
    return Worker(space, TIMING, CALM, WorkerConfig(**config), quiet_s=0.0)


def built(space: Faults) -> list[list[str]]:
    return [line.split() for line in space.calls.read_text().splitlines()]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("hang", "It was not timed within 1 s."),
        ("crash", "Its process died (SIGSEGV)."),
        ("exit", "Its process died (exit status 3)."),
        ("nan", "not finite"),
        ("several", "expected one tensor"),
    ],
)
def test_a_fault_is_a_reason_after_so_many_fresh_processes_and_the_next_network_is_timed(space, fault, reason):
    with worker(space, limit_s=1.0 if fault == "hang" else 60.0, tries=2) as timer:
        ((_, good),) = timer.time("good", [PLATFORM])
        ((_, bad),) = timer.time(fault, [PLATFORM])
        ((_, again),) = timer.time("good", [PLATFORM])
    assert isinstance(good, Watched)
    assert isinstance(again, Watched)
    assert reason in bad
    assert "\n" not in bad
    tried = [process for arch, process in built(space) if arch == fault]
    assert len(tried) == len(set(tried)) == 2, "each try has a process of its own"


def test_one_process_serves_until_something_fails_and_isolation_gives_each_network_its_own(space):
    with worker(space) as shared:
        for arch in ("good", "better", "good"):
            list(shared.time(arch, [PLATFORM, Platform("torch_eager", batch=2)]))
    assert len({process for _, process in built(space)}) == 1
    space.calls.unlink()
    with worker(space, isolate=True) as isolated:
        for arch in ("good", "better", "good"):
            list(isolated.time(arch, [PLATFORM, Platform("torch_eager", batch=2)]))
    processes = [process for _, process in built(space)]
    assert len(processes) == len(set(processes)) == 3


def test_other_platforms_are_timed_where_one_fails(space):
    with worker(space) as timer:
        results = dict(
            timer.time("good", [PLATFORM, Platform("onnxruntime", batch=2), Platform("torch_eager", batch=2)])
        )
    assert all(isinstance(result, Watched) for result in results.values())


def test_the_end_of_the_worker_ends_its_process(space):
    with worker(space) as timer:
        list(timer.time("good", [PLATFORM]))
        process = int(built(space)[0][1])
        assert psutil.pid_exists(process)
    assert not psutil.pid_exists(process)


ORPHAN = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.profiling.test_worker import *
if __name__ == "__main__":
    list(worker(Faults(Path(sys.argv[1])), limit_s=1000).time("hang", [PLATFORM]))
"""


def test_a_hanging_network_does_not_outlive_the_campaign_that_was_killed(space, tmp_path):
    script, root = tmp_path / "orphan.py", Path(__file__).resolve().parents[2]
    script.write_text(ORPHAN)
    with subprocess.Popen([sys.executable, str(script), str(space.calls), str(root)]) as campaign:
        wait_until(space.calls.exists, campaign)
        hanging = int(wait_until(lambda: built(space), campaign)[0][1])
        campaign.kill()
    wait_until(lambda: not psutil.pid_exists(hanging) or psutil.Process(hanging).status() == psutil.STATUS_ZOMBIE)


def wait_until(condition, process=None, seconds: float = 60):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert process is None or process.poll() is None, "it ended too early"
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)
    return found


@pytest.mark.parametrize("config", [{"limit_s": 0.0}, {"limit_s": float("nan")}, {"tries": 0}])
def test_impossible_settings_are_refused(refusal, config):
    assert "WorkerConfig" in refusal(WorkerConfig, **config)


def test_a_space_that_cannot_be_found_elsewhere_is_refused(refusal):
    local = type("Local", (NASBench201,), {"__module__": "a_module_that_nobody_has"})
    sys.modules["a_module_that_nobody_has"] = type(sys)("a_module_that_nobody_has")
    sys.modules["a_module_that_nobody_has"].Local = local
    try:
        message = refusal(Worker(local(), TIMING, quiet_s=0.0).start)
    finally:
        del sys.modules["a_module_that_nobody_has"]
    assert "can be imported" in message
