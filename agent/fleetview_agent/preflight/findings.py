"""What preflight finds, in which order it looks, and what is not worth looking at any more."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, Literal, TypeVar

from fleetview_agent.threads import in_daemon_thread

Level = Literal["ok", "warning", "error", "skipped"]

DONE, NO, UNREACHABLE = 0, 1, 3

_WIDTH = max(map(len, ("ok", "warning", "error", "skipped")))


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the answer."""

    subject: str
    level: Level
    words: str
    """What was found and, unless it is ok, how to mend it."""
    is_peer: bool = False
    """Of an error: the broker could not be reached. Nothing on this device needs to be wrong."""

    def __str__(self) -> str:
        return f"{self.level:<{_WIDTH}}  {self.subject:<{SUBJECT_WIDTH}}  {self.words}"

    def as_json(self) -> dict[str, str]:
        """As scripts get it."""
        return {"subject": self.subject, "level": self.level, "words": self.words}


SUBJECT_WIDTH = 16

CHECK_S = 15.0
"""For one check to look at what it needs; what it asks others has its own bounds."""

T = TypeVar("T")
Answer = Finding | Iterable[Finding]


@dataclass(frozen=True, slots=True)
class Check(Generic[T]):
    """One question. `ask` gives at least one finding, and all of them are about `subject`."""

    subject: str
    ask: Callable[[T], Answer | Awaitable[Answer]]
    needs: tuple[str, ...] = ()
    """Subjects without which there is nothing to ask. They stand before it."""


async def run_checks(checks: Sequence[Check[T]], about: T) -> AsyncIterator[Finding]:
    """All findings in order, as they come in; a check that rests on what is wrong is skipped, and says because of what."""
    wrong: dict[str, str] = {}
    for check in checks:
        missing = next((need for need in check.needs if need in wrong), None)
        if missing is not None:
            wrong[check.subject] = "was skipped"
            yield Finding(check.subject, "skipped", f"because {missing} {wrong[missing]}")
            continue
        for finding in await _answer(check, about):
            if finding.level == "error":
                wrong[check.subject] = "is an error"
            yield finding


async def _answer(check: Check[T], about: T) -> list[Finding]:
    try:
        # Most read files, and a disk may be slow, or a server that holds them gone.
        found = await in_daemon_thread(partial(check.ask, about), CHECK_S, name="preflight")
        answer = await found if isinstance(found, Awaitable) else found
        return [answer] if isinstance(answer, Finding) else list(answer)
    except TimeoutError:
        words = f"no answer within {CHECK_S:g} s: does a disk or a file server hang? Look at dmesg and at mounts"
        return [Finding(check.subject, "error", words)]
    except (OSError, ValueError, LookupError) as err:
        # A kernel, a container engine or a file system that answers as none of those that are known does.
        return [Finding(check.subject, "warning", f"cannot be told ({type(err).__name__}: {err}): look at it by hand")]


def exit_code(found: Iterable[Finding]) -> int:
    """0 without errors, 3 when all there are is that the broker could not be reached, else 1."""
    errors = [finding for finding in found if finding.level == "error"]
    if not errors:
        return DONE
    return UNREACHABLE if all(finding.is_peer for finding in errors) else NO
