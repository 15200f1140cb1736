"""The power goes ahead of every single step that the twin takes on its files: kill -9, in real processes, on real files."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fleetview_agent.twin import keep
from fleetview_agent.twin.model import Configuration, Kept
from fleetview_agent.wire import document_sha256

TESTS = Path(__file__).parents[1]
ORDER = ["file", "good", "better"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="it forks")
def test_whenever_the_power_goes_the_last_good_or_the_verified_new_one_runs(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "support.powercut", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])},
    )
    assert ended.returncode == 0, ended.stderr
    (first, *cuts) = map(json.loads, ended.stdout.splitlines())
    steps: list[str] = first["steps"]
    assert sorted(cut["cut_at"] for cut in cuts) == list(range(len(steps)))
    assert len(steps) > 40

    cuts.sort(key=lambda cut: cut["cut_at"])
    for cut in cuts:
        assert cut["runs"] == (cut["last_good"] or "file"), cut
        assert cut["runs"] in ORDER, "never one that was not verified"
        assert cut["trying"] is None or cut["status"] in {"pending", "applied", "rolled_back"}, cut
        assert set(cut["files"]) <= {"agent.json", keep.STATE_FILE, keep.LAST_GOOD_FILE}, "nothing is left behind"
        assert not cut["problems"], cut
    once = cuts[::2]  # the others were cut twice: they may be further on, or have given up what they were trying
    assert {(cut["then"], cut["kept"]) for cut in once} == {("better", "applied")}, "it goes on as if nothing had happened"
    assert {cut["then"] for cut in cuts} <= {"better", "good"}
    assert [cut["gen"] for cut in once] == sorted(cut["gen"] for cut in once)
    assert [ORDER.index(cut["runs"]) for cut in once] == sorted(ORDER.index(cut["runs"]) for cut in once)
    assert {cut["runs"] for cut in once} == set(ORDER)
    assert {"good", "bad", "not", "better"} <= {cut["trying"] for cut in cuts}


def _final(name: str) -> str:
    """What a file will be called that is written beside its place."""
    return re.sub(r"^\.(.*)\.[a-z0-9_]{8}$", r"\1", name)


def test_what_is_renamed_is_on_the_disk_before_and_its_name_after(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """kill -9 leaves what was written in the kernel's memory; a cut of power does not."""
    steps: list[tuple[str, str]] = []
    monkeypatch.setattr("fleetview_agent.durable.before", lambda what, path: steps.append((what, _final(path.name))))
    keep.save(tmp_path, Kept(gen=1))
    configuration = Configuration(1, document_sha256({}), {})
    keep.save_last_good(tmp_path, configuration)
    expected = [
        step
        for name in (keep.STATE_FILE, keep.LAST_GOOD_FILE)
        for step in (("write", name), ("sync", name), ("rename", name), ("sync", tmp_path.name))
    ]
    assert steps == expected
    assert keep.load(tmp_path) == (Kept(gen=1), configuration, [])


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '{"version": 1}',
        '{"version": 1, "sha256": "x", "document": {}}',
        '{"gen": "1"}',
        '{"gen": 1, "status": "?"}',
    ],
)
def test_files_that_cannot_be_used_are_told_and_left_where_they_are(tmp_path: Path, content: str) -> None:
    for name in (keep.STATE_FILE, keep.LAST_GOOD_FILE):
        (tmp_path / name).write_text(content)
    found = keep.load(tmp_path)
    assert found.last_good is None
    assert found.kept.gen == 0
    assert any(keep.LAST_GOOD_FILE in problem for problem in found.problems)
    assert (tmp_path / keep.LAST_GOOD_FILE).read_text() == content


def test_what_is_kept_comes_back_as_it_was(tmp_path: Path) -> None:
    trying = Configuration(None, document_sha256({"a": [1, {"b": None}]}), {"a": [1, {"b": None}]})
    kept = Kept(4, 7, "c", "late", "applying", None, trying.sha256, "why", trying, 1)
    keep.save(tmp_path, kept)
    assert keep.load(tmp_path).kept == kept
    assert [path.name for path in tmp_path.iterdir()] == [keep.STATE_FILE]
    assert all(one.stat().st_mode & 0o077 == 0 for one in tmp_path.iterdir()), "it may hold passwords"
