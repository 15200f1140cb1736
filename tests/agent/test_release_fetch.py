"""Downloads, from real web servers that do what they should not."""

from __future__ import annotations

import hashlib
import os
import threading
from typing import TYPE_CHECKING

import pytest
from support.releases import Shop, shop

from fleetview_agent.release.errors import BrokenOffError, RefusedError
from fleetview_agent.release.fetch import Download, Way, small
from fleetview_agent.release.urls import shown_url, url_problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.tls import Authority

DATA = os.urandom(200_000)
WAY = Way(timeout_s=10, rate_bytes_s=1e9, most_bytes=10**6)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Shop]:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "a.tar.gz").write_bytes(DATA)
    with shop(folder) as made:
        yield made


def download(store: Shop, tmp_path: Path, *, way: Way = WAY, size: int | None = len(DATA)) -> Download:
    return Download(f"{store.url}/a.tar.gz", tmp_path / "down" / "part", way, size=size)


def content(tmp_path: Path) -> bytes:
    return (tmp_path / "down" / "part").read_bytes()


@pytest.mark.parametrize("size", [len(DATA), None])
def test_a_download_tells_how_far_it_is(store: Shop, tmp_path: Path, size: int | None) -> None:
    told: list[float] = []
    download(store, tmp_path, size=size).fetch(told.append)
    assert content(tmp_path) == DATA
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(told) > 2


def test_it_goes_on_where_it_ended(store: Shop, tmp_path: Path) -> None:
    store.cut_after = [50_000, 70_000]
    for _ in range(2):
        with pytest.raises(BrokenOffError, match="the connection ended after"):
            download(store, tmp_path).fetch()
    last = download(store, tmp_path)
    last.fetch()
    assert content(tmp_path) == DATA
    assert [asked for _, asked in store.asked] == [None, "bytes=50000-", "bytes=120000-"]
    assert last.resumed_at == 120_000
    download(store, tmp_path).fetch()
    assert len(store.asked) == 3, "it is there"


def test_a_server_that_knows_no_ranges_begins_anew(store: Shop, tmp_path: Path) -> None:
    store.ranges, store.cut_after = False, [50_000]
    with pytest.raises(BrokenOffError):
        download(store, tmp_path).fetch()
    again = download(store, tmp_path)
    again.fetch()
    assert content(tmp_path) == DATA
    assert again.resumed_at == 0


def test_pieces_of_two_files_are_not_put_together(store: Shop, tmp_path: Path) -> None:
    store.cut_after = [50_000]
    with pytest.raises(BrokenOffError):
        download(store, tmp_path).fetch()
    store.validator = '"v2"'
    other = bytes(len(DATA))
    (store.folder / "a.tar.gz").write_bytes(other)
    download(store, tmp_path).fetch()
    assert content(tmp_path) == other


def test_more_than_there_is_begins_anew(store: Shop, tmp_path: Path) -> None:
    part = tmp_path / "down" / "part"
    part.parent.mkdir()
    part.write_bytes(bytes(len(DATA) + 1))
    with pytest.raises(BrokenOffError, match="from the beginning"):
        download(store, tmp_path, size=None).fetch()
    download(store, tmp_path, size=None).fetch()
    assert content(tmp_path) == DATA


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (404, RefusedError, "a.tar.gz: the server answers 404"),
        (403, RefusedError, "the server answers 403"),
        (503, BrokenOffError, "the server answers 503"),
        (429, BrokenOffError, "the server answers 429"),
    ],
)
def test_an_answer_that_is_no(store: Shop, tmp_path: Path, status: int, error: type[Exception], words: str) -> None:
    store.status = [status]
    with pytest.raises(error, match=words):
        download(store, tmp_path).fetch()
    assert not (tmp_path / "down" / "part").exists()


@pytest.mark.parametrize(
    ("size", "most", "words"),
    [
        (1000, 10**6, "is of 200,000 bytes, and the offer says 1,000"),
        (300_000, 10**6, "is of 200,000 bytes, and the offer says 300,000"),
        (None, 1000, "is of 200,000 bytes, and ota.max_mib allows 1,000"),
    ],
)
def test_a_size_that_is_wrong_is_refused_before_it_is_fetched(
    store: Shop, tmp_path: Path, size: int | None, most: int, words: str
) -> None:
    with pytest.raises(RefusedError, match=words):
        download(store, tmp_path, size=size, way=Way(10, 1e9, most)).fetch()
    assert not (tmp_path / "down" / "part").exists()


def test_a_server_that_hangs_is_given_up(store: Shop, tmp_path: Path) -> None:
    store.hang = threading.Event()
    with pytest.raises(BrokenOffError, match="timed out"):
        download(store, tmp_path, way=Way(1, 1e9, 10**6)).fetch()
    assert len(content(tmp_path)) == 1000, "what has come is kept"


def test_nobody_answers(tmp_path: Path) -> None:
    with pytest.raises(BrokenOffError, match="Connection refused"):
        Download("http://127.0.0.1:1/a", tmp_path / "part", WAY, size=None).fetch()
    with pytest.raises(BrokenOffError, match=r"no\.invalid"):
        Download("http://no.invalid/a", tmp_path / "part", WAY, size=None).fetch()


def test_it_keeps_to_its_rate_and_ends_when_it_is_called_off(store: Shop, tmp_path: Path) -> None:
    stop = threading.Event()
    slow = Download(f"{store.url}/a.tar.gz", tmp_path / "part", Way(10, 1000, 10**6), size=None, stop=stop)
    with pytest.raises(BrokenOffError, match="called off"):
        slow.fetch(lambda _: threading.Timer(0.05, stop.set).start())
    assert slow.arrived <= 32 * 1024, "at 1,000 bytes a second nobody waits for the second piece"


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/a", "gopher://x/"])
def test_it_is_not_sent_elsewhere_than_to_the_web(store: Shop, tmp_path: Path, target: str) -> None:
    store.location = target
    with pytest.raises(RefusedError, match=r"sends elsewhere|answers 302"):
        download(store, tmp_path).fetch()


def test_over_https_from_whom_is_trusted_only(tmp_path: Path, store: Shop, authority: Authority) -> None:
    with shop(store.folder, authority.issue("releases")) as secure:
        trusting = Way(10, 1e9, 10**6, authority.cafile)
        download(secure, tmp_path, way=trusting).fetch()
        assert content(tmp_path) == DATA
        for url in (secure.url, secure.url.replace("127.0.0.1", "localhost")):
            with pytest.raises(RefusedError, match=r"certificate is not trusted.*ota\.ca"):
                Download(f"{url}/a.tar.gz", tmp_path / "other", WAY, size=None).fetch()
        secure.location = f"{store.url}/a.tar.gz"
        with pytest.raises(RefusedError, match="the server sends elsewhere, to http:"):
            Download(f"{secure.url}/a.tar.gz", tmp_path / "other", trusting, size=None).fetch()
        store.location = f"{secure.url}/a.tar.gz"
        secure.location = None
        Download(f"{store.url}/a.tar.gz", tmp_path / "other", trusting, size=None).fetch()
    assert (tmp_path / "other").read_bytes() == DATA


def test_a_file_is_fetched_too(tmp_path: Path) -> None:
    (tmp_path / "a b.tar.gz").write_bytes(DATA)
    (tmp_path / "part").write_bytes(DATA[:1000])
    found = Download((tmp_path / "a b.tar.gz").as_uri(), tmp_path / "part", WAY, size=len(DATA))
    found.fetch()
    assert hashlib.sha256((tmp_path / "part").read_bytes()).digest() == hashlib.sha256(DATA).digest()
    with pytest.raises(RefusedError, match="is not there"):
        Download((tmp_path / "nothing").as_uri(), tmp_path / "p", WAY, size=None).fetch()
    assert small((tmp_path / "nothing").as_uri(), WAY, 10) is None
    assert small((tmp_path / "part").as_uri(), WAY, 10) == DATA[:10]


def test_a_small_file_that_is_not_there(store: Shop) -> None:
    assert small(f"{store.url}/a.tar.gz.sig", WAY, 10) is None
    assert small(f"{store.url}/a.tar.gz", WAY, 10) == DATA[:10]


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("http://h/a", True),
        ("https://h:8443/a?x=1", True),
        ("file:///a/b", True),
        ("file://host/a", False),
        ("file:a", False),
        ("ftp://h/a", False),
        ("http:///a", False),
        ("http://h:x/a", False),
        ("http://h/a b", False),
        ("http://h/a\r\nX: y", False),
        ("", False),
    ],
)
def test_where_from_it_can_be_fetched_at_all(url: str, good: bool) -> None:
    assert (url_problem(url) is None) == good


def test_secrets_of_a_url_are_not_shown() -> None:
    assert shown_url("https://me:secret@h/a.tar.gz?token=secret") == "https://h/a.tar.gz"
