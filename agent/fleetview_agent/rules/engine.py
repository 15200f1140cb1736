"""Runs the rules of a device, and does what they ask for. Without any network: what is to be published waits for it."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from fleetview_agent.endpoint import FailureKind, LinkError
from fleetview_agent.journal import SERVICE
from fleetview_agent.modules.builtin import Context
from fleetview_agent.rules.decide import Fired, RuleBook, WasOver
from fleetview_agent.rules.evaluate import Moment
from fleetview_agent.rules.spec import Publication, Rule
from fleetview_agent.rules.tree import Metric, Rate, Vital
from fleetview_agent.spool import Record
from fleetview_agent.wire import Resources, format_time

_log = logging.getLogger(__name__)

TICK_S = 1.0
"""Between two looks at what changes without a word. Log records that count and modules' states are looked at at once."""
SPACING_S = 0.1
"""Between two looks at least: a flood of records that count must not become a flood of looks."""
MOST_WAITING = 100
"""Publications that wait for the link; the oldest are dropped."""
_RETRY_S = 2.0
_OF_A_RULE = "rule"
"""The field by which the engine knows records of its own: a rule must not count what it caused itself."""


async def run(context: Context) -> None:
    """The built-in module `rule_engine`."""
    config = context.agent.config()
    engine = Engine(context, RuleBook(config.rules, config.module_specs))
    with engine.listening():
        engine.begin()
        context.ready()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(engine.keep_stepping(), name="rules")
            tasks.create_task(engine.keep_publishing(), name="publications of rules")


class Engine:
    """The rules, and what they ask for."""

    def __init__(self, context: Context, book: RuleBook) -> None:
        self._context = context
        self._book = book
        self._agent = context.agent
        self._asks_for_vitals = book.asks_for(Vital)
        self._asks_for_metrics = book.asks_for(Metric) or book.asks_for(Rate)
        config = self._agent.config()
        self._events = f"{config.topic_root}/{config.address}/event"
        self._fired = 0
        self._news = asyncio.Event()
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._to_publish = asyncio.Event()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear of log records and of modules meanwhile."""
        heard = [self._agent.on_modules(self._news.set)]
        if self._book.listens:
            heard.append(self._agent.on_records(self._on_records))
        try:
            yield
        finally:
            for stop in heard:
                stop()

    def _on_records(self, records: Sequence[Record]) -> None:
        now_s = time.monotonic()
        for record in records:
            is_ours = _OF_A_RULE in record and record.get("service") in {SERVICE, self._context.name}
            if not is_ours and self._book.note(record, now_s):
                self._news.set()

    def begin(self) -> None:
        """Look at the rules for the first time."""
        self._count(0)
        self.step()

    async def keep_stepping(self) -> None:
        """Look at the rules, for ever."""
        while True:
            try:
                async with asyncio.timeout(TICK_S):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._news.clear()
            self.step()
            await asyncio.sleep(SPACING_S)

    def step(self) -> None:
        """Look at the rules once."""
        outcomes = self._book.advance(self._moment())
        for outcome in outcomes:
            match outcome:
                case Fired(rule, values):
                    self._fire(rule, values)
                case WasOver(rule, after_s):
                    _log.info("rule %s is over after %.0f s", rule.name, after_s, extra={_OF_A_RULE: rule.name})
        if outcomes:
            self._context.find(self._book.findings())
            self._count(sum(isinstance(outcome, Fired) for outcome in outcomes))

    def _count(self, fired: int) -> None:
        self._fired += fired
        total = self._agent.board.counters.take("rules_fired_total", [("", self._fired)])
        self._context.show({"rules_active": self._book.active, "rules_fired_total": total or 0})

    def _moment(self) -> Moment:
        return Moment(
            time.monotonic(),
            self._figures() if self._asks_for_vitals else {},
            self._agent.metrics() if self._asks_for_metrics else {},
            {info.name: info.state for info in self._agent.modules()},
            self._agent.link_is_up(),
        )

    def _figures(self) -> dict[str, float | None]:
        vitals, depth = self._agent.vitals(), self._agent.spool()
        figures: dict[str, float | None] = {name: getattr(vitals, name) for name in Resources.model_fields}
        counted = {"spool.records": depth.records, "spool.bytes": depth.bytes, "spool.dropped": depth.dropped}
        return {**figures, **counted, "uptime_s": self._agent.uptime_s()}

    # What rules ask for

    def _fire(self, rule: Rule, values: dict[str, float | str | None]) -> None:
        extra = {_OF_A_RULE: rule.name, "condition": rule.when, "values": values}
        words = f"rule {rule.name} fires: {rule.when}"
        if rule.log is None:
            _log.info("%s", words, extra=extra)
        else:
            fixed = {"timestamp": format_time(datetime.now(UTC)), "service": self._context.name, "level": rule.log.level}
            self._agent.take([{**fixed, "trace_id": None, "message": rule.log.message or words, **extra}])
        if rule.restart is not None:
            self._restart(rule, rule.restart)
        if rule.run is not None:
            self._run(rule, rule.run, values)
        if rule.publish is not None:
            self._publish(rule, rule.publish, values)

    def _restart(self, rule: Rule, name: str) -> None:
        try:
            self._agent.restart(name)
        except ValueError as err:
            _log.warning("rule %s: %s", rule.name, err, extra={_OF_A_RULE: rule.name})

    def _run(self, rule: Rule, name: str, values: dict[str, float | str | None]) -> None:
        try:
            self._agent.run(name, "rule", {"rule": rule.name, "reason": rule.words, "values": values})
        except ValueError as err:
            _log.warning("rule %s: %s", rule.name, err, extra={_OF_A_RULE: rule.name})

    def _publish(self, rule: Rule, what: Publication, values: dict[str, float | str | None]) -> None:
        topic = what.topic or f"{self._events}/{what.event}"
        if len(self._waiting) >= MOST_WAITING:
            dropped, _ = self._waiting.popleft()
            words = "what rule %s publishes is too much for the link: the oldest is dropped"
            _log.warning(words, rule.name, extra={_OF_A_RULE: rule.name, "topic": dropped})
        self._waiting.append((topic, _payload(rule, what, values)))
        self._to_publish.set()

    async def keep_publishing(self) -> None:
        """Publish what waits, in order, for ever."""
        words = ""
        while True:
            await self._to_publish.wait()
            topic, payload = self._waiting[0]
            try:
                await self._agent.publish(topic, payload)
            except LinkError as err:
                if words != err.failure.words:
                    words = err.failure.words
                    _log.warning("what a rule publishes does not go out: %s", words, extra={_OF_A_RULE: "", "topic": topic})
                if err.failure.kind is not FailureKind.AUTHORISATION:
                    await asyncio.sleep(_RETRY_S)
                    continue
            else:
                words = ""
            if self._waiting and self._waiting[0] == (topic, payload):  # else it was dropped meanwhile
                self._waiting.popleft()
            if not self._waiting:
                self._to_publish.clear()


def _payload(rule: Rule, what: Publication, values: dict[str, float | str | None]) -> bytes:
    if isinstance(what.payload, str):
        return what.payload.encode()
    if what.payload is not None:
        return json.dumps(what.payload, ensure_ascii=False, default=str).encode()
    happened = {"v": 1, "rule": rule.name, "at": format_time(datetime.now(UTC)), "reason": rule.words, "values": values}
    return json.dumps(happened, ensure_ascii=False).encode()
