from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from fleetview_agent.config import LogFile
from fleetview_agent.followed import MAX_LINE_BYTES
from fleetview_agent.journal import Intake
from fleetview_agent.spool import MemorySpool
from fleetview_agent.store import Store
from fleetview_agent.tail import LOOK_BYTES, MAX_FILES, MAX_FIRST_BYTES, STEP_BYTES, Tail

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fleetview_agent.followed import Position

NOW_MS = 1_764_000_000_000


class Device:
    """A folder of logs, and agents that follow them one after another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir()
        self.now_s = 0.0
        self.records: list[dict[str, Any]] = []
        self.held = False
        self.pattern = "*.log"
        self.tail = self.agent(None)

    def agent(self, saved: Sequence[Position] | None) -> Tail:
        return Tail(
            [LogFile(path=str(self.folder / self.pattern))],
            self,
            clock=lambda: self.now_s,
            now_ms=lambda: NOW_MS,
            saved=saved,
            hold=lambda: self.held,
        )

    def restart(self, *, settled_through: int | None = None, follow: str | None = None) -> None:
        settled = len(self.records) - 1 if settled_through is None else settled_through
        saved = self.tail.positions(settled)
        self.tail.close()
        self.pattern = follow or self.pattern
        self.tail = self.agent(saved)

    def take(self, records: Sequence[dict[str, Any]]) -> int:
        self.records += records
        return len(self.records) - 1

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.folder / name
        with path.open("ab") as file:
            file.write(text.encode() if isinstance(text, str) else text)
        return path

    def look(self, passed_s: float = 5.0) -> list[str]:
        """The messages that came since the last look, after some time in which files are searched anew."""
        self.now_s += passed_s
        before = len(self.records)
        while self.tail.look():
            pass
        return self.messages[before:]

    @property
    def messages(self) -> list[str]:
        return [record["message"] for record in self.records]


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path / "logs")


def test_new_lines_are_read_once(device: Device) -> None:
    device.write("a.log", "one\ntwo\n")
    assert device.look() == ["one", "two"]
    assert device.look() == []
    device.write("a.log", "three\r\n\n  \nfour\n")
    assert device.look() == ["three", "four"]


def test_other_patterns_take_effect_at_once_and_what_comes_back_is_read_from_where_it_was_left(device: Device) -> None:
    def follow(*patterns: str, service: str | None = None) -> list[str]:
        device.tail.reconfigure([LogFile(path=str(device.folder / pattern), service=service) for pattern in patterns])
        return device.look(passed_s=0)

    device.write("a.log", "one\n")
    device.write("b.txt", "two\n")
    assert device.look() == ["one"]
    assert follow("*.log", "*.txt", service="app") == ["two"]
    device.write("a.log", "three\n")
    assert device.look() == ["three"]
    assert [record["service"] for record in device.records] == ["a", "app", "app"]
    assert follow("*.txt") == []
    device.write("a.log", "four\n")
    device.write("b.txt", "five\n")
    assert device.look() == ["five"]
    device.restart(follow="*.txt")
    assert device.look() == []
    assert follow("*.log", "*.txt") == ["four"]
    assert follow() == []
    device.write("a.log", "six\n")
    assert device.look() == []
    (device.folder / "a.log").write_text("new\n")
    assert follow("*.log") == ["new"]


def test_a_line_without_an_end_waits_for_it(device: Device) -> None:
    device.write("a.log", "on")
    assert device.look() == []
    device.write("a.log", "e\ntw")
    assert device.look() == ["one"]
    device.write("a.log", "o\n")
    assert device.look() == ["two"]


def test_rotation_by_rename_loses_and_doubles_nothing(device: Device) -> None:
    path = device.write("a.log", "one\n")
    assert device.look() == ["one"]
    device.write("a.log", "two\n")
    path.rename(device.folder / "a.log.1")
    device.write("a.log", "three\n")
    assert sorted(device.look()) == ["three", "two"]
    device.write("a.log.1", "the writer has not noticed\n")
    assert device.look() == ["the writer has not noticed"]


def test_a_rotated_file_that_still_matches_is_not_read_again(tmp_path: Path) -> None:
    device = Device(tmp_path / "logs")
    device.restart(follow="a.log*")
    path = device.write("a.log", "one\n")
    assert device.look() == ["one"]
    path.rename(device.folder / "a.log.1")
    device.write("a.log", "two\n")
    assert device.look() == ["two"]
    device.write("a.log.2.gz", "not text\n")
    assert device.look() == []


def test_a_rotated_file_is_closed_in_the_end_with_its_last_line(device: Device) -> None:
    path = device.write("a.log", "one\nno end")
    device.look()
    path.unlink()
    device.look()
    device.now_s += 60
    device.tail.forget_finished(settled_through=0)
    assert device.messages == ["one", "no end"]
    assert len(device.tail.positions(1)) == 1, "the last record is not settled"
    device.tail.forget_finished(settled_through=1)
    assert device.tail.positions(1) == []


def test_copy_and_truncate(device: Device) -> None:
    path = device.write("a.log", "one\ntwo\n")
    device.look()
    os.truncate(path, 0)
    device.write("a.log", "three\n")
    assert device.look() == ["three"]


def test_truncated_and_filled_beyond_the_old_place_between_two_looks(device: Device) -> None:
    path = device.write("a.log", "10:00 one\n10:01 two\n")
    device.look()
    os.truncate(path, 0)
    device.write("a.log", "11:00 three\n11:01 four\n11:02 five\n")
    assert device.look() == ["11:00 three", "11:01 four", "11:02 five"]


def test_a_new_file_with_the_inode_of_an_old_one(device: Device) -> None:
    path = device.write("a.log", "one\n")
    device.look()
    device.restart()
    inode = path.stat().st_ino
    path.write_bytes(b"")  # same inode, other content: as if deleted and made anew while no agent ran
    device.write("a.log", "another file\n")
    assert path.stat().st_ino == inode
    assert device.look() == ["another file"]


def test_a_restart_goes_on_where_records_were_settled(device: Device) -> None:
    device.write("a.log", "zero\none\n")
    device.look()
    device.write("a.log", "two\n")
    device.look()
    device.restart(settled_through=1)
    device.write("a.log", "three\n")
    assert device.look() == ["two", "three"]
    device.restart(settled_through=len(device.records) - 1)
    assert device.look() == []


def test_a_restart_finds_the_rest_of_a_file_that_was_rotated_meanwhile(device: Device) -> None:
    path = device.write("a.log", "one\n")
    device.look()
    device.restart()
    device.write("a.log", "two\n")
    path.rename(device.folder / "a.log.1")
    device.write("a.log", "three\n")
    assert sorted(device.look()) == ["three", "two"]


def test_positions_survive_on_the_disk(device: Device, tmp_path: Path) -> None:
    device.write("a.log", "one\ntwo\n")
    device.look()
    store = Store(tmp_path / "state", "gw-1")
    assert store.positions() is None
    positions = device.tail.positions(1)
    store.save_positions(positions)
    assert store.positions() == positions
    (store.folder / "positions.json").write_text('{"files": [{"path": 3}, 4, {"identity": [1, 2]}]}')
    assert store.positions() == []
    (store.folder / "positions.json").write_text("half a fi")
    assert store.positions() is None


def test_a_line_of_a_megabyte_is_cut_and_says_so(device: Device) -> None:
    device.write("a.log", b"x" * 1_000_000)
    assert device.look() == []
    device.write("a.log", b"y" * 48_576 + b"\nnext\n")
    assert [len(message) for message in device.look()] == [MAX_LINE_BYTES, 4]
    assert device.records[0]["cut"] == f"1048576 bytes, the first {MAX_LINE_BYTES} are kept"
    assert "cut" not in device.records[1]


def test_a_long_json_line_is_cut_too(device: Device) -> None:
    device.write("a.log", json.dumps({"level": "error", "message": "x" * 20_000}) + "\n")
    (message,) = device.look()
    assert message.startswith('{"level"')
    assert device.records[0]["cut"].startswith("20")


def test_bytes_that_are_not_utf8(device: Device) -> None:
    device.write("a.log", b"caf\xe9 \xff\n" + b'{"message": "\xff"}\n')
    assert device.look() == ["caf\ufffd \ufffd", '{"message": "\ufffd"}']


def test_new_files_are_found(device: Device) -> None:
    device.write("a.log", "a\n")
    device.look()
    device.write("b.log", "b\n")
    assert device.look(passed_s=0.1) == [], "files are not searched at every look"
    assert device.look() == ["b"]
    assert [record["service"] for record in device.records] == ["a", "b"]


def test_old_history_is_left_out_once(device: Device) -> None:
    lines = [f"{number:0127}" for number in range(2 * MAX_FIRST_BYTES // 128)]
    device.write("a.log", "\n".join(lines) + "\n")
    found = device.look()
    assert found == lines[-len(found) :]
    assert MAX_FIRST_BYTES - 256 <= 128 * len(found) <= MAX_FIRST_BYTES


def test_a_big_file_that_appears_later_is_read_whole(device: Device) -> None:
    device.look()
    device.write("a.log", ("0" * 127 + "\n") * (2 * MAX_FIRST_BYTES // 128))
    assert len(device.look()) == 2 * MAX_FIRST_BYTES // 128


def test_one_look_does_a_bounded_amount_of_work(device: Device) -> None:
    for number in range(12):
        device.write(f"{number}.log", "0123456789abcde\n" * 10_000)
    device.now_s += 5
    assert device.tail.look()
    assert 0 < len(device.records) * 16 <= LOOK_BYTES + STEP_BYTES
    device.look()
    assert len(device.records) == 12 * 10_000


def test_sources_are_held_while_the_spool_is_full(device: Device) -> None:
    device.write("a.log", "one\n")
    device.held = True
    assert device.look() == []
    device.held = False
    assert device.look() == ["one"]


@pytest.mark.parametrize("line", [b"x\n", b"\0" * 4000 + b"\n", b"\0" * 16_000 + b"\n", b"\xff" * 100 + b"\n", b'{"a":1}\n'])
def test_a_flood_of_lines_waits_in_its_file_and_drops_nothing(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "a.log").write_bytes(line * (6_000_000 // max(len(line), 100)))
    spool = MemorySpool("s", clock=lambda: 0.0, now=lambda: "")
    tail = Tail(
        [LogFile(path=str(tmp_path / "a.log"))],
        Intake(spool),
        clock=lambda: 0.0,
        now_ms=lambda: NOW_MS,
        saved=[],
        hold=lambda: spool.nearly_full,
    )
    while tail.look():
        pass
    assert spool.nearly_full
    assert spool.depth().dropped == 0


def test_a_flood_in_one_file_does_not_starve_another(device: Device) -> None:
    for name in "abcdef":
        device.write(f"{name}.log", "0123456789abcde\n" * 20_000)
    for _ in range(3):
        device.now_s += 0.5
        device.tail.look()
    assert {record["service"] for record in device.records} == set("abcdef")


def test_what_cannot_be_read_is_a_problem_until_it_can(device: Device) -> None:
    path = device.folder / "a.log"
    os.mkfifo(path)
    assert device.look() == []
    assert list(device.tail.problems.values()) == [f"log file {path} is not a regular file"]
    path.unlink()
    device.write("a.log", "one\n")
    assert device.look() == ["one"]
    assert device.tail.problems == {}


def test_a_loop_of_links_is_a_problem(device: Device) -> None:
    (device.folder / "a.log").symlink_to(device.folder / "b.log")
    (device.folder / "b.log").symlink_to(device.folder / "a.log")
    device.look()
    assert all("cannot be read: Too many levels" in words for words in device.tail.problems.values())


def test_too_many_files_are_a_problem(device: Device) -> None:
    for number in range(MAX_FILES + 1):
        device.write(f"{number:04}.log", "x\n")
    assert len(device.look()) == MAX_FILES
    (words,) = device.tail.problems.values()
    assert f"{MAX_FILES} files are followed already" in words
