"""`fleetview config`: where the configuration stands, what it comes to, and its schema."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from fleetview import configfile, paths
from fleetview.cli.options import with_connection
from fleetview.cli.text import aligned
from fleetview.config import masked, resolve

if TYPE_CHECKING:
    from fleetview.config import Context, Flags

app = typer.Typer(help="Where the configuration stands, what it comes to, and its schema.", no_args_is_help=True)


@app.command()
def path() -> None:
    """Print where the file of contexts is looked for."""
    print(paths.config_file())


@app.command()
def schema() -> None:
    """Print the JSON Schema of the file, for editors."""
    print(configfile.schema())


def show(flags: Flags, *, as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False) -> int:
    """Print every setting as it counts now, and where it comes from. Passwords are masked."""
    context = resolve(flags)
    rows = [(name, value, context.origins.get(name, "default")) for name, value in _settings(context).items()]
    if as_json:
        print(json.dumps({name: {"value": value, "origin": origin} for name, value, origin in rows}, indent=2))
    else:
        for line in aligned([("SETTING", "VALUE", "FROM"), *((name, _text(value), origin) for name, value, origin in rows)]):
            print(line)
    return 0


app.command()(with_connection(show))


def _settings(context: Context) -> dict[str, str | bool | None]:
    files = context.tls
    found: dict[str, str | bool | None] = {"context": context.name, "broker": str(context.broker)}
    for name in ("cafile", "cert", "key"):
        file = getattr(files, name, None)
        unused = name in context.unused_files
        found[name] = "(not used: the broker's link is not encrypted)" if unused else None if file is None else str(file)
    for name in ("prometheus", "alertmanager", "history"):
        url = getattr(context, name)
        found[name] = None if url is None else masked(url)
    return found | {
        "scope": str(context.scope),
        "read_only": context.read_only,
        "root": context.root,
        "theme": context.display.theme,
        "ascii": context.display.ascii,
        "link": context.display.link,
        "no_mouse": context.display.no_mouse,
        "log_bytes": None if context.log_bytes is None else str(context.log_bytes),
    }


def _text(value: str | bool | None) -> str:
    if value is None:
        return "-"
    return str(value).lower() if isinstance(value, bool) else value
