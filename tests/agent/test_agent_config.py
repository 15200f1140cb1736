from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetview_agent.config import KEYS
from fleetview_agent.configfile import ConfigSyntaxError, parse, without_comments
from fleetview_agent.configload import (
    ConfigError,
    Loaded,
    default_state_dir,
    detect_deployment,
    find_file,
    load,
)
from fleetview_agent.configwords import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from support.tls import Authority

DEPLOYMENT = (
    '{"agent_id":"edge-agent-001","broker_url":"mqtts://hub.example.com:8883","tls_cert":"/certs/agent.crt",'
    '"heartbeat_interval":30,"modules":["telemetry_collector","rule_engine","ota_updater"]}'
)
WITH_COMMENTS = """// the deployment of line 3
{
  "agent_id": "edge-agent-001", // as on the label
  "broker_url": "mqtts://hub.example.com:8883",  // not a comment: mqtts://
  "tls_cert": "/certs/agent.crt",
  "heartbeat_interval": 30, // seconds
  // modules in any order
  "modules": ["telemetry_collector", // first
              "rule_engine", "ota_updater"]
}
"""
SAMPLE = """
agent_id = "edge-agent-001"          # the device id; with tls_cert, its CN
tenant = "acme"                      # default "default"; so is site
site = "plant-7"
broker_url = "mqtts://hub.example.com:8883"
tls_cert = "/certs/agent.crt"        # tls_key and tls_ca default to agent.key and ca.crt beside it
heartbeat_interval = 30
modules = ["telemetry_collector", "rule_engine", "ota_updater"]
labels = { ring = "canary" }
[[logs.files]]
path = "/var/log/app/*.log"
service = "user-auth"                # for lines that name none
"""
LEAST = 'agent_id = "gw-1"\nbroker_url = "mqtt://localhost"\n'


def loaded(tmp_path: Path, text: str, *, environ: Mapping[str, str] | None = None, flags: Sequence[str] = ()) -> Loaded:
    path = tmp_path / "agent.toml"
    path.write_text(text)
    return load(path, environ=environ or {}, flags=flags, root=False)


def problems(
    tmp_path: Path, text: str, *, environ: Mapping[str, str] | None = None, flags: Sequence[str] = ()
) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text, environ=environ, flags=flags)
    return list(caught.value.problems)


def only(tmp_path: Path, text: str) -> str:
    """The one problem of the least configuration with this line more."""
    (problem,) = problems(tmp_path, LEAST + text)
    return str(problem).removeprefix(f"{tmp_path / 'agent.toml'}: ")


@pytest.mark.parametrize("text", [DEPLOYMENT, WITH_COMMENTS])
def test_a_deployment_file_of_json_loads_as_it_is_whatever_its_name(tmp_path: Path, text: str) -> None:
    config = loaded(tmp_path, text).config
    assert str(config.address) == "default/default/edge-agent-001"
    assert config.broker.endpoint == "hub.example.com:8883"
    assert config.heartbeat_interval == 30
    assert config.modules == ["telemetry_collector", "rule_engine", "ota_updater"]
    assert config.tls is not None
    assert config.tls.key == Path("/certs/agent.key")
    assert config.tls.cafile == Path("/certs/ca.crt")


def test_the_sample_of_the_design_loads(tmp_path: Path) -> None:
    config = loaded(tmp_path, SAMPLE).config
    assert str(config.address) == "acme/plant-7/edge-agent-001"
    assert config.labels == {"ring": "canary"}
    assert [(entry.path, entry.service) for entry in config.logs.files] == [("/var/log/app/*.log", "user-auth")]
    assert config.topic_root == "fleet/v1"


def test_each_value_tells_where_it_comes_from(tmp_path: Path) -> None:
    text = LEAST + 'site = "a"\ntenant = "a"\nrelease = "a"\n'
    environ = {"FLEETVIEW_AGENT_SITE": "b", "FLEETVIEW_AGENT_TENANT": "b"}
    found = loaded(tmp_path, text, environ=environ, flags=["tenant=c"])
    assert (found.config.tenant, found.config.site, found.config.release) == ("c", "b", "a")
    assert found.origins["tenant"] == "flag --set"
    assert found.origins["site"] == "environment FLEETVIEW_AGENT_SITE"
    assert found.origins["release"] == f"file {tmp_path / 'agent.toml'}"
    assert found.origins["topic_root"] == "default"
    assert len(found.lines()) == len(KEYS)


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("HEARTBEAT_INTERVAL", "2.5", 2.5),
        ("MODULES", "rule_engine, ota_updater", ["rule_engine", "ota_updater"]),
        ("MODULES", '["rule_engine"]', ["rule_engine"]),
        ("MODULES", "", []),
        ("LABELS", "ring=canary, region=eu", {"ring": "canary", "region": "eu"}),
        ("LABELS", '{"ring": "canary"}', {"ring": "canary"}),
        ("LOG_LEVEL", "debug", "DEBUG"),
        ("DEPLOYMENT", "function", "function"),
        ("TOPIC_ROOT", "x/y", "x/y"),
        ("RELEASE", "1.4.2", "1.4.2"),
    ],
)
def test_the_environment_beats_the_file(tmp_path: Path, variable: str, text: str, value: object) -> None:
    found = loaded(tmp_path, LEAST + "heartbeat_interval = 9\n", environ={f"FLEETVIEW_AGENT_{variable}": text})
    assert getattr(found.config, variable.lower()) == value


def test_logs_come_from_the_environment_as_json(tmp_path: Path) -> None:
    environ = {"FLEETVIEW_AGENT_LOGS": '[{"path": "/a/*.log"}]'}
    assert [entry.path for entry in loaded(tmp_path, LEAST, environ=environ).config.logs.files] == ["/a/*.log"]


def test_the_environment_alone_is_enough() -> None:
    environ = {
        "FLEETVIEW_AGENT_AGENT_ID": "gw-1",
        "FLEETVIEW_AGENT_BROKER_URL": "mqtt://b",
        "FLEETVIEW_AGENT_SERVICE_HOST": "x",
    }
    assert load(None, environ=environ, root=True).config.state_dir == Path("/var/lib/fleetview-agent")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('tennant = "x"', 'tennant: unknown key (value "x"); did you mean tenant?'),
        ("heartbeat_interval = '30'", 'heartbeat_interval: a number expected, not "30"'),
        ("heartbeat_interval = true", "heartbeat_interval: a number expected, not true"),
        ("heartbeat_interval = 0", "heartbeat_interval: at least 0.1 expected, not 0"),
        ("heartbeat_interval = inf", "heartbeat_interval: a finite number expected, not Infinity"),
        ("heartbeat_interval = 1e9", "heartbeat_interval: at most 604800 expected, not 1000000000.0"),
        ('modules = "a"', 'modules: a list of names, or a table for each module, expected, not "a"'),
        ("modules = ['a', 3]", "modules[1]: a text expected, not 3"),
        ("modules = ['a', 'a']", 'modules: \'a\' stands there twice, not ["a", "a"]'),
        ("labels = { ring = 1 }", "labels.ring: a text expected, not 1"),
        ("labels = 'ring'", 'labels: a table expected, not "ring"'),
        ("deployment = 'vm'", "deployment: one of 'static', 'container', 'function' expected, not \"vm\""),
        ("log_level = 'loud'", "log_level: one of 'DEBUG', 'INFO', 'WARN', 'ERROR' expected, not \"loud\""),
        ("tls_cert = 3", "tls_cert: the path of a file expected, not 3"),
        ("release = ''", 'release: a text expected that is not empty, not ""'),
        (
            "topic_root = 'a/#'",
            "topic_root: topic root 'a/#': levels joined by '/' expected, without '+', '#' or control characters",
        ),
        ("logs = 3", "logs: a table expected, not 3"),
        ("[logs]\nfile = []", "logs.file: unknown key (value []); did you mean files?"),
        ("[[logs.files]]\nservice = 'x'", "logs.files[0].path: missing"),
        ("[[logs.files]]\npath = 'x'\nservce = 'y'", 'logs.files[0].servce: unknown key (value "y"); did you mean service?'),
    ],
)
def test_an_error_names_key_value_and_the_way_out(tmp_path: Path, line: str, words: str) -> None:
    assert only(tmp_path, line) == words


@pytest.mark.parametrize("name", ["edge agent", "", "-a", "a" * 65, "a/b", "ä"])
def test_a_device_id_must_be_a_name(tmp_path: Path, name: str) -> None:
    (problem,) = problems(tmp_path, f'agent_id = {json.dumps(name)}\nbroker_url = "mqtt://b"')
    assert problem.key == "agent_id"
    assert "letters, digits" in problem.words


def test_all_errors_come_at_once(tmp_path: Path) -> None:
    environ = {"FLEETVIEW_AGENT_SITTE": "x"}
    found = problems(tmp_path, 'tennant = "x"\nheartbeat_interval = "a"\n', environ=environ, flags=["modules", "x=1"])
    assert [(problem.place.removeprefix(str(tmp_path)), problem.key) for problem in found] == [
        ("/agent.toml", "tennant"),
        ("environment FLEETVIEW_AGENT_SITTE", ""),
        ("flag --set", ""),
        ("flag --set", "x"),
        ("/agent.toml", "agent_id"),
        ("/agent.toml", "broker_url"),
        ("/agent.toml", "heartbeat_interval"),
    ]


def test_an_error_in_the_environment_names_the_variable(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, LEAST, environ={"FLEETVIEW_AGENT_HEARTBEAT_INTERVAL": "often"})
    assert (
        str(problem) == 'environment FLEETVIEW_AGENT_HEARTBEAT_INTERVAL: heartbeat_interval: a number expected, not "often"'
    )


def test_a_password_is_never_shown(tmp_path: Path) -> None:
    url = "mqtt://user:se%40cret@b:1883"
    assert "se%40cret" not in "\n".join(loaded(tmp_path, f'agent_id = "a"\nbroker_url = "{url}"').lines())
    (problem,) = problems(tmp_path, 'agent_id = "a"\nbroker_url = "mqtt://user:se%40cret@b:99999"')
    assert "cret" not in str(problem)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("agent_id = ", "not TOML: Invalid value"),
        ('{"agent_id": "a",\n // c\n "b" 3}', "line 3, column 6: not JSON"),
        ('{"agent_id": "a", "agent_id": "b"}', "key 'agent_id' stands there twice"),
        ('{"heartbeat_interval": NaN}', "NaN is not a JSON number"),
        ("// only\n[1]", "a JSON object expected"),
        ("[" * 100_000, "too deeply|not TOML"),
        ('{"a":' * 100_000, "too deeply"),
    ],
    ids=["toml", "json", "twice", "nan", "list", "deep toml", "deep json"],
)
def test_a_file_that_cannot_be_parsed_says_where(tmp_path: Path, text: str, words: str) -> None:
    (problem,) = problems(tmp_path, text)
    assert problem.place == str(tmp_path / "agent.toml")
    assert re.search(words, problem.words)


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file"):
        load(tmp_path / "none.toml", environ={})
    path = tmp_path / "agent.toml"
    path.write_bytes(b'agent_id = "\xff"')
    with pytest.raises(ConfigError, match="not UTF-8: byte 0xff at 12"):
        load(path, environ={})


def test_paths_in_a_file_are_relative_to_it(tmp_path: Path) -> None:
    config = loaded(tmp_path, LEAST + "tls_cert = 'c.pem'\ntls_ca = 'system'\n[[logs.files]]\npath = 'a/*.log'").config
    assert config.tls_cert == tmp_path / "c.pem"
    assert str(config.tls_ca) == "system"
    assert config.logs.files[0].path == str(tmp_path / "a" / "*.log")


def test_without_tls_there_are_no_tls_files(tmp_path: Path) -> None:
    assert loaded(tmp_path, LEAST + "tls_cert = '/c/agent.crt'").config.tls is None


def test_the_certificate_must_be_that_of_the_device(tmp_path: Path, authority: Authority) -> None:
    issued = authority.issue("gw-2")
    text = f'agent_id = "gw-1"\nbroker_url = "mqtts://b"\ntls_cert = "{issued.cert}"\n'
    (problem,) = problems(tmp_path, text)
    assert problem.key == "agent_id"
    assert "'gw-1'" in problem.words
    assert "'gw-2'" in problem.words
    assert loaded(tmp_path, text.replace("gw-1", "gw-2")).config.agent_id == "gw-2"


def test_a_certificate_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "c.pem").write_text("hello")
    (problem,) = problems(tmp_path, 'agent_id = "gw-1"\nbroker_url = "mqtts://b"\ntls_cert = "c.pem"\n')
    assert "holds no certificate" in problem.words


def test_which_file_is_read(tmp_path: Path) -> None:
    assert find_file(tmp_path, {"FLEETVIEW_AGENT_CONFIG": "/x"}) == tmp_path
    assert find_file(None, {"FLEETVIEW_AGENT_CONFIG": "/x"}) == Path("/x")


def test_state_lives_where_the_system_keeps_it() -> None:
    assert default_state_dir({"XDG_STATE_HOME": "/s"}, root=False) == Path("/s/fleetview-agent")
    assert default_state_dir({"XDG_STATE_HOME": "relative"}, root=False) == Path.home() / ".local/state/fleetview-agent"


def test_the_deployment_is_found_out(tmp_path: Path) -> None:
    assert detect_deployment({}, filesystem_root=tmp_path) == "static"
    assert detect_deployment({"KUBERNETES_SERVICE_HOST": "x"}, filesystem_root=tmp_path) == "container"
    assert detect_deployment({"AWS_LAMBDA_FUNCTION_NAME": "x"}, filesystem_root=tmp_path) == "function"
    (tmp_path / ".dockerenv").touch()
    assert detect_deployment({}, filesystem_root=tmp_path) == "container"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["//", 'a"//b', "\\", '\\"//']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4), st.text('ab/"{}\\ '))
def test_comments_change_nothing(value: dict[str, Any], comment: str) -> None:
    text = "\n".join(f"{line} // {comment}" for line in json.dumps(value, indent=1, ensure_ascii=True).split("\n"))
    assert parse(f"// {comment}\n{text}") == value
    assert len(without_comments(text)) == len(text)


@given(st.text() | st.text("{}[]\"'/=\n\\ a1"))
def test_no_text_raises_anything_else(text: str) -> None:
    with contextlib.suppress(ConfigSyntaxError):
        parse(text)
