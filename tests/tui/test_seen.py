"""Values that were seen: which there are, that there are not too many, and that nobody looks twice in a moment."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

from fleetview.core import seen
from fleetview.core.seen import MAX_DEVICES, MAX_FIELDS, MAX_VALUES, Seen, device_values
from tui.stage import Told, address

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fleetview.core.device import Device


def told() -> Told:
    found = Told()
    found.birth(address("gw-2", "north"), labels={"ring": "canary"})
    found.heartbeat(
        address("gw-2", "north"), "critical", "disk full", release="1.4.2", modules=[{"name": "ota", "state": "running"}]
    )
    found.birth(address("gw-1"), labels={"ring": "broad"})
    found.log(address("gw-1"), "up", service="uplink", http={"code": 502})
    return found


def test_values_of_devices_and_records() -> None:
    found = told()
    values = Seen(found.fleet).in_devices(0.0)
    assert values["site"] == ["north", "plant-1"]
    assert values["device"] == ["gw-1", "gw-2"]
    assert values["address"] == ["acme/north/gw-2", "acme/plant-1/gw-1"]
    assert (values["tenant"], values["release"], values["module"], values["reason"]) == (
        ["acme"], ["1.4.2"], ["ota"], ["disk full"],
    )  # fmt: skip
    assert values["label.ring"] == ["broad", "canary"]
    assert values[".health"] == ["critical"]
    logs = Seen(found.fleet).in_logs(0.0)
    assert logs[".http.code"] == ["502"]
    assert (logs["service"], logs["site"]) == (["uplink"], ["north", "plant-1"])


def test_nobody_looks_again_within_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = count()
    monkeypatch.setattr(seen, "device_values", lambda _devices: {"module": [str(next(looks))]})
    found = Seen(told().fleet)
    assert [found.in_devices(at)["module"] for at in (0.0, 4.9, 5.0, 6.0)] == [["0"], ["0"], ["1"], ["1"]]


def test_a_hostile_fleet_is_not_looked_at_in_full() -> None:
    (device,) = Told().online("gw-1")
    device.labels = {f"label-{number}": "x" for number in range(1000)}
    looked = 0

    def endless() -> Iterator[Device]:
        nonlocal looked
        while True:
            looked += 1
            device.release = f"1.{looked}"
            yield device

    values = device_values(endless())
    assert looked <= MAX_DEVICES + 1
    assert len(values["release"]) == MAX_VALUES
    assert len(values) <= MAX_FIELDS
