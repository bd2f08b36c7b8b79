"""What holds of every published format: the numbers arrive in milliseconds, and what is wrong is one sentence."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from tests.data.published.formats import DEVICES, FORMATS, archs_of, frame_of
from workbench.config import WorkbenchError
from workbench.data.published import READERS, Options, import_published
from workbench.data.sources import load_table

KINDS = sorted(READERS)


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def frame():
    return frame_of(devices=DEVICES)


def refused(kind, path, out, options=None) -> str:
    """The sentence with which the import is refused; nothing has been written."""
    with pytest.raises(WorkbenchError) as caught:
        import_published(kind, path, out, options)
    assert not list(out.glob("*.parquet")), "nothing is half-written"
    sentence = str(caught.value)
    assert len(sentence.splitlines()) == 1
    assert len(sentence) < 600
    return sentence


def test_every_format_has_files_to_test_it():
    assert set(FORMATS) == set(READERS)


def test_latencies_arrive_in_milliseconds(kind, frame, tmp_path):
    made = FORMATS[kind](tmp_path / "theirs", frame)
    calls = []
    (imported,) = import_published(kind, made.path, tmp_path / "out", made.options, lambda *call: calls.append(call))
    assert imported.path == tmp_path / "out" / "nasbench201.parquet"
    assert imported.added == frame.size
    assert calls[-1][0] == calls[-1][1] == len(calls)
    table = load_table("nasbench201", list(DEVICES), [tmp_path / "out"])
    pd.testing.assert_frame_equal(table.frame, frame, rtol=1e-14, check_index_type=False)


def test_some_devices_only(kind, frame, tmp_path):
    made = FORMATS[kind](tmp_path / "theirs", frame)
    options = dataclasses.replace(made.options, devices=(DEVICES[1],))
    (imported,) = import_published(kind, made.path, tmp_path / "out", options)
    assert imported.table.devices == [DEVICES[1]]
    options = dataclasses.replace(made.options, devices=("mobile-cpu-too-int8",))
    assert f"did you mean '{DEVICES[1]}'" in refused(kind, made.path, tmp_path / "none", options)


def test_twice_is_as_good_as_once(kind, frame, tmp_path):
    made, out = FORMATS[kind](tmp_path / "theirs", frame), tmp_path / "out"
    import_published(kind, made.path, out, made.options)
    before = (out / "nasbench201.parquet").read_bytes()
    (again,) = import_published(kind, made.path, out, made.options)
    assert again.added == 0
    assert (out / "nasbench201.parquet").read_bytes() == before


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *((kind, value) for kind in KINDS for value in (0.0, -3.0, np.inf)),
        *((kind, np.nan) for kind in KINDS if kind not in ("csv", "parquet")),  # a plain table may have holes
    ],
)
def test_what_is_no_latency_is_refused(kind, frame, tmp_path, value):
    frame.iloc[3, 1] = value
    made = FORMATS[kind](tmp_path / "theirs", frame)
    sentence = refused(kind, made.path, tmp_path / "out", made.options)
    assert frame.index[3] in sentence
    assert DEVICES[1] in sentence


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "eagle"])  # numbers there: see test_eagle.py
def test_an_unknown_operation_is_refused(kind, frame, tmp_path):
    renamed = frame.rename(index={frame.index[2]: "|conv_9x9~0|+|none~0|none~1|+|none~0|none~1|none~2|"})
    made = FORMATS[kind](tmp_path / "theirs", renamed)
    assert "conv_9x9" in refused(kind, made.path, tmp_path / "out", made.options)


@pytest.mark.parametrize("content", [b"", b"\x00\xff\x17 nothing at all", b"PAR1", b"a,b\n1,2\n"])
def test_another_file_is_refused(kind, frame, tmp_path, content):
    made = FORMATS[kind](tmp_path / "theirs", frame)
    for file in [made.path] if made.path.is_file() else [file for file in made.path.rglob("*") if file.is_file()]:
        file.write_bytes(content)
    assert str(made.path.name) in refused(kind, made.path, tmp_path / "out", made.options)


def test_a_missing_or_empty_place_is_refused(kind, frame, tmp_path):
    options = FORMATS[kind](tmp_path / "theirs", frame).options
    assert "There is no" in refused(kind, tmp_path / "none", tmp_path / "out", options)
    (tmp_path / "empty").mkdir()
    refused(kind, tmp_path / "empty", tmp_path / "out", options)


def test_units_are_stated_or_fixed_by_the_format(kind, frame, tmp_path):
    made = FORMATS[kind](tmp_path / "theirs", frame)
    if made.options.unit:
        sentence = refused(kind, made.path, tmp_path / "out", dataclasses.replace(made.options, unit=None))
        assert "does not say the unit of its latencies; state it with --unit" in sentence
    else:
        sentence = refused(kind, made.path, tmp_path / "out", dataclasses.replace(made.options, unit="us"))
        assert "README states latencies in" in sentence


def test_networks_are_given_only_where_they_are_not_named(kind, frame, tmp_path):
    made = FORMATS[kind](tmp_path / "theirs", frame)
    options = dataclasses.replace(made.options, archs=tuple(archs_of("fbnet")), space=made.options.space)
    if kind == "help":
        assert "Malformed nasbench201 arch" in refused(kind, made.path, tmp_path / "out", options)
    elif kind != "hw_nas_bench":
        assert "names its networks itself" in refused(kind, made.path, tmp_path / "out", options)


def test_unknown_names_are_answered_with_the_like(frame, tmp_path):
    made = FORMATS["csv"](tmp_path / "theirs", frame)
    assert "did you mean 'parquet'" in refused("parket", made.path, tmp_path / "out", made.options)
    with pytest.raises(WorkbenchError, match="Unknown unit 'm'"):
        Options(unit="m")
    with pytest.raises(WorkbenchError, match="did you mean 'fbnet'"):
        Options(space="fbnett")
