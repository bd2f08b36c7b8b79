"""What comes back: hostile and damaged results are refused in one sentence, sound ones become a table and a card."""

from __future__ import annotations

import contextlib
import json
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.config import WorkbenchError
from workbench.data.sources import load_table
from workbench.devices.detect import detect, passport, platform_conditions
from workbench.devices.device import DeviceCard, read_cards, write_cards
from workbench.profiling.machine import family
from workbench.profiling.probepack.checked import digest
from workbench.profiling.probepack.pack import NETWORK, REFERENCE, Pack
from workbench.profiling.probepack.read import receive
from workbench.profiling.probepack.result import (
    LARGEST_RESULT,
    Result,
    Row,
    Task,
    read_result,
    reference_drift,
    warnings,
    write_result,
)
from workbench.profiling.reduce import SUMMARY_COLUMNS, tables_in
from workbench.profiling.timing import reduce_samples


def test_a_sound_result_becomes_a_table_and_a_card(pack_path, measured, archs, tmp_path):
    received = receive(measured, pack_path, "theirs", tmp_path / "out")
    result = read_result(measured, Pack(pack_path))
    table = pd.read_parquet(received.table_path).set_index("arch")
    assert received.table_path == tmp_path / "out" / "nasbench201.parquet"
    assert list(table) == ["theirs"]
    assert list(table.index) == archs
    for arch in archs:
        rounds = [reduce_samples(r.samples_ns).estimate_ms for r in result.of_role(NETWORK) if r.task.arch == arch]
        assert len(rounds) == 2
        assert table.loc[arch, "theirs"] == min(rounds)
    card = read_cards(tmp_path / "out" / "devices.yaml")["theirs"]
    assert (card.precision, card.threads, card.batch_size) == ("fp32", 1, 1)
    assert card.hardware == result.machine["cpu_model"]
    assert card.family == family(card.hardware, "cpu")
    here = platform_conditions(detect(), "onnxruntime", metadata.version("onnxruntime"), "fp32", 1)
    assert card.passport == here["passport"]
    assert card.runtime == f"onnxruntime {result.runtime['onnxruntime']}"
    files = tables_in(tmp_path / "out", "nasbench201")
    summary = pd.read_parquet(files.summary)
    assert list(summary) == SUMMARY_COLUMNS
    assert (summary["low_ms"] <= summary["estimate_ms"]).all()
    assert (summary["gap"] >= 0).all()
    conditions = json.loads(files.conditions.read_text())
    assert conditions["devices"] == {"theirs": here}
    assert conditions["passport"] == passport(result.machine)
    assert conditions["probe_pack"] == Pack(pack_path).hash


def test_the_workbench_finds_the_table(pack_path, measured, archs, tmp_path):
    receive(measured, pack_path, "theirs", tmp_path)
    found = load_table("nasbench201", folders=[tmp_path])
    assert "theirs" in found.devices
    assert found.column("theirs").notna().sum() == len(archs)


def test_nothing_is_overwritten(pack_path, measured, tmp_path, refusal):
    (tmp_path / "nasbench201.parquet").write_text("mine")
    assert "exists already" in refusal(receive, measured, pack_path, "theirs", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["nasbench201.parquet"]


def test_cards_beside_it_stay_but_are_not_mixed_up(pack_path, measured, tmp_path, refusal):
    other = DeviceCard("another", cores=1)
    pd.DataFrame({"arch": ["x"], "another": [1.0]}).to_parquet(tmp_path / "fbnet.parquet")
    write_cards(tmp_path / "devices.yaml", {"another": other, "theirs": DeviceCard("theirs", passport="0" * 16)})
    assert "under other conditions" in refusal(receive, measured, pack_path, "theirs", tmp_path)
    received = receive(measured, pack_path, "more", tmp_path)
    cards = read_cards(tmp_path / "devices.yaml")
    assert cards["another"] == other
    assert cards["more"] == received.cards["more"]


def test_device_names_are_checked(pack_path, measured, tmp_path, refusal):
    for name in ("", "a\nb", "arch", "x" * 101):
        assert "device name" in refusal(receive, measured, pack_path, name, tmp_path)


def row(role):
    """The number of the first row of that role."""
    return lambda content: next(i for i, one in enumerate(content["rows"]) if one["role"] == role)


first = row(NETWORK)


def sample(value):
    return lambda content: content["rows"][first(content)]["samples_ns"].__setitem__(0, value)


def machine(**facts):
    """A machine that claims ``facts``, with a passport that fits."""

    def edit(content):
        content["machine"].update(facts)
        content["machine"]["passport"] = passport(content["machine"])

    return edit


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (sample(-5), "whole number from 1"),
        (sample(0), "whole number from 1"),
        (sample(10**14), "whole number from 1"),
        (sample(1.5e6), "whole number from 1"),
        (sample("1000000"), "whole number from 1"),
        (sample(True), "whole number from 1"),
        (sample(None), "whole number from 1"),
        (lambda c: c["rows"][0].update(samples_ns=[]), "holds 0 samples"),
        (lambda c: c["rows"][0].update(samples_ns=[1000] * 6), "holds 6 samples"),
        (lambda c: c["rows"][0].update(samples_ns="many"), "samples_ns expects a list"),
        (lambda c: c["rows"][0].update(started_at=-1), "started_at expects"),
        (lambda c: c["rows"][0].update(warmup_runs=-1), "warmup_runs expects"),
        (lambda c: c["rows"][0].update(arch="|none~0|"), "not in the pack"),
        (lambda c: c["rows"][0].update(arch=["|none~0|"]), "not in the pack"),
        (lambda c: c["rows"][0].update(role="network"), "not in the pack"),
        (lambda c: c["rows"][0].update(threads=2), "threads expects one of"),
        (lambda c: c["rows"][0].update(threads=True), "threads expects"),
        (lambda c: c["rows"][first(c)].update(round=2), "round expects"),
        (lambda c: c["rows"][first(c)].update(failure="it failed"), "samples_ns expects []"),
        (lambda c: c["rows"][first(c)].update(failure="", samples_ns=[]), "failure expects printable"),
        (lambda c: c["rows"][first(c)].update(failure="a\x1b[2J", samples_ns=[]), "failure expects printable"),
        (lambda c: c["rows"][0].pop("samples_ns"), "has no 'samples_ns'"),
        (lambda c: c["rows"][0].update(latency_ms=1), "unknown key"),
        (lambda c: c["rows"].append(c["rows"][0]), "the same timing twice"),
        (lambda c: c["rows"].append(7), "expects an object"),
        (lambda c: c["rows"].pop(first(c)), "is unfinished (1 timings"),
        (lambda c: c.update(rows=[r for r in c["rows"] if r["role"] == NETWORK]), "is unfinished (6 timings"),
        (lambda c: c.update(rows=[]), "is unfinished"),
        (lambda c: c.update(complete=False), "is unfinished"),
        (lambda c: c.update(complete="yes"), "complete expects"),
        (lambda c: c.update(pack="0" * 64), "pack expects"),
        (lambda c: c.update(space="fbnet"), "space expects"),
        (lambda c: c.update(batch=8), "batch expects"),
        (lambda c: c.update(threads=[]), "threads expects"),
        (lambda c: c.update(threads=[1, 1]), "threads expects"),
        (lambda c: c["timing"].update(max_runs=10**6), "timing expects"),
        (lambda c: c.update(version=2), "version expects"),
        (lambda c: c.update(format="x"), "format expects"),
        (lambda c: c.pop("machine"), "has no 'machine'"),
        (lambda c: c["machine"].update(cores=96), "passport"),
        (lambda c: c["machine"].pop("passport"), "passport"),
        (machine(cpu_model=["a"]), "cpu_model expects"),
        (machine(cpu_model="x\n!!python/object/apply:os.system [id]"), "machine expects"),
        (machine(memory_gib=-1), "memory_gib expects"),
        (machine(memory_gib="all"), "memory_gib expects"),
        (machine(cache_kib=None), "cache_kib expects"),
        (machine(cache_kib={"l3": "x"}), "l3 expects"),
        (machine(deep=[[[[[1]]]]]), "machine expects"),
        (machine(long="x" * 1000), "machine expects"),
        (lambda c: c["runtime"].update(onnxruntime="1.0\nevil: 1"), "onnxruntime expects"),
        (lambda c: c["runtime"].update(onnxruntime="1 & rm"), "expects a version"),
        (lambda c: c["runtime"].pop("numpy"), "has no 'numpy'"),
        (lambda c: c.update(foreign_load=-1), "foreign_load expects"),
        (lambda c: c.update(begun=[{}]), "has no 'role'"),
    ],
)
def test_a_result_that_no_run_writes_is_refused(changed, pack_path, tmp_path, refusal, edit, expected):
    path, out = changed(tmp_path / "result.json", edit), tmp_path / "out"
    sentence = refusal(receive, path, pack_path, "theirs", out)
    assert expected in sentence
    assert len(sentence) < 500
    assert not out.exists()


def test_an_accidental_change_is_noticed(changed, pack_path, tmp_path, refusal):
    path = changed(tmp_path / "result.json", sample(123456), seal=False)
    assert "was changed" in refusal(receive, path, pack_path, "theirs", tmp_path / "out")


def test_another_layout_of_the_same_content_is_no_change(measured, pack_path, tmp_path):
    document = json.loads(measured.read_text())
    content = dict(reversed(document["content"].items()))
    path = tmp_path / "result.json"
    path.write_text(json.dumps({"sha256": document["sha256"], "content": content}, indent=4))
    assert read_result(path, Pack(pack_path)) == read_result(measured, Pack(pack_path))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"content": NaN, "sha256": ""}', "NaN is no number"),
        (b'{"content": {}, "content": {}, "sha256": ""}', "repeated"),
        (b'{"content": ' + b"1" * 10_000 + b', "sha256": ""}', "not valid JSON"),
        (b"[]", "expects an object"),
        (b'{"content": {}}', "has no 'sha256'"),
        (b'{"content": {}, "sha256": ""}', "has no 'format'"),
        (b"\x80\x04\x95cos\nsystem\n", "not valid JSON"),
    ],
)
def test_a_file_that_is_no_result_is_refused(pack_path, tmp_path, refusal, content, expected):
    path = tmp_path / "result.json"
    path.write_bytes(content)
    assert expected in refusal(receive, path, pack_path, "theirs", tmp_path / "out")


def test_infinity_by_overflow_is_refused(measured, pack_path, tmp_path, refusal):
    path = tmp_path / "result.json"
    path.write_text(measured.read_text().replace('"started_at":', '"started_at":1e999,"x":', 1))
    assert "not finite" in refusal(receive, path, pack_path, "theirs", tmp_path / "out")


def test_a_huge_file_is_refused_unread(pack_path, tmp_path, refusal):
    path = tmp_path / "result.json"
    with path.open("wb") as file:
        file.truncate(LARGEST_RESULT + 1)
    assert "bytes, at most" in refusal(receive, path, pack_path, "theirs", tmp_path / "out")
    assert "Cannot read" in refusal(receive, tmp_path / "none.json", pack_path, "theirs", tmp_path / "out")


def test_the_result_of_another_pack_is_refused(measured, repacked, tmp_path, refusal):
    other = repacked(tmp_path / "other.zip", edit=lambda manifest: manifest.update(rounds=1))
    assert "pack expects" in refusal(receive, measured, other, "theirs", tmp_path / "out")


def test_a_pack_of_an_unknown_space_or_network_is_refused(measured, repacked, tmp_path, refusal):
    unknown = repacked(tmp_path / "a.zip", edit=lambda manifest: manifest.update(space="../nasbench201"))
    assert "Unknown space" in refusal(receive, measured, unknown, "theirs", tmp_path / "out")
    wrong = repacked(tmp_path / "b.zip", edit=lambda manifest: manifest["networks"][0].update(arch="|evil|"))
    assert "Malformed nasbench201 arch" in refusal(receive, measured, wrong, "theirs", tmp_path / "out")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_stands_in_a_result_it_is_read_or_refused(measured, pack_path, tmp_path, data):
    document = json.loads(measured.read_text())
    place, key = document, "content"
    while isinstance(place[key], dict | list) and place[key] and data.draw(st.integers(0, 4), label="deeper"):
        place = place[key]
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))), label="key")
    place[key] = data.draw(ANYTHING, label="value")
    facts = document["content"].get("machine") if isinstance(document["content"], dict) else None
    if isinstance(facts, dict):
        facts["passport"] = passport(facts)
    document["sha256"] = digest(document["content"])
    path, out = tmp_path / "result.json", tmp_path / f"out{len(list(tmp_path.iterdir()))}"
    path.write_text(json.dumps(document))
    with contextlib.suppress(WorkbenchError):
        assert (receive(path, pack_path, "theirs", out).reduced.table > 0).all(axis=None)


def made_up(pack: Pack, milliseconds, threads=(1,), failing=()) -> Result:
    """A complete result: ``milliseconds(task)`` for each timing, references after every network."""
    rows, turn = [], 0

    def add(task: Task) -> None:
        if task.arch in failing:
            rows.append(Row(task, float(len(rows)), failure="it failed"))
        else:
            rows.append(Row(task, float(len(rows)), 1, (int(milliseconds(task) * 1e6),) * 3))

    def references() -> None:
        for network in pack.manifest.of_role(REFERENCE):
            for count in threads:
                add(Task(REFERENCE, network.arch, count, turn))

    references()
    for number in range(pack.manifest.rounds):
        for network in pack.manifest.of_role(NETWORK):
            for count in threads:
                add(Task(NETWORK, network.arch, count, number))
            turn += 1
            references()
    facts = {"cpu_model": None, "memory_gib": None, "cache_kib": {}, "runtimes": {}}
    facts["passport"] = passport(facts)
    runtime = {"onnxruntime": "1.0", "provider": "CPU", "numpy": "2", "python": "3"}
    return Result(tuple(threads), facts, runtime, rows, complete=True)


def test_steady_references_do_not_drift_whatever_their_latencies(pack_path):
    pack = Pack(pack_path)
    steady = reference_drift(made_up(pack, lambda task: 1 + len(task.arch)))
    assert set(steady.values()) == {0.0}
    slow = reference_drift(made_up(pack, lambda task: 1.2 if task.round == 2 else 1.0))
    assert slow[1, 2] == pytest.approx(0.2)
    assert slow[1, 1] == 0.0
    assert not warnings(made_up(pack, lambda task: 1.0), pack.manifest)


def test_a_steady_load_by_others_is_told(pack_path):
    pack = Pack(pack_path)
    result = made_up(pack, lambda task: 1.0)
    result.foreign_load = 64.0
    (sentence,) = warnings(result, pack.manifest)
    assert "Other programs used 64.0 processors" in sentence


def test_networks_beside_drifting_references_are_marked(pack_path, archs, tmp_path):
    pack = Pack(pack_path)

    def milliseconds(task: Task) -> float:
        if task.role == REFERENCE:
            return 1.5 if task.round == 4 else 1.0  # the last pass
        return 2.0 if task.round == 0 else 1.0

    path = write_result(tmp_path / "result.json", made_up(pack, milliseconds), pack)
    received = receive(path, pack_path, "theirs", tmp_path / "out")
    marked = received.reduced.summary.set_index("arch")["quarantined"]
    assert marked.to_dict() == {archs[0]: False, archs[1]: True}
    assert received.drift == pytest.approx(0.5)
    (sentence,) = received.warnings
    assert "drifted by up to 50%" in sentence
    assert np.allclose(received.reduced.table["theirs"], 1.0)


def test_failures_have_no_number(pack_path, archs, tmp_path, refusal):
    pack = Pack(pack_path)
    path = write_result(tmp_path / "one.json", made_up(pack, lambda task: 1.0, failing=archs[:1]), pack)
    received = receive(path, pack_path, "theirs", tmp_path / "out")
    assert list(received.reduced.table.index) == archs[1:]
    assert received.failures == {("theirs", archs[0]): "it failed"}
    assert any("could not be measured" in sentence for sentence in received.warnings)
    path = write_result(tmp_path / "all.json", made_up(pack, lambda task: 1.0, failing=archs), pack)
    assert "every network failed" in refusal(receive, path, pack_path, "theirs", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_every_number_of_threads_is_a_column(pack_path, tmp_path):
    pack = Pack(pack_path)
    result = made_up(pack, lambda task: 4.0 / task.threads, threads=(1, 2))
    received = receive(write_result(tmp_path / "r.json", result, pack), pack_path, "theirs", tmp_path / "out")
    one, two = "theirs_onnxruntime_fp32_t1_b1", "theirs_onnxruntime_fp32_t2_b1"
    table = received.reduced.table
    assert list(table) == [one, two]
    assert np.allclose(table[one], 2 * table[two])
    assert {name: card.threads for name, card in received.cards.items()} == {one: 1, two: 2}
    assert {(card.hardware, card.family) for card in received.cards.values()} == {(None, None)}  # nothing was detected
    assert Path(received.table_path).is_file()
