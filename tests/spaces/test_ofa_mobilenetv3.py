"""Once-for-All MobileNetV3: JSON strings, ignored positions, squeeze-and-excite."""

from __future__ import annotations

import json

import numpy as np
import pytest

from workbench.graphs.features import physics
from workbench.spaces.ofa_mobilenetv3 import RESOLUTIONS, Choices, OFAMobileNetV3

SPACE = OFAMobileNetV3()
SMALL = Choices(224, (2,) * 5, (3,) * 20, (3,) * 20)


def changed(**values: object) -> str:
    return json.dumps({**SMALL._asdict(), **values})


@pytest.mark.parametrize(
    "arch",
    [
        changed(r=127),
        changed(r=228),
        changed(r="224"),
        changed(r=True),
        changed(d=[2] * 4),
        changed(d=[5] * 5),
        changed(d=2),
        changed(ks=[3] * 19),
        changed(ks=[4] * 20),
        changed(e=[3] * 19 + [5]),
        changed(e=[[3]] * 20),
        changed(d=[2.0] * 5),
        changed(ks=[3.0] * 20),
        json.dumps({"r": 224, "d": [2] * 5, "ks": [3] * 20}),
        "[224]",
        "224",
        "not JSON",
    ],
)
def test_wrong_choices_are_refused(arch):
    with pytest.raises(ValueError, match=r"Malformed ofa_mobilenetv3 arch '.*': expected JSON with r \(128-224\)"):
        SPACE.parse(arch)


def test_positions_beyond_the_depth_are_ignored():
    kernels = [3] * 20
    for position in range(2, 20, 4):
        kernels[position] = kernels[position + 1] = 7
    other = SPACE.format(SMALL._replace(ks=tuple(kernels)))
    assert other != SPACE.format(SMALL)
    assert SPACE.graph(other) == SPACE.graph(SPACE.format(SMALL))


def test_input_shape_is_the_resolution():
    assert SPACE.input_shape(changed(r=160)) == (3, 160, 160)
    assert {SPACE.parse(arch).r for arch in SPACE.sample(400, np.random.default_rng(0))} == set(RESOLUTIONS)


def test_squeeze_excite_stands_in_three_stages():
    names = [op.name for op in SPACE.graph(SPACE.format(SMALL)).ops if op.kind == "squeeze_excite"]
    assert {name.split(" block")[0] for name in names} == {"stage 2", "stage 4", "stage 5"}
    assert len(names) == 3 * 2


def test_size_of_a_known_network():
    """The largest network of the space at 224 has some 7.7 million weights and 560 million multiply-adds."""
    largest = SPACE.format(Choices(224, (4,) * 5, (7,) * 20, (6,) * 20))
    flops = sum(physics(op).flops for op in SPACE.graph(largest).ops)
    assert 4e8 < flops / 2 < 7e8
