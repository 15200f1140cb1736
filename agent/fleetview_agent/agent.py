"""Wires the parts of an agent together; nothing else does.

One session of an agent: from `Agent(...)`, which reads and writes state on the disk, through `run`, to a clean stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import time
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Literal, TextIO

from fleetview_agent import __version__, journal
from fleetview_agent.commands import Commands
from fleetview_agent.config import AgentConfig
from fleetview_agent.diagnostics import Diagnostics, Sources
from fleetview_agent.endpoint import LinkError
from fleetview_agent.health import Evidence, judge
from fleetview_agent.lending import Lender
from fleetview_agent.link import Destination, Link, LinkState, Up
from fleetview_agent.loglevel import LogLevel
from fleetview_agent.metrics import Vitals, host_info
from fleetview_agent.modules.output import Sink
from fleetview_agent.modules.registry import touched, why_not_run
from fleetview_agent.mqtt import Session
from fleetview_agent.preflight import Inquiry, preflight
from fleetview_agent.registration import birth
from fleetview_agent.release.host import Parts, Releases
from fleetview_agent.reported import ReportedState, publish
from fleetview_agent.selfcheck import SelfCheck
from fleetview_agent.ship import NotifyingIntake, Shipper
from fleetview_agent.spool import MemorySpool, Spool
from fleetview_agent.store import Status, Store, boot_id
from fleetview_agent.supervisor import Supervisor
from fleetview_agent.tail import Tail
from fleetview_agent.twin.twin import Host, Twin
from fleetview_agent.twin.watch import Sample
from fleetview_agent.verbs import ping, restart_module, set_log_level
from fleetview_agent.wire import (
    Birth,
    Channel,
    Heartbeat,
    LinkInfo,
    Resources,
    SpoolInfo,
    Topics,
    encode,
    format_time,
    new_session,
)

_log = logging.getLogger(__name__)

JITTER = 0.1
"""Of the heartbeat interval, either way."""
NEWS_SPACING_S = 0.5
"""Between a heartbeat and one that is sent early because a module has changed its state: within a second that is seen, and a
module that is restarted all the time makes no flood."""
LOOK_INTERVAL_S = 0.5
"""Between two looks at the log files; with `ship.LINGER_S` a line is on its way within a second."""
SAVE_INTERVAL_S = 10.0
STATUS_INTERVAL_S = 20.0
DRAIN_S = 0.7
"""For the last log records at a stop. With the goodbye it stays below two seconds."""


class Agent:
    """One session of the agent."""

    def __init__(self, twin: Twin, store: Store, *, stderr: TextIO, rng: random.Random | None = None) -> None:
        self._twin = twin
        self._config = config = twin.config
        self._store = store
        self._rng = rng or random.Random()  # noqa: S311  (jitter, not secrets)
        self._started_s = time.monotonic()
        self._started_at = datetime.now(UTC)
        self.spool: Spool = MemorySpool(new_session(time.time()), clock=time.monotonic, now=_now)
        self._intake = NotifyingIntake(self.spool)
        self._handler = journal.begin(config.log_level, stderr, self._intake)
        self.session = new_session(time.time(), store.last_session())
        store.save_session(self.session)
        self.reported = ReportedState(self.session, now=lambda: datetime.now(UTC))
        self._releases = Releases(config, store.folder, self.reported, rng=self._rng)
        topics = Topics(config.topic_root)
        destination = Destination(config.broker, config.tls, topics, config.address)
        self.link = Link(
            destination,
            self._birth(),
            rng=self._rng,
            on_state=self._on_link_state,
            more={
                topics.filter(Channel.COMMAND, *config.address): self._on_command,
                topics.device(config.address, Channel.DESIRED): self._on_desired,
            },
        )
        self._reported_topic = topics.device(config.address, Channel.REPORTED)
        self._shipper = Shipper(self.spool, self.link, topics.device(config.address, Channel.LOG))
        self._intake.shipper = self._shipper
        self._heartbeat_topic = topics.device(config.address, Channel.HEARTBEAT)
        self._vitals = Vitals(store.folder)
        self._tail = Tail(
            config.logs.files,
            self._intake,
            clock=time.monotonic,
            now_ms=_now_ms,
            saved=store.positions(),
            hold=lambda: self.spool.nearly_full,
        )
        self._modules_changed = asyncio.Event()
        self._lender = Lender(
            config=lambda: self._config,
            folder=store.folder,
            link=self.link,
            spool=self.spool,
            intake=self._intake,
            metrics=self._metrics,
            beat=self._modules_changed.set,
            take_releases=self._releases.run,
            started_s=self._started_s,
        )
        self._lender.modules_changed.add(self._modules_changed.set)
        self._lender.modules_changed.add(twin.news)
        self._lender.modules_changed.add(self._releases.news)
        self._supervisor = Supervisor(
            self._releases.specs(config),
            session=self.session,
            sink=Sink(self._intake.take, lambda: self.spool.nearly_full, time.monotonic, _now_ms),
            rng=self._rng,
            lend=self._lender.lend_from,
            on_change=self._lender.modules_changed.tell,
        )
        self._log_level = LogLevel(config.log_level)
        sources = Sources(
            lambda: self._config,
            lambda: preflight(Inquiry(self._config, version=twin.version)),
            host_info,
            self.heartbeat,
            self._intake.recent,
        )
        verbs = {
            "ping": ping(self._started_s),
            "restart_module": restart_module(self._supervisor),
            "set_log_level": set_log_level(self._log_level),
            "diagnostics": Diagnostics(sources, store, self.spool, self._intake.take).answers,
        }
        self._commands = Commands(verbs, topics, config.address, self.link)
        self._selfcheck = SelfCheck(config, self.reported.set_preflight)
        self._seq = 0
        self._dropped_before = 0
        self._link_word_since_s = time.monotonic()
        self._was_up = False
        self._boot_id = boot_id() or ""

    async def run(self, stop: asyncio.Future[str]) -> None:
        """Run until `stop` has a reason, which is then the reason for being offline."""
        self._begin()
        link = asyncio.create_task(self.link.run(), name="link")
        tasks = {
            link,
            asyncio.create_task(self._shipper.run(), name="shipper"),
            asyncio.create_task(self._beat(), name="heartbeats"),
            asyncio.create_task(self._report_status(), name="status"),
            asyncio.create_task(self._supervisor.run(), name="modules"),
            asyncio.create_task(self._selfcheck.run(), name="preflight"),
            asyncio.create_task(self._follow_logs(), name="logs"),
            asyncio.create_task(publish(self.reported, self.link, self._reported_topic), name="reported"),
            asyncio.create_task(self._twin.run(), name="twin"),
        }
        try:
            waiting: set[asyncio.Future[str] | asyncio.Task[None]] = {stop, *tasks}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            broken = next((task for task in tasks if task.done()), None)
            reason = stop.result() if stop.done() else "the agent failed"
            await self._stop(link, reason)
            if broken is not None:
                broken.result()  # raises what ended it: a defect, which must not look like a clean exit
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._commands.close()
            self._end()

    def _begin(self) -> None:
        config = self._config
        extra = {
            "session": self.session,
            "device": str(config.address),
            "version": __version__,
            "broker": str(config.broker),
        }
        _log.info("agent started", extra=extra)
        if self._store.problem is not None:
            _log.error(self._store.problem)
        for name, spec in config.module_specs.items():
            if (words := why_not_run(name, spec)) is not None:
                _log.warning("module %s is configured, but %s", name, words, extra={"module_name": name})
        if config.tls_cert is not None and not config.broker.encrypted:
            _log.warning("tls_cert is not used: broker_url is mqtt://, which is not encrypted; use mqtts:// for TLS")
        self._releases.attach(Parts(lambda: self._config, self._sample, self._arrange, self._twin.alone))
        self._twin.attach(Host(self._apply, self._sample, self.reported, self._releases))

    async def _stop(self, link: asyncio.Task[None], reason: str) -> None:
        _log.info("agent is stopping", extra={"reason": reason})
        self._twin.stop()
        await self._supervisor.stop()
        self._tail.look()
        if isinstance(self.link.state, Up):
            if self._config.module_specs:  # the last heartbeat stays with the broker, and must not say that they run
                self._send_heartbeat(self.link.state.session)
            with contextlib.suppress(TimeoutError):  # what is not gone by then goes with the memory; files are read again
                async with asyncio.timeout(DRAIN_S):
                    await self._shipper.drained()
        self.link.stop(reason)
        await asyncio.wait({link})

    def _end(self) -> None:
        self._log_level.close()
        if self._config.logs.files:
            self._store.save_positions(self._tail.positions(self.spool.settled_through))
        self._tail.close()
        self._save_status()
        journal.end(self._handler)

    def reload(self) -> None:
        """Read the file of the configuration anew."""
        self._twin.reload()

    def _on_desired(self, _topic: str | bytes, payload: bytes, _retained: bool) -> None:  # noqa: FBT001  (mqtt.Incoming)
        self._twin.received(payload)

    def _apply(self, config: AgentConfig) -> None:
        """Run with another configuration: whatever it leaves as it was runs on."""
        before, self._config = self._config, config
        if before.log_level != config.log_level:
            self._log_level.configure(config.log_level)
        if before.logs != config.logs:
            self._tail.reconfigure(config.logs.files)
        self._arrange(touched(before, config))
        if _inventory(before) != _inventory(config):
            self.link.register(self._birth())
        self._selfcheck.ask(config)

    def _arrange(self, also: Collection[str] = ()) -> None:
        """Let those modules run that the configuration and the release say."""
        names = self._names()
        self._supervisor.reconfigure(self._releases.specs(self._config), also)
        if names != self._names():
            self.link.register(self._birth())

    def _birth(self) -> Birth:
        names = list(self._releases.specs(self._config))
        return birth(self._config, names, session=self.session, started_at=self._started_at)

    def _names(self) -> list[str]:
        return [info.name for info in self._supervisor.infos()]

    def _sample(self) -> Sample:
        evidence = self._evidence(self._vitals.resources(with_cpu=False))
        health, reasons = judge(evidence)
        return Sample(health, reasons, evidence.modules)

    def _on_command(self, topic: str | bytes, payload: bytes, retained: bool) -> None:  # noqa: FBT001  (mqtt.Incoming)
        self._commands.received(str(topic), payload, retained=retained)

    # Heartbeats

    async def _beat(self) -> None:
        """A heartbeat on every connection, at once, then at each interval, and whenever a module has changed its state.

        None is kept for later while there is no link: old vitals are worth nothing. Only those that were handed to a
        connection have a number, so that a gap in the numbers is a heartbeat that was lost on the way.
        """
        while True:
            session = await self.link.up()
            self._modules_changed.clear()
            self._send_heartbeat(session)
            interval_s = self._config.heartbeat_interval * self._rng.uniform(1 - JITTER, 1 + JITTER)
            spacing_s = min(NEWS_SPACING_S, interval_s)
            if not await self._another_session(session, spacing_s):
                await self._another_session(session, interval_s - spacing_s, or_news=True)

    async def _another_session(self, session: Session, timeout_s: float, *, or_news: bool = False) -> bool:
        """Wait so long, or until there is another connection than this one, or else news of a module; whether there was."""
        waiting = {asyncio.create_task(self.link.up(other_than=session), name="next session")}
        events = {asyncio.create_task(self._modules_changed.wait(), name="news of modules")} if or_news else set()
        tasks: set[asyncio.Task[Session] | asyncio.Task[Literal[True]]] = {*waiting, *events}
        try:
            done, _ = await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        return bool(done)

    def _send_heartbeat(self, session: Session) -> None:
        payload = encode(self.heartbeat())
        try:
            session.publish_nowait(self._heartbeat_topic, payload, retain=True)
        except LinkError as err:
            _log.debug("no heartbeat: %s", err.failure.words)
            return
        self._seq += 1
        self._dropped_before = self.spool.depth().dropped

    def heartbeat(self) -> Heartbeat:
        """The heartbeat of this moment."""
        evidence, depth = self._evidence(self._vitals.resources()), self.spool.depth()
        health, reasons = judge(evidence)
        oldest_s = None if depth.oldest_s is None else round(depth.oldest_s, 1)
        heartbeat = Heartbeat(
            session=self.session,
            seq=self._seq,
            timestamp=datetime.now(UTC),
            uptime_s=round(time.monotonic() - self._started_s, 1),
            health=health,
            reasons=reasons,
            resources=evidence.resources,
            modules=list(evidence.modules),
            metrics=self._metrics(),
            logs=self._intake.counts(),
            spool=SpoolInfo(records=depth.records, bytes=depth.bytes, oldest_s=oldest_s, dropped=depth.dropped),
            link=LinkInfo(rtt_ms=self.link.rtt_ms, reconnects=self.link.reconnects),
        )
        if (release := self._releases.running or self._config.release) is not None:
            heartbeat.release = release
        if self._twin.version is not None:
            heartbeat.config = self._twin.version
        if self._twin.gen is not None:
            heartbeat.gen = self._twin.gen
        return heartbeat

    def _evidence(self, resources: Resources) -> Evidence:
        depth = self.spool.depth()
        return Evidence(
            resources,
            list(self._supervisor.infos()),
            findings=tuple(self._lender.board.findings.values()),
            log_problems=(*self._tail.problems.values(), *self._releases.problems, *self._twin.problems),
            state_problem=self._store.problem,
            shipping_problem=self._shipper.problem,
            dropped_since_last=depth.dropped - self._dropped_before,
            spool_records=depth.records,
            sources_held=bool(self._config.logs.files) and self.spool.nearly_full,
        )

    def _metrics(self) -> dict[str, float | None]:
        figures: dict[str, float | None] = {}
        for shown in self._lender.board.metrics.values():
            figures |= shown
        figures |= self._vitals.own()
        return {**figures, **self._supervisor.metrics()}

    # Logs

    async def _follow_logs(self) -> None:
        save_at_s = time.monotonic() + SAVE_INTERVAL_S
        saved: object = None
        while True:
            more = self._tail.look()
            if time.monotonic() >= save_at_s:
                save_at_s = time.monotonic() + SAVE_INTERVAL_S
                self._tail.forget_finished(self.spool.settled_through)
                positions = self._tail.positions(self.spool.settled_through)
                if positions != saved:
                    self._store.save_positions(positions)
                    saved = positions
            await asyncio.sleep(0 if more else LOOK_INTERVAL_S)

    # Status

    def _on_link_state(self, state: LinkState) -> None:
        is_up = state.word == "up"
        if is_up != self._was_up:
            self._was_up = is_up
            self._link_word_since_s = time.monotonic()
            self._save_status()

    async def _report_status(self) -> None:
        while True:
            self._save_status()
            await asyncio.sleep(STATUS_INTERVAL_S)

    def _save_status(self) -> None:
        state = self.link.state
        self._store.save_status(
            Status(
                pid=os.getpid(),
                boot_id=self._boot_id,
                at_s=time.monotonic(),
                interval_s=STATUS_INTERVAL_S,
                link=state.word,
                link_since_s=self._link_word_since_s,
                link_words=state.words,
            )
        )


def _inventory(config: AgentConfig) -> tuple[object, ...]:
    """What a birth tells of the configuration."""
    return config.heartbeat_interval, config.labels


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _now() -> str:
    return format_time(datetime.now(UTC))
