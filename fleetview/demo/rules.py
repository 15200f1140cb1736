"""The rules of `deploy/prometheus`, as they are and as the demo runs them, where nobody waits an hour for an alert."""

from __future__ import annotations

import re
from pathlib import Path

FILES = ("recording_rules.yml", "alert_rules.yml")
PATIENCE_S = 10
"""The longest `for:` of the demo."""
_PACKAGE = Path(__file__).parents[1]
_FOLDERS = (_PACKAGE / "deploy" / "prometheus", _PACKAGE.parent / "deploy" / "prometheus")
"""In an installed package; in a checkout."""
_FOR = re.compile(r"(\s+)for: (\d+)([smhd])")
_ANNOTATIONS = re.compile(r"(\s+)annotations:")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def shipped_rules() -> dict[str, str]:
    """The files by name, as they are shipped; empty where somebody took them away."""
    for folder in _FOLDERS:
        if all((folder / name).is_file() for name in FILES):
            return {name: (folder / name).read_text(encoding="utf-8") for name in FILES}
    return {}


def impatient(rules: str, patience_s: int = PATIENCE_S) -> str:
    """The same rules with no `for:` that is longer; a rule that was changed says so in an annotation."""
    lines: list[str] = []
    changed: str | None = None
    for line in rules.splitlines():
        if (found := _FOR.fullmatch(line)) and int(found[2]) * _SECONDS[found[3]] > patience_s:
            changed = found[2] + found[3]
            lines.append(f"{found[1]}for: {patience_s}s")
            continue
        lines.append(line)
        if changed and (found := _ANNOTATIONS.fullmatch(line)):
            words = f"In the demo this fires after {patience_s}s; as shipped, after {changed}."
            lines.append(f'{found[1]}  demo: "{words}"')
            changed = None
    return "\n".join(lines) + "\n"
