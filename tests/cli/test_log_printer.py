"""What `fleetview logs` writes for a batch of records: whole lines, in one go."""

from __future__ import annotations

import io
import json
import sys

import pytest

from fleetview.cli.logs import _Printer
from fleetview.core.fleet import Fleet
from fleetview.core.logbook import Entry, Logbook
from fleetview.core.query.gaps import compile_with_gaps
from fleetview.core.received import Received
from fleetview_agent.wire import Address, Channel, LogBatch

NOW_S = 1_795_000_000.0
ONE = Address("acme", "plant-1", "gw-1")


class Pipe(io.TextIOWrapper):
    """Counts how often it is flushed."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding, newline="\n", write_through=False)
        self.flushes = 0

    def flush(self) -> None:
        self.flushes += 1
        super().flush()

    def said(self) -> str:
        buffer = self.buffer
        assert isinstance(buffer, io.BytesIO)
        return buffer.getvalue().decode(self.encoding)


def entries(*messages: str, first: int = 0, skip: int = 0) -> list[Entry]:
    fleet = Fleet(Logbook())
    for seq, some in ((first, messages[:1]), (first + 1 + skip, messages[1:])):
        records = [{"timestamp": NOW_S, "level": "ERROR", "service": "s", "message": message} for message in some]
        batch = LogBatch.model_construct(stream="L1", first_seq=seq, records=records)
        fleet.logbook.add(ONE, batch, Received(ONE, Channel.LOG, batch, b"", False, 0.0, NOW_S))
    return list(fleet.logbook)


def printed(monkeypatch: pytest.MonkeyPatch, some: list[Entry], text: str = "", **how: bool) -> Pipe:
    pipe = Pipe("ascii" if how.pop("ascii_only", False) else "utf-8")
    monkeypatch.setattr(sys, "stdout", pipe)
    printer = _Printer(compile_with_gaps(text), 0, as_json=how.get("as_json", False))
    pipe.flushes = 0
    printer.write(some)
    monkeypatch.undo()
    return pipe


def test_one_flush_for_a_batch_and_none_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert printed(monkeypatch, entries(*map(str, range(100)))).flushes == 1
    assert printed(monkeypatch, []).flushes == 0
    assert printed(monkeypatch, entries("a"), "level:info").flushes == 0


def test_a_gap_is_a_line_of_text_and_a_field_of_json(monkeypatch: pytest.MonkeyPatch) -> None:
    some = entries("a", "b", skip=37)
    lines = printed(monkeypatch, some).said().splitlines()
    assert lines[1] == "--- 37 records of acme/plant-1/gw-1 missing (nobody owned up to it) ---"
    found = [json.loads(line) for line in printed(monkeypatch, some, as_json=True).said().splitlines()]
    assert [(record["message"], record["missing_before"]) for record in found] == [("a", 0), ("b", 37)]
    assert len(printed(monkeypatch, some, "device:other").said().splitlines()) == 0


def test_hostile_text_is_one_harmless_line(monkeypatch: pytest.MonkeyPatch) -> None:
    said = printed(monkeypatch, entries("\x1b[31mred\nnext \u202eover")).said()
    assert said.count("\n") == 1
    assert "\x1b" not in said
    assert "\u202e" not in said


@pytest.mark.parametrize("as_json", [False, True])
def test_no_encoding_stops_it(monkeypatch: pytest.MonkeyPatch, as_json: bool) -> None:
    said = printed(monkeypatch, entries("Übergröße \U0001f600"), as_json=as_json, ascii_only=True).said()
    assert said.isascii()
    if as_json:
        assert json.loads(said)["record"]["message"] == "Übergröße \U0001f600"
