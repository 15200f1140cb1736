"""The bad release, as its devices tell of it: again and again, on one kind of hardware, and no more once it is gone."""

from __future__ import annotations

from fleetview.demo.choices import Scenario
from fleetview.demo.following import BAD_ON, BAD_RELEASE
from fleetview.demo.outbox import Publication
from fleetview.demo.simulation import Simulation
from fleetview_agent.wire import Address, Desired, LogBatch, ReleaseOffer


def failures(said: list[Publication]) -> list[Address]:
    batches = [(one.address, one.body) for one in said if isinstance(one.body, LogBatch)]
    records = [(address, str(record.get("message"))) for address, batch in batches for record in batch.records]
    return [address for address, message in records if message.startswith("evaluation failed: KeyError")]


def test_devices_that_suffer_say_so_until_they_have_the_old_release_again() -> None:
    sim = Simulation(seed=1, devices=60, scenario=Scenario.CANARY_REGRESSION, start_unix_s=1_795_386_600.0, interval_s=10.0)
    sim.retained()
    sim.until(1)
    device = next(each for each in sim.devices if each.connected and each.plan.labels.get("hardware") == BAD_ON)
    well = next(each for each in sim.devices if each.connected and each.plan.labels.get("hardware") != BAD_ON)
    before = device.release
    for each in (device, well):
        sim.offer(each.address, Desired(gen=1001, epoch=1, release=ReleaseOffer(version=BAD_RELEASE)))
    found = failures(sim.until(180))
    assert set(found) == {device.address}
    assert len(found) >= 5
    sim.offer(device.address, Desired(gen=1002, epoch=1, release=ReleaseOffer(version=before)))
    sim.until(240)
    assert failures(sim.until(400)) == []
