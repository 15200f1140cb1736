"""How long it takes from a configuration being desired of a real agent to its module running so, and what else is restarted."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from statistics import median

from support.agents import Watch, agent_process, watching
from support.broker import mosquitto
from support.wait import until

from benchmarks.figures import Figure
from fleetview_agent.wire import ConfigOffer, Desired, encode

MODULES = 20
ROUNDS = 10
TOPIC = "fleet/v1/default/default/gw-1/desired"


async def _changes(folder: Path, watch: Watch) -> list[float]:
    """The seconds of each change, until the module's process had begun with its new setting."""
    took = []
    for gen in range(1, ROUNDS + 1):
        document = {"modules": {"m0": {"env": {"SETTING": str(gen)}}}}
        began_s = time.perf_counter()
        desired = Desired(gen=gen, config=ConfigOffer(version=gen, document=document))
        await watch.session.publish(TOPIC, encode(desired), qos=1, retain=True)
        await until(lambda: (folder / "m0").read_text() == f"{gen}\n")  # noqa: B023  (over before the next round)
        took.append(time.perf_counter() - began_s)
        await until(lambda: watch.reported[-1].gen == gen and _status(watch) == "applied")  # noqa: B023  (as above)
    return took


def _status(watch: Watch) -> str | None:
    config = watch.reported[-1].config
    return None if config is None else config.status


async def _measured(folder: Path) -> tuple[list[float], int, int]:
    script = 'echo "$SETTING" > {}; exec sleep 1000'
    modules = {
        f"m{number}": {"command": ["sh", "-c", script.format(folder / f"m{number}")], "env": {"SETTING": "file"}}
        for number in range(MODULES)
    }
    with mosquitto(folder, verbose=False) as broker:
        async with watching(broker.url) as watch:
            with agent_process(folder, None, broker_url=broker.url, modules=modules, verify_s=0.3, heartbeat_interval=0.3):
                await until(
                    lambda: watch.heartbeats and {info.state for info in watch.heartbeats[-1].modules} == {"running"}
                )
                await until((folder / "m0").exists)
                took = await _changes(folder, watch)
                await until(lambda: watch.heartbeats[-1].config == ROUNDS)
                restarts = {info.name: info.restarts for info in watch.heartbeats[-1].modules}
    return took, restarts.pop("m0"), sum(restarts.values())


def figures(folder: Path) -> list[Figure]:
    """The median of ten changes of one module of twenty."""
    took, of_the_changed, of_others = asyncio.run(_measured(folder))
    return [
        Figure("one of 20 modules reconfigured: desired to running", median(took), "s", at_most=0.5),
        Figure("restarts of that module in 10 changes", of_the_changed, "", at_most=ROUNDS),
        Figure("restarts of the other 19", of_others, "", at_most=0),
    ]
