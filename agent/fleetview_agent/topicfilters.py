"""Topics with `+` for one level and a last `#` for all that follow, as in MQTT's subscriptions."""

from __future__ import annotations

from collections.abc import Sequence

FILTER_WORDS = "topics with '+' for one level and a last '#' for all that follow"


def is_filter(value: str) -> bool:
    """Whether it is one that a broker takes, and that does not reach into what belongs to the broker."""
    levels = value.split("/")
    wild = all(level in {"+", "#"} or not set(level) & set("+#\0") for level in levels)
    return bool(value) and wild and "#" not in levels[:-1] and levels[0] not in {"+", "#"} and not value.startswith("$")


def matches(topic: str, filters: Sequence[str]) -> bool:
    """Whether one of these filters means this topic."""
    return any(_means(wanted.split("/"), topic.split("/")) for wanted in filters)


def _means(wanted: list[str], levels: list[str]) -> bool:
    if wanted[-1] == "#":
        wanted = wanted[:-1]
        return len(levels) >= len(wanted) and _means_all(wanted, levels[: len(wanted)])
    return len(levels) == len(wanted) and _means_all(wanted, levels)


def _means_all(wanted: list[str], levels: list[str]) -> bool:
    return all(each in {"+", level} for each, level in zip(wanted, levels, strict=True))


def overlaps(wanted: str, root: str) -> bool:
    """Whether a filter means a topic that is `root` or below it."""
    levels = wanted.split("/")
    beginning = root.split("/")
    if "#" in levels:
        levels = levels[:-1]
        beginning = beginning[: len(levels)]
    return len(levels) >= len(beginning) and _means_all(levels[: len(beginning)], beginning)
