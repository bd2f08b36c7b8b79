"""Pickles of other people, read without running anything: plain containers, numbers, text and NumPy arrays only.

A pickle is a program: it names functions and calls them. Here a name is only admitted from a short list, and even
NumPy's own names are not NumPy's: they lead to stand-ins that rebuild the *values* in Python. NumPy's functions trust
what they are given (a type's flags, the address inside an object array), which a crafted file can use to reach into
memory. Arrays therefore come out as lists, NumPy's scalars as Python's numbers.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from workbench.config import WorkbenchError
from workbench.data.table import reason

_NAME = re.compile(r"([biuf]\d{1,2})|([US]\d{1,6})|(O8?)")


class _StandIn:
    """Something that a file may name. Its state cannot be set, so that no file changes what the next one meets."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("it sets the state of something that has none")


class _DType(_StandIn):
    """For ``numpy.dtype``: a type of numbers, of text, or of objects (which then stand in a list, not in memory)."""

    __slots__ = ("_name", "_order")

    def __init__(self, name: str, align: object = False, copy: object = False) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise pickle.UnpicklingError("an array is of a type that is neither number nor text")
        self._name, self._order = name, "="

    def __setstate__(self, state: object) -> None:
        # (version, byte order, subarray, names, fields, size, alignment, flags): only the order means anything here
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", ">", "=", "|"):
            raise pickle.UnpicklingError("the type of an array is not described as NumPy does")
        self._order = "=" if state[1] == "|" else state[1]

    def values(self, data: Any, shape: Any, fortran: bool) -> list:
        """The values in ``data``, bytes or (objects) a list, as nested lists of ``shape``."""
        if not isinstance(shape, tuple) or not shape or not all(type(size) is int and size >= 0 for size in shape):
            raise pickle.UnpicklingError("an array has no valid shape")
        if self._name.startswith("O"):
            if type(data) is not list or shape != (len(data),):
                raise pickle.UnpicklingError("an array of objects is no list of them")
            return data
        raw = data.encode("latin1") if isinstance(data, str) else data  # text is how Python 2 wrote bytes
        if not isinstance(raw, bytes | bytearray):
            raise pickle.UnpicklingError("an array has no bytes")
        array = np.frombuffer(raw, np.dtype(self._order + self._name))
        return array.reshape(shape, order="F" if fortran else "C").tolist()


class _Array(_StandIn, list):
    """For ``numpy.ndarray``: the (nested) list of its values."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], _DType):
            raise pickle.UnpicklingError("an array is not described as NumPy does")
        _, shape, dtype, fortran, data = state
        self[:] = dtype.values(data, shape, bool(fortran))


class _Reconstruct(_StandIn):
    """For ``numpy.core.multiarray._reconstruct``: an array that is filled afterwards."""

    __slots__ = ()

    def __new__(cls, *_: object) -> Any:
        return _Array()


class _Scalar(_StandIn):
    """For ``numpy.core.multiarray.scalar``: one number or text."""

    __slots__ = ()

    def __new__(cls, dtype: _DType, data: object) -> Any:
        if not isinstance(dtype, _DType):
            raise pickle.UnpicklingError("a number is of an unknown type")
        return dtype.values(data, (1,), False)[0]


class _FromBuffer(_StandIn):
    """For ``numpy.core.numeric._frombuffer``, which pickle's protocol 5 names: the list of an array's values."""

    __slots__ = ()

    def __new__(cls, data: object, dtype: _DType, shape: object, order: object) -> Any:
        if not isinstance(dtype, _DType):
            raise pickle.UnpicklingError("an array is of an unknown type")
        return dtype.values(data, shape, order == "F")


class _Encode(_StandIn):
    """For ``_codecs.encode``: how protocols before 3 write bytes. Any other encoding would be a call by name."""

    __slots__ = ()

    def __new__(cls, text: object, encoding: object = "latin1") -> Any:
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
            raise pickle.UnpicklingError("bytes are not written as pickle does")
        return text.encode("latin1")


class _NoBytes(_StandIn):
    """For ``bytes``, which protocols before 3 call for no bytes at all."""

    __slots__ = ()

    def __new__(cls) -> Any:
        return b""


#: NumPy's names before and since version 2.
_NUMPY: Mapping[tuple[str, str], type] = {
    ("numpy", "dtype"): _DType,
    ("numpy", "ndarray"): _Array,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _Scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _FromBuffer for core in ("core", "_core")},
}
_BUILTINS = ("builtins", "__builtin__")
#: Everything that a pickle may name. The types of Python here are immutable: nothing can be set on them.
ADMITTED: Mapping[tuple[str, str], type] = {
    **_NUMPY,
    ("_codecs", "encode"): _Encode,
    ("collections", "OrderedDict"): dict,
    **{(module, "bytes"): _NoBytes for module in _BUILTINS},
    **{(module, kind.__name__): kind for module in _BUILTINS for kind in (set, frozenset)},
}
#: The same for ``torch.serialization.safe_globals``: torch's own reader knows no NumPy.
TORCH_GLOBALS: list[tuple[Any, str]] = [(kind, f"{module}.{name}") for (module, name), kind in _NUMPY.items()]


class _NotAdmitted(pickle.UnpicklingError):
    """The file names something that is not in `ADMITTED`."""


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ADMITTED:
            raise _NotAdmitted(f"{module}.{name}"[:80])
        return ADMITTED[module, name]


def read_pickle(path: str | Path) -> Any:
    """What the pickle ``path`` holds, as plain Python: dict, list, tuple, set, numbers, text, bytes.

    Raises:
        WorkbenchError: the file cannot be read, is damaged, or names anything but plain containers and NumPy arrays.
    """
    try:
        with open(path, "rb") as file:
            return _PlainUnpickler(file, encoding="latin1").load()
    except _NotAdmitted as error:
        raise WorkbenchError(
            f"{path} expects a pickle of plain containers, numbers, text and NumPy arrays, but it names "
            f"{str(error)!a}, which could run code; take the file from its publisher."
        ) from error
    except Exception as error:  # a damaged pickle raises nearly anything, and all of it means the same here
        raise WorkbenchError(f"Cannot read {path} as a pickle ({reason(error)}); download it anew.") from error
