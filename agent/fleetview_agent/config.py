"""The keys of the agent's configuration, and what each may hold. Where values come from is the matter of `configload`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from fleetview_agent.endpoint import BrokerUrl, TlsFiles
from fleetview_agent.wire import DEFAULT_ROOT, Address, Topics

SYSTEM_STORE = "system"
"""As `tls_ca`: trust the authorities that the system trusts, instead of a file."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NAME_WORDS = "1 to 64 letters, digits, '.', '_' or '-' expected, beginning with a letter or digit"


def _name(value: str) -> str:
    if _NAME.fullmatch(value) is None:
        raise ValueError(_NAME_WORDS)
    return value


def _broker(value: str) -> str:
    BrokerUrl.parse(value)
    return value


def _root(value: str) -> str:
    Topics(value)
    return value


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) and value.upper() in get_args(LogLevel) else value


def _all_different(names: list[str]) -> list[str]:
    for name in names:
        if names.count(name) > 1:
            msg = f"{name!r} stands there twice"
            raise ValueError(msg)
    return names


def _not_empty(value: str) -> str:
    if not value:
        msg = "a text expected that is not empty"
        raise ValueError(msg)
    return value


Name = Annotated[str, AfterValidator(_name)]
Text = Annotated[str, AfterValidator(_not_empty)]
File = Annotated[Path, Field(strict=False)]
LogLevel = Literal["DEBUG", "INFO", "WARN", "ERROR"]
Deployment = Literal["static", "container", "function"]


class _Table(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class LogFile(_Table):
    """Files of an application whose lines are shipped."""

    path: Text
    """A pattern as the shell has it; `**` stands for any number of folders."""
    service: Text | None = None
    """For lines that name none. None: the file's name without its ending."""


class Logs(_Table):
    """Which logs are shipped beside the agent's own."""

    files: list[LogFile] = []


class AgentConfig(_Table):
    """Every key of the configuration."""

    agent_id: Name
    """The device id; with `tls_cert`, the certificate's CN."""
    broker_url: Annotated[str, AfterValidator(_broker)]
    """`mqtt://[user[:password]@]host[:port]`, or `mqtts://` for TLS."""
    tenant: Name = "default"
    site: Name = "default"
    tls_cert: File | None = None
    tls_key: File | None = None
    """`configload` puts agent.key beside `tls_cert` here."""
    tls_ca: File | None = None
    """`configload` puts ca.crt beside `tls_cert` here. None or `system`: the authorities that the system trusts."""
    heartbeat_interval: Annotated[float, Field(ge=0.1, le=7 * 86400, allow_inf_nan=False)] = 30
    """In seconds."""
    modules: Annotated[list[Name], AfterValidator(_all_different)] = []
    labels: dict[Text, str] = {}
    logs: Logs = Logs()
    state_dir: File | None = None
    """Each agent keeps to a folder of its id in it. `configload` puts the system's or the user's folder for state here."""
    deployment: Deployment | None = None
    """`configload` finds out."""
    topic_root: Annotated[str, AfterValidator(_root)] = DEFAULT_ROOT
    release: Text | None = None
    """The version of what runs on the device, as heartbeats report it."""
    log_level: Annotated[LogLevel, BeforeValidator(_upper)] = "INFO"

    @property
    def address(self) -> Address:
        """The device."""
        return Address(self.tenant, self.site, self.agent_id)

    @property
    def broker(self) -> BrokerUrl:
        """The broker's URL, taken apart."""
        return BrokerUrl.parse(self.broker_url)

    @property
    def tls(self) -> TlsFiles | None:
        """The TLS files of a link that is TLS, else None."""
        if not self.broker.encrypted:
            return None
        ca = None if str(self.tls_ca) == SYSTEM_STORE else self.tls_ca
        return TlsFiles(cafile=ca, cert=self.tls_cert, key=self.tls_key)


KEYS = tuple(AgentConfig.model_fields)
FILE_KEYS = ("tls_cert", "tls_key", "tls_ca", "state_dir")
"""Those that hold one path."""
