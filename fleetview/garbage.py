"""How Python's garbage collector is kept from holding up programs that keep a lot for long."""

from __future__ import annotations

import gc


def spare_collections() -> None:
    """Let the garbage collector look at what is young only.

    A look at a million records, none of which is in a cycle, takes 0.4 s, in which no key is heard and no round begins; by
    default it comes whenever a quarter more was allocated. What is left in cycles, when a screen closes say, is small.
    """
    gc.set_threshold(2_000, 5, 2_500)
