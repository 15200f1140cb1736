"""What the broker lets this device do. Asked so that nobody who reads its topics is told anything.

- It has a client id of its own: with the agent's, the broker would end the session of the agent that may be running.
- What is published is nothing to any reader: a batch without records, and the result of a command that nobody gave. Birth,
  state, heartbeat and reported are the device's word, so they are not tried: what stands retained there proves that they
  were allowed, and the agent that runs, when it is connected, that they are.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fleetview_agent.endpoint import FailureKind, LinkError
from fleetview_agent.mqtt import Incoming, Protocol, Session, open_session
from fleetview_agent.preflight.findings import Answer, Finding
from fleetview_agent.preflight.inquiry import Inquiry
from fleetview_agent.preflight.network import failed
from fleetview_agent.wire import Channel, Topics

MQTT, RECEIVING, PUBLISHING = "mqtt", "receiving", "publishing"

ECHO_S = 3.0
_HEARD = (Channel.BIRTH, Channel.STATE, Channel.DESIRED, Channel.LOG_ACK)
"""What an agent reads, beside commands."""
_WORD = (Channel.BIRTH, Channel.STATE, Channel.HEARTBEAT, Channel.REPORTED)
NO_RECORDS = b'{"v":1,"records":[]}'
"""Of other shippers the contract takes batches without a stream, so this is a batch, and there is nothing in it."""
NO_RESULT = b'{"v":1,"status":"succeeded","message":"preflight: may this device publish its results?"}'


@asynccontextmanager
async def _session(inquiry: Inquiry, hear: Incoming, protocol: Protocol | None = None) -> AsyncIterator[Session]:
    config = inquiry.config
    client_id = f"{config.address}/check/{os.getpid()}"
    async with open_session(
        config.broker, tls=config.tls, client_id=client_id, on_message=hear, protocol=protocol
    ) as session:
        yield session


def _deaf(_topic: str | bytes, _payload: bytes, _retained: bool) -> None:  # noqa: FBT001  (mqtt.Incoming)
    return


async def mqtt(inquiry: Inquiry) -> Answer:
    """Whether that is an MQTT broker, and lets us in: by MQTT 5, else 3.1.1."""
    where = inquiry.config.broker.endpoint
    try:
        async with _session(inquiry, _deaf, "5"):
            return Finding(MQTT, "ok", f"connected to {where} by MQTT 5")
    except LinkError as err:
        if err.failure.kind is not FailureKind.PROTOCOL:
            return failed(MQTT, err)
        why = err.failure.words
    try:
        async with _session(inquiry, _deaf, "3.1.1"):
            return Finding(MQTT, "ok", f"connected to {where} by MQTT 3.1.1 (5 is not spoken there: {why})")
    except LinkError as err:
        return failed(MQTT, err)


async def receiving(inquiry: Inquiry) -> Answer:
    """Whether it may read what is meant for it."""
    topics, address = Topics(inquiry.config.topic_root), inquiry.config.address
    wanted = [topics.device(address, channel) for channel in _HEARD]
    wanted.append(topics.filter(Channel.COMMAND, *address))
    try:
        async with _session(inquiry, _deaf) as session:
            refused = await session.subscribe([(name, 1) for name in wanted])
    except LinkError as err:
        return Finding(RECEIVING, "error", f"{err.failure.words}: let it subscribe to its own topics in the broker's ACL")
    if not refused:
        return Finding(RECEIVING, "ok", f"may subscribe to its commands and to what is desired of it, {len(wanted)} filters")
    names = ", ".join(f"{name} ({reason})" for name, reason in refused)
    return Finding(RECEIVING, "error", f"may not read {names}: let it in the broker's ACL")


async def publishing(inquiry: Inquiry) -> Answer:
    """Whether it may publish what it has to."""
    topics, address = Topics(inquiry.config.topic_root), inquiry.config.address
    result = topics.device(address, Channel.COMMAND_RESULT, f"preflight-{os.getpid()}")
    trials = [
        ("log", topics.device(address, Channel.LOG), NO_RECORDS),
        ("command results", result, NO_RESULT),
    ]
    found = [
        finding for name, topic, payload in trials if (finding := await _try(inquiry, name, topic, payload)) is not None
    ]
    return found or await _own_word(inquiry, topics)


async def _try(inquiry: Inquiry, name: str, topic: str, payload: bytes) -> Finding | None:
    """What is wrong with publishing there; None if nothing is. One session each: some brokers end it where it may not."""
    back = asyncio.Event()

    def hear(heard: str | bytes, body: bytes, _retained: bool) -> None:  # noqa: FBT001  (mqtt.Incoming)
        if heard == topic and body == payload:
            back.set()

    mend = f"let it write {topic} in the broker's ACL"
    try:
        async with _session(inquiry, hear) as session:
            by_311 = session.protocol == "3.1.1"
            refused = await session.subscribe([(topic, 1)]) if by_311 else []
            await session.publish(topic, payload)
            if by_311 and not refused:
                with suppress(TimeoutError):
                    async with asyncio.timeout(ECHO_S):
                        await back.wait()
    except LinkError as err:
        return Finding(PUBLISHING, "error", f"{name}: {err.failure.words}: {mend}")
    if by_311 and not back.is_set():
        words = f"{name}: acknowledged, but it did not come back, and 3.1.1 tells no refusal; if any are missing, {mend}"
        return Finding(PUBLISHING, "warning", words)
    return None


async def _own_word(inquiry: Inquiry, topics: Topics) -> Finding:
    """What proves that it may publish what is not tried."""
    names = {topics.device(inquiry.config.address, channel): channel.value for channel in _WORD}
    stand: set[str] = set()

    def hear(topic: str | bytes, payload: bytes, _retained: bool) -> None:  # noqa: FBT001  (mqtt.Incoming)
        if isinstance(topic, str) and topic in names and payload:
            stand.add(names[topic])

    try:
        async with _session(inquiry, hear) as session:
            await session.subscribe([(name, 1) for name in names])
            await session.caught_up()
    except LinkError as err:
        return failed(PUBLISHING, err)
    status = inquiry.store.status() if inquiry.agent_runs else None
    connected = status is not None and status.link == "up"
    if connected and stand and "heartbeat" not in stand:
        words = (
            "the agent runs and is connected, but no heartbeat of it stands at the broker: let it write heartbeat in the ACL"
        )
        return Finding(PUBLISHING, "error", words)
    proven = [channel.value for channel in _WORD if channel.value in stand]
    if connected:
        return Finding(PUBLISHING, "ok", "log and command results are taken; the agent that runs publishes the rest")
    if proven:
        words = f"log and command results are taken; so were {', '.join(proven)}, which stand there from before"
        return Finding(PUBLISHING, "ok", words)
    words = "log and command results are taken; birth, state and heartbeat are the device's word, and are not tried"
    return Finding(PUBLISHING, "ok", words)
