"""Who wants to hear of something that happens. Plain calls, at once: a hearer only takes note."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, ParamSpec

from fleetview_agent.topicfilters import matches

P = ParamSpec("P")


class Hearers(Generic[P]):
    """Those who hear of one kind of thing."""

    def __init__(self) -> None:
        self._hearers: list[Callable[P, object]] = []

    def add(self, hearer: Callable[P, object]) -> Callable[[], None]:
        """Tell this one too, from now on until what is returned is called."""
        self._hearers.append(hearer)
        return lambda: self._hearers.remove(hearer)

    def tell(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """It has happened."""
        for hearer in tuple(self._hearers):
            hearer(*args, **kwargs)


class TopicHearers:
    """Those who hear of messages, by what they subscribed to (`+` and `#` included)."""

    def __init__(self) -> None:
        self._by_topic: dict[str, Hearers[[str, bytes]]] = {}

    @property
    def topics(self) -> tuple[str, ...]:
        """What to subscribe to."""
        return tuple(self._by_topic)

    def is_new(self, topic: str) -> bool:
        """Whether nobody has ever asked for it."""
        return topic not in self._by_topic

    def add(self, topic: str, hearer: Callable[[str, bytes], object]) -> Callable[[], None]:
        """Tell this one of what comes there, until what is returned is called."""
        return self._by_topic.setdefault(topic, Hearers()).add(hearer)

    def tell(self, topic: str, payload: bytes) -> None:
        """A message has come."""
        for wanted, hearers in self._by_topic.items():
            if matches(topic, [wanted]):
                hearers.tell(topic, payload)
