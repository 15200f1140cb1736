"""What is offered while a filter is typed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetview.core.query import compile_devices
from fleetview.core.query.complete import MAX_OFFERED, complete
from fleetview.core.query.fields import device_fields, log_fields

DEVICES = device_fields(lambda: (0.0, 0.0))
SEEN = {
    "site": ["plant-1", "plant 2", "odd*", "north"],
    "release": ["1.4.2"],
    "label.ring": ["canary"],
    ".metrics.queue": ["5"],
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hea|", ["health:"]),
        ("-hea|", ["-health:"]),
        ("(hea|", ["(health:"]),
        ("site:a or hea|", ["site:a or health:"]),
        ("cpu|", ["cpu>"]),
        ("lab|", ["label.ring:"]),
        (".met|", [".metrics.queue:"]),
        ("exi|", ["exists("]),
        ("health:cr|", ["health:critical"]),
        ("health: cr|", ["health: critical"]),
        ("health:ok,cr|", ["health:ok,critical"]),
        ("health:(ok,cr|", ["health:(ok,critical"]),
        ("health?:cr|", ["health?:critical"]),
        ("site:plant|", ["site:plant-1", 'site:"plant 2"']),
        ("site:ort|", ["site:north"]),
        ("site:odd|", ['site:"odd*"']),
        ('site:"pla|', ["site:plant-1", 'site:"plant 2"']),
        ("site:pl|ant-9 x", ["site:plant-1 x", 'site:"plant 2" x']),
        ("version:1|", ["version:1.4.2"]),
        ("label.ring:|", ["label.ring:canary"]),
        ("device:|", []),
        ("nonsense:|", []),
        ("zzz|", []),
    ],
)
def test_offers(text: str, expected: list[str]) -> None:
    cursor = text.index("|")
    text = text.replace("|", "")
    offers = complete(text, cursor, SEEN, DEVICES)
    assert [text[: offer.start] + offer.text + text[offer.end :] for offer in offers] == expected


def test_every_value_offered_is_read_as_that_value() -> None:
    for offer in complete("site:", 5, {"site": ["a", "a b", '"', "\\", "a*", "1..2", "(", "and", "=x"]}, DEVICES):
        compile_devices(f"site:{offer.text}")


def test_a_hostile_number_of_values_is_not_looked_at_in_full() -> None:
    def endless() -> list[str]:
        return [f"plant-{number}" for number in range(20_000)]

    assert len(complete("site:plant", 10, {"site": endless()}, DEVICES)) == MAX_OFFERED
    assert not complete("site:plant-19999", 16, {"site": endless()}, DEVICES)


@given(st.text('abhealt:=<>~!()",.-*? \\', max_size=30), st.integers(-5, 40), st.booleans())
def test_it_never_raises_and_offers_stand_within_the_text(text: str, cursor: int, logs: bool) -> None:
    for offer in complete(text, cursor, SEEN, log_fields() if logs else DEVICES):
        assert 0 <= offer.start <= offer.end <= len(text)
