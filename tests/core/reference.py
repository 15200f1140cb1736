"""Connectivity of one device, written from the ten rules of the contract alone and replayed from all that was observed.

It knows nothing of timers: a device has a clock of its own, which stands still while the reader is blind and for 3 H after,
unless the device is heard (rule 6), and every rule is a difference on that clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal["wait", "down", "up", "birth", "heartbeat", "online", "offline", "sleeping", "lost", "cleared"]


class Seen(NamedTuple):
    """Something that a reader observed."""

    kind: Kind
    seconds: float = 0.0
    """How long it waited; of a retained message, how old its time is; of `sleeping`, how long it means to sleep."""
    session: str = ""
    retained: bool = False


@dataclass
class Model:
    """What the rules say."""

    h: float
    link: bool = True
    known: bool = False
    clock: float = 0.0
    observed: float = 0.0
    mono: float = 0.0
    stands_for: float = 0.0
    session: str | None = None
    born: str | None = None
    replaced: str | None = None
    claim: str | None = None
    live: bool = False
    confirmed: bool = False
    heard: float | None = None
    heard_mono: float | None = None
    told_mono: float | None = None
    will_due: float | None = None
    wake_due: float | None = None

    def see(self, seen: Seen) -> None:
        match seen.kind:
            case "wait":
                self._wait(seen.seconds)
            case "down":
                self.link = False
            case "up":
                self.link, self.stands_for = True, 3 * self.h
            case "cleared":
                if self.known and not (self.confirmed and self.connectivity() == "online"):
                    self._say(None)
                    self.live = self.confirmed = False
            case _:
                if not self.known:
                    self.known, self.stands_for = True, 0.0
                self._message(seen)

    def _wait(self, seconds: float) -> None:
        self.mono += seconds
        if not self.link:
            return
        self.observed += seconds
        stood = min(self.stands_for, seconds)
        self.stands_for -= stood
        self.clock += seconds - stood
        if self.will_due is not None and self.clock >= self.will_due:
            self._say("lost")
            self.confirmed = True

    def _message(self, seen: Seen) -> None:
        if seen.kind == "birth":
            self.born = seen.session
        if not self._current(seen):
            if seen.kind in {"online", "offline", "sleeping", "lost"} and seen.retained and self.claim is None:
                self._unproven(None)
            return
        if seen.retained:
            self._retained(seen)
        elif seen.kind == "lost":
            self._will()
        else:
            self.live, self.confirmed, self.stands_for = True, True, 0.0
            self.heard, self.heard_mono = self.clock, self.mono
            self._say(seen.kind if seen.kind in {"offline", "sleeping"} else "online", seen.seconds)

    def _retained(self, seen: Seen) -> None:
        match seen.kind:
            case "heartbeat":
                self.told_mono = self.mono - seen.seconds
                if not self.live:
                    self._plausible(seen.seconds)
            case "online" if self.claim != "online" or self.will_due is not None:
                self._unproven(seen.seconds)
            case "offline" | "sleeping":
                self._say(seen.kind, seen.seconds)
                self.confirmed = True
                if not self.live:
                    self._plausible(seen.seconds if seen.kind == "offline" else 0.0)
            case "lost" if self.live:
                self._will()
            case "lost":
                self._say("lost")
                self.confirmed = True

    def _will(self) -> None:
        if self.claim != "lost" and self.will_due is None:
            self.will_due = self.clock + min(2 * self.h, 30)

    def _current(self, seen: Seen) -> bool:
        if seen.session == self.session:
            return True
        newer = self.session is None or (
            seen.session > self.session and (seen.session != self.replaced or seen.kind == "birth")
        )
        born_last = not seen.retained and (seen.kind == "birth" or (seen.kind == "heartbeat" and seen.session == self.born))
        if not newer and not born_last:
            return False
        self.replaced = self.session if self.session is not None and self.session > seen.session else None
        self.session, self.will_due, self.told_mono = seen.session, None, None
        if seen.retained:
            self.heard = self.heard_mono = None
            if self.claim is not None:
                self._unproven(None)
        return True

    def _say(self, claim: str | None, sleeps_for: float = 0.0) -> None:
        self.claim, self.will_due = claim, None
        self.wake_due = self.clock + sleeps_for if claim == "sleeping" else None

    def _unproven(self, age: float | None) -> None:
        self._say("online")
        self.live = self.confirmed = False
        ages = [age] if age is not None else []
        if self.told_mono is not None:
            ages.append(self.mono - self.told_mono)
        self._plausible(min(ages, default=None))

    def _plausible(self, age: float | None) -> None:
        if age is not None and (self.heard_mono is None or self.mono - age > self.heard_mono):
            self.heard, self.heard_mono = self.clock - age, self.mono - age
        elif self.heard is None:
            self.heard = self.clock

    def connectivity(self) -> str:
        lost_after = max(6 * self.h, 120)
        if self.claim in {"offline", "lost"}:
            return str(self.claim)
        if self.claim == "sleeping" and self.wake_due is not None:
            late = self.clock - self.wake_due
            return "sleeping" if late < 0 else "stale" if late < lost_after else "lost"
        if self.claim is None and not self.live:
            return "unseen"
        silent = 0.0 if self.heard is None else self.clock - self.heard
        return "online" if silent < 3 * self.h else "stale" if silent < lost_after else "lost"


def replay(h: float, history: list[Seen]) -> tuple[str, bool, bool]:
    """Connectivity, whether it is confirmed, and whether the device is flapping after all that was observed."""
    model = Model(h)
    changes: list[float] = []
    flapping = False
    for seen in history:
        before, was_confirmed = model.connectivity(), model.confirmed
        model.see(seen)
        if not model.link:
            continue
        # Rule 5. What a reader learns of what was before it came is no change; a goodbye that it hears live is one.
        goodbye = seen.kind in {"offline", "sleeping"} and not seen.retained
        if model.connectivity() != before != "unseen" and (was_confirmed or goodbye) and model.confirmed:
            changes.append(model.observed)
            flapping = flapping or len([at for at in changes if model.observed - at <= 600]) >= 5
        if flapping and len([at for at in changes if model.observed - at < 600]) <= 1:
            flapping = False
    return model.connectivity(), model.confirmed, flapping
