"""Which fleet, and how to reach it: flag over environment over file over default, and where each value came from."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from fleetview import configfile, paths, settings
from fleetview.access import Access, access
from fleetview.configfile import AccessTable, AlertLabelsTable, ConfigError, ContextTable, nearest
from fleetview.core.alerts import Places
from fleetview.core.devicecolumns import DeviceColumn, column_problems
from fleetview.core.panels import DeviceLabels, LabelsError, Panel
from fleetview.settings import EVERYTHING, Link, Scope, Written, masked
from fleetview_agent.endpoint import BrokerUrl, TlsFiles
from fleetview_agent.wire.topics import DEFAULT_ROOT

__all__ = [
    "EVERYTHING",
    "ConfigError",
    "Context",
    "Display",
    "Flags",
    "Link",
    "Scope",
    "masked",
    "resolve",
    "resolve_display",
]

DEFAULT_BROKER = "mqtt://localhost:1883"
DEFAULT_SCRAPE_INTERVAL_S = 15.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Flags:
    """What the command line said; None where it said nothing. Paths are relative to the working folder."""

    context: str | None = None
    broker: str | None = None
    prometheus: str | None = None
    alertmanager: str | None = None
    history: str | None = None
    scope: str | None = None
    read_only: bool | None = None
    cafile: str | None = None
    cert: str | None = None
    key: str | None = None
    root: str | None = None
    theme: str | None = None
    ascii: bool | None = None
    link: str | None = None
    no_mouse: bool | None = None
    log_bytes: str | None = None

    def over(self, other: Flags) -> Flags:
        """These flags where they say something, the other's where they do not."""
        return Flags(
            **{
                name: theirs if (ours := getattr(self, name)) is None else ours
                for name, theirs in ((item.name, getattr(other, item.name)) for item in fields(Flags))
            }
        )


@dataclass(frozen=True, slots=True)
class Display:
    """How the dashboard looks and which keys it has: nothing in it says where a fleet is."""

    theme: str | None = None
    ascii: bool = False
    link: Link = "fast"
    no_mouse: bool = False
    keys: Mapping[str, str] = field(default_factory=dict)
    """Other keys by the id of a binding, as written."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Commands by name, as written."""
    file: Path | None = None
    """Where keys and aliases were written: those who can tell whether they are right say so with its name."""


@dataclass(frozen=True, slots=True)
class Context:
    """A fleet and the way to it, resolved."""

    name: str | None
    """None when no context of the file is used."""
    broker: BrokerUrl
    tls: TlsFiles | None
    """None when the link is not encrypted."""
    prometheus: str | None = field(default=None, repr=False)
    alertmanager: str | None = field(default=None, repr=False)
    history: str | None = field(default=None, repr=False)
    prometheus_access: Access | None = None
    """None when there is no Prometheus; so is the next one."""
    alertmanager_access: Access | None = None
    scrape_interval_s: float = DEFAULT_SCRAPE_INTERVAL_S
    places: Places = field(default_factory=Places)
    """Which labels of an alert say where it belongs."""
    device_labels: DeviceLabels = field(default_factory=DeviceLabels)
    """Which labels of a series say whose it is."""
    panels: tuple[Panel, ...] = ()
    """What the metrics screen shows; empty for its default."""
    columns: tuple[DeviceColumn, ...] = ()
    """Of the fleet table, from Prometheus."""
    scope: Scope = EVERYTHING
    read_only: bool = False
    root: str = DEFAULT_ROOT
    display: Display = field(default_factory=Display)
    log_bytes: int | None = None
    """Memory for log records; None for the default."""
    unused_files: tuple[str, ...] = ()
    """TLS settings that were given although the link is not encrypted, such as `cafile`."""
    origins: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Where each value came from, by the name of the setting: a flag, a variable, a place in the file, or `default`."""

    @property
    def title(self) -> str:
        """How the fleet is called on the screen: the context's name, or the broker's host."""
        return self.name or self.broker.host


def resolve(flags: Flags | None = None, *, environ: Mapping[str, str] = os.environ, file: Path | None = None) -> Context:
    """The context that these flags, this environment and the file of contexts make.

    Raises ConfigError, with everything that is wrong at once.
    """
    flags = flags or Flags()
    path = file or paths.config_file(environ)
    content = configfile.load(path, must_exist=file is not None or paths.config_file_is_named(environ))
    name, origin = _chosen(flags, environ, content, path)
    table = content.contexts[name] if name is not None else ContextTable()
    return _Resolution(flags, environ, path, name, table=table, content=content, chosen_by=origin).context()


def resolve_display(flags: Flags, *, environ: Mapping[str, str] = os.environ, file: Path | None = None) -> Display:
    """How the dashboard looks where no context is asked for, as in the demo. Raises ConfigError."""
    path = file or paths.config_file(environ)
    content = configfile.load(path, must_exist=file is not None or paths.config_file_is_named(environ))
    return _Resolution(flags, environ, path, None, table=ContextTable(), content=content, chosen_by="default").display()


def _chosen(flags: Flags, environ: Mapping[str, str], content: configfile.ConfigFile, path: Path) -> tuple[str | None, str]:
    """The name of the context, and who chose it."""
    for name, origin in (
        (flags.context, "--context"),
        (environ.get("FLEETVIEW_CONTEXT"), "FLEETVIEW_CONTEXT"),
        (content.default_context, f"{path}: default_context"),
    ):
        if not name:
            continue
        if name not in content.contexts:
            known = nearest(name, content.contexts) if content.contexts else f"; {path} has no [contexts.NAME]"
            raise ConfigError([f"{origin}: unknown context {name!r}{known}"])
        return name, origin
    if len(content.contexts) == 1:
        return next(iter(content.contexts)), f"{path}: its only context"
    return None, "default"


class _Resolution:
    """One run through all settings; collects what is wrong instead of stopping at the first."""

    def __init__(
        self,
        flags: Flags,
        environ: Mapping[str, str],
        path: Path,
        name: str | None,
        *,
        table: ContextTable,
        content: configfile.ConfigFile,
        chosen_by: str,
    ) -> None:
        self._flags, self._environ, self._path, self._name, self._table = flags, environ, path, name, table
        self._content = content
        self._origins = {"context": chosen_by}
        self._problems: list[str] = []

    def context(self) -> Context:
        broker = self._setting("broker", settings.as_broker, BrokerUrl.parse(DEFAULT_BROKER))
        files = {name: self._setting(name, settings.as_path, None) for name in ("cafile", "cert", "key")}
        context = Context(
            name=self._name,
            broker=broker,
            tls=TlsFiles(**files) if broker.encrypted else None,
            unused_files=() if broker.encrypted else tuple(name for name, path in files.items() if path is not None),
            prometheus=(prometheus := self._setting("prometheus", settings.as_web_url, None)),
            alertmanager=(alertmanager := self._setting("alertmanager", settings.as_web_url, None)),
            prometheus_access=self._access("prometheus", prometheus, self._table.prometheus_access),
            alertmanager_access=self._access("alertmanager", alertmanager, self._table.alertmanager_access),
            scrape_interval_s=self._scrape_interval(),
            places=_places(self._table.alert_labels),
            device_labels=self._device_labels(),
            panels=self._panels(),
            columns=self._columns(),
            history=self._setting("history", settings.as_database_url, None),
            scope=self._setting("scope", settings.as_scope, EVERYTHING),
            read_only=self._setting("read_only", settings.as_boolean, default=False),
            root=self._setting("root", settings.as_root, DEFAULT_ROOT),
            display=self._display(),
            log_bytes=self._setting("log_bytes", settings.as_size, None),
            origins=self._origins,
        )
        if self._problems:
            raise ConfigError(self._problems)
        return context

    def display(self) -> Display:
        found = self._display()
        if self._problems:
            raise ConfigError(self._problems)
        return found

    def _display(self) -> Display:
        over_ssh = bool(self._environ.get("SSH_CONNECTION"))
        found = Display(
            theme=self._setting("theme", settings.as_text, None),
            ascii=self._setting("ascii", settings.as_boolean, default=False),
            link=self._setting("link", settings.as_link, "slow" if over_ssh else "fast"),
            no_mouse=self._setting("no_mouse", settings.as_boolean, default=False),
            keys=self._content.keys,
            aliases=self._content.aliases,
            file=self._path,
        )
        for name in ("keys", "aliases"):
            if getattr(found, name):
                self._origins[name] = f"{self._path}: {name}"
        if over_ssh and self._origins["link"] == "default":
            self._origins["link"] = "SSH_CONNECTION"
        return found

    def _access(self, service: str, url: str | None, table: AccessTable | None) -> Access | None:
        if url is None:
            return None
        where = f"{self._path}: contexts.{self._name}.{service}_access" if table else f"{service}_access"
        said = {}
        for name in AccessTable.model_fields:
            variable = f"FLEETVIEW_{service.upper()}_{name.upper()}"
            if name != "headers" and self._environ.get(variable):
                # Relative to the working folder, as all that is not written in the file.
                is_path = name in {"password_file", "token_file", "cafile", "cert", "key"}
                text = self._environ[variable]
                said[name] = str(Path(text).expanduser().absolute()) if is_path else text
                self._origins[f"{service}_access.{name}"] = variable
            elif table is not None and getattr(table, name) is not None:
                self._origins[f"{service}_access.{name}"] = f"{where}.{name}"
        written = AccessTable() if table is None else table
        try:
            return access(url, written.model_copy(update=said), self._path.parent)
        except ValueError as err:
            self._problems.append(f"{where}: {err}")
            return None

    def _scrape_interval(self) -> float:
        found = self._table.scrape_interval_s
        for name in ("scrape_interval_s", "alert_labels"):
            if getattr(self._table, name) is not None:
                self._origins[name] = f"{self._path}: contexts.{self._name}.{name}"
        if found is not None and not found > 0:
            self._problems.append(
                f"{self._path}: contexts.{self._name}.scrape_interval_s: more than 0 expected, not {found}"
            )
        return found or DEFAULT_SCRAPE_INTERVAL_S

    def _device_labels(self) -> DeviceLabels:
        if not self._table.device_labels:
            return DeviceLabels()
        where = self._origins["device_labels"] = f"{self._path}: contexts.{self._name}.device_labels"
        labels = DeviceLabels(self._table.device_labels)
        try:
            labels.check()
        except LabelsError as err:
            self._problems.append(f"{where}: {err}")
        return labels

    def _panels(self) -> tuple[Panel, ...]:
        panels = tuple(table.panel() for table in self._table.panels or self._content.panels or ())
        if panels:
            self._origins["panels"] = self._place_of("panels", own=bool(self._table.panels))
        return panels

    def _columns(self) -> tuple[DeviceColumn, ...]:
        where = self._place_of("columns", own=bool(self._table.columns))
        columns = tuple(table.column() for table in self._table.columns or self._content.columns or ())
        if columns:
            self._origins["columns"] = where
        self._problems += [f"{where}: {problem}" for problem in column_problems(columns)]
        return columns

    def _place_of(self, name: str, *, own: bool) -> str:
        """Where a table stands that a context may have of its own, else has with all others."""
        return f"{self._path}: contexts.{self._name}.{name}" if own else f"{self._path}: {name}"

    def _setting(self, name: str, parse: Callable[[Written], T], default: T) -> T:
        value = self._written(name)
        self._origins[name] = value.origin if value else "default"
        if value is None:
            return default
        try:
            return parse(value)
        except ValueError as err:
            self._problems.append(f"{value.origin}: {err}")
            return default

    def _written(self, name: str) -> Written | None:
        flag: Any = getattr(self._flags, name)
        if flag is not None:
            return Written(flag, f"--{name.replace('_', '-')}", Path())
        variable = f"FLEETVIEW_{name.upper()}"
        if self._environ.get(variable):
            return Written(self._environ[variable], variable, Path())
        entry: Any = getattr(self._table, name)
        if entry is not None:
            return Written(entry, f"{self._path}: contexts.{self._name}.{name}", self._path.parent)
        for_all: Any = getattr(self._content, name, None)
        return None if for_all is None else Written(for_all, f"{self._path}: {name}", self._path.parent)


def _places(table: AlertLabelsTable | None) -> Places:
    said = {} if table is None else table.model_dump(exclude_none=True)
    return Places(**said)
