"""What values of the configuration are made of, in whatever table they stand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NAME_WORDS = "1 to 64 letters, digits, '.', '_' or '-' expected, beginning with a letter or digit"


def _name(value: str) -> str:
    if _NAME.fullmatch(value) is None:
        raise ValueError(_NAME_WORDS)
    return value


def _not_empty(value: str) -> str:
    if not value:
        msg = "a text expected that is not empty"
        raise ValueError(msg)
    return value


def all_different(names: list[str]) -> list[str]:
    """The names, if none stands there twice. Raises ValueError."""
    for name in names:
        if names.count(name) > 1:
            msg = f"{name!r} stands there twice"
            raise ValueError(msg)
    return names


Name = Annotated[str, AfterValidator(_name)]
Text = Annotated[str, AfterValidator(_not_empty)]
File = Annotated[Path, Field(strict=False)]
Names = Annotated[list[Name], AfterValidator(all_different)]


class Table(BaseModel):
    """A table of the configuration. Keys that it does not know are errors."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
