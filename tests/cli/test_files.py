"""Files are written whole or not at all, and over nobody else's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetview.files import write_new


def test_lines_are_written_and_counted(tmp_path: Path) -> None:
    assert write_new(tmp_path / "a.jsonl", (str(number) for number in range(3))) == 3
    assert (tmp_path / "a.jsonl").read_text() == "0\n1\n2\n"
    assert os.listdir(tmp_path) == ["a.jsonl"]  # noqa: PTH208


def test_what_is_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        write_new(path, ["x"])
    assert path.read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_failure_on_the_way_leaves_nothing(tmp_path: Path) -> None:
    def lines() -> Iterator[str]:
        yield "x"
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_new(tmp_path / "a.jsonl", lines())
    assert list(tmp_path.iterdir()) == []
