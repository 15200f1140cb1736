"""From the text of a configuration file to plain values: TOML, or JSON in which `//` begins a comment.

Deployment tools hand out both, under any file name; so the content decides, and the ending only when there is none.
"""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

_STRING_OR_COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"?|//[^\n]*')


class ConfigSyntaxError(ValueError):
    """The text is neither TOML nor JSON. Says where, and what was expected there."""


def without_comments(text: str) -> str:
    """The JSON text with `//` comments turned into spaces, so that line and column of an error stay those of the file."""
    return _STRING_OR_COMMENT.sub(lambda found: found[0] if found[0][0] == '"' else " " * len(found[0]), text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for name, value in pairs:
        if name in table:
            msg = f"key {name!r} stands there twice"
            raise ConfigSyntaxError(msg)
        table[name] = value
    return table


def _no_constant(name: str) -> None:
    msg = f"{name} is not a JSON number"
    raise ConfigSyntaxError(msg)


def _parse_json(text: str) -> dict[str, Any]:
    try:
        value = json.loads(without_comments(text), object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as err:
        msg = f"line {err.lineno}, column {err.colno}: not JSON: {err.msg}"
        raise ConfigSyntaxError(msg) from None
    except RecursionError:
        msg = "not JSON that can be read: nested too deeply"
        raise ConfigSyntaxError(msg) from None
    if not isinstance(value, dict):
        msg = 'a JSON object expected: { "agent_id": ... }'
        raise ConfigSyntaxError(msg)
    return value


def _parse_toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        msg = f"not TOML: {err}"
        raise ConfigSyntaxError(msg) from None
    except RecursionError:
        msg = "not TOML that can be read: nested too deeply"
        raise ConfigSyntaxError(msg) from None


def parse(text: str, *, ending: str = "") -> dict[str, Any]:
    """The table that the text of a configuration file stands for. Raises ConfigSyntaxError.

    `ending` (such as ".json") decides only for a text that begins with neither a brace nor a `//` comment.
    """
    text = text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")  # the byte order mark that Windows editors write
    if text.lstrip().startswith(("{", "//")) or ending.lower() == ".json":
        return _parse_json(text)
    return _parse_toml(text)
