"""Hypothesis for these tests: the same examples in every run, and no deadlines on a machine that is shared."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("fleetview", deadline=None, derandomize=True, max_examples=60, database=None)
settings.load_profile("fleetview")
