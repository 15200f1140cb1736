"""`fleetview config`: where the configuration stands, what it comes to, and its schema."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from fleetview import configfile, paths
from fleetview.access import SECRETS
from fleetview.cli.options import with_connection
from fleetview.cli.text import aligned
from fleetview.config import masked, resolve

if TYPE_CHECKING:
    from fleetview.access import Access
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
    for name in ("prometheus_access", "alertmanager_access"):
        found |= {f"{name}.{key}": value for key, value in _access(getattr(context, name)).items()}
    return found | {
        "scrape_interval_s": str(context.scrape_interval_s),
        "alert_labels": ", ".join(f"{name}: {label}" for name, label in asdict(context.places).items()),
        "device_labels": _listed(f"{name}: {value}" for name, value in context.device_labels.templates.items()),
        "panels": _listed(panel.title for panel in context.panels),
        "columns": _listed(column.name for column in context.columns),
        "scope": str(context.scope),
        "read_only": context.read_only,
        "root": context.root,
        "theme": context.display.theme,
        "ascii": context.display.ascii,
        "link": context.display.link,
        "no_mouse": context.display.no_mouse,
        "keys": _listed(f"{name}: {keys}" for name, keys in context.display.keys.items()),
        "aliases": _listed(context.display.aliases),
        "log_bytes": None if context.log_bytes is None else str(context.log_bytes),
    }


def _access(access: Access | None) -> dict[str, str]:
    """What is set of it. A token's command is shown by its program, for secrets stand in arguments too."""
    if access is None:
        return {}
    found = {"user": access.user, "password_file": access.password_file, "token_file": access.token_file}
    found |= {"cafile": access.files.cafile, "cert": access.files.cert, "key": access.files.key}
    shown = {name: str(value) for name, value in found.items() if value is not None}
    shown |= {name: "***" for name in SECRETS if getattr(access, name) is not None}
    if access.token_command is not None:
        shown["token_command"] = f"{access.token_command.split(maxsplit=1)[0]} ..."
    if access.headers:
        shown["headers"] = ", ".join(f"{name}: ***" for name in access.headers)
    return shown


def _listed(names: Iterable[str]) -> str | None:
    return ", ".join(names) or None


def _text(value: str | bool | None) -> str:
    if value is None:
        return "-"
    return str(value).lower() if isinstance(value, bool) else value
