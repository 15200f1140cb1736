"""The record of what was changed: whole lines, in order, bounded, and for nobody else to read."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from fleetview import audit
from fleetview.audit import Audit
from fleetview.core.commandbook import CommandBook, Order
from fleetview_agent.wire import Address, CommandResult

if TYPE_CHECKING:
    from pathlib import Path

AT = datetime(2026, 11, 25, 3, tzinfo=UTC)
ONE, TWO = Address("acme", "plant-1", "gw-1"), Address("acme", "plant-1", "gw-2")


def order(order_id: str = "c1") -> tuple[CommandBook, Order]:
    book = CommandBook()
    args = {"name": "m"}
    begun = book.begin(
        order_id, "restart_module", args, [ONE, TWO], by="ana@laptop", reason="stuck\n", expires_s=60, unix_s=0
    )
    return book, begun


def test_what_was_asked_and_what_came_of_it(tmp_path: Path) -> None:
    record, (book, begun) = Audit(tmp_path / "new", "plant"), order()
    record.began(begun, AT)
    book.take(ONE, "c1", CommandResult(status="succeeded", message="done"), 1)
    book.take(TWO, "c1", CommandResult(status="failed", message="no \x1b such module"), 1)
    record.ended(begun, AT)
    file = tmp_path / "new" / "audit.jsonl"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    sent, ended = map(json.loads, file.read_text().splitlines())
    head = {"at": "2026-11-25T03:00:00.000Z", "id": "c1", "by": "ana@laptop", "fleet": "plant", "verb": "restart_module"}
    assert sent == {
        **head,
        "event": "command_sent",
        "args": {"name": "m"},
        "reason": "stuck\n",
        "expires_s": 60,
        "devices": ["acme/plant-1/gw-1", "acme/plant-1/gw-2"],
    }
    assert ended == {
        **head,
        "event": "command_ended",
        "outcomes": {"succeeded": 1, "failed": 1},
        "unsuccessful": [{"device": "acme/plant-1/gw-2", "outcome": "failed", "message": "no \x1b such module"}],
    }


def test_it_is_bounded_and_the_one_before_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MAX_BYTES", 2000)
    record = Audit(tmp_path, "plant")
    for number in range(20):
        record.began(order(f"c{number}")[1], AT)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["audit.jsonl", "audit.jsonl.1"]
    assert all(file.stat().st_size <= 2000 for file in files)
    ids = [json.loads(line)["id"] for file in reversed(files) for line in file.read_text().splitlines()]
    assert ids == [f"c{number}" for number in range(20 - len(ids), 20)]
