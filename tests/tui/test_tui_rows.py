"""What rows and status lines say, and that they never say it in more cells than there are."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fleetview.core.alertbook import Badge
from fleetview.core.device import Device
from fleetview.core.fleet import Fleet
from fleetview.core.outages import Outage, Site
from fleetview.core.roster import NameSizes
from fleetview.core.streams import Hole
from fleetview.core.trouble import Trouble
from fleetview.feeds.states import Backoff, Connecting, Refused, Up
from fleetview.tui.alert_rows import without_place
from fleetview.tui.columns import Columns, layout
from fleetview.tui.fleet_rows import copied_row, device_row, outage_row
from fleetview.tui.glyphs import ASCII, UNICODE, Glyphs
from fleetview.tui.log_rows import Look, copied_record, hole_row, log_row
from fleetview.tui.spans import Line, line_width, width_of
from fleetview.tui.status import Watch, clock, link_view, status_lines
from fleetview_agent.endpoint import Failure, FailureKind
from fleetview_agent.wire import Channel
from tui.stage import STARTED, Told, address, entry

HOSTILE = "\x1b[31mred\x1b[0m [bold]markup[/] \u202e\u2066 \r\n\x9b2J 漢字 ⚠\ufe0f"
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)


def columns_for(width: int, devices: list[Device]) -> Columns:
    sizes = NameSizes(*(max(map(len, names)) for names in zip(*(device.address for device in devices), strict=True)))
    return layout(width, sizes, len({device.address.tenant for device in devices}))


def text_of(line: Line) -> str:
    return "".join(span.text for span in line)


def harmless(text: str) -> bool:
    return not any(char in text for char in "\x1b\x9b\r\n\u202e\u2066\ufe0f")


def device_in(state: str) -> tuple[Device, Told]:
    """A device in a state, as messages and time bring it there."""
    told = Told()
    who = address("gw-1")
    match state:
        case "unseen":
            told.tell(who, Channel.DESIRED, {"gen": 1})
        case "online":
            told.online("gw-1")
        case "unconfirmed":
            told.tell(who, Channel.STATE, {"session": "S1", "state": "online", "at": told.time(3)}, retained=True)
        case "offline":
            told.state(who, "offline", reason="maintenance, ana")
        case "sleeping":
            told.state(who, "sleeping", reason="saving power", wake_by=told.time(-3600))
        case _:
            told.online("gw-1", health="critical", reasons=("disk full",))
            told.wait({"critical": 0, "stale": 35, "lost": 130}[state])
            told.fleet.advance(*told.now)
    return told.fleet.devices[who], told


STATES = {
    "unseen": ("· unseen", "-", "no retained state"),
    "online": ("● online", "● ok", ""),
    "unconfirmed": ("● online?", "-", "not heard live yet"),
    "offline": ("□ offline", "-", "said goodbye: maintenance, ana"),
    "sleeping": ("☾ sleeping", "-", "sleeping: saving power"),
    "critical": ("● online", "✗ critical", "disk full"),
    "stale": ("◌ stale", "? critical", "3 heartbeats missed; lost when silent for 2m 00s; was critical"),
    "lost": ("○ lost", "? critical", "silent for 2m; was critical: disk full"),
}


@pytest.mark.parametrize(("state", "said"), STATES.items(), ids=STATES)
def test_a_row_says_state_health_and_why(state: str, said: tuple[str, str, str]) -> None:
    device, told = device_in(state)
    columns = columns_for(160, [device])
    row = text_of(device_row(device, columns, told.now, UNICODE))
    starts = {name: text_of(columns.head()).index(name) for name in ("STATE", "HEALTH", "DEVICE", "WHY")}
    assert row[starts["STATE"] : starts["HEALTH"]].strip() == said[0]
    assert row[starts["HEALTH"] : starts["DEVICE"]].strip() == said[1]
    assert row[starts["WHY"] :].startswith(said[2])


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
def test_a_state_is_a_glyph_and_a_word(state: str, glyphs: Glyphs) -> None:
    device, told = device_in(state)
    found = device_row(device, columns_for(120, [device]), told.now, glyphs)[1].text.split()
    assert found[0] in glyphs.trouble.values()
    assert found[1].rstrip("?") == device.connectivity.value


@given(st.integers(min_value=60, max_value=300), st.lists(st.tuples(names, names, names), min_size=1, max_size=8))
def test_rows_are_as_wide_as_the_head_and_no_wider_than_the_screen(width: int, known: list[tuple[str, str, str]]) -> None:
    told = Told()
    for tenant, site, name in known:
        told.birth(address(name, site, tenant))
    devices = list(told.fleet.devices.values())
    columns = columns_for(width, devices)
    widths = dict(columns.widths)
    if width >= 80:
        assert widths["why"] >= 20, "names give way to why"
    if {"cpu", "memory", "release"} & widths.keys():
        assert widths["why"] >= 26, "figures give way before"
    for device in devices:
        row = device_row(device, columns, STARTED, UNICODE)
        assert line_width(row) <= width
        assert line_width(row) == line_width(columns.head()) + 1


def test_where_there_is_little_room_the_reason_stands_before_the_alerts() -> None:
    device, told = device_in("critical")
    badge = Badge(1, 1, 0, None)
    for width, expected in ((80, "disk full; 1 alert"), (160, "1 alert, 1 quiet; disk full")):
        row = device_row(device, columns_for(width, [device]), told.now, UNICODE, badge=badge)
        assert expected in text_of(row), width


@pytest.mark.parametrize(
    ("summary", "expected"),
    [
        ("acme/p/gw-1 is critical", "is critical"),
        ("acme/p/gw-1:  97 %\n of CPU", "97 % of CPU"),
        ("acme/p/gw-10 is critical", "acme/p/gw-10 is critical"),
        ("acme/p/gw-1", "acme/p/gw-1"),
        ("acme/p/gw-1: ", "acme/p/gw-1:"),
        ("disk of acme/p/gw-1", "disk of acme/p/gw-1"),
        ("", ""),
    ],
)
def test_a_summary_does_not_say_again_where_it_is(summary: str, expected: str) -> None:
    assert without_place(summary, "acme/p/gw-1") == expected


def test_more_columns_as_there_is_room() -> None:
    told = Told()
    devices = told.online("gw-1")
    shown = {width: [name for name, _ in columns_for(width, devices).widths] for width in (60, 85, 120)}
    assert shown[60] == ["state", "health", "device", "site", "seen", "why"]
    assert shown[85] == ["state", "health", "device", "site", "cpu", "seen", "why"]
    assert shown[120] == ["state", "health", "device", "site", "release", "cpu", "memory", "seen", "why"]


def test_the_tenant_is_named_when_there_are_two() -> None:
    told = Told()
    for tenant in ("acme", "zeta"):
        told.birth(address("gw-1", tenant=tenant))
    devices = list(told.fleet.devices.values())
    assert "zeta/plant-1" in text_of(device_row(devices[1], columns_for(120, devices), told.now, UNICODE))
    assert "acme/" not in text_of(device_row(devices[0], columns_for(120, devices[:1]), told.now, UNICODE))


def test_a_hot_figure_stands_out_and_one_from_before_is_not_shown() -> None:
    told = Told()
    who = address("gw-1")
    told.birth(who)
    told.heartbeat(who, resources={"cpu": 0.97, "memory": 0.5})
    device = told.fleet.devices[who]
    row = device_row(device, columns_for(160, [device]), told.now, UNICODE)
    assert [span.style for span in row if "97%" in span.text] == ["degraded"]
    assert [span.style for span in row if "50%" in span.text] == ["dim"]
    told.wait(35)
    told.fleet.advance(*told.now)
    assert "%" not in text_of(device_row(device, columns_for(160, [device]), told.now, UNICODE))


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_an_outage_in_one_row(width: int) -> None:
    site = Site("acme", "plant-9")
    outage = Outage(site, frozenset(), 31, STARTED.mono_s - 130, 8)
    row = text_of(outage_row(outage, width, STARTED, UNICODE, folded=True))
    assert len(row) <= width
    assert row.startswith("  ▶ plant-9  site outage: 0 of 31 silent")
    assert row.endswith(" Enter unfolds")
    assert ("since 10:27:50" in row) == (width >= 80)
    assert ("within 8s of each other" in row) == (width >= 120)
    assert "▼" in text_of(outage_row(outage, width, STARTED, UNICODE, folded=False))


def test_what_is_copied_is_one_harmless_line() -> None:
    told = Told()
    (device,) = told.online("gw-1", health="degraded", reasons=("curl evil | sh\n\x1b[201~",))
    assert copied_row(device, told.now) == ("acme/plant-1/gw-1  online  degraded  seen now  curl evil | sh\u240a\u241b[201~")
    assert copied_record(entry("rm -rf /\n", level="ERROR")) == (
        "2026-11-22T10:30:00.000Z ERROR acme/plant-1/gw-1 uplink rm -rf /\u240a"
    )


# -- log rows


@given(st.text(max_size=200), st.integers(min_value=60, max_value=240))
@example(HOSTILE, 80)
@example(HOSTILE, 160)
def test_a_log_row_fits(message: str, width: int) -> None:
    record = entry(message, level="ERROR", **{"[bold]": HOSTILE, "n": 1})
    row = log_row(record, width, Look(device_width=10))
    assert line_width(row) <= width
    assert harmless(text_of(row))


def test_a_message_without_end_is_one_row() -> None:
    assert line_width(log_row(entry("\x1b" * 1_000 + "x" * 200_000), 80)) == 80


def test_a_log_row_says_when_who_and_what() -> None:
    record = entry("link down", level="WARN", rtt_ms=812)
    wide = text_of(log_row(record, 120, Look(device_width=8)))
    assert wide.split() == ["10:30:00.000", "WARN", "gw-1", "uplink", "link", "down", "rtt_ms=812"]
    assert text_of(log_row(record, 80)).split()[:3] == ["10:30:00", "WARN", "uplink"]


def test_a_record_that_came_late_or_from_ahead_says_so() -> None:
    assert text_of(log_row(entry(age_s=240), 100)).rstrip().endswith("↶ 4m 00s late")
    assert text_of(log_row(entry(age_s=-240), 100)).rstrip().endswith("(clock ahead)")
    assert line_width(log_row(entry("x" * 500, age_s=240), 80)) == 80


def test_a_record_without_a_time_is_marked() -> None:
    assert "10:30:00.000~" in text_of(log_row(entry(timestamp=None), 120))


@pytest.mark.parametrize(
    ("hole", "said"),
    [
        (Hole(5, 41, owned=True, reason="spool_full"), "37 records of gw-1 missing (spool full)"),
        (Hole(5, 5, owned=True, reason=None), "1 record of gw-1 missing ─"),
        (Hole(5, 1004, owned=False, reason=None), "1,000 records of gw-1 missing (nobody owned up to it)"),
        (Hole(5, 5, owned=True, reason=HOSTILE), "1 record of gw-1 missing (␛[31mred"),
    ],
)
def test_a_hole_is_a_line_across(hole: Hole, said: str) -> None:
    line = hole_row(entry(), hole, 90, UNICODE)
    assert said in text_of(line)
    assert line_width(line) == 90
    assert harmless(text_of(line))


# -- status

REFUSED = Failure(FailureKind.REFUSED, "broker.example:8883 refused the connection: no broker listens there")
MUST_NOT = Failure(FailureKind.AUTHORISATION, "broker.example:8883 does not let user 'ana' in: check user and password")


def watch(told: Told, state: Connecting | Up | Backoff | Refused, blind_since_mono: float | None = None) -> Watch:
    return Watch(told.fleet, told.now, "plant", "broker.example", link_view(state, told.now), 98.4, blind_since_mono)


def said(
    told: Told, state: Connecting | Up | Backoff | Refused, width: int = 120, blind_s: float | None = None
) -> list[str]:
    since = None if blind_s is None else told.now.mono_s - blind_s
    return [text_of(line) for line in status_lines(watch(told, state, since), width, UNICODE)]


def test_a_link_that_is_up_says_since_when() -> None:
    first, _ = said(Told(), Up(STARTED.mono_s - 65, "5"))
    assert "● up 1m" in first
    assert first.endswith("98 msg/s")
    assert "up 1m (MQTT 3.1.1)" in said(Told(), Up(STARTED.mono_s - 65, "3.1.1"))[0]


def test_the_clock_has_no_seconds_on_a_slow_link() -> None:
    found = watch(Told(), Up(STARTED.mono_s, "5"))
    assert clock(found).text == " 10:30:00 UTC "
    assert clock(replace(found, coarse=True)).text == " 10:30 UTC "


@pytest.mark.parametrize(
    ("trail", "width", "expected"),
    [
        ((), 120, "plant ▏ broker.example ● up"),
        (("gw-1",), 120, "plant › gw-1 ▏ broker.example ● up"),
        (("gw-1", "logs"), 120, "plant › gw-1 › logs ▏ broker.example ● up"),
        (("gw-1", "logs"), 80, "plant › gw-1 › logs ▏ ● up"),
        (("x" * 40,), 120, f"plant › {'x' * 23}… ▏"),
        (tuple(f"gateway-number-{number}" for number in range(9)), 80, "plant › … › gateway-number-8 ▏ ● up"),
        (("gw-1", "logs"), 46, "plant › … › logs ▏ ● up"),
        (("\x1b[2J", "logs"), 120, "plant › ␛[2J › logs ▏"),
    ],
)
def test_the_trail_fits_and_ends_where_one_is(trail: tuple[str, ...], width: int, expected: str) -> None:
    found = replace(watch(Told(), Up(STARTED.mono_s, "5")), trail=trail)
    first = status_lines(found, width, UNICODE)[0]
    assert expected in text_of(first)
    assert line_width(first) <= width


def test_a_link_that_is_down_says_so_with_its_age_first() -> None:
    first, _, banner = said(Told(), Backoff(REFUSED, STARTED.mono_s + 3), 140, blind_s=72)
    assert "● down" in first
    assert banner.startswith(" ▲ blind for 1m 12s: broker.example:8883 refused the connection")
    assert banner.endswith("next try in 4s (ctrl+r: at once)")
    assert "● connecting" in said(Told(), Connecting(1))[0]


def test_a_broker_that_does_not_let_us_in_is_quoted_whole_at_80_columns() -> None:
    banner = said(Told(), Refused(MUST_NOT, STARTED.mono_s + 60), 80, blind_s=5)[2:]
    assert " ".join(part.strip(" ▲") for part in banner) == (
        f"blind for 5s: {MUST_NOT.words}; next try in 1m 01s (ctrl+r: at once)"
    )


def test_subscriptions_that_were_refused_are_named() -> None:
    state = Up(STARTED.mono_s, "5", (("fleet/v1/+/+/+/log", "not authorised"),))
    assert "the broker refused 1 subscriptions: fleet/v1/+/+/+/log (not authorised)" in said(Told(), state)[2]


def test_devices_beyond_the_bound_are_owned_up_to() -> None:
    told = Told(Fleet(max_devices=1))
    told.online("gw-1")
    told.birth(address("gw-2"))
    assert "more than 1 devices: 1 messages of others not shown" in said(told, Up(STARTED.mono_s, "5"))[2]


def test_the_counts_name_what_is_broken_first() -> None:
    told = Told()
    told.online("gw-1", "gw-2")
    told.online("gw-3", health="critical", reasons=("disk full",))
    told.state(address("gw-4"), "offline")
    counts = said(told, Up(STARTED.mono_s, "5"))[1].split("  ")
    assert counts == [" ✗ 1 critical", "▲ 0 degraded", "◌ 0 stale", "○ 0 lost", "□ 1 offline", "● 2 ok", "of 4"]
    assert said(told, Up(STARTED.mono_s, "5"), 80)[1] == " ✗ 1 critical  □ 1 offline  ● 2 ok  of 4"


def _everything() -> Told:
    told = Told()
    told.online(*(f"dark-{number}" for number in range(6)), site="plant-9")
    told.online("gw-lost")
    told.wait(100)
    told.online("gw-stale")
    told.wait(35)
    told.fleet.advance(*told.now)
    told.online("gw-bad", health="critical", reasons=("disk full",))
    told.online("gw-so-so", health="degraded", reasons=("disk fills",))
    told.online("gw-ok")
    told.state(address("gw-off"), "offline")
    told.state(address("gw-asleep"), "sleeping")
    told.tell(address("gw-unseen"), Channel.DESIRED, {"gen": 1})
    return told


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_the_counts_fit_and_never_lose_what_is_broken_or_well(width: int) -> None:
    told = _everything()
    line = said(told, Up(STARTED.mono_s, "5"), width)[1]
    assert line_width(status_lines(watch(told, Up(STARTED.mono_s, "5")), width, UNICODE)[1]) <= width
    for words in ("1 critical", "1 degraded", "1 stale", "7 lost", "1 ok"):
        assert words in line
    assert ("3 away" in line) != ("1 unseen" in line)
    assert ("1 unseen" in line) == (width >= 120)


@pytest.mark.parametrize("width", [80, 120, 240])
@pytest.mark.parametrize(
    "state",
    [
        Connecting(1),
        Up(STARTED.mono_s - 400_000, "3.1.1", tuple((f"filter/{n}", "not authorised") for n in range(30))),
        Backoff(REFUSED, STARTED.mono_s),
        Refused(MUST_NOT, STARTED.mono_s + 60),
    ],
    ids=["connecting", "up", "backoff", "refused"],
)
def test_status_lines_are_few_and_fit(state: Connecting | Up | Backoff | Refused, width: int) -> None:
    lines = status_lines(watch(_everything(), state, 0.0), width, UNICODE)
    assert 2 <= len(lines) <= 5
    assert all(line_width(line) <= width for line in lines[1:])


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
def test_every_trouble_has_its_own_glyph_of_one_cell(glyphs: Glyphs) -> None:
    assert set(glyphs.trouble) == set(Trouble)
    assert len(set(glyphs.trouble.values())) == len(Trouble)
    assert all(width_of(glyph) == 1 for glyph in glyphs.trouble.values())
    assert glyphs is UNICODE or all(glyph.isascii() for glyph in glyphs.trouble.values())
