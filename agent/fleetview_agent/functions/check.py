"""What is wrong with functions that pydantic cannot know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fleetview_agent.functions.schedule import cron_problem
from fleetview_agent.modules.order import Flaw
from fleetview_agent.modules.spec import ModuleSpec
from fleetview_agent.topicfilters import FILTER_WORDS, is_filter, overlaps


def flaws(specs: Mapping[str, ModuleSpec], topic_root: str) -> Iterator[Flaw]:
    """All that keeps functions from being triggered, and others from depending on them."""
    for name, spec in specs.items():
        for index, other in enumerate(spec.depends_on):
            if other in specs and specs[other].kind == "function":
                words = f"{other} is a function, which does not run unless it is triggered: nothing can depend on it"
                yield Flaw(f"{name}.depends_on[{index}]", words)
        if spec.on.cron is not None and (problem := cron_problem(spec.on.cron)) is not None:
            yield Flaw(f"{name}.on.cron", f"{problem}, not {spec.on.cron!r}")
        for index, topic in enumerate(spec.on.topics):
            if not is_filter(topic):
                yield Flaw(f"{name}.on.topics[{index}]", f"{FILTER_WORDS} expected, not {topic!r}")
            elif overlaps(topic, topic_root):
                words = f"{topic!r} reaches below {topic_root!r}, where the contract rules: take another"
                yield Flaw(f"{name}.on.topics[{index}]", words)
