"""What is wrong with rules that pydantic cannot know: their conditions, and what they name elsewhere."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from fleetview_agent.modules.registry import why_not_run
from fleetview_agent.modules.spec import ModuleSpec
from fleetview_agent.rules.lexer import RuleError
from fleetview_agent.rules.parse import parse
from fleetview_agent.rules.spec import Rule
from fleetview_agent.topicfilters import matches


class Flaw(NamedTuple):
    """Something about a rule that cannot be."""

    key: str
    """Such as `rules[0].when`."""
    words: str


def flaws(
    rules: Sequence[Rule], specs: Mapping[str, ModuleSpec], publish_topics: Sequence[str], topic_root: str
) -> Iterator[Flaw]:
    """All that keeps these rules from being carried out."""
    for index, rule in enumerate(rules):
        where = f"rules[{index}]"
        for key, text in (("when", rule.when), ("until", rule.until)):
            if text is None:
                continue
            try:
                parse(text, specs)
            except RuleError as err:
                yield Flaw(f"{where}.{key}", f"{err}\n{_indented(err.marked())}")
        if rule.restart is not None and (words := _not_restartable(rule.restart, specs)) is not None:
            yield Flaw(f"{where}.restart", words)
        if rule.run is not None and (rule.run not in specs or specs[rule.run].kind != "function"):
            yield Flaw(f"{where}.run", _no_function(rule.run, specs))
        topic = rule.publish.topic if rule.publish is not None else None
        if topic is not None and (words := _not_published(topic, publish_topics, topic_root)) is not None:
            yield Flaw(f"{where}.publish.topic", words)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.split("\n"))


def _not_restartable(name: str, specs: Mapping[str, ModuleSpec]) -> str | None:
    if name not in specs:
        near = difflib.get_close_matches(name, list(specs), n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(specs) or 'none'}"
        return f"no module is called {name!r}; {hint}"
    if name == "rule_engine":
        return "a rule cannot restart what carries it out"
    return why_not_run(name, specs[name])


def _no_function(name: str, specs: Mapping[str, ModuleSpec]) -> str:
    if name in specs:
        return f'{name} is not a function: set its kind = "function", or use `restart`'
    known = [each for each, spec in specs.items() if spec.kind == "function"]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known) or 'none'}"
    return f"no function is called {name!r}; {hint}"


def _not_published(topic: str, publish_topics: Sequence[str], topic_root: str) -> str | None:
    if topic == topic_root or topic.startswith(f"{topic_root}/"):
        return f"{topic!r} is below {topic_root!r}, where the contract rules; use publish.event for topics of this device"
    if not matches(topic, publish_topics):
        return f"{topic!r} is not allowed: add it to publish_topics, or use publish.event for topics of this device"
    return None
