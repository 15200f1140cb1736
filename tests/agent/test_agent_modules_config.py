from __future__ import annotations

import itertools
import json
import re
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.agents import run_agent

from fleetview_agent.config import AgentConfig
from fleetview_agent.configload import ConfigError, Loaded, load
from fleetview_agent.modules.order import cycles, start_order
from fleetview_agent.modules.spec import http_target, tcp_target

LEAST = 'agent_id = "gw-1"\nbroker_url = "mqtt://localhost"\n'
SAMPLE = """
[modules.telemetry_collector]
[modules.bridge]
command = ["bin/bridge", "--port", "8080"]
env = { PORT = "8080", PASSWORD = "sesame" }
cwd = "work"
user = "bridge"
limits = { memory_mib = 256, cpu_time_s = 3600, open_files = 256 }
version = "1.4.2"
ready = { http = "http://127.0.0.1:8080/ready", interval_s = 1 }
healthy = { tcp = 8080 }
restart = "on_failure"
stop_signal = "int"
[modules.rules]
command = ["rules"]
depends_on = ["bridge"]
ready = { file = "run/rules.ready" }
"""


def loaded(tmp_path: Path, text: str) -> Loaded:
    path = tmp_path / "agent.toml"
    path.write_text(text)
    return load(path, environ={}, root=False)


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, LEAST + text)
    return [str(problem).removeprefix(f"{tmp_path / 'agent.toml'}: ") for problem in caught.value.problems]


def test_modules_as_tables(tmp_path: Path) -> None:
    found = loaded(tmp_path, LEAST + SAMPLE)
    specs = found.config.module_specs
    assert list(specs) == ["telemetry_collector", "bridge", "rules"]
    assert specs["telemetry_collector"].command is None
    bridge = specs["bridge"]
    assert bridge.command == [str(tmp_path / "bin/bridge"), "--port", "8080"], "relative to the file"
    assert specs["rules"].command == ["rules"], "looked up in PATH"
    assert bridge.cwd == tmp_path / "work"
    assert bridge.ready is not None
    assert bridge.healthy is not None
    assert bridge.healthy.tcp == "8080"
    assert bridge.stop_signal_number.name == "SIGINT"
    assert specs["rules"].ready is not None
    assert specs["rules"].ready.file == tmp_path / "run" / "rules.ready"
    assert "sesame" not in "\n".join(found.lines())


def test_json_and_toml_say_the_same(tmp_path: Path) -> None:
    table = {"bridge": {"command": ["bridge"]}, "rules": {"command": ["rules"], "depends_on": ["bridge"]}}
    text = json.dumps({"agent_id": "gw-1", "broker_url": "mqtt://localhost", "modules": table})
    toml = '[modules.bridge]\ncommand = ["bridge"]\n[modules.rules]\ncommand = ["rules"]\ndepends_on = ["bridge"]\n'
    assert loaded(tmp_path, text).config.module_specs == loaded(tmp_path, LEAST + toml).config.module_specs


def test_a_list_of_names_is_short_for_tables(tmp_path: Path) -> None:
    by_list = loaded(tmp_path, LEAST + 'modules = ["rule_engine", "ota_updater"]').config
    by_table = loaded(tmp_path, LEAST + "[modules.rule_engine]\n[modules.ota_updater]").config
    assert by_list.module_specs == by_table.module_specs


def test_modules_come_from_the_environment_as_json() -> None:
    environ = {
        "FLEETVIEW_AGENT_AGENT_ID": "gw-1",
        "FLEETVIEW_AGENT_BROKER_URL": "mqtt://b",
        "FLEETVIEW_AGENT_MODULES": '{"bridge": {"command": ["bridge"]}}',
    }
    assert load(None, environ=environ).config.module_specs["bridge"].command == ["bridge"]


M = '[modules.m]\ncommand = ["m"]\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "modules = ['rule_engin']",
            "modules.rule_engin: no module of this name is built in; did you mean rule_engine? Or say in [modules.rule_engin]",
        ),
        (
            "[modules.zzz]",
            "modules.zzz: no module of this name is built in; built in are telemetry_collector, rule_engine, ota_updater. Or",
        ),
        (M + "depends_on = ['mm']", "modules.m.depends_on[0]: no module is called 'mm'; did you mean m?"),
        (M + "depends_on = ['m']", "modules: modules that wait for each other: m -> m; take one depends_on away"),
        (M + "depends_on = ['x y']", "modules.m.depends_on[0]: 1 to 64 letters"),
        (M + "comand = 3", "modules.m.comand: unknown key (value 3); did you mean command?"),
        (M + "ready = { htpp = 'x' }", 'modules.m.ready.htpp: unknown key (value "x"); did you mean http?'),
        (M + "limits = { memory = 1 }", "modules.m.limits.memory: unknown key (value 1); did you mean memory_mib?"),
        (M + "limits = { memory_mib = '1' }", 'modules.m.limits.memory_mib: a whole number expected, not "1"'),
        (M + "limits = { open_files = 1 }", "modules.m.limits.open_files: at least 8 expected, not 1"),
        (M + "ready = { }", "modules.m.ready: one of http, tcp, command and file expected, not {}"),
        (
            M + "ready = { tcp = 1, file = '/x' }",
            "modules.m.ready: one of http, tcp, command and file expected, and only one",
        ),
        (M + "ready = { tcp = 'x' }", 'modules.m.ready.tcp: host:port or a port expected, not "x"'),
        (M + "ready = { http = 'https://x' }", "modules.m.ready.http: a URL such as http://127.0.0.1:8080/ready expected"),
        (M + "restart = 'often'", "modules.m.restart: one of 'always', 'on_failure', 'never' expected, not \"often\""),
        (M + "stop_signal = 'SIGSTOP'", "modules.m.stop_signal: one of SIGTERM, SIGINT, SIGHUP"),
        (M + "stop_grace_s = -1", "modules.m.stop_grace_s: at least 0 expected, not -1"),
        (M + "env = { PASSWORD = 3 }", 'modules.m.env.PASSWORD: a text expected, not "***"'),
        ("[modules.m]\ncommand = []", "modules.m.command: a list expected that is not empty, not []"),
        ("[modules.m]\ncommand = 'm -x'", 'modules.m.command: a list expected, not "m -x"'),
        ("[modules.'a b']\ncommand = ['m']", "modules.a b: 1 to 64 letters"),
        ("[modules]\nm = 3", "modules.m: a table expected, not 3"),
    ],
)
def test_an_error_names_key_value_and_the_way_out(tmp_path: Path, text: str, words: str) -> None:
    (problem,) = problems(tmp_path, text)
    assert problem.startswith(words)


def test_config_check_shows_the_cycle_and_the_unknown_name(tmp_path: Path) -> None:
    text = LEAST + "".join(
        f'[modules.{name}]\ncommand = ["x"]\ndepends_on = ["{other}"]\n'
        for name, other in (("b", "c"), ("a", "b"), ("c", "a"), ("bridge", "brigde"))
    )
    config = tmp_path / "agent.toml"
    config.write_text(text)
    found = run_agent(["config", "check", "--config", str(config)])
    assert found.returncode == 2
    assert found.stderr.splitlines() == [
        f"{config}: modules.bridge.depends_on[0]: no module is called 'brigde'; did you mean bridge?",
        f"{config}: modules: modules that wait for each other: a -> b -> c -> a; take one depends_on away",
    ]


def test_config_check_says_in_which_order_modules_start(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(LEAST + SAMPLE)
    found = run_agent(["config", "check", "--config", str(config)])
    assert found.returncode == 0
    assert found.stdout.splitlines()[-1] == "modules start so: bridge, telemetry_collector; then rules"


GRAPHS = st.integers(1, 7).flatmap(
    lambda count: st.fixed_dictionaries(
        {str(n): st.lists(st.sampled_from(range(count)).map(str), max_size=3) for n in range(count)}
    )
)


@given(GRAPHS)
def test_modules_start_behind_what_they_depend_on_or_there_is_a_cycle(graph: dict[str, list[str]]) -> None:
    found = list(cycles(graph))
    for cycle in found:
        assert cycle[0] == cycle[-1]
        assert len(set(cycle)) == len(cycle) - 1 > 0
        assert all(other in graph[name] for name, other in itertools.pairwise(cycle)), "each step is configured"
    if not found:
        order = start_order(graph)
        assert sorted(order) == sorted(graph)
        assert all(order.index(other) < order.index(name) for name, others in graph.items() for other in others)


@pytest.mark.parametrize(
    ("text", "target"), [("8080", ("127.0.0.1", 8080)), ("db:1", ("db", 1)), ("[::1]:65535", ("::1", 65535))]
)
def test_where_a_tcp_probe_goes(text: str, target: tuple[str, int]) -> None:
    assert tcp_target(text) == target


@given(st.text() | st.text("http:/[]@0123456789.a?#\r\n "))
def test_no_target_raises_anything_else(text: str) -> None:
    for parse in (tcp_target, http_target):
        try:
            parse(text)
        except ValueError:
            continue


def test_where_an_http_probe_goes() -> None:
    assert http_target("http://db/x?y=1") == ("db", 80, "db", "/x?y=1")
    assert http_target("http://[::1]:8080") == ("::1", 8080, "[::1]:8080", "/")


def test_what_the_documentation_shows_is_a_configuration(tmp_path: Path) -> None:
    specs = loaded(tmp_path, LEAST + documented("Modules")).config.module_specs
    assert list(start_order({name: spec.depends_on for name, spec in specs.items()})) == ["broker", "bridge"]


def documented(section: str) -> str:
    """The first configuration in a section of the agent's README."""
    text = (Path(__file__).parents[2] / "agent" / "README.md").read_text()
    text = text.partition(f"## {section}\n")[2].partition("\n## ")[0]
    return textwrap.dedent(re.findall(r"(?:^    .*\n)+", text, re.MULTILINE)[0])


@pytest.mark.parametrize("section", ["Functions", "Telemetry", "Rules"])
def test_what_the_documentation_shows_of_other_sections_is_a_configuration(tmp_path: Path, section: str) -> None:
    assert loaded(tmp_path, LEAST + documented(section)).config.module_specs


def test_the_defaults_are_those_of_the_documentation() -> None:
    config = AgentConfig(agent_id="a", broker_url="mqtt://b", modules={"m": {"command": ["m"], "ready": {"tcp": 1}}})  # type: ignore[dict-item]
    spec = config.module_specs["m"]
    assert (spec.restart, spec.stop_signal, spec.stop_grace_s, spec.wait_s) == ("always", "SIGTERM", 5, 60)
    assert spec.ready is not None
    assert (spec.ready.interval_s, spec.ready.timeout_s, spec.ready.start_period_s, spec.ready.retries) == (5, 3, 10, 3)
