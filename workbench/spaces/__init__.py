"""What can be built: search spaces, each with its arch strings, operator graphs and runnable networks."""

from __future__ import annotations

from workbench.config import lookup
from workbench.spaces.fbnet import FBNet
from workbench.spaces.nasbench201 import NASBench201
from workbench.spaces.ofa_mobilenetv3 import OFAMobileNetV3
from workbench.spaces.space import Space

SPACES: dict[str, Space] = {space.name: space for space in (NASBench201(), FBNet(), OFAMobileNetV3())}


def get_space(name: str) -> Space:
    """The space called ``name``; an unknown name raises with the nearest one."""
    return lookup("space", SPACES, name)
