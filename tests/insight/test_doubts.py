"""Readings that are odd are told; others are not."""

from __future__ import annotations

import numpy as np

from tests.predictor.test_adapt import BLOCKS, PROBES
from tests.predictor.test_states import LAW, PRIOR, head, read
from workbench.insight.doubts import doubts
from workbench.predictor.adapt import adapt


def test_regular_readings_raise_no_doubt():
    assert doubts(adapt(BLOCKS, PROBES, LAW[PROBES] + 0.25, PRIOR)) == ""


def test_a_wild_reading_is_counted():
    probe_ms = LAW[PROBES] + 0.25
    probe_ms[[2, 7]] *= 3
    assert doubts(adapt(BLOCKS, PROBES, probe_ms, PRIOR)) == "2 of 20 readings look wild and count for little."


def test_states_are_told_with_their_distance():
    told = [doubts(head(read((1.0, 1.2), seed)[0][PROBES])) for seed in range(8)]
    several = [text for text in told if "several states" in text]
    assert len(several) > len(told) / 2
    apart = [int(text.split("up to ")[1].split("%")[0]) for text in several]
    assert 12 <= np.median(apart) <= 32
