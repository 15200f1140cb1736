"""Answers the commands that operators send: each once, however often the broker delivers it, and never after it expired."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple

from fleetview_agent.endpoint import LinkError
from fleetview_agent.link import Link
from fleetview_agent.wire import (
    Address,
    Channel,
    Command,
    CommandResult,
    DeviceTopic,
    Topics,
    WireError,
    decode,
    encode,
    format_time,
)
from fleetview_agent.wire.messages import CommandStatus

_log = logging.getLogger(__name__)

MOST_AT_ONCE = 16
REMEMBERED = 64
"""Commands, so that one that is delivered twice is done once."""
RESULT_S = 60.0
"""For a result to be published, over broken links too."""
_SHOWN = 200


class Answer(NamedTuple):
    """How a command goes. One may be `accepted` first."""

    status: CommandStatus
    words: str


Verb = Callable[[Mapping[str, Any], str], AsyncIterator[Answer]]
"""Takes the arguments and the command's id."""


def judge(payload: bytes, verbs: Collection[str], now: datetime) -> Command | Answer:
    """The command in a payload, or why it is none for this agent at this time."""
    try:
        command = decode(Channel.COMMAND, payload)
    except WireError as err:
        return Answer("failed", f"not a command: {err}")
    if not isinstance(command, Command):
        raise TypeError(command)
    if command.expires_at <= now:
        return Answer("expired", f"expired at {format_time(command.expires_at)}, and here it is {format_time(now)}")
    if command.verb not in verbs:
        return Answer("unknown_verb", f"this agent does not know {command.verb[:64]!r}; it knows {', '.join(verbs)}")
    return command


class Commands:
    """The commands of one session."""

    def __init__(self, verbs: Mapping[str, Verb], topics: Topics, address: Address, link: Link) -> None:
        self._verbs = verbs
        self._topics = topics
        self._address = address
        self._link = link
        self._tasks: set[asyncio.Task[None]] = set()
        self._last: OrderedDict[str, CommandResult | None] = OrderedDict()
        """The last result of each that is remembered; None while there is none."""

    def received(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """Take a command. Its answer is published later."""
        try:
            found = self._topics.parse(topic)
        except WireError as err:
            _log.warning("a command whose id is no name is ignored: %s", err)
            return
        command_id = found.command_id if isinstance(found, DeviceTopic) else None
        if not payload or command_id is None:
            return  # without payload: a retained one was taken away
        if retained:
            words = "a retained command is not carried out: it would be again on every connection"
            _log.warning(words, extra={"command": command_id})
        elif command_id in self._last:
            self._repeat(command_id)
        elif len(self._tasks) >= MOST_AT_ONCE:
            _log.warning("too many commands at once: one is dropped", extra={"command": command_id})
        else:
            self._remember(command_id, None)
            self._begin(self._carry_out(command_id, payload))

    def _repeat(self, command_id: str) -> None:
        result = self._last[command_id]
        if result is not None and len(self._tasks) < MOST_AT_ONCE:
            self._begin(self._say(command_id, result))

    def _begin(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (err := task.exception()) is not None:
            _log.error("a command ended in a defect", exc_info=err)

    async def close(self) -> None:
        """Let go of those that are not done."""
        for task in self._tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _remember(self, command_id: str, result: CommandResult | None) -> None:
        self._last[command_id] = result
        while len(self._last) > REMEMBERED:
            self._last.popitem(last=False)

    async def _carry_out(self, command_id: str, payload: bytes) -> None:
        found = judge(payload, self._verbs, datetime.now(UTC))
        if isinstance(found, Answer):
            await self._answer(command_id, found)
            return
        extra = {"command": command_id, "verb": found.verb, "by": (found.by or "")[:_SHOWN]}
        _log.info("command %s", found.verb, extra=extra)
        async for answer in self._verbs[found.verb](found.args, command_id):
            await self._answer(command_id, answer)

    async def _answer(self, command_id: str, answer: Answer) -> None:
        result = CommandResult(status=answer.status, message=answer.words, at=datetime.now(UTC))
        self._remember(command_id, result)
        level = logging.INFO if answer.status in {"accepted", "succeeded"} else logging.WARNING
        _log.log(level, "command %s: %s", answer.status, answer.words, extra={"command": command_id})
        await self._say(command_id, result)

    async def _say(self, command_id: str, result: CommandResult) -> None:
        topic = self._topics.device(self._address, Channel.COMMAND_RESULT, command_id)
        try:
            async with asyncio.timeout(RESULT_S):
                session = await self._link.up()
                while True:
                    with suppress(LinkError):
                        await session.publish(topic, encode(result), qos=1)
                        return
                    session = await self._link.up(other_than=session)
        except TimeoutError:
            _log.warning("the result of a command could not be published", extra={"command": command_id})
