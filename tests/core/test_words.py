"""Words for people and snapshots for scripts: why a device is in its state, harmless text, ages."""

from __future__ import annotations

import gzip
import json
import unicodedata
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.driver import World
from fleetview.core.ages import age, rough_age
from fleetview.core.snapshot import as_received, device_detail, device_snapshot
from fleetview.core.text import clean
from fleetview.core.why import first_reason, why
from fleetview_agent.wire import Channel

KEYS = (
    "address, tenant, site, device, connectivity, confirmed, health, reasons, config, release, lifecycle, flags, "
    "last_seen_s, session, heartbeat, lost_heartbeats, log_gaps, malformed, clock_skew_s, rollout"
)
"""As the design lists them, in its order."""


def _why(world: World) -> list[str]:
    return [reason.text for reason in why(world.device, world.mono_s, world.unix_s)]


def test_a_device_that_is_fine_has_no_reasons(alive: World) -> None:
    assert _why(alive) == []
    assert first_reason(alive.device, alive.mono_s, alive.unix_s) == ""


def test_every_state_has_its_reason(alive: World) -> None:
    alive.wait(90)
    assert "3 heartbeats missed" in _why(alive)[0]
    alive.wait(90)
    assert "silent for 3m" in _why(alive)[0]
    alive.heartbeat(1, health="critical", reasons=["disk full"])
    alive.wait(90)
    assert "was critical: disk full" in _why(alive)[0]
    alive.heartbeat(2)
    alive.state("lost")
    assert "waiting" in _why(alive)[0]
    alive.wait(30)
    assert "will" in _why(alive)[0]
    alive.state("offline", reason="update")
    assert _why(alive)[0] == "said goodbye: update"
    alive.state("sleeping", wake_in_s=60, reason="low battery")
    assert _why(alive)[0] == "sleeping: low battery"
    alive.wait(60)
    assert "back from sleep" in _why(alive)[0]


def test_a_device_known_from_retained_messages_says_so(world: World) -> None:
    world.birth(retained=True)
    assert "no retained state" in _why(world)[0]
    world.state("online", retained=True)
    assert "not heard live yet" in _why(world)[0]


@pytest.mark.parametrize(
    ("health", "reasons", "text"),
    [
        ("critical", ["module rule_engine failed"], "module rule_engine failed"),
        ("degraded", ["disk full", "hot"], "disk full"),
        ("degraded", [], "degraded"),
    ],
)
def test_bad_health_is_told_in_the_devices_own_words(alive: World, health: str, reasons: list[str], text: str) -> None:
    alive.wait(10)
    alive.heartbeat(1, health=health, reasons=reasons)
    assert text in _why(alive)[0]
    assert why(alive.device, alive.mono_s, alive.unix_s)[0].since_unix == alive.unix_s
    assert len(_why(alive)) == max(1, len(reasons))


def test_everything_else_that_is_wrong_is_told_too(alive: World) -> None:
    alive.birth(certificate={"not_after": alive.time(-86400)})
    alive.heartbeat(1, age_s=-7)
    alive.heartbeat(2, age_s=-7)
    for seq in range(3, 13):
        alive.heartbeat(seq, age_s=-7)
    alive.log(0)
    alive.log(5)
    alive.send_bytes(Channel.HEARTBEAT, b"{")
    alive.send(Channel.DESIRED, {"gen": 7, "config": {"version": 12}})
    alive.send(Channel.REPORTED, {"session": "S1", "gen": 7, "config": {"status": "rejected", "reason": "unknown key 'a'"}})
    told = "\n".join(_why(alive))
    for word in ("rejected: unknown key 'a'", "clock 7s ahead", "1d 00h", "not valid", "4 log records missing in 1 gap"):
        assert word in told


def test_the_snapshot_has_the_keys_of_the_design_in_its_order(alive: World) -> None:
    snapshot = device_snapshot(alive.device, alive.mono_s + 2)
    assert list(snapshot) == KEYS.split(", ")
    assert snapshot["last_seen_s"] == 2
    assert snapshot["address"] == "acme/plant-7/gw-1"
    assert device_snapshot(alive.device, alive.mono_s - 5)["last_seen_s"] == 0


@pytest.mark.parametrize("compress", [False, True])
def test_the_heartbeat_in_a_snapshot_is_as_received_but_always_json(alive: World, compress: bool) -> None:
    payload = (
        b'{"session":"S1","seq":1,"timestamp":"2026-11-22T11:28:41.204Z","theirs":{"a":[NaN,Infinity,1]},"big":%d}' % 10**400
    )
    alive.send_bytes(Channel.HEARTBEAT, gzip.compress(payload) if compress else payload)
    heartbeat = json.loads(json.dumps(device_snapshot(alive.device, alive.mono_s), allow_nan=False))["heartbeat"]
    assert heartbeat["theirs"] == {"a": [None, None, 1]}
    assert heartbeat["big"] == 10**400
    assert as_received(None) is None


hostile_numbers = st.sampled_from([0, 1, 2**63 - 1, 2**63, 10**400, -1, 1e-320, 1e308, 0.001, 604800])
hostile_times = st.sampled_from(["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-11-22T11:28:41Z", "x"])


@settings(max_examples=200)
@given(
    h=hostile_numbers,
    seqs=st.lists(hostile_numbers, max_size=3),
    time=hostile_times,
    wake=hostile_times,
    state=st.sampled_from(["online", "offline", "sleeping", "lost"]),
    numbers=hostile_numbers,
    waits=st.lists(st.sampled_from([0, 100, 1e6]), max_size=3),
    retained=st.booleans(),
)
def test_whatever_a_device_says_can_be_shown(
    *, h: float, seqs: list[float], time: str, wake: str, state: str, numbers: float, waits: list[float], retained: bool
) -> None:
    world = World()
    world.birth(h=h, retained=retained, certificate={"not_after": time})
    for seq in seqs:
        world.send(Channel.HEARTBEAT, {"session": "S1", "seq": seq, "timestamp": time, "config": numbers}, retained=retained)
        world.send(Channel.LOG, {"stream": "L1", "first_seq": seq, "records": [{}]})
    world.send(Channel.DESIRED, {"gen": numbers, "config": {"document": {"a": numbers}}})
    world.send(Channel.REPORTED, {"session": "S1", "gen": numbers}, retained=retained)
    world.send(Channel.STATE, {"session": "S1", "state": state, "at": time, "wake_by": wake}, retained=retained)
    for wait in waits:
        world.wait(wait)
    detail: dict[str, Any] = device_detail(world.fleet, world.device, world.mono_s, world.unix_s)
    json.dumps(detail, allow_nan=False)


OBEYED = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def _harmless(text: str) -> bool:
    return not any(
        unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"}
        or unicodedata.bidirectional(char) in OBEYED
        or char in "\u200b\u200c\u200d\u200e\u200f\u061c\u2060\ufeff\u00ad\u180e"
        for char in text
    )


@given(st.text(st.characters()))  # surrogates, too
@example("\x1b[31mred\x1b]52;c;aGk=\x07\x9b2J\x7f")
@example("a\u202eb\u2066c\u2069d\u200fe\u061c\u2028\u2029\x85")
@example("tab\tline\nreturn\r\x00\ud800")
def test_nothing_that_a_terminal_obeys_is_left_in_text(text: str) -> None:
    cleaned = clean(text)
    assert _harmless(cleaned)
    assert clean(cleaned) == cleaned


def test_no_character_of_all_of_unicode_gets_through_that_should_not() -> None:
    for code in range(0x110000):
        assert _harmless(clean(chr(code))), f"U+{code:04X}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Größe 測 \U0001f642 e\u0301", "Größe 測 \U0001f642 e\u0301"),
        ("\x1b[31m", "\u241b[31m"),
        ("a\nb\tc", "a\u240ab\u2409c"),
        ("\x7f", "\u2421"),
        ("\u202eabc", "<202E>abc"),
        ("\x9b", "<009B>"),
    ],
)
def test_what_is_hostile_becomes_visible_and_the_rest_stays(text: str, shown: str) -> None:
    assert clean(text) == shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"), (0, "0s"), (0.9, "0s"), (59.9, "59s"), (60, "1m 00s"), (65, "1m 05s"), (3599, "59m 59s"),
        (3600, "1h 00m"), (11520, "3h 12m"), (86399, "23h 59m"), (86400, "1d 00h"), (187200, "2d 04h"),
    ],
)  # fmt: skip
def test_ages(seconds: float, text: str) -> None:
    assert age(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "now"), (9.9, "now"), (10, "10s"), (59.9, "50s"), (60, "1m"), (3599, "59m"), (3600, "1h 00m"), (86400, "1d 00h")],
)
def test_rough_ages(seconds: float, text: str) -> None:
    assert rough_age(seconds) == text
