"""The rollouts of a tenant, fed by what is seen of its fleet, and what is to be published because of what they decide.

A round is: all that happened since the last one, and the time. Its decisions and its posts are kept in the journal in one
transaction before anything else happens. No I/O but the journal's; the connection and the measurements are somebody else's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from fleetview.control.journal import Journal, Post
from fleetview.control.logs import LogEvidence
from fleetview.control.showing import Showing
from fleetview.core.rollout import machine
from fleetview.core.rollout.candidates import Selection, gen_of, observed
from fleetview.core.rollout.commands import Order, Start
from fleetview.core.rollout.devices import obstacle_of, presence_of
from fleetview.core.rollout.events import (
    Answer,
    DeviceJoined,
    DeviceLeft,
    Event,
    FreezeMembers,
    HeartbeatHeard,
    LeadershipTaken,
    LinkLost,
    LinkRestored,
    Measure,
    MembersFrozen,
    Offer,
    OperatorSeen,
    OrderReceived,
    Outcome,
    ReportHeard,
    SupersededBy,
    Tick,
    Withdraw,
)
from fleetview.core.rollout.snapshot import MAX_ANSWERS, ShownAnswer
from fleetview.core.rollout.state import FINAL, Rollout, Status
from fleetview.core.rollout.target import desired_message
from fleetview.core.rollout.words import count
from fleetview_agent.wire import (
    Address,
    Channel,
    Desired,
    DeviceTopic,
    Heartbeat,
    LogBatch,
    Reported,
    Topics,
    decode,
    encode,
)

if TYPE_CHECKING:
    from fleetview.core.device import Device
    from fleetview.core.fleet import Fleet
    from fleetview.core.received import Received
    from fleetview.core.roster import Changes

MAX_POSTS = 100_000
RECOVERY_BEATS = 3
DEFAULT_RECOVERY_S = 90.0
_HOLDS = frozenset(
    {Status.SCHEDULED, Status.RUNNING, Status.PAUSED, Status.ABORTING, Status.ROLLING_BACK, Status.AWAITING_APPROVAL}
)
"""While a rollout is in one of these, no other one may have its devices."""
CONTROLLER = "controller"


class Asked(NamedTuple):
    """A measurement that somebody has to take."""

    rollout: Rollout
    measure: Measure


@dataclass(slots=True, eq=False)
class Run:
    """One rollout that is not over."""

    rollout: Rollout
    selection: Selection
    events: list[Event] = field(default_factory=list)
    answers: deque[ShownAnswer] = field(default_factory=lambda: deque(maxlen=MAX_ANSWERS))
    shown: bool = False
    """What everybody may see is up to date."""
    began: bool = False
    """Its first wave has begun."""

    @property
    def goes_on(self) -> bool:
        """Whether anything happens by itself. What is over may still be rolled back, when somebody says so."""
        return self.holds or self.rollout.head.status is Status.DRAFT

    @property
    def holds(self) -> bool:
        """Whether its devices are its own."""
        return self.rollout.head.status in _HOLDS


class Running:
    """All rollouts of a tenant."""

    def __init__(self, journal: Journal, fleet: Fleet, topics: Topics, tenant: str) -> None:
        """Raises JournalError for a rollout in it that cannot be read."""
        self._journal = journal
        self._fleet = fleet
        self._topics = topics
        self._tenant = tenant
        self.epoch = 0
        self.runs: dict[str, Run] = {}
        self._runs_of: dict[Address, list[Run]] = {}
        self.logs = LogEvidence(journal.counted())
        self._showing = Showing(journal, topics, tenant, self.logs)
        for rollout in journal.rollouts():
            run = self.runs[rollout.id] = Run(rollout, Selection(rollout.plan))
            run.began = bool(rollout.head.waves) and rollout.head.waves[0].started_s is not None
            self._index(run)

    def _index(self, run: Run) -> None:
        if run.rollout.head.status in FINAL:
            return
        for address in run.rollout.devices:
            runs = self._runs_of.setdefault(address, [])
            if run not in runs:
                runs.append(run)

    # -- what happens

    def lead(self, epoch: int) -> None:
        """This controller leads from now on, with this epoch."""
        self.epoch = epoch
        for run in self.runs.values():
            run.shown = False
            run.events = [LeadershipTaken(epoch, self._recovery_s(run))] if run.goes_on else []
            if run.goes_on:
                self._look_at_all(run)

    def take_up(self, before: int, epoch: int) -> None:
        """What the journal still has for devices: with the new epoch; not at all where somebody else led since `before`."""
        for waiting in self._journal.waiting(MAX_POSTS):
            found = self._topics.parse(waiting.post.topic)
            if not isinstance(found, DeviceTopic):
                continue
            device = self._fleet.devices.get(found.address)
            desired = None if device is None else device.desired
            offer = decode(Channel.DESIRED, waiting.post.payload) if waiting.post.payload else None
            is_there = desired is not None and isinstance(offer, Desired) and desired.gen >= offer.gen
            if is_there or (desired is not None and (desired.epoch or 0) > before):
                self._journal.replace(waiting.id, None)
            elif isinstance(offer, Desired):
                offer.epoch = epoch
                self._journal.replace(waiting.id, encode(offer))

    def link_lost(self) -> None:
        """Nothing can be seen."""
        for run in self._going_on():
            run.events.append(LinkLost())

    def link_restored(self) -> None:
        """It can be seen again, and what was retained has come."""
        for run in self._going_on():
            run.events.append(LinkRestored(self._recovery_s(run)))
            self._look_at_all(run)

    def going_on(self) -> list[str]:
        """The ids of the rollouts that are not over."""
        return [run.rollout.id for run in self._going_on()]

    def _going_on(self) -> Iterator[Run]:
        return (run for run in self.runs.values() if run.goes_on)

    def _recovery_s(self, run: Run) -> float:
        """Three heartbeats of the slowest of its devices that are there."""
        devices = self._fleet.devices
        slowest = max(
            (devices[address].interval_s for address in run.rollout.devices if address in devices),
            default=DEFAULT_RECOVERY_S / RECOVERY_BEATS,
        )
        return RECOVERY_BEATS * slowest

    def _look_at_all(self, run: Run) -> None:
        """What changed while nobody looked: how devices are, and what they report."""
        for address in run.rollout.devices:
            device = self._fleet.devices.get(address)
            if device is not None:
                run.events.append(observed(device))
                if device.reported is not None:
                    run.events.append(ReportHeard(address, device.reported))

    def received(self, received: Received) -> None:
        """Take one message of a device, which the fleet has been told already."""
        runs = self._runs_of.get(received.address)
        if not runs or not self.epoch:
            return  # who stands by looks at all when it takes the lead, and keeps nothing until then
        event: Event
        match received.body:
            case LogBatch():
                device = self._fleet.devices.get(received.address)
                skew_s = device.clock_skew_s if device is not None else None
                self.logs.take_in(received, (run.rollout for run in runs), skew_s or 0.0)
                return
            case Reported() as reported:
                event = ReportHeard(received.address, reported)
            case Heartbeat() as beat if not received.retained:
                event = HeartbeatHeard(received.address, beat.gen, beat.health == "ok")
            case _:
                return
        for run in runs:
            if run.goes_on:
                run.events.append(event)

    def changed(self, changes: Changes) -> None:
        """Take what changed in the fleet."""
        if not self.epoch:
            return
        for device in changes.touched:
            if device in changes.removed:
                continue
            for run in self._runs_of.get(device.address, ()):
                if run.goes_on:
                    self._observe(run, device)
        for device in changes.removed:
            for run in self._runs_of.get(device.address, ()):
                run.events.append(DeviceLeft(device.address))
        for run in self.runs.values():
            if run.rollout.devices and run.holds:
                self._take_joining(run, changes)

    @staticmethod
    def _observe(run: Run, device: Device) -> None:
        """Only what the rollout does not know: heartbeats touch a device all the time."""
        known = run.rollout.devices[device.address]
        is_as_known = (known.presence, known.obstacle) == (presence_of(device), obstacle_of(device))
        if not is_as_known or gen_of(device) > known.gen_seen or not known.previous:
            run.events.append(observed(device))

    def _take_joining(self, run: Run, changes: Changes) -> None:
        members = run.rollout.devices
        for device in changes.touched - changes.removed:
            known = members.get(device.address)
            if (known is None or device in changes.added) and run.selection.means(device):
                run.events.append(DeviceJoined(run.selection.candidate(device)))

    # -- operators

    def start(self, name: str, order: Start, now_s: float) -> str | None:
        """Begin a rollout. Returns why not; None when it has begun, or had by the same order."""
        plan = order.plan
        if order.expires_at_s < now_s:
            return "it came too late: it had expired"
        if plan.name != name:
            return f"the plan is that of {plan.name}, the topic that of {name}"
        if plan.tenant != self._tenant:
            return f"this controller is that of tenant {self._tenant}, not of {plan.tenant}"
        if (known := self.runs.get(name)) is not None:
            if order.id in known.rollout.head.orders:
                return None
            text = f"there has been a rollout {name} already: give this one another name"
            self.refuse(name, order.id, text)
            return text
        rollout = machine.create(plan, order.by, now_s, self.epoch)
        rollout.head.orders.append(order.id)
        self._journal.begin(rollout)
        run = self.runs[rollout.id] = Run(rollout, Selection(plan))
        run.answers.append(ShownAnswer(order=order.id, taken=True, text="it is a draft"))
        return None

    def order(self, name: str, order: Order) -> str | None:
        """Give an order to a rollout. Returns why that is not possible."""
        run = self.runs.get(name)
        if run is None:
            return f"there is no rollout {name}"
        run.events.append(OrderReceived(order))
        return None

    def seen(self, name: str, who: str) -> str | None:
        """Somebody looks at a rollout. Returns why that is not possible."""
        run = self.runs.get(name)
        if run is None:
            return f"there is no rollout {name}"
        run.events.append(OperatorSeen(who))
        return None

    def refuse(self, name: str, order_id: str, text: str) -> None:
        """Tell who gave an order that could not be read."""
        if (run := self.runs.get(name)) is not None:
            run.answers.append(ShownAnswer(order=order_id, taken=False, text=text))
            run.shown = False

    def measured(self, name: str, event: Event) -> None:
        """A measurement came, or failed."""
        if (run := self.runs.get(name)) is not None:
            run.events.append(event)

    # -- a round

    def round(self, now_s: float) -> list[Asked]:
        """Let all that happened happen, and time pass. Returns what is to be measured. Raises JournalError.

        After a JournalError what is in memory is ahead of the journal: the controller has to end, and to begin anew from it.
        """
        decided: list[tuple[Rollout, Outcome]] = []
        asked: list[Asked] = []
        posts: list[Post] = []
        for run in list(self.runs.values()):
            if not run.goes_on and not run.events:
                continue
            out = self._decide(run, now_s)
            decided.append((run.rollout, out))
            for effect in out.effects:
                match effect:
                    case Offer() | Withdraw():
                        posts.append(self._post(run.rollout, effect))
                    case Measure():
                        asked.append(Asked(run.rollout, effect))
                    case Answer():
                        run.shown = False  # a refusal changes nothing else, and somebody waits for it
                        run.answers.append(ShownAnswer(order=effect.order, taken=effect.taken, text=effect.text))
        for name in self.logs.look((run.rollout for run in self.runs.values()), now_s):
            self.runs[name].shown = False
        posts += self._showing.posts(self.runs.values())
        counted = self.logs.to_keep((run.rollout for run in self.runs.values()), now_s)
        if posts or counted or any(out.head or out.devices or out.effects for _, out in decided):
            self._journal.commit(decided, posts, counted)
            self._showing.committed()
        return asked

    def end(self) -> None:
        """Nothing follows: keep what is only kept now and then. Raises JournalError."""
        if counted := self.logs.to_keep((run.rollout for run in self.runs.values()), inf):
            self._journal.commit((), (), counted)

    def _decide(self, run: Run, now_s: float) -> Outcome:
        was_over = not run.goes_on
        events, run.events = run.events, []
        out = machine.run(run.rollout, [*events, Tick()], now_s)
        if was_over and run.goes_on:  # rolled back after it was over: nobody looked at its devices meanwhile
            self._look_at_all(run)
        if any(isinstance(effect, FreezeMembers) for effect in out.effects):
            out.merge(self._freeze(run, now_s))
        if out.head or out.devices:
            run.shown = False
        return out

    def _freeze(self, run: Run, now_s: float) -> Outcome:
        found = list(run.selection.candidates(self._fleet.devices.values()))
        done = Outcome()
        addresses = {candidate.address for candidate in found}
        for other in self._overlapping(run, addresses):
            shared = count(len(addresses & other.rollout.devices.keys()))
            if other.rollout.id not in run.rollout.plan.supersedes:
                words = f"{shared} of it belong to rollout {other.rollout.id}, which is {other.rollout.head.status.value}"
                text = f"{words}: wait for it, abort it, or name it under supersedes"
                order = Order(f"overlap-{run.rollout.id}", "abort", CONTROLLER, text, now_s + 1)
                return machine.step(run.rollout, OrderReceived(order), now_s)
            other.events.append(SupersededBy(run.rollout.id, run.rollout.head.by))
        done.merge(machine.step(run.rollout, MembersFrozen(found), now_s))
        self._index(run)
        return done

    def _overlapping(self, run: Run, addresses: set[Address]) -> Iterator[Run]:
        for other in self.runs.values():
            if other is not run and other.holds and not addresses.isdisjoint(other.rollout.devices):
                yield other

    def _post(self, rollout: Rollout, effect: Offer | Withdraw) -> Post:
        topic = self._topics.device(effect.address, Channel.DESIRED)
        if isinstance(effect, Withdraw):
            return Post(topic, b"")
        return Post(topic, encode(desired_message(rollout.targets[effect.target], effect.gen, effect.epoch, rollout.id)))

    def show_again(self) -> None:
        """Publish what everybody may see of those that are not over."""
        for run in self.runs.values():
            run.shown = run.shown and not run.holds

    def just_begun(self) -> Iterator[Rollout]:
        """The rollouts whose first wave has begun since this was last asked."""
        for run in self.runs.values():
            waves = run.rollout.head.waves
            if not run.began and waves and waves[0].started_s is not None:
                run.began = True
                yield run.rollout
