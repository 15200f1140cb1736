"""Runs the demo's controller, and in scenarios of rollouts begins the one that they are about. A child of the demo.

The controller is a process of its own, as in the field: in `controller-crash` it is killed with -9 again and again.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from time import time
from typing import Any

from fleetview.demo.choices import Scenario
from fleetview.demo.following import BAD_RELEASE
from fleetview.demo.player import stop_on_signals
from fleetview_agent.mqtt import BrokerUrl, LinkError, open_session
from fleetview_agent.wire import Channel, Controller, RolloutCommand, Topics, decode, encode, format_time, new_session

TENANT = "acme"
BY = "demo"
_BEGINS_AFTER_S = 8.0
"""So that devices are heard before the rollout begins, and a person has looked around."""
_CRASHES = 6
_LIVES_S = (9.0, 18.0)
"""How long a controller lives in `controller-crash`."""
_ASK_AGAIN_S = 5.0
_ORDER_LIVES = timedelta(seconds=30)
_QUICK: dict[str, Any] = {
    "tenant": TENANT,
    "group_by": ["hardware"],
    "waves": ["5%", "20%", "60%", "100%"],
    "every": "30s",
    "per_minute": 120,
    "deadlines": {"accept": "60s", "apply": "2m", "verify": "2m"},
    "evidence": {"bake": "20s", "converged": 2, "events": 50, "scrape": "15s", "passes": 2, "max_wait": "3m"},
    "gates": [
        {"name": "error-rate", "measure": "error_rate", "max": "1%", "ratio": 3, "delta": "0.5%", "interval": "10s"},
        {"name": "cpu", "measure": "cpu", "max": "95%", "ratio": 1.5, "delta": "20%", "interval": "10s"},
    ],
}
_SIMULATED = "device:gw-*"


def plan_of(scenario: Scenario) -> dict[str, Any]:
    """The plan of a scenario's rollout, as a file would have it."""
    match scenario:
        case Scenario.CANARY_REGRESSION:
            release = {"name": f"gateway-{BAD_RELEASE}", "target": {"release": {"version": BAD_RELEASE}}}
            return _QUICK | release | {"select": _SIMULATED}
        case Scenario.STRAGGLERS:
            return _QUICK | {
                "name": "gateway-1.5.1",
                "target": {"release": {"version": "1.5.1"}},
                "select": _SIMULATED,
                "max_deferred": "60%",
            }
    # A configuration reaches the real agents, too: the simulated devices take any, and these run modules by it.
    document = {"heartbeat_interval": 9}
    return _QUICK | {
        "name": "config-13",
        "target": {"config": {"version": 13, "document": document}},
        "previous": {"config": {"version": 12, "document": {}}},
        "select": "site:*",
    }


async def direct(url: str, scenario: Scenario, folder: Path, stop: asyncio.Event) -> None:
    """Keep a controller running, and begin what the scenario is about."""
    command = [sys.executable, "-m", "fleetview", "control", "--broker", url, "--tenant", TENANT]
    command += ["--journal", str(folder / "journal.db")]
    rng, crashes = Random(str(scenario)), _CRASHES if scenario is Scenario.CONTROLLER_CRASH else 0  # noqa: S311
    beginning = asyncio.create_task(_begin(url, plan_of(scenario)), name="begin") if scenario.rolls_out else None
    try:
        while not stop.is_set():
            controller = await asyncio.create_subprocess_exec(*command)
            ended = asyncio.create_task(controller.wait(), name="controller")
            stopped = asyncio.create_task(stop.wait(), name="stop")
            lives_s = rng.uniform(*_LIVES_S) + _BEGINS_AFTER_S * (crashes == _CRASHES) if crashes else None
            await asyncio.wait({ended, stopped}, timeout=lives_s, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if not ended.done():
                controller.send_signal(signal.SIGTERM if stop.is_set() else signal.SIGKILL)
            crashes = max(0, crashes - 1)
            await ended
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 2.0)
    finally:
        if beginning is not None:
            beginning.cancel()


async def _begin(url: str, plan: dict[str, Any]) -> None:
    """Start the rollout when somebody leads, and again until it is there."""
    topics = Topics()
    led, there = asyncio.Event(), asyncio.Event()

    def received(topic: str | bytes, payload: bytes, _retained: bool) -> None:  # noqa: FBT001  # called by the session
        if topic == topics.controller(TENANT) and payload and isinstance(decode(Channel.CONTROLLER, payload), Controller):
            led.set()
        elif topic == topics.rollout(TENANT, plan["name"]):
            there.set()

    async with open_session(BrokerUrl.parse(url), client_id="fleetview-director", on_message=received) as session:
        await session.subscribe([(topics.controller(TENANT), 1), (topics.rollout(TENANT, plan["name"]), 1)])
        await led.wait()
        await asyncio.sleep(_BEGINS_AFTER_S)
        while not there.is_set():
            fields = {"verb": "start", "id": new_session(time()), "by": BY, "reason": "the demo", "plan": plan}
            order = RolloutCommand.model_validate(fields | {"expires_at": format_time(datetime.now(UTC) + _ORDER_LIVES)})
            await session.publish(topics.rollout_command(TENANT, plan["name"]), encode(order))
            with suppress(TimeoutError):
                await asyncio.wait_for(there.wait(), _ASK_AGAIN_S)


async def _main(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    stop_on_signals(stop)
    with suppress(LinkError):
        await direct(options.broker, Scenario(options.scenario), options.folder, stop)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Runs the demo's controller; started by `fleetview demo`.")
    parser.add_argument("--broker", required=True)
    parser.add_argument("--scenario", required=True)
    parser.add_argument("--folder", required=True, type=Path)
    asyncio.run(_main(parser.parse_args()))
