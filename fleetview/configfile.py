"""The file of contexts: its shape, and in words what is wrong with it.

pydantic reads the file. pydantic-settings is not used: flag over environment over file over default is one short function in
`config`, which also has to know where each value came from, and its import alone would cost 0.13 s of the 0.8 s until
the first paint.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from fleetview.core.charts import UNITS, Unit
from fleetview.core.devicecolumns import DeviceColumn
from fleetview.core.panels import Panel

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pydantic_core import ErrorDetails


class ConfigError(Exception):
    """The configuration cannot be used. Holds everything that is wrong with it, one sentence each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class _Table(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", use_attribute_docstrings=True)


class _Display(_Table):
    theme: str | None = None
    """Name of a colour theme."""
    ascii: bool | None = None
    """Draw with ASCII characters only."""
    link: str | None = None
    """slow or fast: how much may go to the terminal. Without it, slow under SSH."""
    no_mouse: bool | None = None
    """Leave the mouse to the terminal, which can then select and copy."""


class _TlsFiles(_Table):
    cafile: str | None = None
    """Certificate authorities to trust, PEM. Relative paths are relative to this file."""
    cert: str | None = None
    """Our client certificate, PEM."""
    key: str | None = None
    """The key of our client certificate, PEM; when it is not in the same file."""


class AccessTable(_TlsFiles):
    """How to be let in by a web server. Each text may also stand in the environment, as FLEETVIEW_PROMETHEUS_TOKEN."""

    user: str | None = None
    """User for basic authentication; may also stand in the URL."""
    password: str | None = None
    """Its password."""
    password_file: str | None = None
    """A file that holds it."""
    token: str | None = None
    """Bearer token."""
    token_file: str | None = None
    """A file that holds it; read anew each time."""
    token_command: str | None = None
    """A program, with its arguments, that prints it."""
    headers: dict[str, str] | None = None
    """Sent with each request, such as X-Scope-OrgID."""


class AlertLabelsTable(_Table):
    """Which labels of an alert say where it belongs."""

    tenant: str | None = None
    """Default: tenant."""
    site: str | None = None
    """Default: site."""
    device: str | None = None
    """Holds a device id or a whole address. Default: device."""


class ThresholdsTable(_Table):
    """From where on a value is bad."""

    degraded: float | None = None
    """From here on it is degraded."""
    critical: float | None = None
    """From here on it is critical."""


def _bounds(table: ThresholdsTable | None) -> dict[str, float]:
    return {} if table is None else table.model_dump(exclude_none=True)


class PanelTable(_Table):
    """A picture on the metrics screen."""

    title: str
    """What stands above it."""
    query: str
    """PromQL; $window in it becomes the time that a point looks back."""
    unit: Unit = "count"
    """percent (of ratios 0..1), seconds, celsius, bytes, bytes_per_second, per_second or count."""
    thresholds: ThresholdsTable | None = None
    """From where on a value is degraded or critical."""
    legend: str = ""
    """How a series is called, with labels as {{release}}. Default: all of its labels."""
    list: bool = False
    """Values as they are now, the largest first, instead of their course."""

    def panel(self) -> Panel:
        """What it says."""
        return Panel(self.title, self.query, self.unit, _bounds(self.thresholds), self.legend, self.list)


class ColumnTable(_Table):
    """A column of the fleet table that Prometheus fills."""

    name: str
    """By which it is remembered and chosen."""
    query: str
    """PromQL with one series for each device; $window in it is the time that a point looks back, $by the labels of a
    device, and $selector what means the devices in sight: without it, more than 5,000 devices are asked for at once."""
    title: str | None = None
    """What stands above it. Default: its name in capitals."""
    unit: Unit = "count"
    """percent (of ratios 0..1), seconds, celsius, bytes, bytes_per_second, per_second or count."""
    history: bool = False
    """The last hour as a line of blocks, before the value now."""
    thresholds: ThresholdsTable | None = None
    """From where on a value is degraded or critical."""

    def column(self) -> DeviceColumn:
        """What it says."""
        title = self.name.upper() if self.title is None else self.title
        return DeviceColumn(self.name, title, self.query, self.unit, self.history, _bounds(self.thresholds))


class ContextTable(_Display, _TlsFiles):
    """One fleet: where its servers are, and how to be let in."""

    broker: str | None = None
    """mqtt://[user[:password]@]host[:port], or mqtts:// for TLS."""
    prometheus: str | None = None
    """URL of Prometheus or what speaks like it, with its path prefix."""
    alertmanager: str | None = None
    """URL of Alertmanager, with its path prefix."""
    prometheus_access: AccessTable | None = None
    """How Prometheus lets us in."""
    alertmanager_access: AccessTable | None = None
    """How Alertmanager lets us in; what is said for Prometheus is not sent to it."""
    scrape_interval_s: float | None = None
    """How often Prometheus asks a device: no picture has finer steps. Default: 15."""
    alert_labels: AlertLabelsTable | None = None
    """Which labels of an alert say where it belongs."""
    device_labels: dict[str, str] | None = None
    """Which labels of a series say whose it is, such as instance = "{device}:9100". Default: tenant, site and device."""
    panels: list[PanelTable] | None = None
    """What the metrics screen shows. Default: that of the file, or what `fleetview export` is good for."""
    columns: list[ColumnTable] | None = None
    """Columns that the fleet table may have from Prometheus. Default: those of the file."""
    history: str | None = None
    """Database URL of the recorded history, such as sqlite:///history.db."""
    scope: str | None = None
    """TENANT or TENANT/SITE: nothing else is asked for or shown."""
    read_only: bool | None = None
    """Hide everything that changes the world."""
    root: str | None = None
    """The first levels of the fleet's topics. Default: fleet/v1."""
    log_bytes: str | None = None
    """Memory for log records, such as 256MB. Default: 64MiB."""


class ConfigFile(_Display):
    """The whole file. How the dashboard looks may be said for all contexts, and otherwise for one of them."""

    default_context: str | None = None
    """The context that is used when none is named."""
    contexts: dict[str, ContextTable] = Field(default_factory=dict)
    """The contexts by name."""
    keys: dict[str, str] = Field(default_factory=dict)
    """Other keys: those of a binding, separated by commas, by its name; `fleetview --keys` lists them."""
    panels: list[PanelTable] | None = None
    """What the metrics screen shows for contexts without panels of their own."""
    columns: list[ColumnTable] | None = None
    """Columns that the fleet table may have, for contexts without columns of their own."""
    aliases: dict[str, str] = Field(default_factory=dict)
    """Commands of one's own by name, such as crit = "devices health:critical"."""

    @field_validator("keys", mode="before")
    @classmethod
    def _dotted(cls, value: object) -> object:
        """`fleet.logs = "l"` without quotes is a table in a table to TOML, and means the same."""
        if not isinstance(value, dict):
            return value
        flat: dict[str, object] = {}
        for name, entry in value.items():
            if isinstance(entry, dict):
                flat |= {f"{name}.{inner}": keys for inner, keys in entry.items()}
            else:
                flat[name] = entry
        return flat


def load(path: Path, *, must_exist: bool) -> ConfigFile:
    """The file's content; an empty one when there is no file and none was asked for. Raises ConfigError."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if must_exist:
            raise ConfigError([f"{path}: there is no such file"]) from None
        return ConfigFile()
    except OSError as err:
        raise ConfigError([f"{path} cannot be read: {err.strerror}"]) from None
    except UnicodeDecodeError as err:
        raise ConfigError([f"{path} is not UTF-8 text (byte {err.start})"]) from None
    except tomllib.TOMLDecodeError as err:
        raise ConfigError([f"{path} is not TOML: {str(err)[:1].lower()}{str(err)[1:]}"]) from None
    try:
        return ConfigFile.model_validate(data)
    except ValidationError as err:
        raise ConfigError([f"{path}: {_in_words(error)}" for error in err.errors(include_url=False)]) from None


def schema() -> str:
    """The file as JSON Schema, for editors."""
    return json.dumps(ConfigFile.model_json_schema(), indent=2)


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the known word that is nearest, or `; known: ...`, or nothing."""
    choices = list(known)
    if close := difflib.get_close_matches(word, choices, n=1, cutoff=0.5):
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(choices)}" if choices else ""


def _table_at(place: Sequence[str]) -> type[_Table]:
    """The shape of the table that stands there."""
    match place:
        case [_, _, "prometheus_access" | "alertmanager_access"]:
            return AccessTable
        case [_, _, "alert_labels"]:
            return AlertLabelsTable
        case [*_, "columns", _]:
            return ColumnTable
        case [*_, "panels" | "columns", _, "thresholds"]:
            return ThresholdsTable
        case [*_, "panels", _]:
            return PanelTable
        case [_, *_]:
            return ContextTable
        case _:
            return ConfigFile


_TABLES = {
    "contexts": "a table of contexts, such as [contexts.plant]",
    "keys": "a table of keys by the binding's name, [keys]",
    "aliases": "a table of commands by name, [aliases]",
}


def _in_words(error: ErrorDetails) -> str:
    place = [str(part) for part in error["loc"]]
    where = ".".join(place)
    if error["type"] == "extra_forbidden":
        table = _table_at(place[:-1])
        return f"{where}: unknown key {place[-1]!r}{nearest(place[-1], table.model_fields)}"
    if error["type"] == "missing":
        return f"{where}: {place[-1]} is missing"
    expected = {
        "string_type": "a text in quotes",
        "bool_type": "true or false",
        "float_type": "a number",
        "model_type": "a table",
        "list_type": f"a list of tables, such as [[{place[-1]}]],",
        "literal_error": f"one of {', '.join(UNITS)}",
        "dict_type": _TABLES.get(where, "a table"),
    }.get(error["type"], error["msg"])
    secret = place[-1] in {"token", "password"} or "headers" in place
    return f"{where}: {expected} expected" + ("" if secret else f", not {_shown(error['input'])}")


def _shown(value: Any) -> str:  # noqa: ANN401 (whatever TOML can hold)
    return repr(value)[:80]
