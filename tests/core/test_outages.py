"""Rule 7 at its edges: 30 % of a site's devices, and at least five, silent within 2 H."""

from __future__ import annotations

import pytest

from core.driver import World
from fleetview.core.outages import Site
from fleetview_agent.wire import Address, Channel

SITE = Site("acme", "plant-9")


def _site(devices: int, silent: int, *, apart_s: float = 0) -> World:
    """A site of which so many devices fall silent, one after the other, and of which the rest goes on."""
    world = World()
    addresses = [Address(SITE.tenant, SITE.name, f"gw-{number}") for number in range(devices)]
    for address in addresses:
        world.birth(address=address)
        world.state("online", address=address)
    for address in addresses[:silent]:
        world.heartbeat(0, address=address)
        world.wait(apart_s)
    last_word_s = world.mono_s - apart_s
    while world.mono_s < last_word_s + 90:
        for address in addresses[silent:]:
            world.heartbeat(0, address=address)
        world.wait(min(30, last_word_s + 90 - world.mono_s))
    return world


@pytest.mark.parametrize(
    ("devices", "silent", "out"),
    [(5, 5, True), (4, 4, False), (16, 5, True), (17, 5, False), (20, 6, True), (100, 29, False)],
)
def test_how_many_make_an_outage(devices: int, silent: int, out: bool) -> None:
    world = _site(devices, silent)
    assert (SITE in world.fleet.outages) is out
    assert sum("site_outage" in device.flags() for device in world.fleet.devices.values()) == (silent if out else 0)


@pytest.mark.parametrize(("apart_s", "out"), [(15, True), (16, False)])
def test_how_close_together_they_must_fall_silent(apart_s: float, out: bool) -> None:
    world = _site(5, 5, apart_s=apart_s)
    assert (SITE in world.fleet.outages) is out
    if out:
        outage = world.fleet.outages[SITE]
        assert (outage.of, len(outage.devices), outage.spread_s, outage.first_mono) == (5, 5, 60, 1000)


def test_an_outage_ends_when_too_few_are_silent() -> None:
    world = _site(5, 5)
    world.fleet.drain()
    world.heartbeat(1, address=Address(SITE.tenant, SITE.name, "gw-0"))
    world.fleet.advance(world.mono_s, world.unix_s)
    assert not world.fleet.outages
    changes = world.fleet.drain()
    assert changes.outages
    assert len(changes.touched) == 5, "those that are no longer part of it have changed"


def test_devices_that_said_goodbye_are_no_outage() -> None:
    world = _site(5, 0)
    for device in list(world.fleet.devices):
        world.state("offline", reason="stop", address=device)
    world.wait(1000)
    assert not world.fleet.outages


def test_what_fell_silent_before_the_reader_was_blind_is_not_lumped_with_what_did_after() -> None:
    world = _site(5, 0)
    devices = list(world.fleet.devices)
    for device in devices:
        world.heartbeat(1, address=device)
    world.blind(600)
    world.wait(90)  # the timers of the first three go on from here, but they were heard eleven minutes ago
    for device in devices[3:]:
        world.heartbeat(2, address=device)
    world.wait(1000)
    assert {device.connectivity.value for device in world.fleet.devices.values()} == {"lost"}
    assert not world.fleet.outages


def test_a_device_that_is_removed_leaves_the_outage_and_the_change_set() -> None:
    world = _site(5, 5)
    gone = next(iter(world.fleet.devices.values()))
    world.fleet.drain()
    world.send_bytes(Channel.BIRTH, b"", address=gone.address)
    world.fleet.advance(world.mono_s, world.unix_s)
    changes = world.fleet.drain()
    assert not world.fleet.outages
    assert changes.removed == {gone}
    assert gone not in changes.touched
