"""How a configuration document from afar is laid over the file on the device, and what it may not touch. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fleetview_agent.config import CHANGEABLE, KEYS
from fleetview_agent.configwords import Problem


def merged(base: Any, patch: Any) -> Any:  # noqa: ANN401  (values of JSON, not validated yet)
    """`patch` laid over `base` as RFC 7396 (JSON Merge Patch) has it: tables merge, `null` takes away, all else replaces."""
    if not isinstance(patch, Mapping):
        return patch
    found = dict(base) if isinstance(base, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = merged(found.get(name), value)
    return found


def laid_over(values: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a file with those of a document over them. A list of modules is short for a table with empty tables."""
    both = {
        name: {**table, "modules": _as_table(table["modules"])} if "modules" in table else dict(table)
        for name, table in (("values", values), ("document", document))
    }
    found: dict[str, Any] = merged(both["values"], both["document"])
    return found


def _as_table(modules: Any) -> Any:  # noqa: ANN401  (as above)
    is_names = isinstance(modules, list) and all(isinstance(name, str) for name in modules)
    # One that is wrong is left as it is, for validation to say so.
    return {name: {} for name in modules} if is_names and len(set(modules)) == len(modules) else modules


def refusals(document: Mapping[str, Any], place: str) -> Iterator[Problem]:
    """The keys of a document that only the device's own file may set, and why."""
    for key in document:
        if key in KEYS and key not in CHANGEABLE:
            words = (
                "is set on the device only, for a wrong one could cut it off or speak for another;"
                f" a document may set {', '.join(sorted(CHANGEABLE))}"
            )
            yield Problem(place, key, words)
