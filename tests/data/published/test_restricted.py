"""Pickles that try to run something: none may, and plain ones come out as they are."""

from __future__ import annotations

import copyreg
import os
import pickle
import subprocess
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data.published.formats import frame_of, make_help, save
from workbench.config import WorkbenchError
from workbench.data.published import import_published
from workbench.data.published.restricted import ADMITTED, read_pickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Reduced:
    """Pickled as a call of ``function(*arguments)``, with a state."""

    def __init__(self, function, *arguments, state=None):
        self.parts = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.parts

    def __call__(self):
        """Never: pickle wants to see something that could be called."""


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file that stands here only if something was run."""
    return tmp_path / "canary"


def touching(canary: Path) -> str:
    return f"__import__('pathlib').Path({str(canary)!r}).touch()"


def calls(canary: Path) -> dict[str, object]:
    """Things that would make the canary, were they called."""
    code, shell = touching(canary), f"touch {canary}"
    return {
        "os.system": Reduced(os.system, shell),
        "eval": Reduced(eval, code),
        "exec": Reduced(exec, code),
        "popen": Reduced(subprocess.Popen, ["touch", str(canary)]),
        "getattr": Reduced(Reduced(getattr, Reduced(__import__, "os"), "system"), shell),
        "open": Reduced(open, str(canary), "w"),
        "in a value": {(0, 1, 2, 3, 4, 0): 0.5, (1, 1, 1, 1, 1, 1): Reduced(os.system, shell)},
        "in a key": {(0, Reduced(os.system, shell)): 1.0},
        "in a list in a list": [[[[Reduced(os.system, shell)]]]],
        "in the argument of an admitted call": Reduced(set, [Reduced(os.system, shell)]),
        "as the state of an admitted thing": Reduced(OrderedDict, state={"x": Reduced(os.system, shell)}),
        "in an array of objects": np.array([Reduced(os.system, shell), 1], dtype=object),
        "as the type of an array": Reduced(np.dtype, Reduced(os.system, shell)),
    }


def refused(path: Path) -> str:
    with pytest.raises(WorkbenchError) as caught:
        read_pickle(path)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.parametrize("name", sorted(calls(Path("x"))))
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_nothing_is_called(name, protocol, canary, tmp_path):
    path = tmp_path / "hostile.pickle"
    path.write_bytes(pickle.dumps(calls(canary)[name], protocol))
    assert "could run code" in refused(path)
    assert not canary.exists()


@pytest.mark.parametrize("name", sorted(calls(Path("x"))))
def test_nothing_is_called_through_torch(name, canary, tmp_path):
    made = make_help(tmp_path / "help", frame_of())
    save(tmp_path / "help" / "data" / "nasbench201" / "latency" / "phone.pt", calls(canary)[name])
    with pytest.raises(WorkbenchError, match=r"Cannot read .*phone.pt") as caught:
        import_published("help", made.path, tmp_path / "out")
    assert len(str(caught.value).splitlines()) == 1
    assert not canary.exists()
    assert not (tmp_path / "out").exists()


def opcodes(canary: Path) -> dict[str, bytes]:
    """Programs that Python's own pickler would not write."""
    shell = f"touch {canary}".encode()
    text = b"X" + len(shell).to_bytes(4, "little") + shell
    state = b"\x8c\x0c__setstate__K\x05"  # an entry of a mapping: this name, the number 5
    return {
        "GLOBAL REDUCE": b"cposix\nsystem\n" + text + b"\x85R.",
        "INST": b"(" + text + b"iposix\nsystem\n.",
        "OBJ": b"(cposix\nsystem\n" + text + b"o.",
        "NEWOBJ": b"\x80\x02csubprocess\nPopen\n" + text + b"\x85\x81.",
        "NEWOBJ_EX": b"\x80\x04csubprocess\nPopen\n" + text + b"\x85}\x92.",
        "STACK_GLOBAL": b"\x80\x04\x8c\x05posix\x8c\x06system\x93" + text + b"\x85R.",
        "dotted name": b"\x80\x04\x8c\x05numpy\x8c\x1adtype.__init__.__globals__\x93.",
        "dotted module": b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.__init__\x93.",
        "numpy's runstring": b"cnumpy.testing._private.utils\nrunstring\n" + text + b"}\x86R.",
        "numpy's myeval": b"cnumpy.f2py.crackfortran\nmyeval\n" + text + b"\x85R.",
        "numpy's load": b"cnumpy\nload\n" + text + b"\x85R.",
        "PERSID": b"Psomething\n.",
        "EXT1": b"\x82\xf0" + text + b"\x85R.",
        "codec by name": b"c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00rot13\x86R.",
        "state of a stand-in's class": b"\x80\x04cnumpy\ndtype\nN}" + state + b"s\x86b.",
        "state of a stand-in function": b"\x80\x04cnumpy.core.multiarray\nscalar\nN}" + state + b"s\x86b.",
        "state of a builtin": b"\x80\x04cbuiltins\nset\nN}" + state + b"s\x86b.",
        "attributes of an array": b"\x80\x04cnumpy.core.multiarray\n_reconstruct\n)R}" + state + b"sb.",
        "attributes of a type": b"\x80\x04cnumpy\ndtype\n\x8c\x02f8\x85R}" + state + b"sb.",
    }


@pytest.mark.parametrize("name", sorted(opcodes(Path("x"))))
def test_no_opcode_runs_anything_or_changes_what_comes_next(name, canary, tmp_path):
    path = tmp_path / "hostile.pickle"
    copyreg.add_extension("posix", "system", 0xF0)
    try:
        path.write_bytes(opcodes(canary)[name])
        refused(path)
    finally:
        copyreg.remove_extension("posix", "system", 0xF0)
    assert not canary.exists()
    path.write_bytes(pickle.dumps([np.arange(3.0), np.float32(2)], 4))
    assert read_pickle(path) == [[0, 1, 2], 2], "the stand-ins are as they were"


def objects_by_address(flags: int) -> object:
    """An array of objects whose bytes are addresses: NumPy believes a type whose flags say that it holds none."""
    dtype = Reduced(np.dtype, "O8", False, True, state=(3, "|", None, None, None, -1, -1, flags))
    state = (1, (1,), dtype, False, (0x4141414141414141).to_bytes(8, "little"))
    return Reduced(np.array(0).__reduce__()[0], np.ndarray, (0,), b"b", state=state)


def test_numpy_is_not_led_to_an_address(tmp_path):
    path = tmp_path / "hostile.pickle"
    scalar = np.float64(1).__reduce__()[0]
    address = np.array([0x4141414141414141], dtype=np.uint64)
    for content in (
        objects_by_address(0),
        objects_by_address(63),
        Reduced(scalar, np.dtype("O"), address),
        Reduced(scalar, np.dtype([("a", "O")]), address),
        Reduced(scalar, np.dtype("V8"), address),
        Reduced(np.ndarray, (1,), np.dtype("O"), address.tobytes()),
    ):
        path.write_bytes(pickle.dumps(content, 2))
        refused(path)
        made = make_help(tmp_path / "help", frame_of())
        save(tmp_path / "help" / "data" / "nasbench201" / "latency" / "phone.pt", content)
        with pytest.raises(WorkbenchError, match=r"phone.pt"):
            import_published("help", made.path, tmp_path / "out")


def test_the_names_that_are_admitted_are_few_and_none_is_numpys_own():
    assert len(ADMITTED) <= 16
    for kind in ADMITTED.values():
        assert isinstance(kind, type)
        assert kind in (dict, set, frozenset) or kind.__module__ == "workbench.data.published.restricted"


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.tuples(st.integers()), inner, max_size=4)
        | st.sets(st.integers(), max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=PLAIN, protocol=st.sampled_from(list(PROTOCOLS)))
def test_plain_content_comes_out_as_it_is(content, protocol, tmp_path):
    path = tmp_path / "plain.pickle"
    path.write_bytes(pickle.dumps(content, protocol))
    assert read_pickle(path) == content


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_and_scalars_come_out_as_numbers(protocol, tmp_path):
    path = tmp_path / "numpy.pickle"
    values = np.array([[1, 2, 3], [4, 5, 6]])
    for dtype in ("f8", "f4", "f2", "i8", "u1", ">f8", ">i4", "bool"):
        array = values.astype(dtype)
        content = {"c": array, "fortran": np.asfortranarray(array), "scalar": array[1, 2], "tuple": (array[0, 1], 0)}
        path.write_bytes(pickle.dumps(content, protocol))
        read = read_pickle(path)
        assert read == {
            "c": array.tolist(),
            "fortran": array.tolist(),
            "scalar": array[1, 2],
            "tuple": (array[0, 1], 0),
        }
        assert type(read["scalar"]) in (int, float, bool)
    content = OrderedDict(
        names=np.array(["none", "skip"]), name=np.str_("x"), rows=np.array([{"a": 1}, {}], dtype=object)
    )
    path.write_bytes(pickle.dumps(content, protocol))
    assert read_pickle(path) == {"names": ["none", "skip"], "name": "x", "rows": [{"a": 1}, {}]}


def test_half_a_file_is_one_sentence(tmp_path):
    path = tmp_path / "half.pickle"
    whole = pickle.dumps({(0, 1): np.float64(0.5), "array": np.arange(4.0)}, 2)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert "download it anew" in refused(path)
