"""Fixtures that several folders of tests use."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from support.broker import Broker, mosquitto
from support.tls import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell without job control starts what runs in the background so, and every program that a test interrupts would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A mosquitto that lets everybody in."""
    with mosquitto(tmp_path) as running:
        yield running


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A certificate authority of this test."""
    return Authority(tmp_path / "authority")
