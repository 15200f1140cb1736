"""In which order modules start, and what makes that impossible."""

from __future__ import annotations

import difflib
import graphlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from fleetview_agent.modules.registry import BUILT_IN
from fleetview_agent.modules.spec import ModuleSpec


class Flaw(NamedTuple):
    """Something that cannot be started as it is configured."""

    key: str
    """Below `modules`; empty when it concerns several."""
    words: str


def start_order(depends_on: Mapping[str, Sequence[str]]) -> list[str]:
    """The modules, each behind those that it depends on. Raises graphlib.CycleError."""
    return list(graphlib.TopologicalSorter(depends_on).static_order())


def start_waves(depends_on: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """The modules that can start at once, then those that can when these run, and so on. Raises graphlib.CycleError."""
    sorter = graphlib.TopologicalSorter(depends_on)
    sorter.prepare()
    waves = []
    while sorter.is_active():
        wave = sorted(sorter.get_ready())
        waves.append(wave)
        sorter.done(*wave)
    return waves


def flaws(specs: Mapping[str, ModuleSpec]) -> Iterator[Flaw]:
    """All that keeps these modules from being started."""
    for name, spec in specs.items():
        if spec.command is None and name not in BUILT_IN:
            yield _without_command(name)
        for index, other in enumerate(spec.depends_on):
            if other not in specs:
                yield Flaw(f"{name}.depends_on[{index}]", f"no module is called {other!r}; {_hint(other, list(specs))}")
    for cycle in cycles({name: [other for other in spec.depends_on if other in specs] for name, spec in specs.items()}):
        yield Flaw("", f"modules that wait for each other: {' -> '.join(cycle)}; take one depends_on away")


def cycles(depends_on: Mapping[str, Sequence[str]]) -> Iterator[list[str]]:
    """Cycles that have no step in common, each from a module along what it depends on back to itself; none if there is none.

    Taking a step out of each of them may leave others, which are found then.
    """
    graph = {name: set(others) for name, others in depends_on.items()}
    while True:
        try:
            start_order({name: sorted(others) for name, others in graph.items()})
        except graphlib.CycleError as err:
            found: list[str] = err.args[1][::-1]
            least = found.index(min(found))  # always told from the same module on
            cycle = [*found[least:-1], *found[:least], found[least]] if least else found
            yield cycle
            for name, other in itertools.pairwise(cycle):
                graph[name].discard(other)
        else:
            return


def _without_command(name: str) -> Flaw:
    near = difflib.get_close_matches(name, list(BUILT_IN), n=1)
    hint = f"did you mean {near[0]}?" if near else f"built in are {', '.join(BUILT_IN)}."
    return Flaw(name, f"no module of this name is built in; {hint} Or say in [modules.{name}] what to run: command = [...]")


def _hint(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
