"""Archives of releases, most of them hostile, and what a device believes of them."""

from __future__ import annotations

import gzip
import os
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.releases import Maker, member, tar_gz

from fleetview_agent.release import inventory, manifest, signing
from fleetview_agent.release.errors import RefusedError
from fleetview_agent.release.shelf import Shelf
from fleetview_agent.release.unpack import MOST_NAMES, Bounds, unpack

if TYPE_CHECKING:
    from pathlib import Path

FOLDER, LINK = tarfile.DIRTYPE, tarfile.SYMTYPE
PLENTY = Bounds(1_000_000)


def unpacked(tmp_path: Path, data: bytes, bounds: Bounds = PLENTY) -> dict[str, Any]:
    (tmp_path / "a.tar.gz").write_bytes(data)
    return unpack(tmp_path / "a.tar.gz", tmp_path / "out", bounds)


HOSTILE = [
    ([(member("../evil"), b"x")], "leads out"),
    ([(member("a/../../evil"), b"x")], "leads out"),
    ([(member("/etc/evil"), b"x")], "leads out"),
    ([(member("dev", tarfile.CHRTYPE), b"")], "a device"),
    ([(member("dev", tarfile.BLKTYPE), b"")], "a device"),
    ([(member("pipe", tarfile.FIFOTYPE), b"")], "a pipe"),
    ([(member("a"), b"x"), (member("b", tarfile.LNKTYPE, linkname="a"), b"")], "a hard link"),
    ([(member("b", tarfile.LNKTYPE, linkname="/etc/passwd"), b"")], "a hard link"),
    ([(member("a", LINK, linkname="/etc/passwd"), b"")], "a link out"),
    ([(member("a", LINK, linkname="../out"), b"")], "a link out"),
    ([(member("d/a", LINK, linkname="../../out"), b"")], "a link out"),
    ([(member("a", LINK, linkname="nothing"), b"")], "a link to nothing"),
    ([(member("a", LINK, linkname="b"), b""), (member("b", LINK, linkname="a"), b"")], "a link to nothing"),
    ([(member("a", LINK, linkname="."), b""), (member("b", LINK, linkname="a/.."), b"")], "a link out"),
    ([(member("d", FOLDER), b""), (member("a", LINK, linkname="d"), b""), (member("a/x"), b"x")], "no folder"),
    ([(member("a"), b"x"), (member("a/x"), b"x")], "no folder"),
    ([(member("a"), b"x"), (member("a"), b"y")], "twice"),
    ([(member("a"), b"x"), (member("./a"), b"y")], "twice"),
    ([(member("a", LINK, linkname="b"), b""), (member("a"), b"y")], "twice"),
    ([(member("a"), b"x"), (member("a", FOLDER), b"")], "twice"),
    ([(member("a", mode=0o4755), b"x")], "setuid"),
    ([(member("a", mode=0o2755), b"x")], "setgid"),
    ([(member("a\nb"), b"x")], "no name"),
    ([(member("a" * 300), b"x")], "no name"),
    ([(member("/".join("a" * 600)), b"x")], "no name"),
    ([(member(".inventory.json"), b"{}")], "the agent needs"),
    ([(member("big"), bytes(1_000_001))], "more than"),
    ([(member("a"), bytes(600_000)), (member("b"), bytes(600_000))], "more than"),
    ([(member("sparse", tarfile.GNUTYPE_SPARSE), b"")], "sparse"),
    ([(member("a", pax_headers={"comment": "x" * 2_000_000}), b"x")], "header of"),
]


@pytest.mark.parametrize(("members", "words"), HOSTILE, ids=range(len(HOSTILE)))
def test_an_archive_that_is_more_than_files_is_refused_by_name(
    tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]], words: str
) -> None:
    outside = set(tmp_path.parent.iterdir())
    with pytest.raises(RefusedError, match=words):
        unpacked(tmp_path, tar_gz(*members))
    assert {path.name for path in tmp_path.iterdir()} <= {"a.tar.gz", "out"}
    assert set(tmp_path.parent.iterdir()) == outside


def test_a_link_out_by_way_of_a_link_that_looks_well_is_refused(tmp_path: Path) -> None:
    members = [
        (member("d/e/f", FOLDER), b""),
        (member("here", LINK, linkname="."), b""),
        (member("d/up", LINK, linkname="../here/.."), b""),
    ]
    with pytest.raises(RefusedError, match="a link out"):
        unpacked(tmp_path, tar_gz(*members))


def test_what_is_taken_keeps_its_content_its_links_and_whether_it_may_be_run(tmp_path: Path) -> None:
    members = [
        (member("./", FOLDER), b""),
        (member("bin", FOLDER), b""),
        (member("bin/run", mode=0o100), b"x"),
        (member("deep/er/file", mode=0o600), b"y" * 100_000),
        (member("latest", LINK, linkname="deep/er/file"), b""),
    ]
    entries = unpacked(tmp_path, tar_gz(*members))
    out = tmp_path / "out"
    assert (out / "latest").read_bytes() == b"y" * 100_000
    assert [(out / name).stat().st_mode & 0o7777 for name in ("bin/run", "deep/er/file")] == [0o755, 0o644]
    inventory.write(out, {"sha256": "s"}, entries)
    assert inventory.prove(out)["sha256"] == "s"
    (out / "deep/er/file").write_bytes(b"z" * 100_000)
    inventory.prove(out, contents=False)
    with pytest.raises(RefusedError, match="deep/er/file"):
        inventory.prove(out)


def test_too_many_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleetview_agent.release.unpack.MOST_NAMES", 5)
    with pytest.raises(RefusedError, match="more than 5 names"):
        unpacked(tmp_path, tar_gz(*((member(f"d{number}", FOLDER), b"") for number in range(6))))
    assert MOST_NAMES >= 10_000


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="more than"):
        unpacked(tmp_path, gzip.compress(tar_header(member("a"), 10**9) + bytes(50_000_000)), Bounds(10**6))
    assert sum(path.stat().st_size for path in (tmp_path / "out").rglob("*")) <= 10**6


def tar_header(entry: tarfile.TarInfo, size: int) -> bytes:
    entry.size = size
    return entry.tobuf(tarfile.PAX_FORMAT)


def test_a_disk_that_fills_up_meanwhile(tmp_path: Path) -> None:
    def no_room(count: int) -> None:
        words = f"no room for {count}"
        raise RefusedError(words)

    with pytest.raises(RefusedError, match="no room"):
        unpacked(tmp_path, tar_gz((member("a"), b"x")), Bounds(1000, no_room))


WHOLE = tar_gz((member("release.toml"), b"x" * 3000), (member("bin/run", mode=0o755), os.urandom(5000)))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(WHOLE) - 1))
def test_an_archive_that_is_cut_off_anywhere_is_refused(tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    with pytest.raises(RefusedError):
        unpacked(tmp_path_factory.mktemp("cut"), WHOLE[:length])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(gzip.decompress(WHOLE)) - 1), st.integers(1, 255))
def test_a_damaged_archive_is_refused_or_names_are_kept_inside(
    tmp_path_factory: pytest.TempPathFactory, at: int, how: int
) -> None:
    plain = bytearray(gzip.decompress(WHOLE))
    plain[at] ^= how
    folder = tmp_path_factory.mktemp("damaged")
    try:
        entries = unpacked(folder, gzip.compress(bytes(plain)))
    except RefusedError:
        return
    assert all((folder / "out" / name).resolve().is_relative_to(folder / "out") for name in entries)
    assert {path.name for path in folder.iterdir()} == {"a.tar.gz", "out"}


MODULE = '[modules.bridge]\ncommand = ["bin/bridge"]\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "release.toml: name: missing"),
        ('name = "g"\n' + MODULE, "release.toml: version: missing"),
        ('name = "g"\nversion = "../1"\n' + MODULE, "a version expected"),
        ('name = "g"\nversion = "current"\n' + MODULE, "a version expected"),
        ('name = "g"\nversion = "1"\n', "modules: missing"),
        ('name = "g"\nversion = "1"\nmodule = 1\n' + MODULE, "did you mean modules?"),
        ('name = "g"\nversion = "1"\n' + MODULE + "comand = 1\n", "modules.bridge.comand: unknown key"),
        ('name = "g"\nversion = "1"\n' + MODULE + "wait_s = -1\n", "modules.bridge.wait_s: at least 0.05 expected, not -1"),
        ('name = "g"\nversion = "1"\n[modules]\nbridge = 1\n', "modules.bridge: a table expected"),
        ("name = ", "not TOML"),
        ("x" * 300_000, "above 262144 bytes"),
    ],
)
def test_a_manifest_that_is_wrong_is_refused_with_the_key(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "release.toml").write_text(text)
    with pytest.raises(RefusedError) as caught:
        manifest.read(tmp_path)
    assert words in str(caught.value)


def test_a_manifest_places_its_modules(tmp_path: Path) -> None:
    text = (
        'name = "g"\nversion = "1.1"\n[modules.a]\ncommand = ["bin/a", "{release}/conf"]\nenv = { C = "{release}/c" }\n'
        'ready = { file = "run/ready" }\n[modules.b]\ncommand = ["python3"]\ncwd = "/"\nversion = "7"\ndepends_on = ["a"]\n'
    )
    (tmp_path / "release.toml").write_text(text)
    found = manifest.read(tmp_path)
    a, b = found.modules["a"], found.modules["b"]
    assert a.command == [f"{tmp_path}/bin/a", f"{tmp_path}/conf"]
    assert (a.env, a.cwd, a.version) == ({"C": f"{tmp_path}/c"}, tmp_path, "1.1")
    assert a.ready is not None
    assert a.ready.file == tmp_path / "run/ready"
    assert (b.command, str(b.cwd), b.version) == (["python3"], "/", "7")
    assert list(manifest.together({}, found)) == ["a", "b"]
    with pytest.raises(RefusedError, match=r"modules\.a: bin/a|no program"):
        manifest.startable_all(found)


@pytest.mark.parametrize(
    ("configured", "module", "words"),
    [
        ("bridge", '[modules.bridge]\ncommand = ["true"]\n', "has a module of this name too"),
        ("other", '[modules.rule_engine]\ncommand = ["true"]\n', "a name of its own"),
        ("other", "[modules.bridge]\n", "what to run"),
        ("other", '[modules.bridge]\ncommand = ["true"]\ndepends_on = ["db"]\n', "no module is called 'db'"),
    ],
)
def test_modules_that_cannot_be_together_with_those_of_the_device(
    tmp_path: Path, configured: str, module: str, words: str
) -> None:
    (tmp_path / "release.toml").write_text(f'name = "g"\nversion = "1"\n{module}')
    found = manifest.read(tmp_path)
    device = {configured: next(iter(found.modules.values())).model_copy(update={"command": ["true"], "depends_on": []})}
    with pytest.raises(RefusedError, match=words):
        manifest.together(device, found)


# Signatures


def test_who_vouches_for_a_release(tmp_path: Path) -> None:
    maker, other = Maker(tmp_path / "a"), Maker(tmp_path / "b")
    offer = maker.offer(maker.archive("1.0"))
    text, sha256 = offer["signature"], offer["sha256"]
    assert signing.check(text, "1.0", sha256, [other.key, maker.key]).name == "gateway"
    lines = f"# a comment\nanother-scheme x\n{text}\n"
    assert signing.check(lines, "1.0", sha256, [maker.key]).name == "gateway"
    for words, given_text, version, keys in [
        ("not signed", None, "1.0", [maker.key]),
        ("not signed", "# nothing", "1.0", [maker.key]),
        ("which is not in ota.keys", text, "1.0", [other.key]),
        ("not what was signed", text, "1.1", [maker.key]),
        ("not what was signed", text.replace(" gateway ", " other "), "1.0", [maker.key]),
        ("is none", text[:-9], "1.0", [maker.key]),
        ("is none", f"{signing.SCHEME} gateway", "1.0", [maker.key]),
    ]:
        with pytest.raises(RefusedError, match=words):
            signing.check(given_text, version, sha256, keys)
    with pytest.raises(RefusedError, match="not what was signed"):
        signing.check(text, "1.0", "0" * 64, [maker.key])


# The shelf


def placed(shelf: Shelf, version: str) -> None:
    folder = shelf.path(version)
    folder.mkdir(parents=True)
    text = f'name = "g"\nversion = "{version}"\n[modules.m]\ncommand = ["true"]\n'
    (folder / "release.toml").write_text(text)
    inventory.write(folder, {"sha256": version}, {"release.toml": {"size": len(text), "sha256": "", "mode": 0o644}})


def test_old_releases_are_taken_away_but_not_those_that_are_needed(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "releases")
    for age, version in enumerate(["1.0", "1.1", "1.2", "1.3", "1.4"]):
        placed(shelf, version)
        os.utime(shelf.path(version), (1000 + age, 1000 + age))
    (shelf.folder / ".unpacking").mkdir()
    shelf.clean(["1.4", "1.0"], None, 3)
    assert sorted(path.name for path in shelf.folder.iterdir()) == ["1.0", "1.3", "1.4"]
    shelf.clean(["1.4", "1.0"], "1.0", 2)
    assert sorted(shelf.versions()) == ["1.0", "1.4"], "what is needed is not dropped either"


def test_a_device_comes_up_with_what_is_left_on_its_disk(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "releases")
    assert shelf.recover().release is None
    for version in ("1.0", "1.1"):
        placed(shelf, version)
    shelf.switch("1.1")
    assert shelf.recover().state.running == "1.1", "nothing is remembered: the link counts"
    state = shelf.recover().state
    shelf.save(state)
    shelf.switch("1.0")
    assert shelf.recover().state.running == shelf.linked() == "1.1", "what is remembered counts"
    (shelf.path("1.1") / "release.toml").unlink()
    found = shelf.recover()
    assert (found.state.running, found.release, shelf.linked()) == (None, None, None)
    assert found.problem == 'release 1.1 is damaged: "release.toml" is not as it was unpacked; no release runs'
    (shelf.folder / ".update.json").write_text('{"running": "../../etc", "previous": null, "job": null, "last": null}')
    assert shelf.recover().state.running is None
