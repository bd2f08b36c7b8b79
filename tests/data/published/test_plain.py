"""Plain tables: units, holes, names, and tables that are real."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from tests.data.published.formats import archs_of, frame_of, make_csv, make_parquet
from workbench.config import WorkbenchError
from workbench.data.published import Options, import_published
from workbench.data.published.reader import MS_PER

ARCHS = archs_of(count=3)


def write(path, *lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def refused(path, options=None, kind="csv") -> str:
    with pytest.raises(WorkbenchError) as caught:
        import_published(kind, path, path.parent / "out", options or Options(space="nasbench201", unit="ms"))
    assert len(str(caught.value).splitlines()) == 1
    assert not (path.parent / "out" / "nasbench201.parquet").exists()
    return str(caught.value)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("unit", sorted(MS_PER))
def test_units(kind, unit, tmp_path):
    frame = frame_of()
    made = {"csv": make_csv, "parquet": make_parquet}[kind](tmp_path, frame)
    (imported,) = import_published(kind, made.path, tmp_path / "out", Options(space="nasbench201", unit=unit))
    expected = frame * MS_PER[unit] / MS_PER[made.options.unit]
    np.testing.assert_allclose(imported.read.frame, expected, rtol=1e-12)


def test_the_name_of_a_file_may_say_the_space(tmp_path):
    frame = frame_of("fbnet")
    file = tmp_path / "fbnet.csv"
    frame.reset_index().to_csv(file, index=False)
    (imported,) = import_published("csv", file, tmp_path / "out", Options(unit="ms"))
    assert imported.read.space == "fbnet"
    assert "state it with --space" in refused(file.rename(tmp_path / "their_fbnet.csv"), Options(unit="ms"))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_an_empty_cell_is_not_measured(kind, tmp_path):
    frame = frame_of()
    frame.iloc[2, 1] = np.nan
    made = {"csv": make_csv, "parquet": make_parquet}[kind](tmp_path, frame)
    (imported,) = import_published(kind, made.path, tmp_path / "out", made.options)
    assert imported.added == frame.size - 1
    assert np.isnan(imported.read.frame.iloc[2, 1])
    frame["phone"] = np.nan
    made = {"csv": make_csv, "parquet": make_parquet}[kind](tmp_path, frame)
    with pytest.raises(WorkbenchError, match="column 'phone' holds no latency"):
        import_published(kind, made.path, tmp_path / "other", made.options)


def test_what_spreadsheets_write(tmp_path):
    file = tmp_path / "excel.csv"
    lines = ["\ufeffarch, phone ", *(f"{arch}, {row + 1.5}" for row, arch in enumerate(ARCHS)), "", ""]
    file.write_text("\r\n".join(lines), encoding="utf-8", newline="")
    (imported,) = import_published("csv", file, tmp_path / "out", Options(space="nasbench201", unit="ms"))
    assert imported.read.frame["phone"].tolist() == [1.5, 2.5, 3.5]


def test_archs_are_written_as_the_space_writes_them(tmp_path):
    archs = archs_of("ofa_mobilenetv3", 3)
    spaced = [json.dumps(json.loads(arch), sort_keys=True) for arch in archs]
    pd.DataFrame({"arch": spaced, "phone": [1.0, 2, 3]}).to_csv(tmp_path / "ofa_mobilenetv3.csv", index=False)
    (imported,) = import_published("csv", tmp_path / "ofa_mobilenetv3.csv", tmp_path / "out", Options(unit="ms"))
    assert imported.read.archs == archs
    pd.DataFrame({"arch": [spaced[0], archs[0]], "phone": [1.0, 2]}).to_csv(tmp_path / "twice.csv", index=False)
    assert "several rows" in refused(tmp_path / "twice.csv", Options(space="ofa_mobilenetv3", unit="ms"))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], "expects a first line of names"),
        (["phone", "1"], "one of them 'arch', got 'phone'"),
        (["arch;phone", f"{ARCHS[0]};1"], "got 'arch;phone'"),
        (["arch,phone,phone", f"{ARCHS[0]},1,2"], "a name of its own for each column"),
        (["arch,phone,", f"{ARCHS[0]},1,2"], "a name of its own for each column"),
        (["arch,phone", f"{ARCHS[0]},1,2"], "line 2 expects 2 cells, got 3"),
        (["arch,phone", f"{ARCHS[0]},1", f"{ARCHS[1]},fast"], "line 3, phone expects a number, got 'fast'"),
        (["arch,phone", f'"{ARCHS[0]},1'], "Cannot read"),
        (["arch,phone"], "holds no latency"),
        (["arch", ARCHS[0]], "latencies of at least one device, got none"),
        (["arch,phone", f"{ARCHS[0]},1", f"{ARCHS[0]},1"], "several rows"),
        (["arch,phone", f"{ARCHS[0]},0"], "expects a positive number"),
        (["arch,phone", f"{ARCHS[0]},1e999"], "expects a positive number"),
        (["arch,phone", ",1"], "Malformed nasbench201 arch"),
        (["arch,a\x07b", f"{ARCHS[0]},1"], "printable names"),
    ],
)
def test_bad_csv_is_one_sentence(lines, expected, tmp_path):
    assert expected in refused(write(tmp_path / "theirs.csv", *lines))


def test_csv_in_another_encoding(tmp_path):
    (tmp_path / "theirs.csv").write_bytes("arch,t\xe9l\xe9phone\n".encode("latin1"))
    assert "UTF-8" in refused(tmp_path / "theirs.csv")


def test_bad_parquet_is_one_sentence(tmp_path):
    options = Options(space="nasbench201", unit="ms")
    file = tmp_path / "theirs.parquet"
    pd.DataFrame({"phone": [1.0]}).to_parquet(file)
    assert "expects a string column 'arch'" in refused(file, options, "parquet")
    pd.DataFrame({"arch": ARCHS, "phone": ["1", "2", "3"]}).to_parquet(file)
    assert "expects milliseconds as numbers" in refused(file, options, "parquet")
    pd.DataFrame({"arch": [1, 2, 3], "phone": [1.0, 2, 3]}).to_parquet(file)
    assert "Malformed nasbench201 arch '1'" in refused(file, options, "parquet")


@pytest.mark.parametrize("space", ["nasbench201", "fbnet", "ofa_mobilenetv3"])
def test_real_tables_survive(space, tmp_path, shared_data):
    file = shared_data / "data" / f"{space}.parquet"
    frame = pd.read_parquet(file).set_index("arch")
    (imported,) = import_published("parquet", file, tmp_path / "out", Options(unit="ms"))
    pd.testing.assert_frame_equal(imported.read.frame, frame.astype(float), check_index_type=False)
    written = pd.read_parquet(imported.path).set_index("arch")
    pd.testing.assert_frame_equal(written, frame.astype(float), check_index_type=False)


def test_a_real_table_survives_as_csv(tmp_path, shared_data):
    frame = pd.read_parquet(shared_data / "data" / "fbnet.parquet").set_index("arch").astype(float)
    frame.reset_index().to_csv(tmp_path / "fbnet.csv", index=False)
    (imported,) = import_published("csv", tmp_path / "fbnet.csv", tmp_path / "out", Options(unit="ms"))
    pd.testing.assert_frame_equal(imported.read.frame, frame, check_index_type=False)
