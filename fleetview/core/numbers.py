"""Numbers in words. Imports nothing: commands that only want to say how many pay for nothing else."""

from __future__ import annotations


def counted(number: int, one: str, many: str = "") -> str:
    """`1 device`, `31 devices`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
