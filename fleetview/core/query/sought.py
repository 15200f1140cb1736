"""Which texts a filter looks for in messages, so that they can be shown where they were found."""

from __future__ import annotations

from collections.abc import Iterator

from fleetview.core.query.tree import And, Compare, Node, Op, Or, Text, Word

MAX_SOUGHT = 16


def sought(text: str) -> tuple[str, ...]:
    """The texts, in lower case, that a record is let through for; not those with wildcards. Raises QueryError."""
    from fleetview.core.query.parse import parse  # noqa: PLC0415 (nobody pays for a language that is not spoken)

    found = (word.text.lower() for word in _words(parse(text)) if not word.is_glob and word.text)
    return tuple(dict.fromkeys(found))[:MAX_SOUGHT]


def places(message: str, texts: tuple[str, ...]) -> list[tuple[int, int]]:
    """Where the texts stand in a message, from and to, in order and apart."""
    folded = message.lower()
    if not texts or len(folded) != len(message):  # a letter that has no lower case of one letter: places would be off
        return []
    found: list[tuple[int, int]] = []
    for text in texts:
        at = folded.find(text)
        while at >= 0:
            found.append((at, at + len(text)))
            at = folded.find(text, at + len(text))
    apart: list[tuple[int, int]] = []
    for begin, end in sorted(found):
        if apart and begin <= apart[-1][1]:
            apart[-1] = (apart[-1][0], max(end, apart[-1][1]))
        else:
            apart.append((begin, end))
    return apart


def _words(node: Node) -> Iterator[Word]:
    match node:
        case Text(word):
            yield word
        case Compare(name, Op.CONTAINS, words) if name.text.lower() in {"message", "msg"}:
            yield from words
        case And(parts) | Or(parts):
            for part in parts:
                yield from _words(part)
        case _:
            return  # what is not wanted, is not to be seen; and of other fields the row shows little
