"""`release.toml`, which stands at the top of every release: its name, its version, and its modules as `[modules.NAME]`.

A module is described as in the configuration. Paths are relative to the release: the program in `command` where it is named
by a path, `cwd`, `file` of a probe. `cwd` is the release's folder unless it says otherwise, and `{release}` stands for that
folder in every text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, Field, ValidationError

from fleetview_agent.configfile import ConfigSyntaxError, parse
from fleetview_agent.configload import module_beside
from fleetview_agent.configvalues import Name, Table
from fleetview_agent.configwords import problem_of, unknown
from fleetview_agent.modules.order import flaws
from fleetview_agent.modules.process import SpawnError, startable
from fleetview_agent.modules.registry import BUILT_IN
from fleetview_agent.modules.spec import ModuleSpec
from fleetview_agent.release.errors import RefusedError

FILE = "release.toml"
MOST_BYTES = 256 * 1024
LINK = "current"
PLACEHOLDER = "{release}"

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


def version_of(text: str) -> str:
    """The text, if it can be a version: it becomes the name of a folder. Raises ValueError."""
    if _VERSION.fullmatch(text) is None or text == LINK:
        msg = f"a version expected: 1 to 64 letters, digits, '.', '_', '+' or '-', but not {LINK!r}"
        raise ValueError(msg)
    return text


class _Written(Table):
    """The file's keys."""

    name: Name
    version: Annotated[str, AfterValidator(version_of)]
    modules: Annotated[dict[Name, ModuleSpec], Field(min_length=1)]


class Manifest(NamedTuple):
    """What a release is."""

    name: str
    version: str
    modules: Mapping[str, ModuleSpec]
    """Ready to be run from the folder that was given."""


def read(folder: Path, *, at: Path | None = None) -> Manifest:
    """The manifest of the release in a folder, which is (or will be) at `at`. Raises RefusedError."""
    path = folder / FILE
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            words = f"{FILE}: above {MOST_BYTES} bytes"
            raise RefusedError(words)
        table = parse(data.decode())
    except FileNotFoundError:
        words = f"there is no {FILE} at the top of it"
        raise RefusedError(words) from None
    except (OSError, UnicodeDecodeError, ConfigSyntaxError) as err:
        words = f"{FILE}: {err.strerror if isinstance(err, OSError) else err}"
        raise RefusedError(words) from None
    return _manifest(table, at or folder)


def _manifest(table: dict[str, Any], folder: Path) -> Manifest:
    known = tuple(_Written.model_fields)
    for key, value in table.items():
        if key not in known:
            words = f"{FILE}: {key}: {unknown(key, value, known)}"
            raise RefusedError(words)
    modules = table.get("modules")
    if isinstance(modules, dict):
        version = table.get("version")
        table = {**table, "modules": {name: _placed(entry, folder, version) for name, entry in modules.items()}}
    try:
        written = _Written.model_validate(table)
    except ValidationError as err:
        details: dict[str, Any] = dict(err.errors()[0])
        if len(details["loc"]) > 1:
            details["loc"] = (details["loc"][0], "table", *details["loc"][1:])  # as in a configuration
        words = str(problem_of(details, dict.fromkeys(known, FILE), Path(FILE))).partition(", or set ")[0]
        raise RefusedError(words) from None
    return Manifest(written.name, written.version, written.modules)


def _placed(entry: Any, folder: Path, version: Any) -> Any:  # noqa: ANN401  (what a file holds, not validated yet)
    if not isinstance(entry, dict):
        return entry
    usual: dict[str, Any] = {"cwd": ".", "version": version}
    return module_beside(folder / FILE, _filled(usual | entry, str(folder)))


def _filled(value: Any, folder: str) -> Any:  # noqa: ANN401  (as above)
    if isinstance(value, str):
        return value.replace(PLACEHOLDER, folder)
    if isinstance(value, dict):
        return {name: _filled(part, folder) for name, part in value.items()}
    return [_filled(part, folder) for part in value] if isinstance(value, list) else value


def together(configured: Mapping[str, ModuleSpec], manifest: Manifest | None) -> dict[str, ModuleSpec]:
    """The modules of a device: those of its configuration, and those of the release that runs. Raises RefusedError."""
    if manifest is None:
        return dict(configured)
    for name, spec in manifest.modules.items():
        if name in configured:
            words = f"{FILE}: modules.{name}: the configuration of the device has a module of this name too"
            raise RefusedError(words)
        if name in BUILT_IN or spec.command is None:
            words = f"{FILE}: modules.{name}: it needs a name of its own, and what to run: command = [...]"
            raise RefusedError(words)
    specs = {**configured, **manifest.modules}
    for key, words in flaws(specs):
        raise RefusedError(": ".join(filter(None, (FILE, ".".join(filter(None, ("modules", key))), words))))
    return specs


def startable_all(manifest: Manifest) -> None:
    """Make sure that the programs are there and may be run. Raises RefusedError."""
    for name, spec in manifest.modules.items():
        try:
            startable(spec)
        except SpawnError as err:
            words = f"{FILE}: modules.{name}: {err}"
            raise RefusedError(words) from None
