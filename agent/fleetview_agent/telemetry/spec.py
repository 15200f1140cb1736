"""What the configuration says of the telemetry collector: `[telemetry]`."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field

from fleetview_agent.configvalues import Table, Text, all_different
from fleetview_agent.modules.spec import Seconds, http_target, tcp_target

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_SELECTION = re.compile(rf"\s*([a-zA-Z0-9_:*?]+)\s*(?:\{{(.*)\}})?\s*(?:\bas\s+({_NAME}))?\s*")
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*(?:"((?:\\.|[^"\\])*)"|\'([^\']*)\')\s*(,|$)')
_EXPECTED = 'a metric\'s name such as requests_total, http_*_total or depth{queue="orders"} as depth_orders expected'


@dataclass(frozen=True, slots=True)
class Selection:
    """Which series of an endpoint are added up, and under which name."""

    name: str
    """May be a glob."""
    labels: tuple[tuple[str, str], ...] = ()
    """A series has to have all of these; the values may be globs."""
    alias: str | None = None

    @property
    def is_glob(self) -> bool:
        """Whether the name stands for many."""
        return "*" in self.name or "?" in self.name

    @classmethod
    def parse(cls, text: str) -> Selection:
        """The selection written as `name{label="value",...} as other`. Raises ValueError."""
        found = _SELECTION.fullmatch(text)
        if found is None or found[1].isdigit():
            raise ValueError(_EXPECTED)
        name, labels, alias = found[1], found[2] or "", found[3]
        selection = cls(name, _labels(labels), alias)
        if alias is not None and selection.is_glob:
            msg = f"one name expected before `as {alias}`: {name!r} stands for many"
            raise ValueError(msg)
        return selection

    @property
    def pattern(self) -> str:
        """A regular expression for the names that it means."""
        return self.name.replace("?", "[a-zA-Z0-9_:]").replace("*", "[a-zA-Z0-9_:]*")


def _labels(text: str) -> tuple[tuple[str, str], ...]:
    labels = []
    at = 0
    while text[at:].strip():
        found = _LABEL.match(text, at)
        if found is None:
            raise ValueError(_EXPECTED)
        value = found[2].replace('\\"', '"').replace("\\\\", "\\") if found[2] is not None else found[3]
        labels.append((found[1], value))
        at = found.end()
    return tuple(labels)


def _url(value: str) -> str:
    http_target(value)
    return value


def _selection(value: str) -> str:
    Selection.parse(value)
    return value


def _prefix(value: str) -> str:
    if re.fullmatch(_NAME, value) is None:
        msg = "the beginning of a metric's name expected, such as orders_"
        raise ValueError(msg)
    return value


def _loopback(value: str) -> str:
    host, _ = tcp_target(value)
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        msg = "a port, or host:port with a loopback address such as 127.0.0.1, expected: no password guards it"
        raise ValueError(msg)
    return value


class Scrape(Table):
    """An application's endpoint in the text format of Prometheus."""

    url: Annotated[Text, AfterValidator(_url)]
    metrics: Annotated[list[Annotated[Text, AfterValidator(_selection)]], Field(min_length=1), AfterValidator(all_different)]
    """Which of its metrics heartbeats carry. All series that one of these means are added up."""
    prefix: Annotated[str, AfterValidator(_prefix)] | None = None
    """Before each name, where several applications call theirs the same. Not before a name given with `as`."""
    interval_s: Seconds = 15
    timeout_s: Seconds = 5
    max_bytes: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)] = 1024 * 1024

    @property
    def selections(self) -> list[Selection]:
        """`metrics`, taken apart."""
        return [Selection.parse(text) for text in self.metrics]


def _different(entries: list[Scrape]) -> list[Scrape]:
    all_different([entry.url for entry in entries])
    return entries


class Telemetry(Table):
    """What the telemetry collector does."""

    interval_s: Seconds = 10
    """Between two looks at the machine."""
    listen: Annotated[Text, AfterValidator(_loopback)] | None = None
    """Where a Prometheus on this machine finds `/metrics`: a port, or host:port."""
    interfaces: list[Text] = Field(default_factory=list)
    """Globs of the network interfaces that count. Empty: all but the loopback and those of containers and tunnels."""
    scrape: Annotated[list[Scrape], AfterValidator(_different)] = Field(default_factory=list)
