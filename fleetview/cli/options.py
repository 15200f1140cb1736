"""Options that every command with a connection has, before the command's name and after it; what stands after it wins."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any, get_type_hints

import typer

from fleetview.config import Flags

PANEL = "Connection"

_URL = "mqtt://[user[:password]@]host[:port], or mqtts:// for TLS."

OPTIONS: dict[str, Any] = {
    "context": Annotated[str | None, typer.Option(help="Context of the configuration file.", metavar="NAME")],
    "broker": Annotated[str | None, typer.Option(help=_URL, metavar="URL")],
    "prometheus": Annotated[str | None, typer.Option(help="Prometheus, with its path prefix.", metavar="URL")],
    "alertmanager": Annotated[str | None, typer.Option(help="Alertmanager, with its path prefix.", metavar="URL")],
    "history": Annotated[str | None, typer.Option(help="Database of the recorded history.", metavar="URL")],
    "scope": Annotated[str | None, typer.Option(help="Only this tenant or site.", metavar="TENANT[/SITE]")],
    "read_only": Annotated[bool | None, typer.Option("--read-only", help="Nothing that changes the world.")],
    "cafile": Annotated[str | None, typer.Option(help="Authorities to trust, PEM.", metavar="FILE")],
    "cert": Annotated[str | None, typer.Option(help="Our client certificate, PEM.", metavar="FILE")],
    "key": Annotated[str | None, typer.Option(help="Its key, PEM.", metavar="FILE")],
    "root": Annotated[str | None, typer.Option(help="First levels of the topics.", metavar="TOPIC")],
}

Theme = Annotated[str | None, typer.Option(help="Colour theme of the dashboard.", metavar="NAME")]
Ascii = Annotated[bool | None, typer.Option("--ascii", help="Draw with ASCII characters only.")]
Link = Annotated[
    str | None, typer.Option(help="How much may go to the terminal; without it, slow under SSH.", metavar="slow|fast")
]
NoMouse = Annotated[bool | None, typer.Option("--no-mouse", help="Leave the mouse to the terminal, to select and copy.")]


def with_connection(command: Callable[..., int], *, opens_group: bool = False) -> Callable[..., None]:
    """A typer command out of a function that takes `Flags` first and returns its exit code.

    typer reads options off the signature, so they are added to it. With `opens_group` it is the function of the program
    itself, which runs only when no command is named, and else leaves its options for that.
    """
    hints = get_type_hints(command, localns={"Flags": Flags}, include_extras=True)
    own = [
        item.replace(annotation=hints[item.name], kind=item.KEYWORD_ONLY)  # typer passes everything by name
        for item in list(inspect.signature(command).parameters.values())[1:]
    ]

    def run(ctx: typer.Context, **given: Any) -> None:  # noqa: ANN401 (what typer parsed)
        flags = Flags(**{name: given.pop(name) for name in OPTIONS})
        if isinstance(ctx.obj, Flags):
            flags = flags.over(ctx.obj)
        if opens_group and ctx.invoked_subcommand is not None:
            ctx.obj = flags
            return
        raise typer.Exit(_quietly(command, flags, **given))

    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    connection = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in OPTIONS.items()
    ]
    parameters = [context, *own, *connection]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {item.name: item.annotation for item in parameters}
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    return run


def _quietly(command: Callable[..., int], flags: Flags, **given: Any) -> int:  # noqa: ANN401
    """Runs it; whoever closes the pipe behind us has what he wanted, and is told nothing."""
    try:
        code = command(flags, **given)
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still buffered goes nowhere, or the interpreter would complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code
