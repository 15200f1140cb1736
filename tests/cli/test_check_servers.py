"""`fleetview check` says which Prometheus it is: the real ones from Debian, and fakes that answer as Thanos and Mimir do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from support.commands import fleetview
from support.programs import free_port
from support.servers import alertmanager, answering, prometheus, victoria_metrics

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from support.servers import Asked

GO = {"revision": "9fd2da5", "branch": "HEAD", "buildUser": "ci", "buildDate": "20250101-00:00:00", "goVersion": "go1.23.1"}
UP = {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, "3"]}]}}


def found(*arguments: str, **environ: str) -> dict[str, dict[str, Any]]:
    """What is said of the two servers; no broker is there, so the whole always fails."""
    nobody = f"mqtt://127.0.0.1:{free_port()}"
    ran = fleetview("check", "--json", "--broker", nobody, *arguments, **environ)
    assert ran.code == 1
    return {item["subject"]: item for item in ran.objects if item["subject"] in {"prometheus", "alertmanager"}}


def test_the_real_ones(tmp_path: Path) -> None:
    with prometheus(tmp_path) as url, alertmanager(tmp_path) as other:
        said = found("--prometheus", url, "--alertmanager", other)
    assert {item["level"] for item in said.values()} == {"ok"}
    assert re.match(rf"Prometheus \d+\.\d+\S* at {url} is up, with 0 scrape targets; 2 of at", said["prometheus"]["words"])
    assert re.match(rf"Alertmanager \d+\.\d+\S* at {other} is up", said["alertmanager"]["words"])
    with victoria_metrics(tmp_path) as url:
        words = found("--prometheus", url)["prometheus"]["words"]
    # Debian's is built without a version.
    assert re.match(rf"VictoriaMetrics( \S+)? at {url} is up", words), words


def served(build: Mapping[str, object], answer: Mapping[str, object], *, stores: bool = False, tenant: bool = False) -> Any:
    def reply(asked: Asked) -> tuple[int, Any, dict[str, str]]:
        if tenant and asked.headers.get("x-scope-orgid") != "acme":
            return 401, b"no org id\n", {"Content-Type": "text/plain; charset=utf-8"}
        if asked.path.startswith("/api/v1/status/buildinfo"):
            return 200, {"status": "success", "data": build}, {}
        if asked.path.startswith("/api/v1/query"):
            return 200, answer, {}
        if stores and asked.path.startswith("/api/v1/stores"):
            return 200, {"status": "success", "data": {"sidecar": []}}, {}
        return 404, b"404 page not found\n", {"Content-Type": "text/plain; charset=utf-8"}

    return answering(reply)


def test_thanos_with_a_store_that_is_gone() -> None:
    gone = 'receive series from Addr: 10.0.0.7:10901 LabelSets: {replica="a"} MinTime: 1 MaxTime: 2: rpc error'
    with served(GO | {"version": "0.36.1"}, UP | {"warnings": [gone]}, stores=True) as fake:
        item = found("--prometheus", fake.url)["prometheus"]
    assert item["level"] == "warning"
    assert f"Thanos 0.36.1 at {fake.url} is partial (the answer is partial; {gone}), with 3 scrape targets" in item["words"]


@pytest.mark.parametrize("tenant", [None, "acme"])
def test_mimir_and_its_tenant(tmp_path: Path, tenant: str | None) -> None:
    file = tmp_path / "fleetview.toml"
    headers = "" if tenant is None else f'prometheus_access = {{ headers = {{ X-Scope-OrgID = "{tenant}" }} }}\n'
    with served(GO | {"application": "Grafana Mimir", "version": "2.14.1", "features": {}}, UP, tenant=True) as fake:
        file.write_text(f'[contexts.plant]\nprometheus = "{fake.url}"\n{headers}')
        item = found(FLEETVIEW_CONFIG=str(file))["prometheus"]
    if tenant is None:
        assert item["level"] == "error"
        assert "does not let us in (HTTP 401: no org id): it keeps tenants apart, name yours: headers" in item["words"]
    else:
        assert (item["level"], item["words"][:15]) == ("ok", "Mimir 2.14.1 at")
