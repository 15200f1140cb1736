"""The keys of the agent's configuration, and what each may hold. Where values come from is the matter of `configload`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field

from fleetview_agent.configvalues import File, Name, Table, Text
from fleetview_agent.endpoint import BrokerUrl, TlsFiles
from fleetview_agent.modules.spec import Modules, ModuleSpec, by_name
from fleetview_agent.release.settings import Ota
from fleetview_agent.rules.spec import Filters, Rules
from fleetview_agent.telemetry.spec import Telemetry
from fleetview_agent.wire import DEFAULT_ROOT, Address, Topics

SYSTEM_STORE = "system"
"""As `tls_ca`: trust the authorities that the system trusts, instead of a file."""


def _broker(value: str) -> str:
    BrokerUrl.parse(value)
    return value


def _root(value: str) -> str:
    Topics(value)
    return value


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) and value.upper() in get_args(LogLevel) else value


LogLevel = Literal["DEBUG", "INFO", "WARN", "ERROR"]
Deployment = Literal["static", "container", "function"]


class LogFile(Table):
    """Files of an application whose lines are shipped."""

    path: Text
    """A pattern as the shell has it; `**` stands for any number of folders."""
    service: Text | None = None
    """For lines that name none. None: the file's name without its ending."""


class Logs(Table):
    """Which logs are shipped beside the agent's own."""

    files: list[LogFile] = Field(default_factory=list)


class AgentConfig(Table):
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
    modules: Modules = Field(default_factory=list)
    """Names, or a table for each."""
    labels: dict[Text, str] = Field(default_factory=dict)
    logs: Logs = Logs()
    telemetry: Telemetry = Telemetry()
    """For the module `telemetry_collector`."""
    rules: Rules = Field(default_factory=list)
    """For the module `rule_engine`."""
    publish_topics: Filters = Field(default_factory=list)
    """What rules may publish to beside the device's own events, as in subscriptions. Never below `topic_root`."""
    state_dir: File | None = None
    """Each agent keeps to a folder of its id in it. `configload` puts the system's or the user's folder for state here."""
    deployment: Deployment | None = None
    """`configload` finds out."""
    topic_root: Annotated[str, AfterValidator(_root)] = DEFAULT_ROOT
    release: Text | None = None
    """The version of what runs on the device, as heartbeats report it."""
    ota: Ota = Ota()
    """How the module `ota_updater` takes releases."""
    log_level: Annotated[LogLevel, BeforeValidator(_upper)] = "INFO"
    verify_s: Annotated[float, Field(ge=0.1, le=86400, allow_inf_nan=False)] = 60
    """How long the device has to be well with a new configuration before that counts as good."""

    @property
    def address(self) -> Address:
        """The device."""
        return Address(self.tenant, self.site, self.agent_id)

    @property
    def module_specs(self) -> Mapping[str, ModuleSpec]:
        """The modules by name, whichever way they are written."""
        return by_name(self.modules)

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
CHANGEABLE = frozenset({"heartbeat_interval", "labels", "log_level", "logs", "modules", "rules", "telemetry"})
"""What a configuration document from afar may set. All else says who the device is, how it is reached and what keeps it safe
from such documents: that is its own file's."""
FILE_KEYS = ("tls_cert", "tls_key", "tls_ca", "state_dir")
"""Those that hold one path."""
