"""What the device page says of a device in any state, in lines that fit."""

from __future__ import annotations

import pytest

from fleetview.tui.device_page import Page, device_page, device_title
from fleetview.tui.glyphs import ASCII, UNICODE
from fleetview.tui.spans import Line, line_width
from fleetview_agent.wire import Channel
from tui.stage import INTERVAL_S, Told, address
from tui.test_tui_rows import HOSTILE, STATES, device_in, harmless

WHO = address("gw-1")


def text_of(line: Line) -> str:
    return "".join(span.text for span in line).rstrip()


def page_of(told: Told, width: int = 120) -> Page:
    return Page(told.fleet, told.fleet.devices[WHO], told.now, UNICODE, width)


def lines_of(told: Told, width: int = 120) -> list[str]:
    lines = device_page(page_of(told, width))
    assert [text_of(line) for line in lines if line_width(line) > width] == []
    return [text_of(line) for line in lines]


def title_of(told: Told, width: int = 120, *, known: bool = True) -> str:
    return text_of(device_title(page_of(told, width), known=known))


def rich() -> Told:
    """A device of which everything is known, and with which everything is wrong."""
    told = Told()
    told.birth(
        WHO,
        deployment="container",
        agent={"version": "0.1.0"},
        host={"arch": "aarch64", "os": "Debian", "kernel": "6.1", "cpus": 4, "memory_bytes": 4 * 2**30, "hostname": "gw-17"},
        labels={"ring": "canary"},
        certificate={"sha256": "ab12", "not_after": told.time(-6 * 86400)},
    )
    told.heartbeat(WHO, release="1.4.2", config=11)
    told.wait(INTERVAL_S)
    told.tell(
        WHO,
        Channel.DESIRED,
        {"gen": 43, "rollout": "telemetry-1.5.0", "config": {"version": 12}, "release": {"version": "1.5.0"}},
    )
    told.tell(
        WHO,
        Channel.REPORTED,
        {
            "session": "S1",
            "gen": 43,
            "config": {"version": 11, "status": "rolled_back", "reason": "limit is not a number"},
            "release": {"version": "1.5.0", "status": "downloading", "progress": 0.4},
        },
    )
    told.heartbeat(
        WHO,
        "critical",
        "module rule_engine failed after 5 restarts: exit status 1",
        "disk 97 % full",
        uptime_s=93600,
        resources={"cpu": 0.97, "memory": 0.51, "disk": 0.97, "temperature_c": 51.5},
        modules=[
            {"name": "telemetry_collector", "state": "running", "version": "1.4.2", "restarts": 0},
            {"name": "rule_engine", "state": "failed", "version": "1.4.2", "restarts": 5, "reason": "exit status 1"},
        ],
        metrics={"requests_total": 10234, "p95": 0.0414},
        spool={"records": 12, "bytes": 3401, "oldest_s": 4.2, "dropped": 37},
        link={"rtt_ms": 23.1, "reconnects": 2},
        release="1.5.0",
        config=11,
    )
    told.tell_bytes(WHO, Channel.HEARTBEAT, b"{")
    told.log(WHO, "first")
    told.log(WHO, "KeyError 'limit'", level="ERROR", skip=3)
    return told


@pytest.mark.parametrize("width", [80, 120, 160, 240])
def test_all_that_is_known_is_said(width: int) -> None:
    text = "\n".join(lines_of(rich(), width))
    for words in (
        "why  module rule_engine failed after 5 restarts: exit status 1  (since",
        "disk 97 % full",
        "desired state rolled back: limit is not a number",
        "1 message not valid",
        "3 log records missing in 1 gap",
        "✗ rule_engine          failed   1.4.2    5 restarts",
        "● telemetry_collector  running  1.4.2",
        "CPU 97%   memory 51%",
        "1d 02h",
        "round trip 23 ms, 2 reconnects",
        "12 records wait, oldest 4s, 37 dropped",
        "requests_total=10,234",
        "p95=0.0414",
        "gw-17, aarch64, 4 CPUs, 4.0 GiB",
        "ring=canary",
        "expires in",
        "rollout telemetry-1.5.0",
        "11 rolled_back",
        "1.5.0 downloading 40%",
        "ok -> critical",
        "release 1.4.2 -> 1.5.0",
        "logs: 2 received, 3 missing in 1 gaps, 0 duplicates",
        "KeyError 'limit'",
    ):
        assert words in text, words


def test_the_reasons_come_first_and_with_their_age() -> None:
    told = rich()
    told.wait(70)
    first, second, *_ = lines_of(told)
    assert first == " why  module rule_engine failed after 5 restarts: exit status 1  (since 10:30:10, 1m 10s)"
    assert second == "      disk 97 % full  (since 10:30:10, 1m 10s)"


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("width", [80, 160])
def test_every_state_has_a_page(state: str, width: int) -> None:
    _, told = device_in(state)
    why = lines_of(told, width)[0]
    glyph_and_word, _, reason = STATES[state]
    assert why.startswith(" why  " + (reason[: width - 20] or "nothing is wrong with it"))
    title = title_of(told, width)
    assert title.startswith(" acme/plant-1/gw-1   " + glyph_and_word)
    assert len(title) <= width


def test_figures_from_before_it_went_are_grey_and_dated() -> None:
    told = rich()
    assert not any("old:" in line for line in lines_of(told))
    told.wait(125)
    told.fleet.advance(*told.now)
    lines = device_page(page_of(told))
    (vitals,) = [line for line in lines if "CPU 97%" in text_of(line)]
    assert "2m old:  CPU 97%" in text_of(vitals)
    assert [span.style for span in vitals if "97%" in span.text] == ["dim"]
    (module,) = [line for line in lines if "✗ rule_engine" in text_of(line)]
    assert {span.style for span in module if "failed" in span.text} == {"dim"}


def test_the_title_tells_since_when_and_when_it_was_heard() -> None:
    told = rich()
    told.wait(20)
    assert title_of(told) == " acme/plant-1/gw-1   ● online   ✗ critical for 20s   last heard 20s ago"
    told.wait(20)
    told.fleet.advance(*told.now)
    assert title_of(told).startswith(" acme/plant-1/gw-1   ◌ stale for 0s   ? critical   last heard 40s ago")
    assert "removed from the fleet" in title_of(told, known=False)


def test_a_long_address_gives_way_to_the_state() -> None:
    told = Told()
    who = address("d" * 64, "s" * 64, "t" * 64)
    told.birth(who)
    title = text_of(device_title(Page(told.fleet, told.fleet.devices[who], told.now, UNICODE, 80)))
    assert len(title) <= 80
    assert "● online" in title
    assert "last heard 0s ago" in title


def test_wide_pages_have_two_columns() -> None:
    (row,) = [line for line in lines_of(rich(), 160) if "── last hour" in line]
    assert "── modules" in row
    assert not any("── last hour" in line and "── modules" in line for line in lines_of(rich(), 80))


@pytest.mark.parametrize("width", [80, 160])
def test_what_preflight_found(width: int) -> None:
    told = rich()
    assert not any("preflight" in line for line in lines_of(told, width))
    findings = [
        {"subject": "tls", "level": "error", "words": "it has expired " * 8},
        {"subject": "clock", "level": "warning"},
    ]
    findings += [{"subject": HOSTILE, "words": HOSTILE}] * 30
    found = {"at": told.time(120), "ok": 18, "errors": 1, "warnings": 50, "skipped": 2, "findings": findings}
    told.tell(WHO, Channel.REPORTED, {"session": "S1", "gen": 43, "preflight": found})
    lines = lines_of(told, width)
    assert any("── preflight" in line for line in lines)
    assert any("1 error, 50 warnings, 18 ok, 2 skipped   2m 00s ago" in line for line in lines)
    assert any("✗ tls              it has expired" in line for line in lines)
    assert any("▲ clock            (no words)" in line for line in lines)
    assert any("and 35 more" in line for line in lines)
    assert all(harmless(line) for line in lines)


@pytest.mark.parametrize("width", [80, 160])
def test_hostile_words_are_shown_and_not_obeyed(width: int) -> None:
    told = Told()
    told.birth(
        WHO,
        host={"hostname": HOSTILE, "os": "ö" + HOSTILE, "arch": "x", "kernel": HOSTILE},
        labels={HOSTILE: HOSTILE},
        agent={"version": HOSTILE},
        modules=[HOSTILE],
    )
    told.tell(WHO, Channel.DESIRED, {"gen": 2, "rollout": HOSTILE, "release": {"version": HOSTILE}})
    told.log(WHO, HOSTILE, service=HOSTILE)
    told.state(WHO, "offline", reason=HOSTILE)
    lines = lines_of(told, width)
    assert all(harmless(line) for line in lines)
    assert any("␛[31mred␛[0m [bold]markup[/] <202E>" in line for line in lines)
    told = rich()
    told.heartbeat(
        WHO,
        "critical",
        HOSTILE,
        "",
        "x" * 100_000,
        *("more" for _ in range(500)),
        modules=[{"name": HOSTILE, "state": "failed", "version": HOSTILE, "reason": HOSTILE}, *({"name": "m"},) * 500],
        metrics={HOSTILE: 1.0, "huge": 1e300},
    )
    lines = lines_of(told, width)
    assert all(harmless(line) for line in lines)
    assert len(lines) < 160, "a device that sends a lot does not make a page without end"
    assert "      (no words)" in [line.partition("  (since")[0] for line in lines]
    assert any("more" in line and "and" in line for line in lines)


def test_without_unicode_nothing_but_text_is_left() -> None:
    told = rich()
    lines = device_page(Page(told.fleet, told.fleet.devices[WHO], told.now, ASCII, 120))
    assert {char for line in lines for char in text_of(line) if not char.isascii()} <= set("…°")
