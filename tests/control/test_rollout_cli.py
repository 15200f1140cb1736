"""`fleetview rollout` against a real broker, a controller and devices that follow: what it prints, and its exit codes."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from support.followers import TENANT, fleet_of, following
from support.wait import until

from control.operators import NAME, QUICK, controlling, desk_of

if TYPE_CHECKING:
    from pathlib import Path

    from support.broker import Broker


class Ran(NamedTuple):
    code: int | None
    out: str
    err: str


async def rollout(broker: Broker, *words: str) -> Ran:
    command = [sys.executable, "-m", "fleetview", "rollout", *words, "--broker", broker.url]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return Ran(process.returncode, out.decode(), err.decode())


def plan_file(folder: Path, **fields: Any) -> str:
    path = folder / "plan.yaml"
    path.write_text(json.dumps(QUICK | fields), encoding="utf-8")  # JSON is YAML, too
    return str(path)


async def test_planned_started_watched_steered_and_shown(broker: Broker, tmp_path: Path) -> None:
    plan = plan_file(tmp_path, waves=[{"to": 1, "hold": "step"}, "100%"])
    async with (
        following(broker.url, fleet_of(4)) as followers,
        desk_of(broker) as desk,
        controlling(broker, tmp_path / "j.db"),
    ):
        await until(lambda: desk.leaders)
        planned = await rollout(broker, "plan", plan, "--json")
        radius = json.loads(planned.out)
        assert (planned.code, radius["devices"], [wave["up_to"] for wave in radius["waves"]]) == (0, 4, [1, 4])
        first = next(address for address, wave in radius["places"].items() if wave == 1)
        why = await rollout(broker, "plan", plan, "--why", first)
        assert f"{first} is in wave 1 of 2" in why.out

        unasked = await rollout(broker, "start", plan)
        assert unasked.code == 2
        assert "no terminal to ask on" in unasked.err
        assert NAME not in desk.rollouts

        started = await rollout(broker, "start", plan, "--yes", "--reason", "ticket 4711")
        assert started.code == 0, started.err
        assert "4 devices at 2 sites" in started.err
        again = await rollout(broker, "start", plan, "--yes")
        assert again.code == 1
        assert "give this one another name" in again.err
        await until(lambda: desk.status == "paused", 60)

        refused = await rollout(broker, "pause", NAME, "--yes")
        assert refused.code == 0, refused.err  # one reason more to stand still
        resumed = await rollout(broker, "resume", "app", "--yes")
        assert resumed.code == 0, resumed.err
        watched = await rollout(broker, "watch", NAME)
        assert watched.code == 0
        assert watched.out.splitlines()[-1].endswith("waits for nothing")
        assert all(device.release == "1.5.0" for device in followers.devices.values())

        shown = await rollout(broker, "show", NAME)
        assert f"rollout {TENANT}/{NAME}   succeeded" in shown.out
        listed = await rollout(broker, "list", "--json")
        assert [(row["id"], row["status"], row["tenant"]) for row in map(json.loads, listed.out.splitlines())] == [
            (NAME, "succeeded", TENANT)
        ]
        nothing = await rollout(broker, "abort", NAME, "--yes")
        assert nothing.code == 1
        assert "abort would do nothing; it takes rollback" in nothing.err


async def test_without_a_controller_nothing_is_said_to_have_begun(broker: Broker, tmp_path: Path) -> None:
    async with following(broker.url, fleet_of(1)):
        started = await rollout(broker, "start", plan_file(tmp_path), "--yes")
    assert started.code == 3
    assert f"no controller runs for tenant {TENANT}" in started.err


async def test_what_is_wrong_is_named(broker: Broker, tmp_path: Path) -> None:
    wrong = await rollout(broker, "plan", plan_file(tmp_path, wave=["5%"], every="soon"))
    assert wrong.code == 2
    assert "plan.yaml: wave: unknown key 'wave'; did you mean 'waves'?" in wrong.err
    assert "plan.yaml: every: " in wrong.err
    missing = await rollout(broker, "plan", str(tmp_path / "none.yaml"))
    assert missing.code == 2
    assert "none.yaml cannot be read" in missing.err
    unknown = await rollout(broker, "show", "nothing")
    assert unknown.code == 1
    assert "there is no rollout nothing; known: none" in unknown.err
    only_read = await rollout(broker, "pause", "x", "--read-only")
    assert only_read.code == 1
    assert "read-only" in only_read.err
    empty = await rollout(broker, "plan", plan_file(tmp_path, select="device:nobody"))
    assert empty.code == 1
    assert "means no device" in empty.out
