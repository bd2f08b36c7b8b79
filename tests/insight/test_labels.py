"""Short names and units."""

from __future__ import annotations

import pytest

from workbench.insight.labels import NASBENCH201_LETTERS, axis_title, quantity, short_arch, split_unit


def test_short_arch_is_short_and_different_for_every_cell_of_the_space() -> None:
    from itertools import product

    cells = ["|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*ops) for ops in product(NASBENCH201_LETTERS, repeat=6)]
    names = {short_arch(cell) for cell in cells}
    assert len(names) == 15_625
    assert {len(name) for name in names} == {8}
    assert short_arch(cells[0]) == "0-00-000"


def test_short_arch_of_other_strings() -> None:
    assert short_arch("resnet18") == "resnet18"
    one, two = short_arch("k3_e6|" * 22), short_arch("k3_e6|" * 21 + "skip|")
    assert one != two
    assert max(len(one), len(two)) <= 22


@pytest.mark.parametrize(
    ("field", "title"),
    [
        ("accuracy_percent", "Accuracy (%)"),
        ("peak_fp32_gflops", "Peak fp32 (GFLOP/s)"),
        ("parameters", "Parameters (count)"),
        ("l3_mib", "L3 cache (MiB)"),
        ("beauty", "Beauty (no unit)"),
    ],
)
def test_axis_titles_name_the_unit(field: str, title: str) -> None:
    assert axis_title(field) == title


def test_units_and_quantities() -> None:
    assert split_unit("_ms") == ("_ms", "")
    assert quantity(1.234e9, "FLOPs") == "1.23 GFLOPs"
    assert quantity(0.5) == "0.5"
