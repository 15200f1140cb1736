"""How a context says to be let in by Prometheus and Alertmanager, and that what is secret is never printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from fleetview.access import Access
from fleetview.config import ConfigError, resolve
from fleetview.core.alerts import Places
from fleetview_agent.endpoint import TlsFiles

if TYPE_CHECKING:
    from pathlib import Path

PLANT = """
[contexts.plant]
prometheus = "https://prom.example/select/0/prometheus/"
alertmanager = "https://ann:p%40ss@am.example/am"
scrape_interval_s = 30
[contexts.plant.prometheus_access]
token = "t0ken-geheim"
headers = { X-Scope-OrgID = "acme-geheim" }
cafile = "ca.pem"
cert = "me.pem"
[contexts.plant.alert_labels]
device = "instance"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(PLANT)
    return path


def test_a_context_says_how_to_be_let_in(file: Path) -> None:
    context = resolve(environ={}, file=file)
    assert context.prometheus_access == Access(
        "https://prom.example/select/0/prometheus",
        token="t0ken-geheim",
        headers={"X-Scope-OrgID": "acme-geheim"},
        files=TlsFiles(file.parent / "ca.pem", file.parent / "me.pem"),
    )
    assert context.alertmanager_access == Access("https://am.example/am", user="ann", password="p@ss")
    assert (context.scrape_interval_s, context.places) == (30, Places(device="instance"))
    assert "geheim" not in repr(context)
    assert "p@ss" not in repr(context)
    assert "p%40ss" not in repr(context)


def test_the_environment_wins(file: Path) -> None:
    environ = {"FLEETVIEW_PROMETHEUS_TOKEN": "other", "FLEETVIEW_ALERTMANAGER_PASSWORD": "new"}
    context = resolve(environ=environ, file=file)
    assert context.prometheus_access is not None
    assert context.prometheus_access.token == "other"
    assert context.alertmanager_access is not None
    assert context.alertmanager_access.password == "new"
    assert context.origins["prometheus_access.token"] == "FLEETVIEW_PROMETHEUS_TOKEN"


def test_without_a_server_there_is_no_access(tmp_path: Path) -> None:
    path = tmp_path / "empty.toml"
    path.write_text("")
    context = resolve(environ={}, file=path)
    assert (context.prometheus_access, context.alertmanager_access) == (None, None)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("[contexts.p.prometheus_access]\ntokn = 'geheim'", "unknown key 'tokn'; did you mean 'token'?"),
        ("[contexts.p.alert_labels]\ndevise = 'x'", "unknown key 'devise'; did you mean 'device'?"),
        ("[contexts.p.prometheus_access]\ntoken = ['geheim']", "prometheus_access.token: a text in quotes expected"),
        ("[contexts.p.prometheus_access]\nheaders = { a = ['geheim'] }", "headers.a: a text in quotes expected"),
        ("[contexts.p.prometheus_access]\ntoken = 'geheim'\ntoken_file = 'f'", "token and token_file are given"),
        ("[contexts.p.prometheus_access]\ntoken = 'geheim'\nuser = 'u'", "token and user are given"),
        ("[contexts.p.prometheus_access]\npassword = 'geheim'", "there is a password but no user"),
        ("[contexts.p.prometheus_access]\nheaders = { Authorization = 'geheim' }", "use token, or user and password"),
        ("[contexts.p.prometheus_access]\nheaders = { 'a b' = 'geheim' }", "'a b' is not a header"),
        ('[contexts.p.prometheus_access]\nheaders = { a = "geheim\\r\\nB: c" }', "a value must be one line"),
        ("scrape_interval_s = 0", "scrape_interval_s: more than 0 expected"),
        ("scrape_interval_s = '15s'", "scrape_interval_s: a number expected"),
        ("prometheus_access = 'token'", "prometheus_access: a table expected"),
    ],
)
def test_what_is_wrong_is_said_without_the_secret(tmp_path: Path, lines: str, words: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f"[contexts.p]\nprometheus = 'http://prom'\n{lines}\n")
    with pytest.raises(ConfigError) as caught:
        resolve(environ={}, file=path)
    (problem,) = caught.value.problems
    assert problem.startswith(f"{path}: contexts.p.")
    assert words in problem
    assert "geheim" not in problem


def test_config_show_tells_what_is_set_and_no_secret(file: Path) -> None:
    file.write_text(PLANT.replace('token = "t0ken-geheim"', 'token_command = "vault read geheim"'))
    environ = {name: text for name, text in os.environ.items() if not name.startswith("FLEETVIEW_")}
    environ |= {"FLEETVIEW_CONFIG": str(file), "FLEETVIEW_ALERTMANAGER_PASSWORD": "geheim"}
    for more in ([], ["--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "fleetview", "config", "show", *more],
            capture_output=True,
            text=True,
            timeout=50,
            check=True,
            env=environ,
        )
        assert "geheim" not in done.stdout
        assert "p%40ss" not in done.stdout
    shown = json.loads(done.stdout)
    assert shown["prometheus_access.token_command"] == {
        "value": "vault ...",
        "origin": f"{file}: contexts.plant.prometheus_access.token_command",
    }
    assert shown["prometheus_access.headers"]["value"] == "X-Scope-OrgID: ***"
    assert shown["alertmanager_access.password"] == {"value": "***", "origin": "FLEETVIEW_ALERTMANAGER_PASSWORD"}
    assert shown["alertmanager_access.user"]["value"] == "ann"
    assert shown["alert_labels"]["value"] == "tenant: tenant, site: site, device: instance"
