"""Topics of the contract as typed values, both ways: built from an address, parsed from what a broker sends."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

from fleetview_agent.wire.errors import WireError

DEFAULT_ROOT = "fleet/v1"
CONTROL_PLANE = "_fleet"
"""Stands in the place of a site; no site can have this name, for a name does not begin with an underscore."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LEVEL = re.compile(r"[^/+#\x00-\x1f]+(?:/[^/+#\x00-\x1f]+)*")


class Channel(StrEnum):
    """What a topic carries."""

    BIRTH = "birth"
    STATE = "state"
    HEARTBEAT = "heartbeat"
    LOG = "log"
    LOG_ACK = "log/ack"
    DESIRED = "desired"
    REPORTED = "reported"
    COMMAND = "command"
    COMMAND_RESULT = "command/result"
    CONTROLLER = "controller"
    ROLLOUT = "rollout"
    ROLLOUT_COMMAND = "rollout/command"


RETAINED = frozenset(
    {
        Channel.BIRTH,
        Channel.STATE,
        Channel.HEARTBEAT,
        Channel.LOG_ACK,
        Channel.DESIRED,
        Channel.REPORTED,
        Channel.CONTROLLER,
        Channel.ROLLOUT,
    }
)
_DEVICE_CHANNELS = {
    channel.value: channel
    for channel in (
        Channel.BIRTH,
        Channel.STATE,
        Channel.HEARTBEAT,
        Channel.LOG,
        Channel.DESIRED,
        Channel.REPORTED,
    )
}


def _check_name(what: str, value: str) -> str:
    if _NAME.fullmatch(value) is None:
        msg = f"{what} {value[:200]!r} is not a name: 1 to 64 letters, digits, '.', '_' or '-', the first a letter or digit"
        raise WireError(msg)
    return value


class Address(NamedTuple):
    """A device: `tenant/site/device`, written that way wherever a person reads or types it."""

    tenant: str
    site: str
    device: str

    def __str__(self) -> str:
        return f"{self.tenant}/{self.site}/{self.device}"

    @classmethod
    def of(cls, tenant: str, site: str, device: str) -> Address:
        """The address with these parts. Raises WireError, naming the part that is not a name."""
        return cls(_check_name("tenant", tenant), _check_name("site", site), _check_name("device", device))

    @classmethod
    def parse(cls, text: str) -> Address:
        """The address written as `tenant/site/device`. Raises WireError."""
        parts = text.split("/")
        if len(parts) != 3:  # noqa: PLR2004
            msg = f"{text!r} is not an address: tenant/site/device expected"
            raise WireError(msg)
        return cls.of(*parts)


class DeviceTopic(NamedTuple):
    """A topic of one device. `command_id` is there for commands and their results only."""

    address: Address
    channel: Channel
    command_id: str | None = None


class FleetTopic(NamedTuple):
    """A topic of one tenant's control plane. `rollout_id` is there for rollouts only."""

    tenant: str
    channel: Channel
    rollout_id: str | None = None


class Topics:
    """Builds and parses the topics below one root (`fleet/v1` unless configured otherwise)."""

    __slots__ = ("_depth", "_prefix", "root")

    def __init__(self, root: str = DEFAULT_ROOT) -> None:
        if _LEVEL.fullmatch(root) is None:
            msg = f"topic root {root!r}: levels joined by '/' expected, without '+', '#' or control characters"
            raise WireError(msg)
        self.root = root
        self._prefix = root + "/"
        self._depth = len(self._prefix)

    def device(self, address: Address, channel: Channel, command_id: str | None = None) -> str:
        """The topic of a device's channel; commands and results need their id. Raises WireError."""
        base = f"{self._prefix}{address}/"
        match channel:
            case Channel.COMMAND | Channel.COMMAND_RESULT:
                if command_id is None:
                    msg = f"a topic for {channel.value!r} needs a command id"
                    raise WireError(msg)
                topic = f"{base}command/{_check_name('command id', command_id)}"
                return topic if channel is Channel.COMMAND else f"{topic}/result"
            case Channel.CONTROLLER | Channel.ROLLOUT | Channel.ROLLOUT_COMMAND:
                msg = f"{channel.value!r} is not a channel of a device"
                raise WireError(msg)
            case _:
                return base + channel.value

    def controller(self, tenant: str) -> str:
        """The topic on which a tenant's leading controller is named."""
        return f"{self._prefix}{_check_name('tenant', tenant)}/{CONTROL_PLANE}/controller"

    def rollout(self, tenant: str, rollout_id: str) -> str:
        """The topic of a rollout's public snapshot."""
        return (
            f"{self._prefix}{_check_name('tenant', tenant)}/{CONTROL_PLANE}/rollout/{_check_name('rollout id', rollout_id)}"
        )

    def rollout_command(self, tenant: str, rollout_id: str) -> str:
        """The topic on which operators steer a rollout."""
        return f"{self.rollout(tenant, rollout_id)}/command"

    def filter(self, channel: Channel, tenant: str = "+", site: str = "+", device: str = "+") -> str:
        """The subscription for one channel of all devices, or of those of one tenant, site or device."""
        base = f"{self._prefix}{tenant}/{site}/{device}/"
        match channel:
            case Channel.COMMAND:
                return base + "command/+"
            case Channel.COMMAND_RESULT:
                return base + "command/+/result"
            case Channel.CONTROLLER:
                return f"{self._prefix}{tenant}/{CONTROL_PLANE}/controller"
            case Channel.ROLLOUT:
                return f"{self._prefix}{tenant}/{CONTROL_PLANE}/rollout/+"
            case Channel.ROLLOUT_COMMAND:
                return f"{self._prefix}{tenant}/{CONTROL_PLANE}/rollout/+/command"
            case _:
                return base + channel.value

    def parse(self, topic: str) -> DeviceTopic | FleetTopic:
        """What a topic stands for. Raises WireError for everything that the contract does not name."""
        if not topic.startswith(self._prefix):
            msg = f"topic {topic[:200]!r} is not below {self.root!r}"
            raise WireError(msg)
        parts = topic[self._depth :].split("/")
        if len(parts) >= 3 and parts[1] == CONTROL_PLANE:  # noqa: PLR2004
            return self._parse_fleet(parts)
        match parts:
            case [tenant, site, device, name] if (channel := _DEVICE_CHANNELS.get(name)) is not None:
                return DeviceTopic(Address.of(tenant, site, device), channel)
            case [tenant, site, device, "log", "ack"]:
                return DeviceTopic(Address.of(tenant, site, device), Channel.LOG_ACK)
            case [tenant, site, device, "command", command_id]:
                return DeviceTopic(Address.of(tenant, site, device), Channel.COMMAND, _check_name("command id", command_id))
            case [tenant, site, device, "command", command_id, "result"]:
                return DeviceTopic(
                    Address.of(tenant, site, device), Channel.COMMAND_RESULT, _check_name("command id", command_id)
                )
        msg = f"topic {topic[:200]!r} names no channel of the contract"
        raise WireError(msg)

    @staticmethod
    def _parse_fleet(parts: list[str]) -> FleetTopic:
        tenant = _check_name("tenant", parts[0])
        match parts[2:]:
            case ["controller"]:
                return FleetTopic(tenant, Channel.CONTROLLER)
            case ["rollout", rollout_id]:
                return FleetTopic(tenant, Channel.ROLLOUT, _check_name("rollout id", rollout_id))
            case ["rollout", rollout_id, "command"]:
                return FleetTopic(tenant, Channel.ROLLOUT_COMMAND, _check_name("rollout id", rollout_id))
        msg = f"{'/'.join(parts)[:200]!r} names no channel of a tenant's control plane"
        raise WireError(msg)
