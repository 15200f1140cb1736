"""The commands put together, and what all of them do with errors, closed pipes and interruptions."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from fleetview import __version__
from fleetview.cli import (
    alerts,
    check,
    command,
    config,
    control,
    demo,
    device,
    devices,
    export,
    logs,
    rollout,
    silence,
    simulate,
)
from fleetview.cli.options import Ascii, Link, NoMouse, Theme, with_connection
from fleetview.config import ConfigError, Flags, resolve, resolve_display
from fleetview.core.query import QueryError
from fleetview_agent.endpoint import LinkError, TlsFileError

USAGE = 2
UNREACHABLE = 3

app = typer.Typer(
    name="fleetview",
    help="What is broken in a fleet of edge devices, since when, why, and what changed. Without a command: the dashboard.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _say_version(asked: bool) -> None:
    if asked:
        print(f"fleetview {__version__}")
        raise typer.Exit


def dashboard(
    flags: Flags,
    *,
    theme: Theme = None,
    ascii: Ascii = None,  # noqa: A002 (the option's name)
    link: Link = None,
    no_mouse: NoMouse = None,
    keys: Annotated[bool, typer.Option("--keys", help="Print every key, as configured, and leave.")] = False,
    log_bytes: Annotated[str | None, typer.Option(help="Memory for log records, such as 256MB.", metavar="SIZE")] = None,
    version: Annotated[  # noqa: ARG001 (answered by its callback)
        bool | None, typer.Option("--version", help="Print the version.", callback=_say_version, is_eager=True)
    ] = None,
) -> int:
    """What is broken in a fleet of edge devices, since when, why, and what changed. Without a command: the dashboard."""
    if keys:
        from fleetview.tui.bindings import key_lines  # noqa: PLC0415 (no other command may load Textual)

        print("\n".join(key_lines(resolve_display(flags))))
        return 0
    from fleetview.tui.run import run_dashboard  # noqa: PLC0415 (likewise)

    own = Flags(theme=theme, ascii=ascii, link=link, no_mouse=no_mouse, log_bytes=log_bytes)
    return run_dashboard(resolve(own.over(flags)))


app.callback(invoke_without_command=True)(with_connection(dashboard, opens_group=True))
app.command()(with_connection(devices.devices))
app.command()(with_connection(device.device))
app.command()(with_connection(logs.logs))
app.command()(with_connection(command.command))
app.command()(with_connection(alerts.alerts))
app.add_typer(silence.app, name="silence")
app.add_typer(rollout.app, name="rollout")
app.command()(with_connection(control.control))
app.command()(with_connection(export.export))
app.command()(with_connection(check.check))
app.add_typer(config.app, name="config")
app.command()(demo.demo)
app.command()(simulate.simulate)


def run() -> int:
    """Runs the command line; errors become words and exit codes here, once for all commands."""
    try:
        app(prog_name="fleetview")
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 0
    except ConfigError as err:
        return _fail(USAGE, *err.problems)
    except TlsFileError as err:
        return _fail(USAGE, err.failure.words)
    except LinkError as err:
        return _fail(UNREACHABLE, err.failure.words)
    except QueryError as err:
        return _fail(USAGE, f"filter: {err}")
    return 0


def _fail(code: int, *problems: str) -> int:
    for problem in problems:
        print(f"fleetview: {problem}", file=sys.stderr)
    return code
