"""The command line of the agent. Exit codes: 0 done, 1 the answer is no, 2 usage or configuration, 3 a peer was not reached.

What a command needs is imported by that command: `--version` and `health`, which a container engine asks every few seconds,
must not wait for MQTT.
"""

# ruff: noqa: PLC0415  (see above)

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from fleetview_agent import __version__

if TYPE_CHECKING:
    from fleetview_agent.configload import Loaded, Source

DONE, NO, WRONG_USAGE = 0, 1, 2


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_USAGE, f"{self.prog}: {message}\nSee '{self.prog} --help'.\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="fleetview-agent", description="The agent of fleetview: runs on an edge device.")
    parser.add_argument("--version", action="version", version=f"fleetview-agent {__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run the agent until it is stopped")
    _add_config(run)
    check = commands.add_parser("check", help="can this device do its work, and what is to be mended")
    _add_config(check)
    check.add_argument("--json", dest="as_json", action="store_true", help="one JSON object per line")
    health = commands.add_parser("health", help="is the running agent in order (for a container's health check)")
    _add_config(health)
    health.add_argument(
        "--max-offline", type=float, default=300.0, metavar="S", help="seconds without a broker that are in order (300)"
    )
    config = commands.add_parser("config", help="about the configuration")
    about = config.add_subparsers(title="commands", dest="about", required=True, metavar="COMMAND")
    _add_config(about.add_parser("check", help="say what is wrong with it, or what it amounts to"))
    schema = commands.add_parser("schema", help="JSON Schema of the messages of the wire contract")
    schema.add_argument("name", nargs="?", metavar="NAME", help="of one message, such as heartbeat")
    _add_release(commands)
    return parser


def _add_release(commands: Any) -> None:  # noqa: ANN401  (argparse has no public name for it)
    release = commands.add_parser("release", help="make and sign releases for devices")
    about = release.add_subparsers(title="commands", dest="about", required=True, metavar="COMMAND")
    build = about.add_parser("build", help="make the .tar.gz of a folder with a release.toml")
    build.add_argument("folder", type=Path, metavar="DIR")
    build.add_argument("--out", type=Path, metavar="FILE", help="else NAME-VERSION.tar.gz in this folder")
    keygen = about.add_parser("keygen", help="make a pair of keys; prints the public one, for ota.keys")
    keygen.add_argument("key", type=Path, metavar="FILE", help="for the private key, which must not be there yet")
    sign = about.add_parser("sign", help="sign an archive into FILE.sig, and print what to offer")
    sign.add_argument("archive", type=Path, metavar="FILE")
    sign.add_argument("--key", type=Path, required=True, metavar="FILE", help="the private key")
    sign.add_argument("--url", metavar="URL", help="where devices will find it; else that of the file")
    verify = about.add_parser("verify", help="would a device with this key take it")
    verify.add_argument("archive", type=Path, metavar="FILE")
    verify.add_argument("--key", required=True, metavar="KEY", help="the public key, as in ota.keys")


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="TOML or JSON (else FLEETVIEW_AGENT_CONFIG, /etc/fleetview-agent/agent.toml)",
    )
    parser.add_argument(
        "--set", dest="flags", action="append", default=[], metavar="KEY=VALUE", help="override one key of the configuration"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return its exit code."""
    try:
        return _dispatch(_parser().parse_args(arguments))
    except BrokenPipeError:
        # Whoever read us has enough. Python would complain once more when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NO
    except KeyboardInterrupt:
        return 130


def _dispatch(options: argparse.Namespace) -> int:
    match options.command:
        case "schema":
            return _schema(options.name)
        case "config":
            return _config_check(options)
        case "health":
            return _health(options)
        case "check":
            return _check(options)
        case "release":
            from fleetview_agent.release.tool import run

            return run(options)
        case _:
            return _run(options)


def _loaded(options: argparse.Namespace, *, also_json: bool = False) -> Loaded | None:
    """The configuration; None, when it cannot be used, after saying why, `also_json` as findings of a check."""
    from fleetview_agent.configload import ConfigError

    try:
        return _source(options).load()
    except ConfigError as err:
        for problem in err.problems:
            print(problem, file=sys.stderr)
            if also_json:
                import json

                print(json.dumps({"subject": "configuration", "level": "error", "words": str(problem)}))
        return None


def _source(options: argparse.Namespace) -> Source:
    from fleetview_agent.configload import Source, find_file

    return Source(find_file(options.config, os.environ), options.flags)


def _config_check(options: argparse.Namespace) -> int:
    loaded = _loaded(options)
    if loaded is None:
        return WRONG_USAGE
    print("ok")
    for line in loaded.lines():
        print(line)
    if any(spec.depends_on for spec in loaded.config.module_specs.values()):
        from fleetview_agent.modules.order import start_waves

        specs = {name: spec for name, spec in loaded.config.module_specs.items() if spec.kind != "function"}
        waves = start_waves({name: spec.depends_on for name, spec in specs.items()})
        print(f"modules start so: {'; then '.join(', '.join(wave) for wave in waves)}")
    return DONE if _from_afar(options, loaded) else NO


def _from_afar(options: argparse.Namespace, loaded: Loaded) -> bool:
    """Say what is laid over the file when the agent runs; whether it can be."""
    from fleetview_agent.configload import ConfigError
    from fleetview_agent.store import Store
    from fleetview_agent.twin.keep import digest, load, load_doubt

    folder = Store(loaded.config.state_dir or Path(), loaded.config.agent_id).folder
    doubt, _ = load_doubt(folder)
    if doubt is not None and doubt.sha256 == digest(loaded.table) and doubt.problem is not None:
        print(f"{doubt.problem}; what ran before does, until the file says something else or the agent gets SIGHUP")
    last_good = load(folder).last_good
    if last_good is None:
        return True
    keys = ", ".join(last_good.document) or "nothing"
    print(f"over this the agent lays configuration {last_good.version}, which was verified here and sets {keys}")
    try:
        _source(options).load(last_good.document)
    except ConfigError as err:
        for problem in err.problems:
            print(problem, file=sys.stderr)
        return False
    return True


def _schema(name: str | None) -> int:
    import difflib
    import json

    from fleetview_agent.wire import MODELS

    schemas = {channel.value: model.model_json_schema() for channel, model in MODELS.items()}
    if name is not None and name not in schemas:
        near = difflib.get_close_matches(name, schemas, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(schemas)}"
        print(f"no message is called {name!r}; {hint}", file=sys.stderr)
        return WRONG_USAGE
    print(json.dumps(schemas if name is None else schemas[name], indent=2))
    return DONE


def _health(options: argparse.Namespace) -> int:
    loaded = _loaded(options)
    if loaded is None:
        return WRONG_USAGE
    from fleetview_agent.healthcheck import verdict
    from fleetview_agent.store import Store

    store = Store(loaded.config.state_dir or Path(), loaded.config.agent_id)
    found = verdict(store, boot_id=_boot_id(), max_offline_s=options.max_offline)
    print(("healthy: " if found.healthy else "unhealthy: ") + found.words)
    return DONE if found.healthy else NO


def _boot_id() -> str:
    from fleetview_agent.store import boot_id

    return boot_id() or ""


def _check(options: argparse.Namespace) -> int:
    loaded = _loaded(options, also_json=options.as_json)
    if loaded is None:
        return WRONG_USAGE
    import asyncio
    import json

    from fleetview_agent.preflight import Finding, Inquiry, exit_code, preflight
    from fleetview_agent.store import Store
    from fleetview_agent.twin.twin import Twin

    # What the agent runs with, or would: its file, with the last good configuration from afar over it.
    folder = Store(loaded.config.state_dir or Path(), loaded.config.agent_id).folder
    twin = Twin(folder, _source(options), loaded)

    async def ask() -> list[Finding]:
        found = []
        async for finding in preflight(Inquiry(twin.config, version=twin.version)):
            print(json.dumps(finding.as_json()) if options.as_json else finding, flush=True)
            found.append(finding)
        return found

    return exit_code(asyncio.run(ask()))


def _run(options: argparse.Namespace) -> int:
    loaded = _loaded(options)
    if loaded is None:
        return WRONG_USAGE
    from fleetview_agent.runner import run
    from fleetview_agent.store import InUseError, Store

    store = Store(loaded.config.state_dir or Path(), loaded.config.agent_id)
    try:
        with store.held():
            run(_source(options), loaded, store)
    except InUseError as err:
        print(err, file=sys.stderr)
        return WRONG_USAGE
    return DONE
