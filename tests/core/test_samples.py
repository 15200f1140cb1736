"""The last hour of figures against a plain list of what was said; its bounds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.driver import DEVICE, World
from fleetview.core.device import Device
from fleetview.core.samples import MINUTES, Figure, Hour, Samples
from fleetview_agent.wire import Address, Channel, Heartbeat

SAID = st.lists(st.tuples(st.integers(0, 40 * 60), st.one_of(st.none(), st.floats(0, 1, width=32))), max_size=40)


def beat(cpu: float | None = None, session: str = "S1", **more: Any) -> Heartbeat:
    return Heartbeat.model_validate(
        {"session": session, "seq": 1, "timestamp": "2026-11-22T11:28:41.204Z", "resources": {"cpu": cpu}, **more},
        strict=False,
    )


@given(SAID, st.integers(0, 7200))
def test_each_minute_has_its_largest(said: list[tuple[int, float | None]], later_s: int) -> None:
    hour, at_s = Hour(), 1_795_000_020
    minutes: dict[int, float] = {}
    for pause_s, cpu in said:
        at_s += pause_s
        hour.take(beat(cpu), at_s)
        if cpu is not None:
            minutes[at_s // 60] = max(cpu, minutes.get(at_s // 60, 0.0))
    at_s += later_s
    expected = [minutes.get(at_s // 60 - back) for back in reversed(range(MINUTES))]
    assert hour.last(Figure.CPU, at_s) == (expected if said else [None] * MINUTES)
    thirds = [[value for value in expected[at : at + 20] if value is not None] for at in (0, 20, 40)]
    assert hour.last(Figure.CPU, at_s, 3) == [max(part, default=None) if said else None for part in thirds]


def test_the_error_rate_is_of_what_was_asked_between_two_heartbeats_of_one_session() -> None:
    hour = Hour()

    def say(at_s: int, session: str, requests: float | None, errors: float | None) -> float | None:
        hour.take(beat(session=session, metrics={"requests_total": requests, "request_errors_total": errors}), at_s)
        return hour.latest(Figure.ERROR_RATE)

    assert say(60, "S1", 1000.0, 10.0) is None, "since when, nobody knows"
    assert say(120, "S1", 1100.0, 15.0) == pytest.approx(0.05)
    assert say(180, "S1", 1100.0, 15.0) is None, "nothing was asked"
    assert say(240, "S2", 50.0, 50.0) is None, "it started again, and its counters with it"
    assert say(300, "S2", 60.0, 50.0) == 0
    assert say(360, "S2", None, None) is None
    assert say(420, "S2", 70.0, 80.0) == 1


def test_a_clock_that_is_set_back_adds_to_the_latest_minute() -> None:
    hour = Hour()
    hour.take(beat(0.2), 6000)
    hour.take(beat(0.9), 60)
    assert hour.latest(Figure.CPU) == pytest.approx(0.9)


def test_huge_figures_stay_figures() -> None:
    hour = Hour()
    hour.take(beat(link={"rtt_ms": 1e300}), 60)
    latest = hour.latest(Figure.ROUND_TRIP_MS)
    assert latest is not None
    assert latest < float("inf")


def test_so_many_devices_and_no_more_and_who_is_looked_at_gets_one() -> None:
    devices = [Device(Address("acme", "plant-1", f"gw-{number}")) for number in range(3)]
    samples = Samples(max_devices=2)
    for number, device in enumerate(devices):
        samples.take(device, beat(number / 10), 60)
    assert samples.median(devices, Figure.CPU) == pytest.approx(0.05)
    assert samples.watch(devices[2]).latest(Figure.CPU) is None
    for device in devices:
        samples.take(device, beat(0.5), 120)
    assert samples.watch(devices[2]).latest(Figure.CPU) == 0.5
    samples.forget(devices[2])
    assert samples.median(devices[2:], Figure.CPU) is None


def test_only_what_is_live_counts_and_a_removed_device_is_forgotten() -> None:
    world = World()
    world.birth()
    world.heartbeat(1, retained=True, resources={"cpu": 0.9})
    hour = world.fleet.samples.watch(world.device)
    assert hour.latest(Figure.CPU) is None
    world.heartbeat(2, resources={"cpu": 0.4})
    assert hour.latest(Figure.CPU) == pytest.approx(0.4)
    world.send_bytes(Channel.BIRTH, b"", address=DEVICE)
    world.birth()
    assert world.fleet.samples.watch(world.device).latest(Figure.CPU) is None


def test_traffic_is_what_came_between_two_heartbeats_of_one_session_by_their_time() -> None:
    hour = Hour()

    def say(at_s: int, session: str, received: float | None, sent: float | None) -> tuple[float | None, float | None]:
        counters = {"network_receive_bytes_total": received, "network_transmit_bytes_total": sent}
        hour.take(beat(session=session, metrics=counters), at_s)
        return hour.latest(Figure.NETWORK_IN), hour.latest(Figure.NETWORK_OUT)

    assert say(60, "S1", 1_000_000.0, 500.0) == (None, None), "since when, nobody knows"
    assert say(120, "S1", 1_006_000.0, 500.0) == (100.0, 0.0)
    assert say(180, "S1", 1_000_000.0, 560.0) == (None, 1.0), "a counter that fell began anew"
    assert say(240, "S2", 2_000_000.0, 9_999.0) == (None, None), "another run of the agent counts by itself"
    assert say(300, "S2", None, 10_059.0) == (None, 1.0)
    assert say(300, "S2", 1.0, 99_999.0) == (None, 1.0), "twice at one moment"
