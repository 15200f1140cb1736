"""How a simulated device takes what a controller wants: step by step, reporting each, as a real agent does."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from fleetview.demo.devices import NORMAL_FAILING, Device
from fleetview_agent.wire import ConfigOffer, ConfigReport, Desired, ReleaseOffer, ReleaseReport

Story = Generator[float, None, None]
"""Yields seconds to wait."""

BAD_RELEASE = "1.6.0"
"""Raises errors, on one kind of hardware only."""
BAD_ON = "rev-b"
BAD_FAILING = 0.06
_LOOK_AGAIN_S = 1.0
_SUFFERS_EVERY_S = (4.0, 12.0)


def follow(device: Device, desired: Desired) -> Story:
    """What comes of an offer; nothing when it is older than what the device has heard of."""
    if not device.take_offer(desired):
        return
    yield from _there(device)
    yield device.rng.uniform(0.5, 2.5)
    if device.offered is not desired:
        return  # another one has come since
    device.gen = desired.gen
    if desired.release is not None and desired.release.version not in {None, device.release}:
        device.release_report = ReleaseReport(version=desired.release.version, previous=device.release, status="queued")
    if desired.config is not None and desired.config.version is not None:
        yield from _configure(device, desired, desired.config)
    if desired.release is not None and desired.release.version is not None and device.offered is desired:
        yield from _update(device, desired, desired.release)
    yield from _there(device)
    device.report()
    while device.offered is desired and _suffers(device):
        yield device.rng.uniform(*_SUFFERS_EVERY_S)
        if _suffers(device):
            _complain(device)


def _there(device: Device) -> Story:
    """Until the device has a link again; it does what it does meanwhile, but nobody hears of it."""
    while not device.connected:
        yield _LOOK_AGAIN_S


def _configure(device: Device, desired: Desired, offer: ConfigOffer) -> Story:
    last_good = device.config.last_good
    fields: dict[str, Any] = {"version": offer.version, "sha256": offer.sha256}
    device.config = ConfigReport(**fields, status="applying", last_good=last_good)
    device.report()
    yield device.rng.uniform(0.5, 3.0)
    if device.offered is desired:
        device.config = ConfigReport(**fields, status="applied", last_good=offer.version)
        device.report()


def _update(device: Device, desired: Desired, offer: ReleaseOffer) -> Story:
    wanted, before = str(offer.version), device.release
    if wanted == before:
        device.release_report = ReleaseReport(version=wanted, previous=before, status="committed", progress=1.0)
        return
    for status, progress, takes_s in (
        ("downloading", 0.3, 2.0), ("downloading", 0.8, 2.0), ("verifying", 1.0, 0.5), ("applying", 1.0, 1.5),
    ):  # fmt: skip
        _say(device, version=wanted, previous=before, status=status, progress=progress)
        yield device.rng.uniform(0.5, 1.5) * takes_s
        if device.offered is not desired:
            return
    device.release = wanted
    for name, module in device.modules.items():
        device.set_module(name, module.state or "running", reason=module.reason)  # of the new version
    _feel(device)
    _say(device, version=wanted, previous=before, status="checking", progress=1.0)
    device.log("INFO", "ota_updater", f"release {wanted} is checked", previous=before)
    if device.connected:
        device.beat()
    yield device.rng.uniform(2.0, 6.0)
    if device.offered is desired:
        _say(device, version=wanted, previous=before, status="committed", progress=1.0)
        device.log("INFO", "ota_updater", f"release {wanted} committed", previous=before)


def _say(device: Device, **fields: Any) -> None:  # noqa: ANN401
    device.release_report = ReleaseReport(**fields)
    device.report()


def _feel(device: Device) -> None:
    """What the release does to the device."""
    suffers = _suffers(device)
    device.strain.failing = BAD_FAILING if suffers else NORMAL_FAILING
    if suffers:
        _complain(device)


def _suffers(device: Device) -> bool:
    return device.release == BAD_RELEASE and device.plan.labels.get("hardware") == BAD_ON


def _complain(device: Device) -> None:
    device.log("ERROR", "rule_engine", "evaluation failed: KeyError 'limit'", rule="overheat")
