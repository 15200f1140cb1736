"""`fleetview-agent check`: can this device do its work as it is configured? Each question in order, each answer in words."""

from __future__ import annotations

import glob
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from fleetview_agent.certificate import read_certificate
from fleetview_agent.config import AgentConfig
from fleetview_agent.endpoint import LinkError
from fleetview_agent.modules.process import SpawnError, startable
from fleetview_agent.modules.registry import why_not_run
from fleetview_agent.mqtt import open_session
from fleetview_agent.wire import Channel, Topics

_SOON_DAYS = 30


@dataclass(frozen=True, slots=True)
class Answer:
    """One thing that was looked at."""

    verdict: Literal["ok", "warning", "error"]
    what: str
    words: str

    def __str__(self) -> str:
        return f"{self.verdict:<7}  {self.what:<12}  {self.words}"


async def answers(config: AgentConfig) -> AsyncIterator[Answer]:
    """All answers, as they come in."""
    yield _state_dir(config)
    for answer in _certificate(config):
        yield answer
    for answer in _log_files(config):
        yield answer
    for answer in (*_modules(config), *_updater(config)):
        yield answer
    yield await _broker(config)


def _state_dir(config: AgentConfig) -> Answer:
    folder = (config.state_dir or Path()) / config.agent_id
    there = next((each for each in (folder, *folder.parents) if each.exists()), Path("/"))
    if not there.is_dir():
        return Answer("error", "state_dir", f"{there} is not a folder; set state_dir to one")
    if not os.access(there, os.W_OK | os.X_OK):
        return Answer("error", "state_dir", f"{there} cannot be written by this user; change its owner, or set state_dir")
    return Answer("ok", "state_dir", str(folder))


def _certificate(config: AgentConfig) -> list[Answer]:
    tls = config.tls
    if tls is None:
        if config.tls_cert is None:
            return []
        return [Answer("warning", "certificate", "tls_cert is not used: broker_url is mqtt://, use mqtts:// for TLS")]
    try:
        tls.context()
    except LinkError as err:
        return [Answer("error", "certificate", err.failure.words)]
    if tls.cert is None:
        return [Answer("ok", "certificate", "none of our own (tls_cert is not set)")]
    facts = read_certificate(tls.cert)
    days = (facts.not_after - datetime.now(UTC)).days
    until = f"{tls.cert}: CN {facts.common_name!r}, valid until {facts.not_after:%Y-%m-%d}"
    if days < 0:
        return [Answer("error", "certificate", f"{until}: it has expired, renew it")]
    if days < _SOON_DAYS:
        return [Answer("warning", "certificate", f"{until}: {days} days are left, renew it")]
    return [Answer("ok", "certificate", until)]


def _log_files(config: AgentConfig) -> list[Answer]:
    found: list[Answer] = []
    for entry in config.logs.files:
        paths = sorted(glob.glob(entry.path, recursive=True))  # noqa: PTH207  (Path.glob takes no absolute pattern)
        closed = [path for path in paths if not os.access(path, os.R_OK)]
        if closed:
            words = f"{closed[0]} cannot be read by this user; add it to the group of the file"
            found.append(Answer("error", "log file", words))
        elif paths:
            found.append(Answer("ok", "log file", f"{entry.path}: {len(paths)} found"))
        else:
            found.append(Answer("warning", "log file", f"{entry.path}: nothing there yet"))
    return found


def _modules(config: AgentConfig) -> list[Answer]:
    found: list[Answer] = []
    for name, spec in config.module_specs.items():
        try:
            program = startable(spec)
        except SpawnError as err:
            found.append(Answer("error", "module", f"{name}: {err}"))
        else:
            missing = why_not_run(name, spec)
            words = f"{name}: {program or missing or 'is built in'}"
            found.append(Answer("ok" if missing is None else "warning", "module", words))
    return found


def _updater(config: AgentConfig) -> list[Answer]:
    if "ota_updater" not in config.module_specs:
        return []
    verdict, words = config.ota.standing()
    return [Answer(verdict, "releases", words)]


async def _broker(config: AgentConfig) -> Answer:
    topic = Topics(config.topic_root).device(config.address, Channel.STATE)
    # A client id of its own: with the agent's, the broker would end the session of the agent that may be running.
    client_id = f"{config.address}/check/{os.getpid()}"
    try:
        async with open_session(
            config.broker, tls=config.tls, client_id=client_id, on_message=lambda _topic, _payload, _retained: None
        ) as session:
            refused = await session.subscribe([(topic, 1)])
            protocol = session.protocol
    except LinkError as err:
        return Answer("error", "broker", err.failure.words)
    if refused:
        return Answer("warning", "broker", f"connected, but not allowed to read {topic} ({refused[0][1]})")
    return Answer("ok", "broker", f"connected to {config.broker.endpoint} by MQTT {protocol}")
