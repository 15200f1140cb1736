"""The commands behind `:`, as a table: how they are called, what they take, what they are for; and how a line is read.

Pure, and without the toolkit: the configuration's aliases are checked with it before the screen starts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from fleetview_agent.wire import Address

Argument = Literal["none", "device_filter", "log_filter", "device", "theme", "link", "text", "module", "level"]
"""What a command takes, and so what is offered for it."""
MAX_CHARS = 4096
LINKS = {"slow": "at most four repaints a second", "fast": "everything at once"}


@dataclass(frozen=True, slots=True)
class Command:
    """One command."""

    name: str
    others: tuple[str, ...]
    """Other names of it."""
    argument: Argument
    required: bool
    """Whether there must be an argument."""
    shape: str
    """The argument, for help."""
    help: str


COMMANDS = (
    Command("devices", ("fleet", "d"), "device_filter", False, "[FILTER]", "The fleet, or the devices that a filter means"),
    Command("device", (), "device", True, "NAME", "One device, by any part of its address that no other has"),
    Command("logs", ("l",), "log_filter", False, "[FILTER]", "The logs of the whole fleet, or what a filter means"),
    Command("alerts", ("a",), "text", False, "[TEXT]", "What fires or is pending, or what holds these words"),
    Command("metrics", ("m",), "none", False, "", "The metrics of the fleet, from Prometheus"),
    Command("rollouts", ("r",), "none", False, "", "What is being changed, how far, and what it waits for"),
    Command("ping", (), "device_filter", False, "[FILTER]", "Ask devices whether they are there"),
    Command("restart", (), "module", False, "[MODULE] [FILTER]", "Restart a module"),
    Command("loglevel", (), "level", False, "[LEVEL] [FILTER]", "Another log level of agents, for a while"),
    Command("diagnostics", ("diag",), "device_filter", False, "[FILTER]", "Have devices send all about themselves"),
    Command("commands", (), "none", False, "", "What was asked of devices, and what came of it"),
    Command("keys", ("help", "h"), "none", False, "", "The keys that work right now"),
    Command("theme", (), "theme", True, "NAME", "Other colours"),
    Command("link", (), "link", True, "slow|fast", "How much may go to the terminal"),
    Command("bytes", (), "none", False, "", "Show what goes to the terminal, or hide it again"),
    Command("reconnect", (), "none", False, "", "Try the broker again at once"),
    Command("quit", ("q", "exit"), "none", False, "", "Leave fleetview"),
)
ACTING: Mapping[str, str] = {
    "ping": "ping",
    "restart": "restart_module",
    "loglevel": "set_log_level",
    "diagnostics": "diagnostics",
    "commands": "",
}
"""Those that ask something of devices, with the verb of the contract: where only reading is allowed, there are none."""
BY_NAME: Mapping[str, Command] = {name: command for command in COMMANDS for name in (command.name, *command.others)}

_NAMES = tuple(command.name for command in COMMANDS)


class CommandError(ValueError):
    """A line that is no command, in words."""


@dataclass(frozen=True, slots=True)
class Call:
    """A command, and what stands behind it."""

    command: Command
    argument: str = ""


def read(line: str, aliases: Mapping[str, str]) -> Call | None:
    """The command that a line means; None for an empty one. An alias stands for what it says, with the rest behind it.

    Raises CommandError.
    """
    if len(line) > MAX_CHARS:
        msg = f"the command has {len(line):,} characters; {MAX_CHARS:,} are the most"
        raise CommandError(msg)
    word, argument = split(line)
    if not word:
        return None
    if word in aliases:
        meant, first = split(aliases[word])
        word, argument = meant, f"{first} {argument}".strip()
    command = BY_NAME.get(word.lower())
    if command is None:
        msg = f"unknown command {word[:40]!r}{nearest(word, [*BY_NAME, *aliases], [*_NAMES, *aliases])}"
        raise CommandError(msg)
    return Call(command, _checked(command, argument))


def split(line: str) -> tuple[str, str]:
    """The first word of a line, and what stands behind it."""
    word, _, rest = line.lstrip(": ").partition(" ")
    return word, rest.strip()


def nearest(word: str, known: Iterable[str], listed: Iterable[str] | None = None) -> str:
    """`; did you mean 'logs'?`, or what there is: all that is known, or what is worth listing of it."""
    import difflib  # noqa: PLC0415 (for those who make mistakes)

    choices = list(dict.fromkeys(known))
    if close := difflib.get_close_matches(word[:40].lower(), choices, n=1, cutoff=0.5):
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(choices if listed is None else listed)}"


def _checked(command: Command, argument: str) -> str:
    if command.argument == "none" and argument:
        msg = f"{command.name} takes nothing behind it, not {argument[:40]!r}"
        raise CommandError(msg)
    if command.required and not argument:
        msg = f"{command.name} {command.shape}: {command.shape} is missing"
        raise CommandError(msg)
    if command.argument == "link" and argument not in LINKS:
        msg = f"link: slow or fast expected, not {argument[:40]!r}"
        raise CommandError(msg)
    return argument


def devices_meant(addresses: Iterable[Address], text: str) -> list[Address]:
    """The devices that a person means by a part of an address: the one that is called so, or all that hold it."""
    folded = text.lower()
    held = [address for address in addresses if folded in str(address).lower()]
    for exact in (
        [address for address in held if str(address).lower() == folded],
        [address for address in held if address.device.lower() == folded],
    ):
        if len(exact) == 1:
            return exact
    return sorted(held)


def alias_problems(aliases: Mapping[str, str]) -> list[str]:
    """What is wrong with a configuration's aliases, each named by its key. What follows a command may still be typed."""
    found = []
    for name, text in aliases.items():
        where = f"aliases.{name}"
        word, _ = split(text)
        if split(name) != (name, ""):
            found.append(f"{where}: an alias is one word, and does not begin with a colon")
        elif name.lower() in BY_NAME:
            found.append(f"{where}: {name!r} is a command of fleetview's own; call the alias something else")
        elif not word:
            found.append(f'{where}: a command is missing, such as "devices health:critical"')
        elif word.lower() not in BY_NAME:
            found.append(f"{where}: unknown command {word[:40]!r}{nearest(word, BY_NAME, _NAMES)}")
        elif len(text) > MAX_CHARS:
            found.append(f"{where}: {len(text):,} characters; {MAX_CHARS:,} are the most")
    return found
