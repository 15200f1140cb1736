"""What may be typed next behind `:` and `/`, worked out without a widget.

The filter language is imported when something is typed: 20 ms that the first picture need not wait for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from fleetview.core.commandplan import LEVELS
from fleetview.tui.commands import ACTING, BY_NAME, COMMANDS, LINKS, Argument, split

if TYPE_CHECKING:
    from fleetview.core.query.complete import Completion
    from fleetview.core.query.fields import Fields

MAX_OFFERS = 50
MAX_LOOKED_AT = 10_000

Values = Callable[[], Mapping[str, Iterable[str]]]


@dataclass(frozen=True, slots=True)
class Known:
    """Where offers come from: asked only when something of the kind is typed."""

    aliases: Mapping[str, str]
    themes: Callable[[], Iterable[str]]
    devices: Values
    """Values seen by field, of devices."""
    logs: Values
    """The same of log records."""
    acts: bool = True
    """Whether anything can be asked of devices."""


def command_offers(line: str, cursor: int, known: Known) -> list[Completion]:
    """What fits at the cursor of a command line, best first."""
    from fleetview.core.query.complete import Completion  # noqa: PLC0415 (see above)

    before = line[:cursor]
    stripped = before.lstrip(": ")
    start = len(before) - len(stripped)
    if " " not in stripped:
        end = _end_of_word(line, cursor)
        return [Completion(start, end, text, hint) for text, hint in _commands(stripped, known)]
    word, _ = split(line)
    command = BY_NAME.get(split(known.aliases[word])[0] if word in known.aliases else word.lower())
    if command is None:
        return []
    begin = start + len(stripped) - len(stripped.partition(" ")[2].lstrip())
    return _arguments(command.argument, line, begin, cursor, known)


def _commands(typed: str, known: Known) -> list[tuple[str, str]]:
    """Names that begin with what is typed. The short ones are known to who types them."""
    rows = [
        (command.name + (" " if command.argument != "none" else ""), f"{command.shape:<11} {command.help}", command.others)
        for command in COMMANDS
        if known.acts or command.name not in ACTING
    ]
    rows += [(name, f"= {text}", ()) for name, text in known.aliases.items()]
    folded = typed.lower()
    begins = [(text, hint) for text, hint, _ in rows if text.startswith(folded)]
    others = [
        (text, hint) for text, hint, more in rows if (text, hint) not in begins and any(o.startswith(folded) for o in more)
    ]
    return begins + others


def _arguments(kind: Argument, line: str, begin: int, cursor: int, known: Known) -> list[Completion]:
    rest, at = line[begin:], cursor - begin
    match kind:
        case "device_filter":
            found = device_filter_offers(rest, at, known.devices)
        case "log_filter":
            found = log_filter_offers(rest, at, known.logs)
        case "device":
            found = _words(rest, at, ((address, "") for address in known.devices().get("address", ())))
        case "theme":
            found = _words(rest, at, ((name, "") for name in known.themes()))
        case "link":
            found = _words(rest, at, LINKS.items())
        case "module" | "level" if " " not in rest[:at].lstrip():
            choices = known.devices().get("module", ()) if kind == "module" else LEVELS
            found = [
                *_words(rest, at, ((f"{name} ", "") for name in choices)),
                *device_filter_offers(rest, at, known.devices),
            ]
        case "module" | "level":
            size = len(rest) - len(rest.lstrip().partition(" ")[2])
            offers = device_filter_offers(rest[size:], max(0, at - size), known.devices)
            found = [replace(offer, start=offer.start + size, end=offer.end + size) for offer in offers]
        case "none" | "text":
            found = []
    return [replace(offer, start=offer.start + begin, end=offer.end + begin) for offer in found]


def device_filter_offers(text: str, cursor: int, values: Values) -> list[Completion]:
    """What fits in a filter of devices."""
    from fleetview.core.query.complete import complete  # noqa: PLC0415 (see above)

    return complete(text, cursor, values(), _device_fields())


def log_filter_offers(text: str, cursor: int, values: Values) -> list[Completion]:
    """What fits in a filter of log records."""
    from fleetview.core.query.complete import complete  # noqa: PLC0415 (see above)

    return complete(text, cursor, values(), _log_fields())


@cache
def _device_fields() -> Fields:
    from fleetview.core.query.fields import device_fields  # noqa: PLC0415 (see above)

    return device_fields(lambda: (0.0, 0.0))  # a clock, so that the fields that need one are offered; it is never asked


@cache
def _log_fields() -> Fields:
    from fleetview.core.query.fields import log_fields  # noqa: PLC0415 (see above)

    return log_fields()


def _words(text: str, cursor: int, choices: Iterable[tuple[str, str]]) -> list[Completion]:
    """The choices that hold what is typed; those that begin with it, or with one of their parts, first."""
    from fleetview.core.query.complete import Completion  # noqa: PLC0415 (see above)

    typed = text[:cursor].lower()
    begins: list[Completion] = []
    holds: list[Completion] = []
    for choice, hint in choices:
        folded = choice.lower()
        at = folded.find(typed)
        if at >= 0:
            (begins if at == 0 or folded[at - 1] == "/" else holds).append(Completion(0, len(text), choice, hint))
    return (begins + holds)[:MAX_OFFERS]


def _end_of_word(line: str, cursor: int) -> int:
    end = line.find(" ", cursor)
    return len(line) if end < 0 else end


def taken(line: str, offer: Completion) -> tuple[str, int]:
    """The line with an offer in its place, and where the cursor goes."""
    behind = line[offer.end :]
    if offer.text.endswith(" ") and behind.startswith(" "):
        behind = behind[1:]
    return line[: offer.start] + offer.text + behind, offer.start + len(offer.text)
