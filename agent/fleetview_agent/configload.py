"""Which value of the agent's configuration holds where a flag, the environment and a file differ, and what is wrong with it.

A flag beats the environment, the environment the file, the file the default. All that is wrong is reported at once, each
with its place, key, value and, for a name that nobody knows, the nearest that is one: who mends a device by hand in the
field should not need a second try.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fleetview_agent.certificate import read_certificate
from fleetview_agent.config import CHANGEABLE, FILE_KEYS, KEYS, SYSTEM_STORE, AgentConfig, Deployment
from fleetview_agent.configfile import ConfigSyntaxError, parse
from fleetview_agent.configwords import ENVIRONMENT_PREFIX, Problem, nearest, problem_of, shown, unknown
from fleetview_agent.functions.check import flaws as functions_flaws
from fleetview_agent.modules.order import flaws
from fleetview_agent.modules.registry import BUILT_IN
from fleetview_agent.overlay import laid_over, refusals
from fleetview_agent.rules.check import flaws as rules_flaws

CONFIG_VARIABLE = "FLEETVIEW_AGENT_CONFIG"
DOCUMENT = "document"
"""The origin of what a configuration document sets."""
SYSTEM_CONFIG = Path("/etc/fleetview-agent/agent.toml")

_KUBERNETES = re.compile(r"(SERVICE_(HOST|PORT)|PORT)(_.*)?")
"""Kubernetes sets FLEETVIEW_AGENT_SERVICE_HOST and the like in every container beside a service called fleetview-agent."""


class ConfigError(Exception):
    """The configuration cannot be used. `problems` says all that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration, and where its values come from."""

    config: AgentConfig
    origins: Mapping[str, str]
    """By key: `flag --set`, `environment FLEETVIEW_AGENT_...`, `file agent.toml` or `default`."""
    table: Mapping[str, Any] = field(default_factory=dict)
    """What stands in the file."""

    def lines(self) -> list[str]:
        """The effective values for a person to read, passwords masked."""
        return [f"{key} = {shown(key, getattr(self.config, key))}    # {self.origins[key]}" for key in KEYS]


@dataclass(frozen=True, slots=True)
class Source:
    """Where the configuration of a device comes from: to be loaded again, with another document laid over it."""

    path: Path | None
    flags: Sequence[str] = ()
    environ: Mapping[str, str] | None = None
    table: Mapping[str, Any] | None = None
    """What counts as the text of the file, which is then not read."""

    def load(self, document: Mapping[str, Any] | None = None) -> Loaded:
        """As `load`. Raises ConfigError."""
        return load(self.path, environ=self.environ, flags=self.flags, document=document, table=self.table)


def default_state_dir(environ: Mapping[str, str], *, root: bool) -> Path:
    """Where state lives unless the configuration says otherwise."""
    if root:
        return Path("/var/lib/fleetview-agent")
    base = environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".local" / "state") / "fleetview-agent"


def detect_deployment(environ: Mapping[str, str], *, filesystem_root: Path = Path("/")) -> Deployment:
    """How this agent seems to be run, from the marks that container engines and function hosts leave."""
    if "AWS_LAMBDA_FUNCTION_NAME" in environ or "FUNCTIONS_WORKER_RUNTIME" in environ or "K_SERVICE" in environ:
        return "function"
    marks = (".dockerenv", "run/.containerenv")
    if "KUBERNETES_SERVICE_HOST" in environ or any((filesystem_root / mark).exists() for mark in marks):
        return "container"
    return "static"


def load(
    path: Path | None,
    *,
    environ: Mapping[str, str] | None = None,
    flags: Sequence[str] = (),
    root: bool | None = None,
    document: Mapping[str, Any] | None = None,
    table: Mapping[str, Any] | None = None,
) -> Loaded:
    """The configuration of the file at `path` (None: no file), overridden by `environ` and by flags of `KEY=VALUE`.

    A `document` from afar is laid over the file before that; paths in it are those of the file. With a `table` that is what
    the file says, and it is not read.

    Raises ConfigError with all that is wrong.
    """
    environ = os.environ if environ is None else environ
    root = _is_root() if root is None else root
    values: dict[str, Any] = {}
    origins = dict.fromkeys(KEYS, "default")
    problems: list[Problem] = []
    if path is not None:
        table = _read_file(path) if table is None else table
        _take_table(path, table, values, origins, problems)
    if document is not None:
        values = _with_document(document, path, values, origins, problems)
    _read_environment(environ, values, origins, problems)
    _read_flags(flags, values, origins, problems)
    values.setdefault("state_dir", default_state_dir(environ, root=root))
    values.setdefault("deployment", detect_deployment(environ))
    if isinstance(cert := values.get("tls_cert"), str) and cert:
        values.setdefault("tls_key", str(Path(cert).parent / "agent.key"))
        values.setdefault("tls_ca", str(Path(cert).parent / "ca.crt"))
    try:
        config = AgentConfig.model_validate(values)
    except ValidationError as err:
        raise ConfigError(problems + [problem_of(dict(details), origins, path) for details in err.errors()]) from None
    if not problems:
        problems += [*_module_problems(config, origins), *_certificate_problems(config, origins)]
    if problems:
        raise ConfigError(problems)
    return Loaded(config, origins, table or {})


def find_file(named: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The file to read: the named one, that of FLEETVIEW_AGENT_CONFIG, the system's if it is there, or none."""
    if named is not None:
        return named
    if environ.get(CONFIG_VARIABLE):
        return Path(environ[CONFIG_VARIABLE])
    return SYSTEM_CONFIG if SYSTEM_CONFIG.exists() else None


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _read_file(path: Path) -> dict[str, Any]:
    place = str(path)
    try:
        return parse(path.read_bytes().decode(), ending=path.suffix)
    except OSError as err:
        raise ConfigError([Problem(place, "", f"cannot be read: {err.strerror}")]) from None
    except UnicodeDecodeError as err:
        raise ConfigError([Problem(place, "", f"not UTF-8: byte {err.object[err.start]:#x} at {err.start}")]) from None
    except ConfigSyntaxError as err:
        raise ConfigError([Problem(place, "", str(err))]) from None


def _take_table(
    path: Path, table: Mapping[str, Any], values: dict[str, Any], origins: dict[str, str], problems: list[Problem]
) -> None:
    place = str(path)
    for key, value in table.items():
        if key not in KEYS:
            problems.append(Problem(place, key, unknown(key, value, KEYS)))
            continue
        values[key] = _beside(path, key, value)
        origins[key] = f"file {place}"


def _with_document(
    document: Mapping[str, Any],
    path: Path | None,
    values: dict[str, Any],
    origins: dict[str, str],
    problems: list[Problem],
) -> dict[str, Any]:
    problems += refusals(document, DOCUMENT)
    usable: dict[str, Any] = {}
    for key, value in document.items():
        if key not in KEYS:
            problems.append(Problem(DOCUMENT, key, unknown(key, value, sorted(CHANGEABLE))))
        elif key in CHANGEABLE:
            usable[key] = value if path is None else _beside(path, key, value)
            origins[key] = "default" if value is None else DOCUMENT
    return laid_over(values, usable)


def _beside(path: Path, key: str, value: Any) -> Any:  # noqa: ANN401  (what a file holds, not validated yet)
    """Paths in a file are relative to its folder: the agent's working directory is nothing that its author knows."""
    if key in FILE_KEYS and isinstance(value, str) and value and not (key == "tls_ca" and value == SYSTEM_STORE):
        return str(path.parent / value)
    if key == "logs" and isinstance(value, dict) and isinstance(value.get("files"), list):
        return {**value, "files": [_log_file_beside(path, entry) for entry in value["files"]]}
    if key == "ota" and isinstance(value, dict):
        return _with_path(path, _with_path(path, value, "ca"), "folder")
    if key == "modules" and isinstance(value, dict):
        return {name: module_beside(path, table) for name, table in value.items()}
    return value


def module_beside(path: Path, table: Any) -> Any:  # noqa: ANN401  (as above)
    """A module's folder, and its programs where they are named by a path: a bare name is looked up in PATH."""
    if not isinstance(table, dict):
        return table
    table = dict(table)
    for probe in ("ready", "healthy"):
        if isinstance(table.get(probe), dict):
            table[probe] = _with_path(path, _with_program(path, table[probe]), "file")
    return _with_path(path, _with_program(path, table), "cwd")


def _with_path(path: Path, table: dict[str, Any], key: str) -> dict[str, Any]:
    value = table.get(key)
    return {**table, key: str(path.parent / value)} if isinstance(value, str) and value else table


def _with_program(path: Path, table: dict[str, Any]) -> dict[str, Any]:
    command = table.get("command")
    if isinstance(command, list) and command and isinstance(command[0], str) and "/" in command[0]:
        return {**table, "command": [str(path.parent / command[0]), *command[1:]]}
    return table


def _log_file_beside(path: Path, entry: Any) -> Any:  # noqa: ANN401  (as above)
    if isinstance(entry, dict) and isinstance(entry.get("path"), str) and entry["path"]:
        return {**entry, "path": str(path.parent / entry["path"])}
    return entry


def _read_environment(
    environ: Mapping[str, str], values: dict[str, Any], origins: dict[str, str], problems: list[Problem]
) -> None:
    for variable in sorted(environ):
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable == CONFIG_VARIABLE:
            continue
        rest = variable.removeprefix(ENVIRONMENT_PREFIX)
        key = rest.lower()
        if key in KEYS:
            values[key] = _from_text(key, environ[variable])
            origins[key] = f"environment {variable}"
        elif _KUBERNETES.fullmatch(rest) is None:
            near = nearest(key, KEYS)
            hint = f"; did you mean {ENVIRONMENT_PREFIX}{near.upper()}?" if near else f"; there are: {', '.join(KEYS)}"
            problems.append(Problem(f"environment {variable}", "", f"unknown key {key!r}{hint}"))


def _read_flags(flags: Sequence[str], values: dict[str, Any], origins: dict[str, str], problems: list[Problem]) -> None:
    for flag in flags:
        key, equals, text = flag.partition("=")
        if not equals:
            problems.append(Problem("flag --set", "", f"KEY=VALUE expected, not {flag!r}"))
        elif key not in KEYS:
            problems.append(Problem("flag --set", key, unknown(key, text, KEYS)))
        else:
            values[key] = _from_text(key, text)
            origins[key] = "flag --set"


def _from_text(key: str, text: str) -> Any:  # noqa: ANN401  (validated with all other values)
    """The value that an environment variable or a flag stands for; a text that is none is left for validation to name."""
    if key == "heartbeat_interval":
        try:
            return float(text)
        except ValueError:
            return text
    if key == "modules" and not text.lstrip().startswith(("[", "{")):
        return [part.strip() for part in text.split(",") if part.strip()]
    if key == "labels" and not text.lstrip().startswith("{"):
        pairs = [part.partition("=") for part in text.split(",") if part.strip()]
        return {name.strip(): value.strip() for name, equals, value in pairs} if all(pair[1] for pair in pairs) else text
    if key in {"modules", "labels", "logs", "telemetry", "rules", "publish_topics", "ota"}:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return text
        return {"files": value} if key == "logs" and isinstance(value, list) else value
    return text


def _module_problems(config: AgentConfig, origins: Mapping[str, str]) -> list[Problem]:
    place = origins["modules"].removeprefix("file ")
    found = [Problem(place, ".".join(filter(None, ("modules", key))), words) for key, words in flaws(config.module_specs)]
    functions = functions_flaws(config.module_specs, config.topic_root)
    found += [Problem(place, f"modules.{key}", words) for key, words in functions]
    rules = rules_flaws(config.rules, config.module_specs, config.publish_topics, config.topic_root)
    found += [Problem(origins["rules"].removeprefix("file "), key, words) for key, words in rules]
    for name, built_in in BUILT_IN.items():
        idle = next((key for key in built_in.keys if origins[key] != "default"), None)
        if idle is not None and name not in config.module_specs:
            words = f"nothing would be done with it: add {name} to modules"
            found.append(Problem(origins[idle].removeprefix("file "), idle, words))
    return found


def _certificate_problems(config: AgentConfig, origins: Mapping[str, str]) -> list[Problem]:
    """What the certificate contradicts. One that is not there (yet) contradicts nothing: the link will name it."""
    if config.tls_cert is None or not config.broker.encrypted:
        return []
    try:
        name = read_certificate(config.tls_cert).common_name
    except OSError:
        return []
    except ValueError as err:
        return [Problem(origins["tls_cert"].removeprefix("file "), "tls_cert", str(err))]
    if name == config.agent_id:
        return []
    words = (
        f"{config.agent_id!r} is not whom the certificate names: the CN in {config.tls_cert} is {name!r};"
        " use that as agent_id, or the certificate of this device"
    )
    return [Problem(origins["agent_id"].removeprefix("file "), "agent_id", words)]
