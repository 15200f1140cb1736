"""How long to leave a server alone that did not answer."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_BACKOFF_S = 1.0
MAX_BACKOFF_S = 30.0
"""A person waits in front of the screen; agents go to 60 s."""
REFUSED_RETRY_S = 60.0
"""Authorisation is mended by people, and servers ban those who knock too often."""


def backoff_s(
    failures: int, *, longest_s: float = MAX_BACKOFF_S, draw: Callable[[float, float], float] = random.uniform
) -> float:
    """How long to wait after so many failures in a row: full jitter, so that a crowd does not come back as one.

    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    return draw(0.0, min(longest_s, FIRST_BACKOFF_S * 2.0 ** min(failures - 1, 30)))
