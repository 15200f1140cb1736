"""One simulated device: what an agent on it would know and say.

Faults (faults.py) change it; the simulation asks it for heartbeats and log batches when they are due. It obeys the contract
as a real agent does: heartbeats number only what was handed to the link, records wait while the link is down, what did not
fit in the spool is owned up to in a gap record.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any, Literal

from fleetview.demo import health, ids, offers
from fleetview.demo.inventory import DevicePlan
from fleetview.demo.outbox import Outbox
from fleetview.demo.spool import RECORD_BYTES, Spool
from fleetview_agent.wire import (
    AgentInfo,
    Birth,
    Certificate,
    Channel,
    CommandResult,
    ConfigOffer,
    ConfigReport,
    Desired,
    Heartbeat,
    LinkInfo,
    LogCounts,
    Message,
    ModuleInfo,
    ModuleState,
    ReleaseOffer,
    ReleaseReport,
    Reported,
    Resources,
    SpoolInfo,
    State,
    format_time,
)

_AGENT_VERSION = "0.1.0"
_DAY_S = 86_400
NORMAL_FAILING = 0.0008
"""Share of requests that fail on a healthy device."""
LogLevel = Literal["DEBUG", "INFO", "WARN", "ERROR"]


@dataclass(slots=True)
class Strain:
    """What faults add to the vitals that follow from the device's character."""

    cpu: float = 0.0
    memory: float = 0.0
    disk: float = 0.0
    temperature_c: float = 0.0
    rtt_ms: float = 0.0
    failing: float = NORMAL_FAILING
    clock_skew_s: float = 0.0
    """The device's clock minus the true time."""
    clock_drift: float = 0.0
    """Seconds that the clock gains in a second, since the simulation's beginning."""


class Device:
    """A simulated device. Public fields are for the faults to change."""

    def __init__(self, plan: DevicePlan, outbox: Outbox, *, seed: int, interval_s: float) -> None:
        self.plan = plan
        self.address = plan.address
        self.interval_s = interval_s
        self.rng = Random(f"{seed}/life/{plan.index}")  # noqa: S311  # a simulation
        self.strain = Strain()
        self.busy = False
        """A fault has it already."""
        self.born = True
        """False: known only from what it should run; it never said a word."""
        self.release = plan.release
        self.gen = 40 + self.rng.randrange(12)
        self.config = ConfigReport(
            version=plan.config_version,
            sha256=offers.config_sha256(plan.config_version),
            status="applied",
            last_good=plan.config_version,
        )
        self.release_report = ReleaseReport(version=plan.release, previous="1.4.1", status="committed", progress=1.0)
        self.desired_release = plan.release
        self.desired_config = plan.config_version
        self.desired_gen = self.gen
        self.offered: Desired | None = None
        """What a controller that is none of the demo's faults wants; it stays retained, and is not said again."""
        self.certificate_days = plan.certificate_days
        self.modules: dict[str, ModuleInfo] = {}
        self.spool = Spool(ids.ulid(outbox.unix_s - plan.session_age_s, self.rng), int(plan.session_age_s / 40))
        self._outbox = outbox
        self._started_unix_s = 0.0
        self._holds = 0
        """How many faults keep the link down."""
        self.presence = State(session="-", state="online")
        self.last_heartbeat: Heartbeat | None = None
        self._begin_session(outbox.unix_s - plan.session_age_s)
        self._seq = int(plan.session_age_s / interval_s)
        self._requests = plan.session_age_s * plan.character.requests_per_s * 0.6
        self._request_errors = self._requests * NORMAL_FAILING
        self._counted_at_s = outbox.now_s
        self.presence = State(session=self.session, state="online", at=self.local_time())

    # Time

    @property
    def now_s(self) -> float:
        """Of the simulation."""
        return self._outbox.now_s

    def local_unix_s(self) -> float:
        """By the device's own clock, wrong or not."""
        return self._outbox.unix_s + self.strain.clock_skew_s + self.strain.clock_drift * self._outbox.now_s

    @property
    def uptime_s(self) -> float:
        """Since the session began."""
        return self._outbox.unix_s - self._started_unix_s

    def local_time(self) -> datetime:
        """By the device's own clock, wrong or not."""
        return datetime.fromtimestamp(self.local_unix_s(), UTC)

    # Session and presence

    @property
    def connected(self) -> bool:
        """Whether the link is up and the agent runs."""
        return self.born and self._holds == 0 and self.presence.state == "online"

    def _begin_session(self, unix_s: float) -> None:
        # Never before the last one, whatever the device's clock says: the contract wants newer sessions to sort later.
        self._started_unix_s = max(unix_s, self._started_unix_s + 1)
        self.session = ids.ulid(self._started_unix_s, self.rng)
        self._seq = 0
        self._reconnects = 0
        self._logged = {"DEBUG": 0, "INFO": 0, "WARN": 0, "ERROR": 0}
        self._requests = self._request_errors = 0.0
        self.modules = {
            name: ModuleInfo(name=name, state="running", version=self.release, restarts=0) for name in self.plan.modules
        }

    def birth(self) -> Birth:
        """Inventory."""
        started = datetime.fromtimestamp(self._started_unix_s + self.strain.clock_skew_s, UTC)
        expires = datetime.fromtimestamp(int(self._outbox.start_unix_s + self.certificate_days * _DAY_S), UTC)
        return Birth(
            session=self.session,
            device=self.address.device,
            started_at=started,
            heartbeat_interval_s=float(self.interval_s),
            agent=AgentInfo(version=_AGENT_VERSION),
            deployment=self.plan.deployment,
            host=self.plan.host,
            modules=list(self.plan.modules),
            labels=self.plan.labels,
            certificate=Certificate(sha256=offers.sha256_of(str(self.address)), not_after=expires),
        )

    def _say(self, channel: Channel, message: Message) -> None:
        self._outbox.send(self.address, channel, message)

    def _present(self, state: State) -> None:
        self.presence = state
        self._say(Channel.STATE, state)

    def come_online(self) -> None:
        """Says `online`, and at once a heartbeat and what waits in the spool, as an agent does on every connect."""
        self._present(State(session=self.session, state="online", at=self.local_time(), reason=None))
        self.beat()
        self.ship()

    def say_goodbye(self, reason: str) -> None:
        """A clean stop of the agent."""
        self._last_words()
        self.ship()
        self._present(State(session=self.session, state="offline", at=self.local_time(), reason=reason))

    def fall_asleep(self, for_s: float) -> None:
        """Says when it means to be back."""
        self._last_words()
        wake = datetime.fromtimestamp(int(self.local_unix_s() + for_s), UTC)
        self._present(
            State(session=self.session, state="sleeping", at=self.local_time(), reason="saving power", wake_by=wake)
        )

    def start_again(self) -> None:
        """A new start of the agent process: a new session."""
        self._begin_session(self.local_unix_s())
        self.born = True
        self._say(Channel.BIRTH, self.birth())
        self.come_online()
        self.report()

    def lose_link(self) -> None:
        """The network is gone. The device lives on and does not know what the broker tells of it."""
        self._last_words()
        self._holds += 1

    def be_declared_lost(self) -> None:
        """The broker's keepalive has run out, and it publishes the will."""
        if self._holds and self.presence.state == "online":
            will = State(session=self.session, state="lost")
            self._outbox.send(self.address, Channel.STATE, will)
            self.presence = will

    def regain_link(self) -> None:
        """One fault less keeps the link down; with the last, the device is back, in the same session."""
        self._holds -= 1
        if self._holds == 0 and self.presence.state in {"online", "lost"}:
            self._reconnects += 1
            self.come_online()

    # Heartbeats

    def skip_heartbeats(self, count: int) -> None:
        """That many are lost on the way: numbered, and never seen."""
        self._seq += count

    def beat(self) -> None:
        """A heartbeat is due."""
        self.last_heartbeat = self._heartbeat()
        self._seq += 1
        self._say(Channel.HEARTBEAT, self.last_heartbeat)

    def _last_words(self) -> None:
        # Heartbeats before second 0 are not played, but the last one of a device that went then is retained at the broker.
        if self.connected and self.now_s < 0:
            self.beat()

    def _count_requests(self, unix_s: float) -> None:
        passed_s = max(0.0, self.now_s - self._counted_at_s)
        self._counted_at_s = self.now_s
        made = passed_s * self.plan.character.requests_per_s * self.plan.character.load(unix_s)
        self._requests += made
        self._request_errors += made * self.strain.failing

    def _facts(self, unix_s: float) -> health.Facts:
        character, strain = self.plan.character, self.strain
        jitter = self.rng.uniform(-0.008, 0.008)
        cpu = min(1.0, max(0.01, character.cpu(unix_s) + strain.cpu + jitter))
        grown = character.disk_per_day * self.now_s / _DAY_S
        return health.Facts(
            cpu=round(cpu, 3),
            memory=round(min(0.99, character.memory(unix_s) + strain.memory), 3),
            disk=round(min(1.0, character.disk_base + grown + strain.disk), 4),
            temperature_c=round(character.temperature_c(cpu, unix_s) + strain.temperature_c, 1),
            failing=strain.failing,
            certificate_days=self.certificate_days - self.now_s / _DAY_S,
            spool_records=self.spool.records,
            spool_is_full=self.spool.is_full,
            modules=list(self.modules.values()),
        )

    def _heartbeat(self) -> Heartbeat:
        unix_s = self._outbox.unix_s
        self._count_requests(unix_s)
        facts = self._facts(unix_s)
        verdict, reasons = health.judge(facts)
        character = self.plan.character
        return Heartbeat(
            session=self.session,
            seq=self._seq,
            timestamp=self.local_time(),
            uptime_s=round(self.uptime_s, 1),
            health=verdict,
            reasons=reasons,
            resources=Resources(cpu=facts.cpu, memory=facts.memory, disk=facts.disk, temperature_c=facts.temperature_c),
            modules=facts.modules,
            metrics={
                "requests_total": float(int(self._requests)),
                "request_errors_total": float(int(self._request_errors)),
                "request_duration_p95_seconds": round(character.p95_s * (1 + 3 * facts.cpu**3 + 40 * facts.failing), 4),
                # What applications fetch and answer; a device's own heartbeats are little beside it.
                "network_receive_bytes_total": float(int(self._requests) * 1_400),
                "network_transmit_bytes_total": float(int(self._requests) * 6_200),
                "queue_depth": float(int(30 * facts.cpu**2 + 200 * max(0.0, facts.cpu - 0.85))),
                "open_connections": float(3 + int(character.requests_per_s * character.load(unix_s))),
            },
            logs=LogCounts(
                debug=self._logged["DEBUG"],
                info=self._logged["INFO"],
                warn=self._logged["WARN"],
                error=self._logged["ERROR"],
            ),
            spool=SpoolInfo(
                records=self.spool.records,
                bytes=self.spool.records * RECORD_BYTES,
                oldest_s=round(self.spool.oldest_age_s(self.now_s), 1),
                dropped=self.spool.dropped,
            ),
            link=LinkInfo(
                rtt_ms=round(max(1.0, character.rtt_ms + self.strain.rtt_ms + self.rng.expovariate(0.4)), 1),
                reconnects=self._reconnects,
            ),
            release=self.release,
            config=self.config.version,
            gen=self.gen,
        )

    # Modules

    def set_module(self, name: str, state: ModuleState, *, reason: str | None = None, restarted: bool = False) -> None:
        """Moves a module to another state; `restarted` counts one restart more."""
        before = self.modules[name]
        fields: dict[str, Any] = {
            "name": name,
            "state": state,
            "version": self.release,
            "restarts": before.restarts + restarted,
        }
        if reason:
            fields["reason"] = reason
        self.modules[name] = ModuleInfo(**fields)

    # Desired and reported

    def desired(self) -> Desired:
        """What a controller wants this device to run."""
        if self.offered is not None:
            return self.offered
        return Desired(
            gen=self.desired_gen,
            epoch=7,
            rollout=f"telemetry-{self.desired_release}",
            not_after=None,
            config=ConfigOffer(
                version=self.desired_config,
                sha256=offers.config_sha256(self.desired_config),
                document=offers.config_document(self.desired_config),
            ),
            release=ReleaseOffer(
                version=self.desired_release,
                url=offers.release_url(self.desired_release),
                sha256=offers.sha256_of(self.desired_release),
                size=offers.RELEASE_BYTES,
            ),
        )

    def take_offer(self, desired: Desired) -> bool:
        """A controller offers something; whether it is newer than what this device has heard of."""
        if desired.gen <= self.desired_gen or (
            self.offered is not None and (desired.epoch or 0) < (self.offered.epoch or 0)
        ):
            return False
        self.desired_gen, self.offered = desired.gen, desired
        return True

    def want(self, *, release: str | None = None, config: int | None = None) -> None:
        """A controller asks for another release or configuration."""
        self.offered = None
        self.desired_release = release or self.desired_release
        self.desired_config = config or self.desired_config
        self.desired_gen += 1
        self._say(Channel.DESIRED, self.desired())

    def reported(self) -> Reported:
        """What this device does run."""
        return Reported(
            session=self.session, gen=self.gen, at=self.local_time(), config=self.config, release=self.release_report
        )

    def report(self) -> None:
        """Publishes what it runs, if anybody can hear it."""
        if self.connected:
            self._say(Channel.REPORTED, self.reported())

    # Logs

    def log(self, level: LogLevel, service: str, message: str, *, ago_s: float = 0.0, **fields: Any) -> None:  # noqa: ANN401
        """Writes a record into the spool, by the device's own clock."""
        self._logged[level] += 1
        when = datetime.fromtimestamp(self.local_unix_s() - ago_s, UTC)
        record = {"timestamp": format_time(when), "service": service, "level": level, "message": message} | fields
        self.spool.append(record, self.now_s - ago_s)

    def ship(self) -> None:
        """Sends what is in the spool, if the link is up."""
        if self.connected:
            for batch in self.spool.take(format_time(self.local_time())):
                self._say(Channel.LOG, batch)

    def answer(self, command_id: str, result: CommandResult) -> None:
        """Publishes the result of a command, if anybody can hear it."""
        if self.connected:
            self._outbox.send(self.address, Channel.COMMAND_RESULT, result, command_id)

    def send_raw(self, channel: Channel, payload: bytes) -> None:
        """Publishes bytes as they are: another shipper's dialect, or a payload that breaks the contract."""
        if self.connected:
            self._outbox.send(self.address, channel, payload)
