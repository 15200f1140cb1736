"""The last hour on the device's page: its course, its peers, and what is said when there is nothing."""

from __future__ import annotations

from fleetview.tui.device_charts import chart_lines
from fleetview.tui.glyphs import ASCII, UNICODE, Glyphs
from fleetview.tui.spans import line_width
from tui.stage import Told, address


def told() -> Told:
    found = Told()
    for minute in range(4):
        for number in range(4):
            cpu = (0.95 if minute > 1 else 0.2) if number == 0 else 0.3 + number / 100
            found.birth(address(f"gw-{number}")) if not minute else None
            found.heartbeat(address(f"gw-{number}"), resources={"cpu": cpu}, link={"rtt_ms": 20.0 + number})
        found.wait(60)
        found.fleet.advance(*found.now)
        for number in range(4):
            found.heartbeat(address(f"gw-{number}"), resources={}, link={"rtt_ms": 20.0})
    return found


def lines(found: Told, width: int, glyphs: Glyphs = UNICODE) -> list[str]:
    device = found.fleet.devices[address("gw-0")]
    shown = list(chart_lines(found.fleet, device, found.now, width, glyphs))
    assert all(line_width(line) <= width for line in shown)
    return ["".join(span.text for span in line) for line in shown]


def test_the_course_and_the_peers() -> None:
    found = told()
    found.heartbeat(address("gw-0"), resources={"cpu": 0.95})
    for number in (1, 2, 3):
        found.heartbeat(address(f"gw-{number}"), resources={"cpu": 0.3 + number / 100})
    cpu = lines(found, 120)[0]
    assert cpu.startswith(" CPU ")
    assert "95%" in cpu
    assert cpu.endswith("▂▂███  peers 32%")
    assert [line.split()[0] for line in lines(found, 120)] == ["CPU", "round"], "what nobody said is not shown"


def test_every_width_and_plain_characters() -> None:
    found = told()
    for width in (50, 76, 120, 200):
        assert len(lines(found, width)) == 2
    assert all(line.isascii() for line in lines(found, 76, ASCII))


def test_a_device_that_went_away_has_a_course_and_no_figure() -> None:
    found = told()
    found.wait(200)
    found.fleet.advance(*found.now)
    cpu = lines(found, 120)[0]
    assert cpu.split()[1] == "-"
    assert "█" in cpu


def test_nothing_said_yet() -> None:
    found = Told()
    found.birth(address("gw-0"))
    assert lines(found, 80) == [" no heartbeat since somebody looks: it begins here"]
