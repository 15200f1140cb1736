"""The plan that the README shows is one."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

from fleetview.core.rollout.planfile import parse_plan

README = Path(__file__).parents[3] / "README.md"


def test_the_plan_in_the_readme_is_a_plan() -> None:
    text = README.read_text(encoding="utf-8")
    (block,) = re.findall(r"^    name: telemetry.*?(?=^\n    fleetview rollout plan)", text, re.DOTALL | re.MULTILINE)
    plan = parse_plan(dedent(block).replace('"..."', '"' + "ab" * 32 + '"'))
    assert [str(wave.to) for wave in plan.waves] == ["5 %", "25 %", "50 %", "100 %"]
    assert [gate.name for gate in plan.gates] == ["error-rate", "p95"]
