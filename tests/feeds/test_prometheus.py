"""Questions to Prometheus and what speaks like it: real servers for what is usual."""

from __future__ import annotations

import asyncio
import os
from time import time
from typing import TYPE_CHECKING

import certifi
import pytest
import requests
from support.servers import answering, prometheus, serving, victoria_metrics, vmalert

from fleetview.access import Access
from fleetview.core.series import quoted, sample_age
from fleetview.core.servers import Flavour, Health
from fleetview.feeds.prometheus import Prometheus, range_key
from fleetview.feeds.web import AskError
from fleetview_agent.endpoint import TlsFileError, TlsFiles

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.servers import Asked
    from support.tls import Authority


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of the machine's stands between a test and its server."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Prometheus behind a path prefix."""
    with prometheus(tmp_path_factory.mktemp("prometheus"), prefix="/deep/prefix") as url:
        yield url


async def refused(server: Prometheus, promql: str = "up") -> str:
    with pytest.raises(AskError) as caught:
        await server.instant(promql)
    return str(caught.value)


async def test_a_real_prometheus(real: str) -> None:
    server = Prometheus(Access(real))
    assert server.standing.word(server.web.service) == "not asked yet"
    flavour = await server.about()
    assert (flavour.name, str(flavour.version)[:2]) == ("Prometheus", "2.")
    answer = await server.instant("vector(7)")
    assert [one.last for one in answer.series] == [7.0]
    assert abs(answer.series[0].times_s[0] - time()) < 60
    assert server.standing.health is Health.UP
    assert server.standing.word(server.web.service) == "up"
    assert server.kept("vector(7)") is answer
    assert (await server.instant("up")).series == ()
    counts = server.asking.counts
    assert (counts.queries, counts.answers, counts.failures) == (3, 3, 0)
    assert server.asking.per_minute() == 3


async def test_ranges(real: str) -> None:
    server = Prometheus(Access(real))
    now = time()
    answer = await server.range("vector(time())", now - 600, now, 60)
    assert len(answer.series[0].values) == 11
    assert server.kept(range_key("vector(time())", 600, 60)) is answer
    with pytest.raises(AskError, match="more than 11000 points"):
        await server.range("vector(1)", 0, 11_001, 1)
    assert server.asking.counts.queries == 1, "what would be refused is not asked"


async def test_labels_with_any_text_reach_a_real_parser(real: str) -> None:
    server = Prometheus(Access(real))
    text = 'a"b\\c\nd\t{},é\u202e'
    answer = await server.instant(f'label_replace(vector(1), "x", {quoted(text)}, "", "")')
    assert answer.series[0].labels == {"x": text}


async def test_special_values_of_a_real_server(real: str) -> None:
    answer = await Prometheus(Access(real)).instant("vector(1/0) or label_replace(vector(0/0), 'a', 'b', '', '')")
    assert sorted(str(one.last) for one in answer.series) == ["inf", "nan"]


async def test_the_age_of_a_sample(real: str) -> None:
    (one,) = (await Prometheus(Access(real)).instant(sample_age("vector(1)"))).series
    assert one.last == pytest.approx(0, abs=0.01), "what is computed is of now"


async def test_a_wrong_question_says_nothing_of_the_server(real: str) -> None:
    server = Prometheus(Access(real))
    await server.instant("vector(1)")
    words = await refused(server, "sum(")
    assert words.startswith("Prometheus refuses the question (HTTP 400): invalid parameter")
    assert server.standing.health is Health.UP
    assert (await server.instant("vector(1)")).series, "and the next one is asked at once"


async def test_without_its_prefix_it_is_no_prometheus(real: str) -> None:
    server = Prometheus(Access(real.removesuffix("/prefix")))
    assert "is a path prefix missing, such as /prometheus?" in await refused(server)
    assert server.standing.word(server.web.service) == "not a Prometheus"


async def test_victoria_metrics(tmp_path: Path) -> None:
    with victoria_metrics(tmp_path) as url:
        body = f'vitals{{device="gw \\"1\\""}} 0.5 {int(time()) * 1000}\n'
        requests.post(f"{url}/api/v1/import/prometheus", body, timeout=10)  # noqa: ASYNC210 (nothing else is to happen)
        server = Prometheus(Access(url))
        assert (await server.about()).name == "VictoriaMetrics"
        # What was just written is searchable after a moment.
        async with asyncio.timeout(30):
            while not (answer := await server.instant("vitals")).series:  # noqa: ASYNC110 (in another process)
                await asyncio.sleep(0.5)
        assert answer.series[0].labels == {"__name__": "vitals", "device": 'gw "1"'}
        assert "refuses the question (HTTP 422)" in await refused(server, "sum(")
        assert (await server.alerts()).alerts == ()
        with vmalert(tmp_path, url) as alerting:
            (alert,) = (await Prometheus(Access(alerting)).alerts()).alerts
        assert (alert.name, alert.labels["device"], alert.value, alert.threshold) == ("Hot", "gw-1", 0.97, "> 0.9")
        # A cluster of it answers below such a prefix; so does this one.
        assert (await Prometheus(Access(f"{url}/prometheus")).instant("vector(2)")).series[0].last == 2


GO = {"revision": "9fd2da5", "branch": "HEAD", "buildUser": "ci", "buildDate": "20250101-00:00:00", "goVersion": "go1.23.1"}
MIMIR = {
    "application": "Grafana Mimir", "revision": "9fd2da5", "branch": "HEAD", "goVersion": "go1.23.1",
    "features": {"ruler_config_api": "true", "alertmanager_config_api": "true", "query_sharding": "false"},
}  # fmt: skip
"""Shapes of real answers. VictoriaMetrics says its version alone, and names itself in a header that proxies may drop."""


@pytest.mark.parametrize(
    ("build", "headers", "stores", "expected"),
    [
        (GO | {"version": "3.1.0"}, {}, False, Flavour("Prometheus", "3.1.0")),
        (GO | {"version": ""}, {}, False, Flavour("Prometheus", None)),
        (MIMIR | {"version": "2.14.1"}, {}, False, Flavour("Mimir", "2.14.1")),
        (MIMIR | {"version": "r411-926f316c"}, {}, False, Flavour("Mimir", "r411-926f316c")),
        (GO | {"application": "Cortex", "version": "1.18.0"}, {}, False, Flavour("Cortex", "1.18.0")),
        (GO | {"version": "0.36.1"}, {}, True, Flavour("Thanos", "0.36.1")),
        (GO | {"version": "0.9.0"}, {}, False, Flavour("Prometheus", "0.9.0")),
        ({"version": "2.24.0"}, {"X-Server-Hostname": "h"}, False, Flavour("VictoriaMetrics", "2.24.0")),
        ({"version": "2.24.0"}, {}, False, Flavour("VictoriaMetrics", "2.24.0")),
    ],
)
async def test_flavours(build: dict[str, str], headers: dict[str, str], *, stores: bool, expected: Flavour) -> None:
    def reply(asked: Asked) -> tuple[int, object, dict[str, str]]:
        if asked.path == "/p/api/v1/status/buildinfo":
            return 200, {"status": "success", "data": build}, headers
        if asked.path == "/p/api/v1/stores" and stores:
            return 200, {"status": "success", "data": {}}, {}
        return 404, b"404 page not found", {}

    with answering(reply) as fake:
        assert await Prometheus(Access(f"{fake.url}/p")).about() == expected


@pytest.mark.parametrize("missing", [b"404 page not found", {"message": "Not Found"}])
async def test_one_that_has_no_build_information(missing: object) -> None:
    def reply(asked: Asked) -> tuple[int, object, dict[str, str]]:
        return (200, OK, {}) if asked.path.startswith("/api/v1/query?") else (404, missing, {})

    with answering(reply) as fake:
        assert await Prometheus(Access(fake.url)).about() == Flavour("Prometheus or alike", None)


STORE = '10.0.0.7:10901 LabelSets: {replica="a"} MinTime: 1 MaxTime: 2: rpc error: code = Unavailable'


@pytest.mark.parametrize(
    "warning",
    [
        f"receive series from Addr: {STORE}",
        f"failed to receive any data in 5m0s from Addr: {STORE}",
        f'fetch series for {{replica="a"}} Addr: {STORE}',
        "No StoreAPIs matched for this query",
    ],
)
async def test_thanos_says_with_a_warning_that_its_answer_is_partial(warning: str) -> None:
    with serving(200, OK | {"warnings": [warning]}) as fake:
        server = Prometheus(Access(fake.url))
        answer = await server.instant("up")
    assert answer.partial
    assert answer.badge == ("the server says that the answer is partial", warning)
    assert server.standing.health is Health.PARTIAL


async def test_a_ruler_that_thanos_does_not_reach_makes_its_rules_partial() -> None:
    body = {
        "status": "success",
        "data": {"groups": []},
        "warnings": ["fetching rules from rules client ruler-2: rpc error: code = Unavailable"],
    }
    with serving(200, body) as fake:
        server = Prometheus(Access(fake.url))
        await server.alerts()
    assert server.standing.health is Health.PARTIAL


async def test_mimir_asks_for_a_tenant() -> None:
    def reply(asked: Asked) -> tuple[int, object, dict[str, str]]:
        if "x-scope-orgid" not in asked.headers:
            return 401, b"no org id\n", {"Content-Type": "text/plain; charset=utf-8"}
        return 200, OK, {}

    with answering(reply) as fake:
        server = Prometheus(Access(f"{fake.url}/prometheus"))
        assert 'name yours: headers = { X-Scope-OrgID = "..." }' in await refused(server)
        assert server.standing.health is Health.REFUSED
        assert (await Prometheus(Access(fake.url, headers={"X-Scope-OrgID": "acme"})).instant("up")).series == ()


# -- being let in


async def test_basic_authentication_and_tls_of_a_real_server(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())  # must not win over the authority that is configured
    issued, client = authority.issue("server"), authority.issue("client")
    # bcrypt of "s3cret"
    web = (
        f"tls_server_config: {{cert_file: {issued.cert}, key_file: {issued.key}, client_ca_file: {authority.cafile},"
        " client_auth_type: RequireAndVerifyClientCert}\n"
        'basic_auth_users: {ann: "$2b$04$ffVgX1o3nW3uIrfdEijxsu.MlGul93zzGSTIikGCQS7d02gncjXOW"}\n'
    )
    ours = TlsFiles(authority.cafile, client.cert, client.key)
    with prometheus(tmp_path, web=web, scheme="https") as url:
        cases = [
            (Access(url, user="ann", password="s3cret"), Health.REFUSED, "name its authority as cafile"),
            (
                Access(url, user="ann", password="s3cret", files=TlsFiles(authority.cafile)),
                Health.REFUSED,
                "client certificate",
            ),
            (Access(url, user="ann", password="wrong", files=ours), Health.REFUSED, "does not let us in (HTTP 401"),
            (Access(url, files=ours), Health.REFUSED, "does not let us in (HTTP 401"),
            (Access(url.replace("https", "http"), files=ours), Health.OTHER, "HTTP request to an HTTPS server"),
        ]
        for access, health, part in cases:
            server = Prometheus(access)
            words = await refused(server)
            assert (server.standing.health, part in words) == (health, True), words
            assert "s3cret" not in words
        password = tmp_path / "password"
        password.write_text("s3cret\n")
        for access in (
            Access(url, user="ann", password="s3cret", files=ours),
            Access(url, user="ann", password_file=password, files=ours),
        ):
            assert (await Prometheus(access).instant("vector(1)")).series


def test_tls_files_are_looked_at_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(TlsFileError, match="cannot be read"):
        Prometheus(Access("https://h", files=TlsFiles(tmp_path / "none.pem")))


OK = {"status": "success", "data": {"resultType": "vector", "result": []}}


async def test_tokens_and_headers(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("from-file\n")
    with serving(200, OK) as fake:
        server = Prometheus(Access(fake.url, token_file=token, headers={"X-Scope-OrgID": "acme"}))
        await server.instant("up")
        token.write_text("replaced")
        await server.instant("up")
        await Prometheus(Access(fake.url, token="given")).instant("up")
        await Prometheus(Access(fake.url)).instant("up")
    assert [one.headers.get("authorization") for one in fake.asked] == [
        "Bearer from-file",
        "Bearer replaced",
        "Bearer given",
        None,
    ]
    assert [one.headers.get("x-scope-orgid") for one in fake.asked[:3]] == ["acme", "acme", None]


async def test_the_token_of_a_command(tmp_path: Path) -> None:
    count = tmp_path / "count"
    count.write_text("")
    command = f"sh -c 'echo x >> {count}; echo token-$(wc -l < {count})'"

    def reply(asked: Asked) -> tuple[int, object, dict[str, str]]:
        first = asked.headers["authorization"] == "Bearer token-1" and len(fake.asked) > 2
        return (401, b"expired", {}) if first else (200, OK, {})

    with answering(reply) as fake:
        server = Prometheus(Access(fake.url, token_command=command))
        for _ in range(3):
            await server.instant("up")
    # Run once for two questions; and once more when the token was refused.
    assert [one.headers["authorization"][-1] for one in fake.asked] == ["1", "1", "1", "2"]


@pytest.mark.parametrize(
    ("command", "part"),
    [
        ("false", "ended with 1 and no token: without a word"),
        ("sh -c 'echo who are you >&2'", "no token: who are you"),
        ("/no/such/program x", "cannot be run: No such file or directory"),
        ("''", "cannot be run"),
    ],
)
async def test_commands_that_give_no_token(command: str, part: str) -> None:
    with serving(200, OK) as fake:
        server = Prometheus(Access(fake.url, token_command=command))
        assert part in await refused(server)
    assert (server.standing.health, fake.asked) == (Health.REFUSED, [])


async def test_a_netrc_file_gives_no_password_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login u password p\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with serving(200, OK) as fake:
        await Prometheus(Access(fake.url)).instant("up")
    assert "authorization" not in fake.asked[0].headers
