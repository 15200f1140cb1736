"""A bundle of all that helps to understand a device from afar, gathered when an operator asks for it.

It is shipped in pieces as log records (`wire.bundles`), and the last one is kept on the disk for who comes by.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from fleetview_agent import __version__, journal
from fleetview_agent.commands import Answer
from fleetview_agent.config import AgentConfig
from fleetview_agent.durable import write_atomically
from fleetview_agent.masking import masked_config
from fleetview_agent.preflight.findings import Finding
from fleetview_agent.recent import Recent
from fleetview_agent.spool import Record, Spool
from fleetview_agent.store import Store
from fleetview_agent.wire import Heartbeat, HostInfo, format_time
from fleetview_agent.wire.bundles import MAX_BUNDLE_BYTES, MAX_PACKED_BYTES, cut_bundle, pack_bundle

_log = logging.getLogger(__name__)

FILE = "diagnostics.json.gz"
"""In the agent's folder; the next bundle takes its place."""
CHECKS_S = 30.0
"""For all checks together; what is not looked at by then is named as such."""
_STUCK_S = 5.0
"""Beyond that, before a check counts as hanging where nothing can interrupt it."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What a bundle is made of, each asked when one is made."""

    config: Callable[[], AgentConfig]
    checks: Callable[[], AsyncIterator[Finding]]
    """What `fleetview-agent check` finds, as it comes in."""
    host: Callable[[], HostInfo]
    heartbeat: Callable[[], Heartbeat]
    recent: Recent


class Diagnostics:
    """The verb `diagnostics` of one agent. One bundle at a time."""

    def __init__(self, sources: Sources, store: Store, spool: Spool, ship: Callable[[Sequence[Record]], object]) -> None:
        self._sources = sources
        self._store = store
        self._spool = spool
        self._ship = ship
        self._busy = False

    async def answers(self, _: Mapping[str, object], command_id: str) -> AsyncIterator[Answer]:
        """Gather a bundle, keep it, ship it."""
        if self._busy:
            yield Answer("failed", "a bundle is being gathered already; ask again when that one is answered")
            return
        self._busy = True
        try:
            yield Answer("accepted", "gathering: configuration, modules, vitals, logs, checks")
            checks = await _in_a_thread(lambda: checked(self._sources.checks))
            packed = pack(self._contents(checks, command_id))
            yield self._deliver(packed, command_id)
        finally:
            self._busy = False

    def _contents(self, checks: list[dict[str, str]], command_id: str) -> dict[str, Any]:
        sources = self._sources
        config, heartbeat = sources.config(), sources.heartbeat()
        return {
            "v": 1,
            "id": command_id,
            "at": format_time(datetime.now(UTC)),
            "device": str(config.address),
            "agent": {"version": __version__},
            "host": sources.host().model_dump(mode="json", exclude_none=True),
            "configuration": masked_config(config),
            "heartbeat": heartbeat.model_dump(mode="json", exclude_unset=True),
            "modules": [module.model_dump(mode="json", exclude_unset=True) for module in heartbeat.modules],
            "checks": checks,
            "logs": sources.recent.records(),
        }

    def _deliver(self, packed: bytes, command_id: str) -> Answer:
        path = self._store.folder / FILE
        try:
            write_atomically(path, packed)
            kept = f"kept as {path}"
        except OSError as err:
            kept = f"not kept: {path} cannot be written: {err.strerror}"
        if self._spool.nearly_full:  # its pieces would push out what other records say
            return Answer("failed", f"the spool is nearly full, so the bundle is not sent; {kept}")
        records = [self._record(fields) for fields in cut_bundle(packed, command_id)]
        self._ship(records)
        plural = "" if len(records) == 1 else "s"
        return Answer("succeeded", f"{len(packed):,} bytes sent as {len(records)} log record{plural}; {kept}")

    @staticmethod
    def _record(fields: dict[str, Any]) -> Record:
        return {
            "timestamp": format_time(datetime.now(UTC)),
            "service": journal.SERVICE,
            "level": "INFO",
            "trace_id": None,
            "message": f"diagnostics {fields['id']}: piece {fields['piece']} of {fields['pieces']}",
            **fields,
        }


def pack(contents: dict[str, Any]) -> bytes:
    """The bundle, packed. What would make it too large is left out, and named: older logs first, then all, then the rest."""
    while True:
        data = _as_json(contents)
        packed = pack_bundle(data)
        if len(data) <= MAX_BUNDLE_BYTES and len(packed) <= MAX_PACKED_BYTES:
            return packed
        logs = contents.get("logs") or []
        if logs:
            contents = {**contents, "logs": logs[(len(logs) + 1) // 2 :], "older_logs": "left out: too large"}
        else:
            kept: dict[str, Any] = {name: contents[name] for name in ("id", "at", "device", "agent") if name in contents}
            contents = {"v": 1, **kept, "cut": f"{len(data)} bytes without any logs: too large"}


def _as_json(contents: dict[str, Any]) -> bytes:
    try:
        return to_json(contents, inf_nan_mode="null", fallback=str)
    except (PydanticSerializationError, ValueError, RecursionError) as err:
        return to_json({**contents, "logs": [], "older_logs": f"left out: {str(err)[:200]}"}, fallback=str)


async def checked(checks: Callable[[], AsyncIterator[Finding]]) -> list[dict[str, str]]:
    """All findings, as far as they come in time."""
    found: list[dict[str, str]] = []
    try:
        async with asyncio.timeout(CHECKS_S):
            async for answer in checks():
                found.append(answer.as_json())  # noqa: PERF401  (those that came in time are kept)
    except TimeoutError:
        found.append(Finding("check", "error", f"not done within {CHECKS_S:g} s; the rest is unknown").as_json())
    except Exception as err:  # noqa: BLE001  (a defect of one check must not cost the bundle, which is there to find it)
        found.append(Finding("check", "error", f"broke off: {type(err).__name__}: {err}").as_json())
    return found


async def _in_a_thread(work: Callable[[], Any]) -> list[dict[str, str]]:
    """What a coroutine function returns, run on a loop of its own: checks read files and ask servers, and heartbeats go on.

    A daemon thread, for one of asyncio's own would have to end before the agent could.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[list[dict[str, str]]] = loop.create_future()

    def tell(result: list[dict[str, str]]) -> None:
        if not future.done():
            future.set_result(result)

    def run() -> None:
        result = asyncio.run(work())
        try:
            loop.call_soon_threadsafe(tell, result)
        except RuntimeError:  # the agent has ended meanwhile
            return

    threading.Thread(target=run, name="diagnostics", daemon=True).start()
    try:
        async with asyncio.timeout(CHECKS_S + _STUCK_S):
            return await future
    except TimeoutError:
        return [Finding("check", "error", "hangs, perhaps on a file system that does not answer").as_json()]
