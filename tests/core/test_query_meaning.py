"""What a filter means: in memory, in SQL, and in the plainest way there is; and that a tree's text is that tree."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, event, insert, select
from sqlalchemy.engine import Engine
from sqlalchemy.pool import StaticPool

from core.query_trees import entries, leaves, means, trees
from fleetview.core.logbook import Entry
from fleetview.core.query import QueryError, compile_logs
from fleetview.core.query.parse import parse
from fleetview.core.query.sql import LOG_RECORDS, register, where, where_logs
from fleetview.core.query.tree import Node


@given(trees)
def test_the_text_of_a_tree_is_that_tree(tree: Node) -> None:
    assert parse(str(tree)) == tree


@settings(max_examples=400)
@given(st.one_of(leaves, trees), st.lists(entries(), min_size=4, max_size=8))
def test_a_predicate_is_what_the_language_says(tree: Node, records: list[Entry]) -> None:
    test = compile_logs(str(tree)).test
    assert [test(record) for record in records] == [means(tree, record) for record in records]


@pytest.fixture(scope="module")
def engine() -> Engine:
    made = create_engine("sqlite://", poolclass=StaticPool)

    @event.listens_for(made, "connect")
    def _connected(connection: sqlite3.Connection, _record: object) -> None:
        register(connection)

    LOG_RECORDS.metadata.create_all(made)
    return made


def _selected(engine: Engine, tree: Node, records: list[Entry]) -> list[bool]:
    with engine.connect() as connection:  # rolled back at its end
        connection.execute(
            insert(LOG_RECORDS),
            [
                {
                    "id": number,
                    **record.address._asdict(),
                    "time_ms": record.time_ms,
                    "level": record.level.value,
                    "service": record.service,
                    "trace_id": record.trace_id,
                    "message": record.message,
                    "raw": record.raw.decode(),
                }
                for number, record in enumerate(records)
            ],
        )
        found = set(connection.scalars(select(LOG_RECORDS.c.id).where(where(tree))))
        connection.rollback()
    return [number in found for number in range(len(records))]


@settings(max_examples=400)
@given(tree=st.one_of(leaves, trees), records=st.lists(entries(), min_size=4, max_size=8))
def test_sql_selects_what_the_predicate_does(engine: Engine, tree: Node, records: list[Entry]) -> None:
    test = compile_logs(str(tree)).test
    assert _selected(engine, tree, records) == [test(record) for record in records]


@given(records=st.lists(entries(), min_size=1, max_size=8), pattern=st.sampled_from(["a.*b", "^ä", r"\d+", "(a|b)$"]))
def test_regular_expressions_are_the_same_in_sql(engine: Engine, records: list[Entry], pattern: str) -> None:
    text = f'message~~"{pattern}" or .a~~"{pattern}"'
    test = compile_logs(text).test
    assert _selected(engine, parse(text), records) == [test(record) for record in records]


def test_sql_refuses_what_the_predicate_refuses() -> None:
    for text in ("levle:warn", 'message~~"(a+)+b(a+)+c"', "seen>5m", "level>=wran"):
        with pytest.raises(QueryError) as in_sql:
            where_logs(text)
        with pytest.raises(QueryError) as in_memory:
            compile_logs(text)
        assert str(in_sql.value) == str(in_memory.value)
