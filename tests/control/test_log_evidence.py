"""What updated devices log and others do not, from the devices to what everybody may see of the rollout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.followers import fleet_of, following
from support.wait import until

from control.operators import NAME, QUICK, controlling, desk_of, plan_of
from fleetview.cli.rollout_text import show_lines
from fleetview.control.journal import Journal
from fleetview.core.rollout.board import Board, Key, Shown
from fleetview.tui.columns import Now
from fleetview.tui.glyphs import ASCII
from fleetview.tui.rollout_rows import rollout_rows

if TYPE_CHECKING:
    from pathlib import Path

    from support.broker import Broker

LOGS = {"1.4.2": "took {seq} ms", "1.5.0": "evaluation failed: KeyError 'limit-{seq}'"}
BAKES = {"waves": [2, "100%"], "evidence": QUICK["evidence"] | {"bake": "10m"}}


async def test_what_only_updated_devices_log_is_shown(broker: Broker, tmp_path: Path) -> None:
    async with (
        following(broker.url, fleet_of(12, logs_of=LOGS)),
        desk_of(broker) as desk,
        controlling(broker, tmp_path / "j.db"),
    ):
        await until(lambda: desk.leaders)
        await desk.start(plan_of(**BAKES))
        await until(lambda: NAME in desk.rollouts and desk.rollouts[NAME].log_differences, within_s=60)
        public = desk.rollouts[NAME]
        (each,) = public.log_differences
        assert (each.level, each.service, each.template) == ("ERROR", "app", "evaluation failed: KeyError <*>")
        assert (each.devices, each.control_times, each.ratio) == (2, 0, None)
        assert each.example.startswith("evaluation failed: KeyError 'limit-")
    now_s = public.at.timestamp()
    shown = Shown(Key("acme", NAME), public, 0.0, retained=False)
    text = "\n".join(show_lines(shown, Board(), now_s))
    assert "new on updated devices  ERROR  app: evaluation failed: KeyError <*>   2 devices, " in text
    assert "such as  evaluation failed: KeyError 'limit-" in text
    rows = rollout_rows(shown, Board(), Now(0.0, now_s), 120, ASCII, unfolded=frozenset())
    drawn = ["".join(span.text for span in row.line) for row in rows]
    assert any("new on updated devices  ERROR" in line and line.endswith("never on the others") for line in drawn)


async def test_a_restart_goes_on_counting(broker: Broker, tmp_path: Path) -> None:
    async with following(broker.url, fleet_of(12, logs_of=LOGS)), desk_of(broker) as desk:
        async with controlling(broker, tmp_path / "j.db"):
            await until(lambda: desk.leaders)
            await desk.start(plan_of(**BAKES))
            await until(lambda: NAME in desk.rollouts and desk.rollouts[NAME].log_differences, within_s=60)
        journal = Journal(tmp_path / "j.db")
        (before,) = journal.counted().values()
        journal.close()
        desk.rollouts.clear()
        async with controlling(broker, tmp_path / "j.db"):
            await until(lambda: NAME in desk.rollouts and desk.rollouts[NAME].log_differences, within_s=60)
    (each,) = desk.rollouts[NAME].log_differences
    (known,) = (seen for key, seen in before.templates.items() if key.template == each.template)
    assert each.times >= known.updated.times > 0


async def test_a_journal_that_fails_at_the_end_holds_nothing_up_and_is_told(broker: Broker, tmp_path: Path) -> None:
    told: list[str] = []
    async with following(broker.url, fleet_of(12, logs_of=LOGS)), desk_of(broker) as desk:
        async with controlling(broker, tmp_path / "j.db", tell=told.append) as run:
            await until(lambda: desk.leaders)
            await desk.start(plan_of(**BAKES))
            await until(lambda: NAME in desk.rollouts and desk.rollouts[NAME].log_differences, within_s=60)
            run._journal._db.close()
        await until(lambda: desk.is_leaderless)
    assert any(words.endswith("what was counted of logs in the last 15 s is lost") for words in told)


async def test_a_plan_may_do_without(broker: Broker, tmp_path: Path) -> None:
    async with (
        following(broker.url, fleet_of(12, logs_of=LOGS)) as followers,
        desk_of(broker) as desk,
        controlling(broker, tmp_path / "j.db") as run,
    ):
        await until(lambda: desk.leaders)
        await desk.start(plan_of(**BAKES, log_evidence=False))
        await until(lambda: desk.status == "running" and desk.rollouts[NAME].phase == "baking", within_s=60)
        beats = max(device.seq for device in followers.devices.values())
        await until(lambda: max(device.seq for device in followers.devices.values()) > beats + 4)
        assert run.running.logs.of(NAME) is None


async def test_a_new_error_on_too_many_devices_stops_it(broker: Broker, tmp_path: Path) -> None:
    gate = {"name": "new-errors", "measure": "log_templates", "max_devices": 1, "interval": "5s", "on_fail": "pause"}
    async with (
        following(broker.url, fleet_of(12, logs_of=LOGS)),
        desk_of(broker) as desk,
        controlling(broker, tmp_path / "j.db"),
    ):
        await until(lambda: desk.leaders)
        await desk.start(plan_of(waves=[2, "100%"], gates=[gate], evidence=QUICK["evidence"] | {"bake": "2s"}))
        await until(lambda: desk.status == "paused", within_s=60)
        found = {each.name: each for each in desk.rollouts[NAME].gates}["new-errors"]
        assert (found.verdict, found.latest and found.latest.value) == ("fail", 2.0)
        assert found.text == "2 devices, above 1 device"
