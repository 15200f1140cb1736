"""The journal: what was committed is there again, and a file that is damaged, foreign or in use is refused untouched."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
from core.rollout.world import START_S, plan_of

from fleetview.control.journal import Journal, JournalError, Post
from fleetview.core.rollout import codec, machine
from fleetview.core.rollout.events import Audit, Candidate, MembersFrozen, Outcome, Tick
from fleetview.core.rollout.logdiff import Count, Counted, Key, Seen
from fleetview_agent.wire import Address, Level

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fleetview.core.rollout.state import Rollout


def begun(journal: Journal) -> Rollout:
    rollout = machine.create(plan_of(), "ana", START_S, epoch=1)
    journal.begin(rollout)
    candidates = [Candidate(Address("default", "plant-1", f"gw-{number}")) for number in range(5)]
    out = machine.run(rollout, [MembersFrozen(candidates), Tick()], START_S + 1)
    journal.commit([(rollout, out)], [Post("a/b", b"1"), Post("a/c", b"")])
    return rollout


def _state(rollout: Rollout) -> dict[str, Any]:
    state = codec.to_json(rollout)
    return state | {"devices": sorted(state["devices"], key=lambda device: device["rank"])}


def test_what_was_committed_is_there_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "sub" / "j.db")
    journal.keep("epoch", "7")
    rollout = begun(journal)
    journal.close()
    again = Journal(tmp_path / "sub" / "j.db")
    (found,) = again.rollouts()
    assert _state(found) == _state(rollout)
    assert again.meta("epoch") == "7"
    assert [waiting.post for waiting in again.waiting(10)] == [Post("a/b", b"1"), Post("a/c", b"")]
    again.published([again.waiting(1)[0].id])
    assert [waiting.post.topic for waiting in again.waiting(10)] == ["a/c"]
    assert all(isinstance(record, Audit) for record in again.records(rollout.id))
    assert again.records(rollout.id)


def test_what_was_counted_is_kept_and_replaced(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    for times in (1, 2):
        seen = Seen(Count(times, {Address("default", "plant-1", "gw-1")}))
        counted = Counted(began_s=START_S, updated_s=60.0, templates={Key(Level.ERROR, "app", "KeyError <*>"): seen})
        journal.commit((), (), {"telemetry-1.5.0": counted})
    journal.close()
    assert Journal(tmp_path / "j.db").counted() == {"telemetry-1.5.0": counted}


def test_a_journal_of_before_logs_were_counted_is_taken_on(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    rollout = begun(journal)
    journal.close()
    with sqlite3.connect(tmp_path / "j.db") as old:
        old.execute("DROP TABLE counted")
        old.execute("PRAGMA user_version = 1")
    old.close()
    again = Journal(tmp_path / "j.db")
    assert [each.id for each in again.rollouts()] == [rollout.id]
    assert again.counted() == {}


def test_a_round_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    rollout = begun(journal)
    before = codec.to_json(journal.rollouts()[0])
    rollout.head.text = "changed"
    with pytest.raises(JournalError, match="cannot be written"):
        journal.commit([(rollout, Outcome(head=True))], [Post("a/d", None)])  # type: ignore[arg-type]
    assert codec.to_json(journal.rollouts()[0]) == before
    assert len(journal.waiting(10)) == 2


def test_one_that_is_in_use_is_refused(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    with pytest.raises(JournalError, match="is in use: another controller"):
        Journal(tmp_path / "j.db")
    journal.close()
    Journal(tmp_path / "j.db").close()


def test_another_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE notes (text TEXT)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(JournalError, match="no journal of rollouts: name another file"):
        Journal(path)
    assert path.read_bytes() == before


def _torn(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _overwritten(data: bytes) -> bytes:
    return b"\xff" * 120 + data[120:]


def _another_plan(data: bytes) -> bytes:
    return data.replace(b'"site:*"', b'"site:x"', 1)


def _no_plan(data: bytes) -> bytes:
    return data.replace(b'"site:*"', b'"site:*\x00', 1)


@pytest.mark.parametrize("damage", [_torn, _overwritten, _another_plan, _no_plan])
def test_a_damaged_one_is_refused_and_left_alone(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "j.db"
    journal = Journal(path)
    begun(journal)
    journal.close()
    data = damage(path.read_bytes())
    path.write_bytes(data)
    with pytest.raises(JournalError, match=r"is damaged: (.|\n)*Nothing was changed"):
        _read(path)
    assert path.read_bytes() == data


def _read(path: Path) -> None:
    journal = Journal(path)
    try:
        journal.rollouts()
    finally:
        journal.close()


def test_a_newer_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    Journal(path).close()
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA user_version = 99")
    raw.close()
    with pytest.raises(JournalError, match="use a newer fleetview"):
        Journal(path)
