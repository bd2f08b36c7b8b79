"""Hypothesis without a stopwatch."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)  # another busy process must fail no test
settings.load_profile("unhurried")
