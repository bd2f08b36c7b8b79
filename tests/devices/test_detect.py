"""Detection: nothing personal, the same answer twice, and unknown where the system shows nothing."""

from __future__ import annotations

import dataclasses
import getpass
import json
import os
import platform
import re
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.devices import detect as module
from workbench.devices.detect import RUNTIMES, detect, fingerprint, passport

content = st.dictionaries(
    st.text(max_size=8),
    st.none() | st.integers() | st.text(max_size=8) | st.lists(st.integers(), max_size=3),
    max_size=6,
)


@pytest.fixture
def bare(monkeypatch, tmp_path) -> None:
    """A system that shows no file, knows no affinity and has no sysctl."""
    monkeypatch.setattr(module, "_text", lambda path: None)
    monkeypatch.setattr(module, "_SYS_CPU", tmp_path / "nothing")
    monkeypatch.setattr(module, "_sysctl", lambda name: None)
    monkeypatch.setattr(module.platform, "processor", lambda: "")
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.delattr(os, "sysconf", raising=False)


def files(monkeypatch, contents: dict[str, str]) -> None:
    """A system that shows ``contents`` and nothing else."""
    monkeypatch.setattr(module, "_text", lambda path: contents.get(Path(path).as_posix()))


def test_this_machine_is_found():
    machine = detect()
    assert machine.available_cores >= 1
    assert machine.cores is None or machine.cores >= machine.available_cores
    assert machine.architecture == platform.machine()
    assert machine.runtimes["torch"]
    assert set(machine.runtimes) <= set(RUNTIMES)
    assert all(size > 0 for size in machine.cache_kib.values())
    assert machine.memory_gib is None or machine.memory_gib > 0


def test_nobody_is_named(monkeypatch):
    personal = {socket.gethostname(), platform.node(), getpass.getuser(), Path.home().name}

    def refuse(*arguments: object) -> str:
        raise AssertionError("asks for a name")

    for owner, name in ((socket, "gethostname"), (platform, "node"), (getpass, "getuser"), (os, "getlogin")):
        monkeypatch.setattr(owner, name, refuse)
    text = json.dumps(fingerprint())
    for name in filter(None, personal):
        assert not re.search(rf"\b{re.escape(name)}\b", text), f"the fingerprint holds '{name}'"
    assert str(Path.home()) not in text or str(Path.home()) == "/"
    assert str(Path.cwd()) not in text


def test_the_fingerprint_is_json_and_stable():
    first, second = fingerprint(), fingerprint()
    assert json.loads(json.dumps(first)) == first
    assert first == second
    assert re.fullmatch(r"[0-9a-f]{16}", first["passport"])
    assert first["passport"] == passport(first)


def test_another_machine_has_another_passport():
    machine = detect()
    for change in ({"cores": 97}, {"runtimes": {"torch": "0.1"}}, {"isa": ()}, {"governor": "powersave-x"}):
        assert fingerprint(dataclasses.replace(machine, **change))["passport"] != fingerprint(machine)["passport"]


@given(content, st.randoms(use_true_random=False))
def test_a_passport_depends_on_the_content_alone(found, random):
    keys = list(found)
    random.shuffle(keys)
    shuffled = {key: found[key] for key in keys}
    assert passport(shuffled) == passport(found)
    assert passport({**found, "passport": "of another time"}) == passport(
        {key: value for key, value in found.items() if key != "passport"}
    )
    assert passport({**found, "one key more than eight": 1}) != passport(found)


@pytest.mark.usefixtures("bare")
def test_a_system_that_shows_nothing_is_unknown_and_not_zero():
    machine = detect()
    assert machine.cpu_model is None
    assert machine.cache_kib == {}
    assert machine.memory_gib is None
    assert machine.governor is None
    assert machine.microcode is None
    assert machine.virtual is None
    assert machine.cpu_quota is None
    assert machine.available_cores >= 1
    assert fingerprint(machine)["passport"] == fingerprint()["passport"]


def test_missing_files_are_unknown(tmp_path):
    assert module._text(tmp_path / "nothing") is None
    (tmp_path / "empty").touch()
    assert module._text(tmp_path / "empty") is None


def test_caches_are_read_in_kib(monkeypatch, tmp_path):
    for index, (kind, level, size) in enumerate(
        [
            ("Data", 1, "48K"),
            ("Instruction", 1, "32K"),
            ("Unified", 2, "2048K"),
            ("Unified", 3, "105M"),
            ("Unified", 4, ""),
        ]
    ):
        folder = tmp_path / "cpu0" / "cache" / f"index{index}"
        folder.mkdir(parents=True)
        for name, value in (("type", kind), ("level", str(level)), ("size", size)):
            (folder / name).write_text(f"{value}\n")
    monkeypatch.setattr(module, "_SYS_CPU", tmp_path)
    assert module._caches() == {"l1": 48, "l2": 2048, "l3": 105 * 1024}


@pytest.mark.parametrize(
    ("contents", "quota"),
    [
        ({"/sys/fs/cgroup/cpu.max": "150000 100000"}, 1.5),
        ({"/sys/fs/cgroup/cpu.max": "max 100000"}, None),
        ({"/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000", "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}, 0.5),
        ({"/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1"}, None),
        ({}, None),
    ],
)
def test_quota_of_a_container(monkeypatch, contents, quota):
    files(monkeypatch, contents)
    assert module._cpu_quota() == quota
    assert detect().available_cores >= 1


@pytest.mark.parametrize(
    ("contents", "limit"),
    [
        ({"/sys/fs/cgroup/memory.max": str(3 * 2**30)}, 3.0),
        ({"/sys/fs/cgroup/memory.max": "max"}, None),
        ({"/sys/fs/cgroup/memory/memory.limit_in_bytes": str(2**63 - 4096)}, None),
        ({}, None),
    ],
)
def test_memory_limit_of_a_container(monkeypatch, contents, limit):
    files(monkeypatch, contents)
    assert module._memory_limit_gib() == limit
    assert detect().memory_limit_gib == limit


def test_processors_name_themselves(monkeypatch):
    x86 = (
        "model name\t: Some  CPU @ 2.50GHz\ncpu family\t: 6\nmodel\t\t: 85\nflags\t: fma avx2 hypervisor\n\n"
        "model name : second"
    )
    files(monkeypatch, {"/proc/cpuinfo": x86})
    machine = detect()
    assert machine.cpu_model == "Some CPU @ 2.50GHz (family 6 model 85)"
    assert machine.isa == ("avx2", "fma")
    assert machine.virtual is True
    files(monkeypatch, {"/proc/cpuinfo": "Features : asimd", "/proc/device-tree/model": "Raspberry Pi 4\0"})
    assert detect().cpu_model == "Raspberry Pi 4"
    assert detect().virtual is False
