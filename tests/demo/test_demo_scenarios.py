"""What the scenarios promise, told from the messages alone, as a reader would."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest

from fleetview.demo.choices import Scenario
from fleetview.demo.outbox import Publication
from fleetview.demo.simulation import Simulation
from fleetview_agent.wire import Address, Birth, Channel, Desired, Health, Heartbeat, LogBatch, Reported, State

START = 1_795_386_600.0
SEEDS = (1, 2, 3, 7, 42)


def play(scenario: Scenario, until_s: float, *, seed: int = 1, devices: int = 60) -> tuple[Simulation, list[Publication]]:
    sim = Simulation(seed=seed, devices=devices, scenario=scenario, start_unix_s=START)
    return sim, sim.retained() + sim.until(until_s)


def kinds_of_trouble(said: Iterable[Publication]) -> set[str]:
    """Kinds of trouble that a reader of these messages can see, each named."""
    return {kind for one in said for kind in _kinds(one)}


def _kinds(one: Publication) -> Iterable[str]:
    match one.body:
        case State(state="lost" | "offline" as state):
            yield state
        case Heartbeat(reasons=reasons, link=link, timestamp=timestamp):
            yield from (_kind_of_reason(reason) for reason in reasons)
            if link is not None and (link.rtt_ms or 0) > 400:
                yield "slow link"
            if one.at_s >= 0 and abs(timestamp.timestamp() - START - one.at_s) > 5 and one.at_s > 0:
                yield "clock"
        case Reported(config=config, release=release):
            if config is not None and config.status == "rejected":
                yield "config rejected"
            if release is not None and release.status == "rolled_back":
                yield "release rolled back"
        case LogBatch(records=records):
            yield from ("records dropped" for record in records if record.get("event") == "gap")
        case bytes() if one.channel is Channel.HEARTBEAT:
            yield "malformed"


def _kind_of_reason(reason: str) -> str:
    for mark in (
        "failed after",
        "in backoff",
        "disk",
        "processor at",
        "spool full",
        "certificate",
        "requests fail",
        "memory",
    ):
        if mark in reason:
            return mark
    pytest.fail(f"a reason of no known kind: {reason}")


@pytest.mark.parametrize("seed", SEEDS)
def test_bad_night_shows_trouble_at_once_and_many_kinds_within_two_minutes(seed: int) -> None:
    sim, said = play(Scenario.BAD_NIGHT, 5, seed=seed)
    at_once = kinds_of_trouble(said)
    assert {"failed after", "lost", "offline", "spool full", "certificate", "config rejected"} <= at_once
    later = kinds_of_trouble(sim.until(120))
    assert {"in backoff", "processor at", "disk", "requests fail", "release rolled back", "clock", "slow link"} <= later
    assert {"malformed", "records dropped"} <= later
    assert len(at_once | later) >= 14


@pytest.mark.parametrize("seed", SEEDS)
def test_bad_night_darkens_one_site_after_a_minute(seed: int) -> None:
    sim, said = play(Scenario.BAD_NIGHT, 59, seed=seed)
    before = {str(one.address.site) for one in said if isinstance(one.body, State) and one.body.state == "lost"}
    lost = [one.address for one in sim.until(120) if isinstance(one.body, State) and one.body.state == "lost"]
    sites = [address.site for address in lost]
    site = max(set(sites), key=sites.count)
    assert sites.count(site) >= 10
    assert site not in before
    assert len(sites) - sites.count(site) <= 3


def largest_site(sim: Simulation) -> str:
    return Counter(device.address.site for device in sim.devices).most_common(1)[0][0]


def last_heard(said: Iterable[Publication], site: str) -> dict[Address, float]:
    return {one.address: one.at_s for one in said if one.address.site == site and one.channel is Channel.HEARTBEAT}


@pytest.mark.parametrize(("seed", "devices"), [(1, 12), (2, 12), (1, 60), (2, 60), (42, 60), (7, 300)])
def test_site_outage_silences_all_of_a_site_within_seconds(seed: int, devices: int) -> None:
    sim, said = play(Scenario.SITE_OUTAGE, 30, seed=seed, devices=devices)
    site = largest_site(sim)
    members = {address for address, at_s in last_heard(said, site).items() if at_s > 0}  # not the one that sleeps
    assert len(members) >= 10
    assert max(last_heard(said, site).values()) < 27.0
    silence = sim.until(200)
    assert not last_heard(silence, site)
    wills = [one.at_s for one in silence if isinstance(one.body, State) and one.address.site == site]
    assert len(wills) == len(members)
    assert max(wills) - min(wills) < 8
    back = last_heard(sim.until(420), site)
    assert len(back) == len(members), "it comes back"


@pytest.mark.parametrize("seed", SEEDS)
def test_site_outage_leaves_the_other_sites_alone(seed: int) -> None:
    sim, said = play(Scenario.SITE_OUTAGE, 110, seed=seed)
    dark = largest_site(sim)
    others = {
        one.address for one in said if one.address.site != dark and isinstance(one.body, State) and one.body.state == "lost"
    }
    assert not others


@pytest.mark.parametrize("seed", SEEDS)
def test_calm_is_calm(seed: int) -> None:
    sim = Simulation(seed=seed, devices=60, scenario=Scenario.CALM, start_unix_s=START)
    health: dict[Address, Health | None] = {}
    presence: dict[Address, str] = {}
    said = sim.retained()
    for now_s in range(10, 1200, 10):
        for one in said:
            if isinstance(one.body, Heartbeat):
                health[one.address] = one.body.health
            elif isinstance(one.body, State):
                presence[one.address] = one.body.state
        assert sum(state != "ok" for state in health.values()) <= 2
        assert sum(state not in {"online", "sleeping"} for state in presence.values()) <= 2
        said = sim.until(now_s)


def test_a_fleet_is_a_mixed_one() -> None:
    _, said = play(Scenario.BAD_NIGHT, 1)
    births = [one.body for one in said if isinstance(one.body, Birth)]
    desired = [one for one in said if isinstance(one.body, Desired)]
    releases = {one.body.release for one in said if isinstance(one.body, Heartbeat)}
    assert releases == {"1.4.2", "1.5.0"}
    assert len(desired) == len(births) + 1, "one device is known from what it should run only"
    assert {birth.labels["ring"] for birth in births} == {"canary", "early", "stable"}
    assert len({birth.host.arch for birth in births if birth.host}) > 1


@pytest.mark.parametrize("scenario", Scenario)
@pytest.mark.parametrize("devices", [1, 2, 7])
def test_small_fleets_play_every_scenario(scenario: Scenario, devices: int) -> None:
    _, said = play(scenario, 300, devices=devices)
    assert said


def test_trace_ids_lead_from_one_device_to_its_neighbours() -> None:
    _, said = play(Scenario.BAD_NIGHT, 120)
    seen: dict[str, set[Address]] = {}
    for one in said:
        for record in one.body.records if isinstance(one.body, LogBatch) else ():
            if trace := record.get("trace_id"):
                seen.setdefault(trace, set()).add(one.address)
    shared = [addresses for addresses in seen.values() if len(addresses) > 1]
    assert shared
    assert all(len({address.site for address in addresses}) == 1 for addresses in shared)


def test_trouble_keeps_coming_when_the_demo_is_left_running() -> None:
    sim, _ = play(Scenario.BAD_NIGHT, 400)
    assert {"in backoff", "lost"} <= kinds_of_trouble(sim.until(1000))
