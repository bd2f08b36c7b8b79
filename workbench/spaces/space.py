"""The interface of a search space, and the building blocks that the spaces share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from workbench.config import WorkbenchError
from workbench.graphs.graph import Graph

if TYPE_CHECKING:
    from torch import nn


class Space(Protocol):
    """A family of networks, each written as an ``arch`` string.

    ``format(parse(arch)) == arch`` holds for canonical strings; ``graph`` and ``module`` describe the same network:
    the same convolution and linear FLOPs and the same operators.
    """

    name: str

    def input_shape(self, arch: str) -> tuple[int, int, int]:
        """Channels, height, width of the input of this network."""

    def sample(self, count: int, generator: np.random.Generator) -> list[str]:
        """``count`` distinct random arch strings; asking for more than there are raises."""

    def parse(self, arch: str) -> Any:
        """The choices that ``arch`` writes down; a malformed string raises `WorkbenchError`."""

    def format(self, choices: Any) -> str:
        """The arch string of ``choices``."""

    def graph(self, arch: str) -> Graph:
        """The operator graph of ``arch``."""

    def module(self, arch: str) -> nn.Module:
        """A runnable torch network with random weights, in eval mode."""


def malformed(space: str, arch: object, expected: str) -> WorkbenchError:
    """The error for an arch string that is not of ``space``."""
    text = " ".join(str(arch).split())  # one line, whatever was given
    shown = text if len(text) <= 90 else text[:87] + "..."
    return WorkbenchError(f"Malformed {space} arch '{shown}': expected {expected}; correct the string.")


def distinct(count: int, draw: Callable[[], str], limit: int | None, space: str) -> list[str]:
    """``count`` distinct strings from ``draw()``; more than ``limit`` raises."""
    if count < 0 or (limit is not None and count > limit):
        raise WorkbenchError(f"Cannot draw {count} distinct networks from {space}, which has {limit}; ask for fewer.")
    found: dict[str, None] = {}
    while len(found) < count:
        found[draw()] = None
    return list(found)
