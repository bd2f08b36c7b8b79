"""JSON that comes from elsewhere: parsed strictly, every field checked before it is used."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection
from typing import Any

LONGEST_TEXT = 400


class Malformed(ValueError):
    """What is wrong with a document, as a phrase; whoever opened it adds its name and what to do."""


def parse(text: bytes) -> Any:
    """The content of a JSON document; NaN, infinities and repeated keys are refused."""
    try:
        return json.loads(text.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"it is not valid JSON ({str(error).splitlines()[0][:100]})") from error


def digest(content: Any) -> str:
    """SHA-256 of the JSON of ``content``, independent of its layout and of the order of keys."""
    try:
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise Malformed("it holds a number that is not finite, or is nested too deeply") from error
    return hashlib.sha256(text.encode()).hexdigest()


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is repeated")
    return found


class Fields:
    """The fields of one JSON object, each checked when it is asked for.

    Args:
        content: what should be an object with exactly the keys ``names``.
        where: what it is called in a complaint.
    """

    def __init__(self, content: object, where: str, names: Collection[str]) -> None:
        self._where = where
        if not isinstance(content, dict):
            raise Malformed(f"{where} expects an object, got {_shown(content)}")
        for name in names:
            if name not in content:
                raise Malformed(f"{where} has no '{name}'")
        for name in content:
            if name not in names:
                raise Malformed(f"{where} has an unknown key {_shown(name)}")
        self._content = content

    def __getitem__(self, name: str) -> Any:
        """As it is: for what is compared with something known."""
        return self._content[name]

    def whole(self, name: str, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``."""
        return check_whole(self._content[name], low, high, f"{self._where}: {name}")

    def wholes(self, name: str, low: int, high: int) -> tuple[int, ...]:
        """A list of at least one whole number from ``low`` to ``high``, all of them different."""
        values = tuple(check_whole(value, low, high, f"{self._where}: {name}") for value in self.list(name))
        if not values or len(set(values)) < len(values):
            raise self._wrong(name, "a list of different numbers")
        return values

    def number(self, name: str, low: float, high: float) -> float:
        """A finite number from ``low`` to ``high``."""
        value = self._content[name]
        kind = isinstance(value, int | float) and not isinstance(value, bool)
        if not kind or not math.isfinite(value) or not low <= value <= high:
            raise self._wrong(name, f"a number from {low:g} to {high:g}")
        return float(value)

    def text(self, name: str) -> str:
        """Printable text, not empty, of at most `LONGEST_TEXT` characters."""
        value = self._content[name]
        if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= LONGEST_TEXT:
            raise self._wrong(name, f"printable text of 1 to {LONGEST_TEXT} characters")
        return value

    def list(self, name: str) -> list[Any]:
        """A list, its entries still unchecked."""
        if not isinstance(self._content[name], list):
            raise self._wrong(name, "a list")
        return self._content[name]

    def flag(self, name: str) -> bool:
        """True or false."""
        if not isinstance(self._content[name], bool):
            raise self._wrong(name, "true or false")
        return self._content[name]

    def equals(self, name: str, expected: object) -> None:
        """Refuse anything but ``expected``."""
        if self._content[name] != expected:
            raise self._wrong(name, _shown(expected))

    def plain(self, name: str, depth: int = 3) -> dict[str, Any]:
        """An object of printable texts, finite numbers, true, false, null, and lists and objects of these."""
        value = self._content[name]
        if not isinstance(value, dict) or not _is_plain(value, depth):
            raise self._wrong(name, "an object of short texts and finite numbers")
        return value

    def _wrong(self, name: str, expected: str) -> Malformed:
        return Malformed(f"{self._where}: {name} expects {expected}, got {_shown(self._content[name])}")


def check_whole(value: object, low: int, high: int, where: str) -> int:
    """``value`` if it is a whole number from ``low`` to ``high``."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise Malformed(f"{where} expects a whole number from {low} to {high}, got {_shown(value)}")
    return value


def _is_plain(value: object, depth: int) -> bool:
    if isinstance(value, str):
        return value.isprintable() and len(value) <= LONGEST_TEXT
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int | float):
        return math.isfinite(value) and abs(value) < 2**53
    if depth == 0:
        return False
    if isinstance(value, dict):
        return all(_is_plain(one, depth - 1) for pair in value.items() for one in pair)
    return isinstance(value, list) and all(_is_plain(one, depth - 1) for one in value)


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."
