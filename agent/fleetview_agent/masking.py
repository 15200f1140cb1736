"""Takes what is secret out of values that are shown, logged or sent: by the name of the key, and by where it stands."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

MASK = "***"

_SECRET = re.compile(
    r"pass(word|wd|phrase|code)?s?$|passw|secret|token|credential|private|authorization|bearer|cookie"
    r"|(^|[^a-z])(api|access|account|auth|encryption|private|shared|signing|storage)?[_.-]?keys?$|(?-i:[a-z]Keys?$)",
    re.IGNORECASE,
)
_PATHS = frozenset({"tls_key"})
"""Names that look secret, of which only the path of a file is told."""
_URL_PASSWORD = re.compile(r"(//[^:/@\s]*):[^\s]*@")
_OPTION = re.compile(r"-{0,2}(?P<name>[A-Za-z][\w.-]*)(?P<value>=.*)?", re.DOTALL)


def masked_config(config: BaseModel) -> dict[str, Any]:
    """All keys of a configuration as JSON has them, with what is secret masked."""
    # Pydantic 2 warns of the union that `modules` is, whose discriminator knows only what a file holds.
    found: dict[str, Any] = masked(config.model_dump(mode="json", exclude_none=True, warnings=False))
    return found


def is_secret(name: str) -> bool:
    """Whether what has this name is not for others to read."""
    return name not in _PATHS and _SECRET.search(name) is not None


def masked(value: Any, name: str = "") -> Any:  # noqa: ANN401  (what a configuration holds, right or wrong)
    """The value as JSON has it, with what is secret masked.

    That is all below a key whose name says so, what is set in an `env`, passwords in URLs, and in a `command` what follows
    an option whose name says so.
    """
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_none=True, exclude_defaults=True)
    if value is not None and is_secret(name):
        return MASK
    if name == "env":
        return dict.fromkeys(value, MASK) if isinstance(value, Mapping) else MASK
    if isinstance(value, Mapping):
        return {str(key): masked(part, str(key)) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return _masked_command(value) if name == "command" else [masked(part) for part in value]
    return masked_text(str(value)) if isinstance(value, str | Path) else value


def masked_text(text: str) -> str:
    """The text without passwords of URLs in it."""
    return _URL_PASSWORD.sub(rf"\1:{MASK}@", text)


def _masked_command(words: Sequence[Any]) -> list[Any]:
    found: list[Any] = []
    hides_next = False
    for word in words:
        option = _OPTION.fullmatch(word) if isinstance(word, str) else None
        secret = option is not None and is_secret(option["name"])
        if hides_next and not (isinstance(word, str) and word.startswith("-")):
            found.append(MASK)
        elif secret and option is not None and option["value"]:
            found.append(f"{word[: option.start('value')]}={MASK}")
        else:
            found.append(masked(word))
        hides_next = secret and isinstance(word, str) and word.startswith("-") and "=" not in word
    return found
