"""A controller, a broker, a web server and real agents: a good release reaches all, a bad one stops in its first wave."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from control.operators import QUICK, controlling, desk_of
from support.agents import agent_process, watching
from support.releases import Maker, shop
from support.wait import until

from fleetview.core.rollout.planfile import validate_plan
from fleetview_agent.wire import Channel, Heartbeat, decode

if TYPE_CHECKING:
    from pathlib import Path

    from control.operators import Desk
    from support.agents import Watch
    from support.broker import Broker

    from fleetview.core.rollout.plan import Plan

DEVICES = ("gw-1", "gw-2", "gw-3")
UNWELL = 'ready = { file = "ready", interval_s = 0.1, start_period_s = 0.1, retries = 2 }'


def plan_of(release: dict[str, Any]) -> Plan:
    name = f"gateway-{release['version']}"
    fields = {"tenant": "default", "target": {"release": release}, "waves": [1, "100%"], "devices_on_fail": "rollback"}
    return validate_plan(QUICK | {"name": name} | fields)


def running_release(watch: Watch, device: str) -> str | None:
    """As its last heartbeat says."""
    found = [payload for topic, payload, _ in watch.messages if topic.endswith(f"/{device}/heartbeat")]
    beat = decode(Channel.HEARTBEAT, found[-1]) if found else None
    return beat.release if isinstance(beat, Heartbeat) else None


def status_of(desk: Desk, name: str) -> str:
    return desk.rollouts[name].status.value if name in desk.rollouts else ""


@pytest.mark.timeout(240)
async def test_a_good_release_reaches_all_and_a_bad_one_stops_in_its_first_wave(tmp_path: Path, broker: Broker) -> None:
    maker = Maker(tmp_path / "shop")
    with shop(maker.folder) as store, ExitStack() as agents:
        async with watching(broker.url) as watch, desk_of(broker, tenant="default") as desk:
            for name in DEVICES:
                folder = tmp_path / name
                folder.mkdir()
                keys: dict[str, Any] = {
                    "agent_id": name,
                    "broker_url": broker.url,
                    "heartbeat_interval": 0.5,
                    "release": "1.0",
                    "verify_s": 0.6,
                    "modules": {"ota_updater": {}},
                    "ota": {"keys": [maker.key], "verify_s": 0.6, "settle_s": 8},
                }
                agents.enter_context(agent_process(folder, **keys))
            await until(lambda: all(running_release(watch, name) == "1.0" for name in DEVICES), 60)
            async with controlling(broker, tmp_path / "j.db", tenant="default"):
                await until(lambda: desk.leaders, 30)
                good = maker.archive("1.1", files={"data": os.urandom(50_000)})
                await desk.start(plan_of(maker.offer(good, f"{store.url}/{good.name}")))
                await until(lambda: status_of(desk, "gateway-1.1") == "succeeded", 90)
                assert {running_release(watch, name) for name in DEVICES} == {"1.1"}

                bad = maker.archive("1.2", more=UNWELL)
                await desk.start(plan_of(maker.offer(bad, f"{store.url}/{bad.name}")))
                await until(lambda: status_of(desk, "gateway-1.2") == "rolled_back", 90)
                await until(lambda: {running_release(watch, name) for name in DEVICES} == {"1.1"}, 30)
                public = desk.rollouts["gateway-1.2"]
                assert [gate.verdict for gate in public.gates if gate.name == "devices"] == ["fail"]
                assert public.waves[1].started is None, "nobody of the second wave was offered it"
