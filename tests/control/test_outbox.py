"""The outbox: the latest of each topic, in spite of a broker that refuses some, and of a link that breaks."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from support.wait import until

from fleetview.control import outbox
from fleetview.control.journal import Journal, Post
from fleetview.control.outbox import Outbox
from fleetview_agent.endpoint import FailureKind, LinkError

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


class Broker:
    """Takes what it does not refuse, while the link is up."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, bytes]] = []
        self.refuses: set[str] = set()
        self.is_up = asyncio.Event()
        self.is_up.set()
        self.breaks = 0

    async def publish(self, topic: str, payload: bytes) -> None:
        await asyncio.sleep(0)
        if self.breaks:
            self.breaks -= 1
            raise LinkError.of(FailureKind.LOST, "the link broke")
        if topic in self.refuses:
            raise LinkError.of(FailureKind.AUTHORISATION, "not allowed")
        self.taken.append((topic, payload))

    async def up(self) -> None:
        await self.is_up.wait()


async def test_what_is_refused_keeps_nobody_waiting_and_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_REFUSED_RETRY_S", (0.01,))
    journal, broker, told = Journal(tmp_path / "j.db"), Broker(), list[str]()
    broker.refuses = {f"bad/{number}" for number in range(200)}
    journal.commit([], [Post(f"bad/{number}", b"x") for number in range(200)])
    journal.commit([], [Post(f"good/{number}", b"x") for number in range(100)])
    box = Outbox(journal, broker.publish, told.append)
    task = asyncio.create_task(box.run(broker.up, lambda: True))
    await until(lambda: len(broker.taken) == 100)
    await until(lambda: len(told) == 200)
    assert "bad/7" in " ".join(told)
    broker.refuses.clear()
    await until(lambda: not journal.waiting(10))
    assert len(broker.taken) == 300
    assert len(told) == 200
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_an_older_message_never_overtakes_a_newer_one_of_its_topic(tmp_path: Path) -> None:
    journal, broker = Journal(tmp_path / "j.db"), Broker()
    box = Outbox(journal, broker.publish, lambda _: None)
    journal.commit([], [Post("a/desired", b"offer")])
    broker.breaks = 1
    with suppress(LinkError):
        await box.some()
    journal.commit([], [Post("a/desired", b"")])
    while await box.some():
        pass
    assert broker.taken == [("a/desired", b"")]


async def test_who_does_not_lead_any_more_publishes_nothing(tmp_path: Path) -> None:
    journal, broker = Journal(tmp_path / "j.db"), Broker()
    journal.commit([], [Post("a", b"x")])
    await asyncio.wait_for(Outbox(journal, broker.publish, lambda _: None).run(broker.up, lambda: False), 5)
    assert broker.taken == []
