"""Hypothesis: the same examples in every run, no deadlines on a machine that is shared."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("fleetview", deadline=None, derandomize=True, max_examples=100, database=None)
settings.load_profile("fleetview")
