"""The filter of the headless commands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetview.core.device import Connectivity, Device
from fleetview.core.query import QueryError, compile_devices
from fleetview_agent.wire import Address

FAULTY = Device(Address("acme", "plant-7", "gw-0042"), Connectivity.ONLINE, health="critical", release="1.5.0")
SILENT = Device(Address("acme", "plant-9", "gw-0233"), Connectivity.LOST, release="1.4.2")
FLEET = [FAULTY, SILENT]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", FLEET),
        ("health:critical", [FAULTY]),
        ("health:critical,degraded", [FAULTY]),
        ("health:unknown", [SILENT]),
        ("state:lost", [SILENT]),
        ("connectivity:LOST", [SILENT]),
        ("site:plant-*", FLEET),
        ("site:plant-* device:gw-02??", [SILENT]),
        ("SITE:Plant-7", [FAULTY]),
        ("-site:plant-7", [SILENT]),
        ("gw-00", [FAULTY]),
        ("-gw-00", [SILENT]),
        ('"plant-7/gw"', [FAULTY]),
        ('release:"1.5.0"', [FAULTY]),
        ("release:1.5", [FAULTY]),  # as versions they are the same
        ("release:1.5*", [FAULTY]),
        ("release<1.5", [SILENT]),
        ("plant-7 plant-9", []),
        ("address:acme/*/gw-0042", [FAULTY]),
    ],
)
def test_filters(text: str, expected: list[Device]) -> None:
    means = compile_devices(text)
    assert [device for device in FLEET if means(device)] == expected


@pytest.mark.parametrize(
    ("text", "position", "suggestion", "part"),
    [
        ("heath:ok", 0, "health", "unknown field 'heath'"),
        ("site:a  helth:ok", 8, "health", "unknown field 'helth'"),
        ("zzzzz:1", 0, None, "known: state"),
        ("site:", 5, None, "a value is missing"),
        ("site:a,,b", 7, None, "a value is missing"),
        ('gw "open', 3, None, "quote"),
        ("-", 0, None, "nothing to look for"),
    ],
)
def test_filters_that_are_none(text: str, position: int, suggestion: str | None, part: str) -> None:
    with pytest.raises(QueryError) as caught:
        compile_devices(text)
    assert (caught.value.position, caught.value.suggestion) == (position, suggestion)
    assert part in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_a_filter_or_refused_at_a_place(text: str) -> None:
    position = _position_of_error(text)
    assert position is None or 0 <= position <= len(text)


def _position_of_error(text: str) -> int | None:
    try:
        means = compile_devices(text)
    except QueryError as err:
        return err.position
    assert means(FAULTY) in {True, False}
    return None
