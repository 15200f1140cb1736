"""What `deploy/` holds, taken apart for tests."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
IMAGES = sorted((DEPLOY / "docker").glob("*.Dockerfile"))
AGENT_IMAGE = DEPLOY / "docker" / "agent.Dockerfile"
SERVICE = DEPLOY / "systemd" / "fleetview-agent.service"

Instruction = tuple[str, str]
"""Its name, and its arguments on one line."""


def instructions(path: Path) -> list[Instruction]:
    """Those of a Dockerfile, without comments."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    text = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in text.splitlines() if line.strip())]


def stages(path: Path) -> list[list[Instruction]]:
    """The same by stage; what stands before the first FROM is of none."""
    found: list[list[Instruction]] = []
    for name, rest in instructions(path):
        if name == "FROM":
            found.append([])
        if found:
            found[-1].append((name, rest))
    return found


def values(stage: list[Instruction], name: str) -> list[str]:
    """The arguments of all instructions of one name."""
    return [rest for found, rest in stage if found == name]


def unit_keys(path: Path) -> dict[str, str]:
    """The keys of a unit of systemd; of one that stands there twice, the last."""
    lines = [line.partition("=") for line in path.read_text().splitlines() if "=" in line and not line.startswith("#")]
    return {key: value for key, _, value in lines}


def environment_of(line: str) -> dict[str, str]:
    """`A=b C=d` as a mapping."""
    return dict(part.split("=", 1) for part in line.split())
