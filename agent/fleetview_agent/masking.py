"""The configuration without what is secret in it: for what leaves the device."""

from __future__ import annotations

import re
from typing import Any

from fleetview_agent.config import AgentConfig

MASK = "***"

_SECRET = re.compile(r"passw|secret|token|credential|api[_-]?key|private", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(//[^:/@\s]*):[^\s]*@")
_FLAG = re.compile(r"(-{1,2}[\w.-]+)(=.*)?", re.DOTALL)


def masked_config(config: AgentConfig) -> dict[str, Any]:
    """Every key as JSON has it. Masked are passwords in URLs, all values of an `env`, keys and flags whose names say so."""
    # Pydantic 2 warns of the union that `modules` is, whose discriminator knows only what a file holds.
    fields: dict[str, Any] = config.model_dump(mode="json", exclude_none=True, warnings=False)
    return {name: _masked(name, value) for name, value in fields.items()}


def _masked(name: str, value: Any) -> Any:  # noqa: ANN401  (any JSON value)
    if _SECRET.search(name) and not isinstance(value, bool):
        return MASK
    if isinstance(value, dict):
        if name == "env":
            return dict.fromkeys(value, MASK)
        return {key: _masked(key, part) for key, part in value.items()}
    if isinstance(value, list):
        return _masked_list(value)
    return _URL_PASSWORD.sub(rf"\1:{MASK}@", value) if isinstance(value, str) else value


def _masked_list(values: list[Any]) -> list[Any]:
    """A list, perhaps a command line: what stands behind `--password`, or after its `=`, is masked."""
    found: list[Any] = []
    hide = False
    for value in values:
        flag = _FLAG.fullmatch(value) if isinstance(value, str) else None
        says = flag is not None and _SECRET.search(flag[1]) is not None
        if flag is not None and says and flag[2]:
            found.append(f"{flag[1]}={MASK}")
        else:
            found.append(MASK if hide else _masked("", value))
        hide = says and flag is not None and not flag[2]
    return found
