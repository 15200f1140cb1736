"""What the configuration says of one module: `[modules.NAME]`."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from fleetview_agent.configvalues import File, Name, Names, Table, Text, all_different

RestartPolicy = Literal["always", "on_failure", "never"]
Seconds = Annotated[float, Field(ge=0.05, le=86400, allow_inf_nan=False)]
Period = Annotated[float, Field(ge=0, le=86400, allow_inf_nan=False)]

_STOP_SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGKILL")
_MOST_PORTS = 65535
_OF_FUNCTIONS = frozenset({"on", "idle_s", "queue"})
_NOT_OF_FUNCTIONS = frozenset({"ready", "healthy", "restart"})


def _signal(value: object) -> object:
    name = value.upper() if isinstance(value, str) else value
    if isinstance(name, str) and (name if name.startswith("SIG") else f"SIG{name}") in _STOP_SIGNALS:
        return name if name.startswith("SIG") else f"SIG{name}"
    msg = f"one of {', '.join(_STOP_SIGNALS)} expected"
    raise ValueError(msg)


def http_target(url: str) -> tuple[str, int, str, str]:
    """Host, port, Host header and path of a probe's URL. Raises ValueError."""
    words = "a URL such as http://127.0.0.1:8080/ready expected"
    try:
        parts: SplitResult = urlsplit(url)
        port = parts.port or 80
    except ValueError:
        raise ValueError(words) from None
    plain = all(" " < char < "\x7f" for char in url)  # or it could write headers of its own
    if parts.scheme != "http" or not parts.hostname or not plain or parts.username is not None:
        raise ValueError(words)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.hostname, port, parts.netloc, path


def tcp_target(text: str) -> tuple[str, int]:
    """Host and port of `host:port`, `[v6]:port` or `port` on this machine. Raises ValueError."""
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or not 0 < int(port[:6]) <= _MOST_PORTS:
        msg = "host:port or a port expected"
        raise ValueError(msg)
    return host.strip("[]") or "127.0.0.1", int(port)


def _http(value: str) -> str:
    http_target(value)
    return value


def _tcp(value: object) -> object:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str):
        tcp_target(text)
    return text


Command = Annotated[list[Text], Field(min_length=1)]


class Probe(Table):
    """A question to a running module, asked in one of four ways."""

    http: Annotated[Text, AfterValidator(_http)] | None = None
    """Yes is any answer below 400."""
    tcp: Annotated[Text, BeforeValidator(_tcp)] | None = None
    """Yes is a connection."""
    command: Command | None = None
    """Yes is exit status 0. It runs as the module does: environment, folder, user."""
    file: File | None = None
    """Yes is a file that was made or touched since the module was started."""
    interval_s: Seconds = 5
    timeout_s: Seconds = 3
    start_period_s: Period = 10
    """After the start, in which a no does not count."""
    retries: Annotated[int, Field(ge=1, le=1000)] = 3
    """So many times no in a row, and the answer is no."""

    @model_validator(mode="after")
    def _one_way(self) -> Probe:
        ways = [way for way in ("http", "tcp", "command", "file") if getattr(self, way) is not None]
        if len(ways) != 1:
            msg = f"one of http, tcp, command and file expected{', and only one' if ways else ''}"
            raise ValueError(msg)
        return self


class Limits(Table):
    """What the kernel lets each process of a module have."""

    memory_mib: Annotated[int, Field(ge=1, le=2**30)] | None = None
    """Address space (RLIMIT_AS): an allocation above it fails."""
    cpu_time_s: Annotated[int, Field(ge=1, le=2**31)] | None = None
    """Processor time over its whole life (RLIMIT_CPU): who uses it up is ended, and restarted by the restart policy."""
    open_files: Annotated[int, Field(ge=8, le=2**20)] | None = None
    """RLIMIT_NOFILE."""


class Triggers(Table):
    """What makes a function run, beside rules."""

    every_s: Annotated[float, Field(ge=1, le=366 * 86400, allow_inf_nan=False)] | None = None
    """From the start of the agent on."""
    cron: Text | None = None
    """Minute, hour, day of the month, month, weekday; or a second before these. In UTC."""
    topics: Annotated[list[Text], AfterValidator(all_different)] = Field(default_factory=list)
    """Each message that comes there, but for retained ones. `+` and `#` as in subscriptions."""


class ModuleSpec(Table):
    """One module. Without `command` it is one that is built in."""

    kind: Literal["process", "function"] = "process"
    """A function runs only when it is triggered."""
    command: Command | None = None
    env: dict[Text, str] = Field(default_factory=dict)
    """Beside what the agent has, apart from FLEETVIEW_AGENT_*."""
    cwd: File | None = None
    user: Text | None = None
    limits: Limits = Limits()
    depends_on: Names = Field(default_factory=list)
    """These have to be running before it is started, and as long as it runs."""
    wait_s: Seconds = 60
    """For those, before it counts as an incident."""
    ready: Probe | None = None
    """Until then it is starting. None: as soon as it is started."""
    healthy: Probe | None = None
    """Asked as long as it runs."""
    restart: RestartPolicy = "always"
    stop_signal: Annotated[str, BeforeValidator(_signal)] = "SIGTERM"
    stop_grace_s: Period = 5
    """After `stop_signal`, before SIGKILL."""
    version: Text | None = None
    """As heartbeats report it."""
    on: Triggers = Triggers()
    timeout_s: Seconds = 60
    """For one call of a function."""
    idle_s: Period = 0
    """How long a function stays loaded after a call. 0: each call has a process of its own."""
    queue: Annotated[int, Field(ge=1, le=1000)] = 16
    """Calls of a function that wait. What comes beyond that is dropped."""

    @model_validator(mode="after")
    def _fits_its_kind(self) -> ModuleSpec:
        foreign = _NOT_OF_FUNCTIONS if self.kind == "function" else _OF_FUNCTIONS
        found = sorted(foreign & self.model_fields_set)
        if found:
            whom = "a function has" if self.kind == "function" else 'only kind = "function" has'
            msg = f"{whom} {'no ' if self.kind == 'function' else ''}{', '.join(found)}: take it away"
            raise ValueError(msg)
        if self.kind == "function" and self.command is None:
            msg = "what a function runs expected: command = [...]"
            raise ValueError(msg)
        return self

    def runs_like(self, other: ModuleSpec) -> bool:
        """Whether a process of the other is as good as one of this: it need not be restarted."""
        return self.model_dump(exclude=_BESIDE) == other.model_dump(exclude=_BESIDE)

    @property
    def stop_signal_number(self) -> signal.Signals:
        """The signal that asks it to stop."""
        return signal.Signals[self.stop_signal]


_BESIDE = {"depends_on", "wait_s", "restart", "stop_signal", "stop_grace_s", "version"}
"""What the agent needs to know of a module, and its process does not."""


def _shape(value: Any) -> str | None:  # noqa: ANN401  (what a file holds)
    if isinstance(value, list):
        return "list"
    return "table" if isinstance(value, Mapping) else None


Modules = Annotated[
    Annotated[Names, Tag("list")] | Annotated[dict[Name, ModuleSpec], Tag("table")],
    Discriminator(
        _shape,
        custom_error_type="modules_type",
        custom_error_message="a list of names, or a table for each module, expected",
    ),
]
"""`["a", "b"]`, or the same as `[modules.a]` and `[modules.b]` with more to say of each."""


def by_name(modules: list[str] | dict[str, ModuleSpec]) -> dict[str, ModuleSpec]:
    """Both shapes as one: a name alone is a module with nothing to say of it."""
    return modules if isinstance(modules, dict) else {name: ModuleSpec() for name in modules}
