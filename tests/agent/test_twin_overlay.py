"""What a configuration document may set, how it is laid over the file on the device, and what is never shown of both."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.agents import run_agent

from fleetview_agent.config import CHANGEABLE, KEYS
from fleetview_agent.configload import ConfigError, Source
from fleetview_agent.masking import MASK, is_secret, masked, masked_config
from fleetview_agent.overlay import merged
from fleetview_agent.twin import keep
from fleetview_agent.twin.model import Configuration
from fleetview_agent.wire import document_sha256

if TYPE_CHECKING:
    from pathlib import Path

    from fleetview_agent.configload import Loaded

FILE = """
agent_id = "gw-1"
broker_url = "mqtt://hub"
heartbeat_interval = 20
labels = { ring = "canary", region = "eu" }
[modules.db]
command = ["./bin/db"]
env = { PORT = "1" }
[modules.ui]
command = ["ui"]
depends_on = ["db"]
"""


def laid_over(tmp_path: Path, document: dict[str, Any], environ: dict[str, str] | None = None) -> Loaded:
    (tmp_path / "agent.toml").write_text(FILE)
    return Source(tmp_path / "agent.toml", environ=environ or {}).load(document)


def test_whoever_adds_a_key_decides_whether_a_document_may_set_it() -> None:
    on_the_device_only = {
        "agent_id", "broker_url", "tenant", "site", "tls_cert", "tls_key", "tls_ca", "state_dir", "deployment", "topic_root",
        "release", "verify_s", "ota", "publish_topics",
    }  # fmt: skip
    assert set(KEYS) - CHANGEABLE == on_the_device_only
    assert set(KEYS) >= CHANGEABLE


def test_tables_merge_and_null_takes_away(tmp_path: Path) -> None:
    document = {
        "heartbeat_interval": 5,
        "labels": {"ring": None, "floor": "2"},
        "modules": {"db": {"env": {"PORT": "2"}}, "ui": None, "job": {"command": ["bin/job"], "cwd": "work"}},
        "logs": {"files": [{"path": "app.log"}]},
    }
    loaded = laid_over(tmp_path, document)
    config = loaded.config
    assert config.heartbeat_interval == 5
    assert config.labels == {"region": "eu", "floor": "2"}
    assert list(config.module_specs) == ["db", "job"]
    assert config.module_specs["db"].env == {"PORT": "2"}
    assert config.module_specs["db"].command == [str(tmp_path / "bin/db")]
    assert config.module_specs["job"].command == [str(tmp_path / "bin/job")], "as in the file that it is laid over"
    assert config.module_specs["job"].cwd == tmp_path / "work"
    assert config.logs.files[0].path == str(tmp_path / "app.log")
    assert loaded.origins["labels"] == "document"
    assert laid_over(tmp_path, {}).config == Source(tmp_path / "agent.toml", environ={}).load().config
    assert laid_over(tmp_path, {"heartbeat_interval": None}).config.heartbeat_interval == 30


def test_lists_of_modules_are_short_for_tables(tmp_path: Path) -> None:
    assert list(laid_over(tmp_path, {"modules": ["rule_engine"]}).config.module_specs) == ["db", "ui", "rule_engine"]
    (tmp_path / "list.json").write_text('{"agent_id": "a", "broker_url": "mqtt://hub", "modules": ["rule_engine"]}')
    config = Source(tmp_path / "list.json", environ={}).load({"modules": {"job": {"command": ["x"]}}}).config
    assert list(config.module_specs) == ["rule_engine", "job"]


def test_the_check_of_a_configuration_says_what_is_laid_over_it(tmp_path: Path) -> None:
    laid_over(tmp_path, {})
    options = ("config", "check", "--config", str(tmp_path / "agent.toml"), "--set", f"state_dir={tmp_path}")
    ran = run_agent(options)
    assert (ran.returncode, "over this" in ran.stdout) == (0, False)
    (tmp_path / "gw-1").mkdir()
    for document, code in (({"labels": {"a": "b"}}, 0), ({"modules": {"db": None}}, 1)):
        keep.save_last_good(tmp_path / "gw-1", Configuration(7, document_sha256(document), document))
        ran = run_agent(options)
        assert ran.returncode == code
        assert f"lays configuration 7, which was verified here and sets {next(iter(document))}" in ran.stdout
    assert "document: modules.ui.depends_on[0]: no module is called 'db'" in ran.stderr


def test_what_the_device_says_by_environment_or_flag_wins(tmp_path: Path) -> None:
    loaded = laid_over(tmp_path, {"heartbeat_interval": 5}, {"FLEETVIEW_AGENT_HEARTBEAT_INTERVAL": "9"})
    assert loaded.config.heartbeat_interval == 9
    assert loaded.origins["heartbeat_interval"] == "environment FLEETVIEW_AGENT_HEARTBEAT_INTERVAL"


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"broker_url": "mqtt://elsewhere"}, "document: broker_url: is set on the device only"),
        ({"agent_id": "gw-2"}, "document: agent_id: is set on the device only"),
        ({"tls_ca": None}, "document: tls_ca: is set on the device only"),
        ({"verify_s": 0.1}, "a document may set heartbeat_interval, labels"),
        ({"heartbeat": 5}, "document: heartbeat: unknown key (value 5); did you mean heartbeat_interval?"),
        ({"modules": {"db": {"comand": ["x"]}}}, "document: modules.db.comand: unknown key"),
        ({"heartbeat_interval": "5"}, 'document: heartbeat_interval: a number expected, not "5"'),
        ({"modules": ["rule_engine"], "rules": [{"name": "hot", "when": "cpu > ", "health": "degraded"}]}, "document: rules"),
        ({"modules": {"db": {"depends_on": ["ui"]}}}, "document: modules: modules that wait for each other: db -> ui -> db"),
        ({"modules": {"db": None}}, "document: modules.ui.depends_on[0]: no module is called 'db'"),
        ({"modules": {"job": {}}}, "document: modules.job: no module of this name is built in"),
        ({"modules": ["a", "a"]}, "document: modules: 'a' stands there twice"),
        ({"modules": 5}, "document: modules: a list of names, or a table for each module, expected"),
        ({"logs": {"files": [{"service": "x"}]}}, "logs.files[0].path: missing"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_document_is_said_with_its_path(tmp_path: Path, document: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        laid_over(tmp_path, document)
    assert words in str(raised.value)


tables = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(base=tables, patch=tables)
def test_laying_over_is_what_rfc_7396_says(base: Any, patch: Any) -> None:
    def of_the_rfc(target: Any, patch: Any) -> Any:
        if not isinstance(patch, dict):
            return patch
        target = dict(target) if isinstance(target, dict) else {}
        for name, value in patch.items():
            if value is None:
                target.pop(name, None)
            else:
                target[name] = of_the_rfc(target.get(name), value)
        return target

    assert merged(base, patch) == of_the_rfc(base, patch)


@pytest.mark.parametrize(
    "name", ["password", "DB_PASSWORD", "apiToken", "client_secret", "api_key", "apikey", "sshKey", "key"]
)
def test_names_that_say_secret(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", ["tls_key", "monkey", "keyboard", "passenger", "broker_url", "trace_id", "depends_on"])
def test_names_that_do_not(name: str) -> None:
    assert not is_secret(name)


def test_what_is_secret_is_masked_wherever_it_stands() -> None:
    value = {
        "modules": {
            "m": {
                "env": {"PORT": "hush"},
                "command": ["run", "--token", "hush", "--password=hush", "-v", "SECRET=hush", "http://u:hush@host/"],
                "ready": {"http": "http://user:hush@127.0.0.1/"},
            }
        },
        "api_key": {"nested": "hush"},
        "list": [{"password": "hush"}],
    }
    found = masked(value)
    assert "hush" not in json.dumps(found)
    assert found["modules"]["m"]["command"] == [
        "run", "--token", MASK, f"--password={MASK}", "-v", f"SECRET={MASK}", f"http://u:{MASK}@host/"
    ]  # fmt: skip


def test_a_whole_configuration_is_masked(tmp_path: Path) -> None:
    found = masked_config(laid_over(tmp_path, {"labels": {"api_token": "hush"}}).config)
    assert found["labels"] == {"ring": "canary", "region": "eu", "api_token": MASK}
    assert found["modules"]["db"]["env"] == {"PORT": MASK}
    assert found["agent_id"] == "gw-1"


def test_what_is_wrong_with_a_secret_is_said_without_it(tmp_path: Path) -> None:
    document = {
        "modules": {"db": {"env": {"PASSWORD": 4711}, "password": "hush"}},
        "api_token": "hush",
        "labels": {"secret": 4711},
    }
    with pytest.raises(ConfigError) as raised:
        laid_over(tmp_path, document)
    assert "env.PASSWORD" in str(raised.value)
    assert "hush" not in str(raised.value)
    assert "4711" not in str(raised.value)
