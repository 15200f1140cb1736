"""A filter's tree to a where-clause over stored log records, with the very same meaning as in memory.

What a database does well it does: levels, parts of an address, whole values, texts within texts. Globs, regular expressions
and fields of the JSON are left to functions that `register` gives to a connection, and which ask the predicate; so they
cannot disagree with it, and an expression that could stall is refused here as well. For SQLite: on another database these
functions (`fleetview_lower`, `fleetview_text`, `fleetview_json`) must exist under the same names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, cast

from pydantic_core import from_json
from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table, and_, false, func, not_, or_, true
from sqlalchemy.sql.elements import ColumnElement

from fleetview.core.query import json_path
from fleetview.core.query.fields import NO_JSON, UNKNOWN, Field, Kind, log_fields
from fleetview.core.query.parse import parse
from fleetview.core.query.predicate import Compiler, compile_tree
from fleetview.core.query.texts import within
from fleetview.core.query.tree import And, Compare, Exists, Node, Not, Op, Or, Text, Word
from fleetview_agent.wire import Level

if TYPE_CHECKING:
    from sqlite3 import Connection

LOG_RECORDS = Table(
    "log_records",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("tenant", String, nullable=False),
    Column("site", String, nullable=False),
    Column("device", String, nullable=False),
    Column("time_ms", BigInteger, nullable=False),
    Column("level", Integer, nullable=False),
    Column("service", String, nullable=False),
    Column("trace_id", String),
    Column("message", String, nullable=False),
    Column("raw", String, nullable=False),
)
"""The columns that a clause asks for; a table may have more. `level` is the number of wire's Level, `service` is empty when
the record names none, `raw` is the record as JSON."""

Clause = ColumnElement[bool]
_REMEMBERED_TERMS = 64


def where_logs(text: str, table: Table = LOG_RECORDS) -> Clause:
    """The clause that selects the records that a filter means. Raises QueryError."""
    return where(parse(text), table)


def where(tree: Node, table: Table = LOG_RECORDS) -> Clause:
    """The same for a tree. Raises QueryError."""
    compile_tree(tree, log_fields())  # refuses what is wrong, for both in the same words
    return _Clauses(table).of(tree)


def register(connection: Connection) -> None:
    """Give a connection of SQLite's driver the functions that clauses call."""
    connection.create_function("fleetview_lower", 1, str.lower, deterministic=True)
    connection.create_function("fleetview_text", 2, _text, deterministic=True)
    connection.create_function("fleetview_json", 2, _json, deterministic=True)


class _Clauses:
    def __init__(self, table: Table) -> None:
        columns = table.c
        self._raw: ColumnElement[str] = columns.raw
        self._level: ColumnElement[int] = columns.level
        address = columns.tenant + "/" + columns.site + "/" + columns.device
        # Names in addresses are ASCII, which the database folds by itself, so that an index on lower(site) is of use.
        self._folded: dict[str, ColumnElement[str]] = {
            "tenant": func.lower(columns.tenant),
            "site": func.lower(columns.site),
            "device": func.lower(columns.device),
            "address": func.lower(address),
            "trace": func.lower(columns.trace_id),
            "service": func.fleetview_lower(columns.service),
            "message": func.fleetview_lower(columns.message),
        }
        self._nullable: dict[str, ColumnElement[str]] = {"trace": columns.trace_id}
        self._emptiable: dict[str, ColumnElement[str]] = {"service": columns.service, "message": columns.message}

    def of(self, node: Node) -> Clause:
        """The clause of a part; never NULL, so that `not` is its opposite."""
        match node:
            case And():
                return and_(true(), *map(self.of, node.parts))
            case Or():
                return or_(false(), *map(self.of, node.parts))
            case Not():
                return not_(self.of(node.part))
            case Text():
                return self._anywhere(node)
            case Exists() | Compare() if node.name.path:
                return self._asked_of_json(node)
            case Exists():
                field = log_fields().find(node.name)
                return self._level != Level.UNKNOWN.value if field.kind is Kind.WORDS else self._present(field.name)
        return self._compared(node)

    def _anywhere(self, node: Text) -> Clause:
        places = (self._within(self._folded[name], node.word) for name in ("message", "service", "address"))
        return or_(*places, self._asked_of_json(node))

    def _asked_of_json(self, node: Node) -> Clause:
        return func.fleetview_json(self._raw, str(node)) == 1

    def _compared(self, node: Compare) -> Clause:
        field = log_fields().find(node.name)
        if field.kind is Kind.WORDS:
            return self._level.in_(_levels(field, node))
        found, present = self._fits(field, node), self._present(field.name)
        if node.op is Op.NE:
            found = not_(found)
        return or_(not_(present), found) if node.name.or_absent else and_(present, found)

    def _fits(self, field: Field, node: Compare) -> Clause:
        folded = self._folded[field.name]
        if node.op is Op.CONTAINS:
            return or_(*(self._within(folded, word) for word in node.words))
        plain = [field.tidy(word.text) for word in node.words if not word.is_glob]
        if node.op is not Op.MATCHES and len(plain) == len(node.words):
            return folded.in_(plain)
        asked = replace(node, name=replace(node.name, or_absent=False), op=Op.IS if node.op is Op.NE else node.op)
        return func.fleetview_text(folded, str(asked)) == 1

    def _within(self, folded: ColumnElement[str], word: Word) -> Clause:
        if word.is_glob:
            return func.fleetview_text(folded, str(Text(word))) == 1
        return func.instr(folded, word.text.lower()) > 0

    def _present(self, name: str) -> Clause:
        if name in self._nullable:
            return self._nullable[name].is_not(None)
        return self._emptiable[name] != "" if name in self._emptiable else true()


def _levels(field: Field, node: Compare) -> list[int]:
    """The numbers of the levels that a comparison lets through: there are few, so each is asked."""
    test = compile_tree(node, replace(log_fields(), named={field.name: replace(field, read=lambda level: level)})).test
    return [Level.UNKNOWN.value if word == UNKNOWN else Level[word.upper()].value for word in field.words if test(word)]


@lru_cache(_REMEMBERED_TERMS)
def _text_test(term: str) -> Callable[[str], bool]:
    node = parse(term)
    if isinstance(node, Text):
        return within((node.word,))
    fields = log_fields()
    field = replace(fields.find(cast("Compare", node).name), read=lambda text: text)
    return compile_tree(node, replace(fields, named={field.name: field})).test


def _text(text: str | None, term: str) -> bool:
    return text is not None and _text_test(term)(text)


@lru_cache(_REMEMBERED_TERMS)
def _json_test(term: str) -> Callable[[Any], bool]:
    node = parse(term)
    if isinstance(node, Text):
        return partial(_holds, within((node.word,)))
    return Compiler(log_fields()).json_test(cast("Compare | Exists", node))


def _holds(found: Callable[[str], bool], record: Any) -> bool:  # noqa: ANN401 (a JSON value)
    return any(map(found, json_path.extra_texts(record)))


def _json(raw: str | bytes, term: str) -> bool:
    try:
        record = from_json(raw)
    except ValueError:  # nested deeper than the parser goes
        record = NO_JSON
    return _json_test(term)(record if isinstance(record, dict) else NO_JSON)
