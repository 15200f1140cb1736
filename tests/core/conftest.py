"""Worlds to start from; and hypothesis: the same examples in every run, no deadlines on a machine that is shared."""

from __future__ import annotations

import pytest
from hypothesis import settings

from core.driver import World

settings.register_profile("fleetview", deadline=None, derandomize=True, max_examples=60, database=None)
settings.load_profile("fleetview")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def alive() -> World:
    """A device with H = 30 s that was heard live just now."""
    world = World()
    world.birth()
    world.state("online")
    world.heartbeat(0)
    return world
