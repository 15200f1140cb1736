"""Which devices a simulated fleet has: names, sites, hardware, labels, releases. Drawn once, from the seed."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal

from fleetview.demo.character import Character
from fleetview_agent.wire import Address, HostInfo

Shipper = Literal["pino", "clef", "logrus"]
RELEASE = "1.4.2"
NEXT_RELEASE = "1.5.0"
CONFIG_VERSION = 12
_CANARY_SHARE = 0.12
"""Of the devices, on the next release."""
_OLD_CONFIG_SHARE = 0.06
_SHIPPER_SHARE = 0.06
"""Of the devices, with an application whose own log shipper writes to the log topic too."""
_HOSTS = (
    ("rev-a", "aarch64", "Debian GNU/Linux 12", "6.1.0-18-arm64", 4, 4_127_195_136, 6),
    ("rev-b", "aarch64", "Debian GNU/Linux 12", "6.1.0-21-arm64", 4, 8_201_883_648, 5),
    ("rev-c", "x86_64", "Ubuntu 22.04.4 LTS", "5.15.0-107-generic", 8, 16_622_977_024, 3),
    ("rev-a", "armv7l", "Yocto 4.0 (kirkstone)", "5.15.124-yocto", 2, 1_038_536_704, 2),
)
"""Hardware, arch, os, kernel, cpus, memory in bytes, and how frequent."""
_REGIONS = ("eu", "eu", "us", "eu", "ap", "us")
_CORE_MODULES = ("telemetry_collector", "rule_engine", "ota_updater")
_MORE_MODULES = ("opcua_bridge", "modbus_gateway", "video_analytics", "historian")
_DAY_S = 86_400
_FEW_SITES = 6
_MANY_DEVICES = 240


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """What a device is, before anything happens to it."""

    index: int
    address: Address
    host: HostInfo
    labels: dict[str, str]
    deployment: Literal["static", "container"]
    modules: tuple[str, ...]
    release: str
    config_version: int
    character: Character
    session_age_s: float
    """How long the session has been running when the simulation begins."""
    certificate_days: float
    """How long its certificate is still valid."""
    shipper: Shipper | None


def default_sites(devices: int) -> int:
    """How many sites a fleet of this size has: ten devices a site up to six sites, forty a site in large fleets."""
    return max(1, min(devices // 10, _FEW_SITES if devices <= _MANY_DEVICES else devices // 40))


def _site_sizes(devices: int, sites: int) -> list[int]:
    """Uneven, as sites are. They add up to `devices`, and none is empty."""
    weights = [1.0 + 0.5 * ((sites - site) % _FEW_SITES) / _FEW_SITES for site in range(sites)]
    total = sum(weights)
    sizes = [max(1, int(devices * weight / total)) for weight in weights]
    for index in range(devices - sum(sizes)):
        sizes[index % sites] += 1
    return sizes


def plan_fleet(*, seed: int, devices: int, sites: int | None = None, tenant: str = "acme") -> list[DevicePlan]:
    """The devices of a fleet, in the order of their names. Raises ValueError for numbers that make no fleet."""
    if devices < 1:
        msg = f"{devices} devices: at least one is needed"
        raise ValueError(msg)
    sites = default_sites(devices) if sites is None else sites
    if not 1 <= sites <= devices:
        msg = f"{sites} sites for {devices} devices: at least one site, and no more sites than devices"
        raise ValueError(msg)
    width = max(4, len(str(devices)))
    plans: list[DevicePlan] = []
    for site, size in enumerate(_site_sizes(devices, sites)):
        rng = Random(f"{seed}/site/{site}")  # noqa: S311  # a simulation
        shift_s = rng.uniform(-2, 2) * 3600
        distance_ms = rng.choice((3.0, 8.0, 22.0, 41.0))
        region = _REGIONS[site % len(_REGIONS)]
        for _ in range(size):
            index = len(plans)
            address = Address.of(tenant, f"plant-{site + 1}", f"gw-{index + 1:0{width}d}")
            own = Random(f"{seed}/device/{index}")  # noqa: S311  # a simulation
            character = Character.draw(own, shift_s=shift_s, distance_ms=distance_ms)
            plans.append(_plan_device(index, address, region, character, own))
    return plans


def _plan_device(index: int, address: Address, region: str, character: Character, rng: Random) -> DevicePlan:
    hardware, arch, system, kernel, cpus, memory_bytes, _ = rng.choices(_HOSTS, [host[-1] for host in _HOSTS])[0]
    canary = rng.random() < _CANARY_SHARE
    return DevicePlan(
        index=index,
        address=address,
        host=HostInfo(
            arch=arch,
            os=system,
            kernel=kernel,
            cpus=cpus,
            memory_bytes=memory_bytes,
            hostname=address.device,
            boot_id=f"{rng.getrandbits(128):032x}",
        ),
        labels={
            "ring": "canary" if canary else rng.choice(("early", "stable", "stable", "stable")),
            "region": region,
            "hardware": hardware,
        },
        deployment=rng.choice(("static", "container")),
        modules=(*_CORE_MODULES, *sorted(rng.sample(_MORE_MODULES, rng.choice((0, 1, 1, 2))))),
        release=NEXT_RELEASE if canary else RELEASE,
        config_version=CONFIG_VERSION - (rng.random() < _OLD_CONFIG_SHARE),
        character=character,
        session_age_s=rng.uniform(0.2, 30) * _DAY_S,
        certificate_days=rng.uniform(60, 360),
        shipper=rng.choice(("pino", "clef", "logrus")) if rng.random() < _SHIPPER_SHARE else None,
    )
