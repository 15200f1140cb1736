"""What a session heard, as it came."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

Heard = list[tuple[str | bytes, bytes, bool]]
"""Topic, payload, and whether it was retained."""


def to(heard: Heard) -> Callable[[str | bytes, bytes, bool], None]:
    """What a session is given to hear with."""
    return lambda topic, payload, retained: heard.append((topic, payload, retained))
