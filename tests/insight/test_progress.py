"""The one progress bar, however it is told how far things are."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from workbench.insight.progress import ProgressBar


@pytest.mark.parametrize(
    "steps",
    [
        [(1, 2), (2, 2)],
        [(SimpleNamespace(done=1, total=2),), (SimpleNamespace(done=2, total=2),)],
    ],
    ids=["numbers", "records"],
)
def test_it_learns_the_total_and_closes_at_the_end(steps, capsys):
    bar = ProgressBar("Working")
    for step in steps:
        bar(*step)
    assert (bar._bar.n, bar._bar.total, bar._bar.disable) == (2, 2, True)
    assert "2/2" in capsys.readouterr().err


def test_what_is_no_total_is_ignored():
    bar = ProgressBar("Training", 4)
    bar(1, 0.25)
    assert (bar._bar.n, bar._bar.total) == (1, 4)


def test_in_a_notebook_it_is_a_whole_bar_once_the_total_is_known(monkeypatch):
    from tqdm.notebook import tqdm

    monkeypatch.setattr("workbench.insight.progress.tqdm", tqdm)
    bar = ProgressBar("Working")
    drawn = bar._bar.container.children[1]
    assert drawn.layout.width == "20px"
    bar(1, 3)
    assert (drawn.layout.width, drawn.max) == (None, 3)
