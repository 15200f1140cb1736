"""What the configuration says of rules: `[[rules]]`. The texts of conditions are checked by `check`."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from fleetview_agent.configvalues import Name, Table, Text, all_different
from fleetview_agent.modules.spec import Period
from fleetview_agent.topicfilters import FILTER_WORDS, is_filter

Level = Literal["DEBUG", "INFO", "WARN", "ERROR"]
MOST_PAYLOAD_BYTES = 16 * 1024
_EVENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}(/[A-Za-z0-9][A-Za-z0-9._-]{0,63}){0,3}")
_TOPIC = re.compile(r"[^+#\x00-\x1f]{1,512}")


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _event(value: str) -> str:
    if _EVENT.fullmatch(value) is None:
        msg = "names joined by '/', four at most, such as overheat or pump/stalled, expected"
        raise ValueError(msg)
    return value


def _topic(value: str) -> str:
    if _TOPIC.fullmatch(value) is None or value.startswith("$"):
        msg = "a topic without '+' and '#' that does not begin with '$' expected"
        raise ValueError(msg)
    return value


def _small(value: str | dict[str, Any] | None) -> str | dict[str, Any] | None:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    if len(text.encode("utf-8", "replace")) > MOST_PAYLOAD_BYTES:
        msg = f"at most {MOST_PAYLOAD_BYTES} bytes expected"
        raise ValueError(msg)
    return value


class LogAction(Table):
    """A log record to write."""

    level: Annotated[Level, BeforeValidator(_upper)] = "WARN"
    message: Text | None = None
    """None: the rule and its condition."""


class Publication(Table):
    """Something to publish, with QoS 1 and not retained."""

    event: Annotated[str, AfterValidator(_event)] | None = None
    """To `<address of the device>/event/<this>`."""
    topic: Annotated[str, AfterValidator(_topic)] | None = None
    """To this topic, which `publish_topics` has to allow."""
    payload: Annotated[str | dict[str, Any] | None, AfterValidator(_small)] = None
    """A text as it is, or a table as JSON. None: what happened, as JSON."""

    @model_validator(mode="after")
    def _one_of(self) -> Publication:
        if (self.event is None) is (self.topic is None):
            msg = "event or topic expected, and only one"
            raise ValueError(msg)
        return self


class Rule(Table):
    """When to do what."""

    name: Name
    when: Text
    """The condition that makes it fire."""
    until: Text | None = None
    """It is over when this holds and `when` does not. None: when `when` does not."""
    cooldown_s: Period = 60
    """After it fired, before it may fire again."""
    log: LogAction | None = None
    health: Literal["degraded", "critical"] | None = None
    """What the device is, at least, from when it fires until it is over."""
    reason: Text | None = None
    """Of `health`, in words. None: the rule and its condition."""
    restart: Name | None = None
    """The module to restart."""
    run: Name | None = None
    """The function to run."""
    publish: Publication | None = None

    @property
    def words(self) -> str:
        """Why the device is not well."""
        return self.reason or f"rule {self.name}: {self.when}"

    @model_validator(mode="after")
    def _does_something(self) -> Rule:
        actions = ("log", "health", "restart", "run", "publish")
        if all(getattr(self, action) is None for action in actions):
            msg = f"a rule that does something expected: one of {', '.join(actions)}"
            raise ValueError(msg)
        return self


def _unique(rules: list[Rule]) -> list[Rule]:
    all_different([rule.name for rule in rules])
    return rules


def _filters(values: list[str]) -> list[str]:
    for value in values:
        if not is_filter(value):
            msg = f"{FILTER_WORDS} expected, not {value!r}"
            raise ValueError(msg)
    return values


Rules = Annotated[list[Rule], Field(max_length=200), AfterValidator(_unique)]
Filters = Annotated[list[Text], AfterValidator(_filters)]
