"""What happened to a device, from its timeline and from what Prometheus remembers."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping

from fleetview.core.charts import Span
from fleetview.core.device import Device
from fleetview.core.happened import KINDS, happened
from fleetview.core.panels import WHOSE, DeviceLabels, marks_query
from fleetview.core.series import Answer, Series
from fleetview.tui.device_pictures import LETTERS
from fleetview_agent.wire import Address

ONE = Address("acme", "plant-1", 'gw"1')
SPAN = Span(0.0, 3600.0, 60.0)


def series(kind: str, points: Mapping[int, float], **labels: str) -> Series:
    return Series({WHOSE: kind, **labels}, array("d", map(float, points)), array("d", points.values()))


def steady(kind: str, begin: float, end: float, value: float = 1.0, **labels: str) -> Series:
    return series(kind, dict.fromkeys(range(int(begin), int(end), 60), value), **labels)


def told(*found: Series) -> Answer:
    return Answer(found, (), (), partial=False, received_mono_s=0.0, received_unix_s=0.0)


def words(device: Device, marks: Answer | None) -> list[tuple[float, str, str]]:
    return [(one.unix_s, one.kind, one.text) for one in happened(device, marks, SPAN)]


def test_alerts_begin_and_come_back() -> None:
    marks = told(series("alert", dict.fromkeys((600, 660, 720, 1800, 1860), 1.0), alertname="Hot\x1b"))
    assert words(Device(ONE), marks) == [(600, "alert", "alert Hot␛ fires"), (1800, "alert", "alert Hot␛ fires")]


def test_releases_that_a_device_ran() -> None:
    old, new = steady("release", 60, 1200, release="1.4.2"), steady("release", 1200, 3000, release="1.5.0")
    back = steady("release", 3000, 3600, release="1.4.2")
    merged = Series(old.labels, old.times_s + back.times_s, old.values + back.values)
    assert words(Device(ONE), told(merged, new)) == [
        (1200, "release", "release 1.4.2 -> 1.5.0"),
        (3000, "release", "release 1.5.0 -> 1.4.2"),
    ]
    assert words(Device(ONE), told(old, steady("release", 1200, 1800, release=""))) == [], "that it said none is no change"


def test_starts_are_told_at_the_moment_itself_and_once() -> None:
    # A heartbeat is told again until the next one comes, so that the start seems to be later by up to its interval.
    points = {at: 30.0 + at % 120 / 2 for at in range(60, 1200, 60)} | {
        at: 1175.0 + at % 120 / 2 for at in range(1260, 3600, 60)
    }
    assert words(Device(ONE), told(series("session", points))) == [(1175.0, "session", "the agent started")]


def test_configurations() -> None:
    points = {60: 11.0, 120: 11.0, 180: float("nan"), 240: 12.0}
    assert words(Device(ONE), told(series("config", points))) == [(240, "config", "config 11 -> 12")]


def test_what_both_tell_is_told_once_in_the_words_of_whoever_saw_it() -> None:
    device = Device(ONE)
    device.note(1190.0, "release", "release 1.4.2 -> 1.5.0")
    device.note(1800.0, "rollout", "rollout telemetry-1.5.0: generation 43 desired")
    device.note(9999.0, "module", "later")
    device.note(1900.0, "clock", "not for the axis")
    marks = told(steady("release", 60, 1200, release="1.4.2"), steady("release", 1200, 3000, release="1.5.0"))
    assert [one[:2] for one in words(device, marks)] == [(1190.0, "release"), (1800.0, "rollout")]


def test_every_kind_has_a_letter_of_its_own() -> None:
    assert set(LETTERS) == set(KINDS)
    assert len(set(LETTERS.values())) == len(KINDS)


def test_the_question_escapes_what_names_hold() -> None:
    query = marks_query(DeviceLabels(), ONE)
    assert query.count('device="gw\\"1"') == 5
    kinds: Iterable[str] = ("alert", "release", "config", "session")
    assert all(f'"{WHOSE}", "{kind}", "", "")' in query for kind in kinds)
