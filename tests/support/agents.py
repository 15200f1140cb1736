"""Watching what agents publish, and running real ones."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fleetview_agent.mqtt import BrokerUrl, TlsFiles, open_session
from fleetview_agent.wire import (
    Birth,
    Channel,
    Heartbeat,
    LogBatch,
    Message,
    Reported,
    State,
    Topics,
    WireError,
    decode,
)
from support.wait import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
    from pathlib import Path

    from fleetview_agent.mqtt import Session


@dataclass
class Watch:
    """What arrived below the topic root, in order."""

    session: Session
    messages: list[tuple[str, bytes, bool]] = field(default_factory=list)

    def bodies(self, channel: Channel) -> list[Message]:
        return [decode(channel, payload) for topic, payload, _ in self.messages if payload and _channel(topic) is channel]

    @property
    def births(self) -> list[Birth]:
        return [body for body in self.bodies(Channel.BIRTH) if isinstance(body, Birth)]

    @property
    def states(self) -> list[State]:
        return [body for body in self.bodies(Channel.STATE) if isinstance(body, State)]

    @property
    def heartbeats(self) -> list[Heartbeat]:
        return [body for body in self.bodies(Channel.HEARTBEAT) if isinstance(body, Heartbeat)]

    @property
    def reported(self) -> list[Reported]:
        return [body for body in self.bodies(Channel.REPORTED) if isinstance(body, Reported)]

    @property
    def records(self) -> dict[tuple[str | None, int], dict[str, Any]]:
        """Log records by stream and number."""
        found: dict[tuple[str | None, int], dict[str, Any]] = {}
        for body in self.bodies(Channel.LOG):
            if isinstance(body, LogBatch):
                for index, record in enumerate(body.records):
                    found[body.stream, (body.first_seq or 0) + index] = record
        return found

    @property
    def texts(self) -> list[str]:
        """The messages of all log records."""
        return [record["message"] for record in self.records.values()]

    def has_state(self, state: str) -> bool:
        return any(body.state == state for body in self.states)


def _channel(topic: str) -> Channel | None:
    """None: what rules publish, of which the contract knows nothing."""
    try:
        return Topics().parse(topic).channel
    except WireError:
        return None


@contextlib.asynccontextmanager
async def watching(url: str, *, tls: TlsFiles | None = None, client_id: str = "watch") -> AsyncIterator[Watch]:
    """Everything that is published below the default root, from now on, and what is retained there."""
    messages: list[tuple[str, bytes, bool]] = []

    def keep(topic: str | bytes, payload: bytes, retained: bool) -> None:
        messages.append((str(topic), payload, retained))

    async with open_session(BrokerUrl.parse(url), tls=tls, client_id=client_id, on_message=keep) as session:
        refused = await session.subscribe([("fleet/v1/#", 1)])
        assert not refused
        yield Watch(session, messages)


class AgentProcess:
    """A real `fleetview-agent run`."""

    def __init__(self, process: subprocess.Popen[bytes], errors: Path) -> None:
        self.process = process
        self._errors = errors

    @property
    def journal(self) -> list[dict[str, Any]]:
        """What it wrote to stderr. Fails when a line is not a structured record."""
        return [json.loads(line) for line in self._errors.read_text().splitlines()]

    async def ended(self, within_s: float = 10.0) -> int:
        """The exit code, once it is there."""
        await until(lambda: self.process.poll() is not None, within_s)
        assert self.process.returncode is not None
        return self.process.returncode


@contextlib.contextmanager
def agent_process(folder: Path, environ: Mapping[str, str] | None = None, /, **keys: object) -> Iterator[AgentProcess]:
    """Runs an agent with these keys in its configuration, and ends it however the test ends."""
    (folder / "agent.json").write_text(json.dumps({**_usual(folder), **keys}))
    with agent_again(folder, environ) as agent:
        yield agent


@contextlib.contextmanager
def agent_again(folder: Path, environ: Mapping[str, str] | None = None) -> Iterator[AgentProcess]:
    """Likewise, with the configuration that is there."""
    errors = folder / "agent.err"
    command = [sys.executable, "-m", "fleetview_agent", "run", "--config", str(folder / "agent.json")]
    with errors.open("ab") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=file, env=environ)
    try:
        yield AgentProcess(process, errors)
    finally:
        process.kill()
        process.wait()


def _usual(folder: Path) -> dict[str, object]:
    return {"agent_id": "gw-1", "heartbeat_interval": 0.5, "state_dir": str(folder / "state")}


def run_agent(arguments: Sequence[str], environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a command of the agent to its end."""
    command = [sys.executable, "-m", "fleetview_agent", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FLEETVIEW_")}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=30, check=False, env={**environment, **(environ or {})}
    )
