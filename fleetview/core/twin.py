"""What a device should run against what it does run, in words for a table: the same on the screen and in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fleetview.core.device import Device
    from fleetview_agent.wire import ConfigOffer, ConfigReport, ReleaseReport

_NOTHING = "-"
_DIGITS = 8
"""Of a hash: enough to tell two configurations apart."""


class Row(NamedTuple):
    """One thing that a device should have, and has."""

    name: str
    desired: str
    reported: str


def twin_rows(device: Device) -> list[Row]:
    """Generation, configuration and release. What was never reported is taken from the heartbeat."""
    desired, reported = device.desired, device.reported
    wanted = desired.config if desired is not None else None
    runs = reported.config if reported is not None else None
    wanted_release = desired.release if desired is not None else None
    runs_release = reported.release if reported is not None else None
    return [
        Row(
            "generation",
            _NOTHING if desired is None else str(desired.gen),
            _NOTHING if reported is None else str(reported.gen),
        ),
        Row(
            "config",
            _NOTHING if wanted is None else _numbered(wanted),
            _told(device.config_version) if runs is None else _config(runs),
        ),
        Row(
            "release",
            _NOTHING if wanted_release is None else _told(wanted_release.version),
            _told(device.release) if runs_release is None else _release(runs_release),
        ),
    ]


def twin_reasons(device: Device) -> Iterator[str]:
    """What the device says of how it stands with them."""
    reported = device.reported
    for part in (reported.config, reported.release) if reported is not None else ():
        if part is not None and part.reason:
            yield part.reason


def _numbered(config: ConfigOffer | ConfigReport, status: str | None = None) -> str:
    parts = (None if config.version is None else str(config.version), status, (config.sha256 or "")[:_DIGITS])
    return " ".join(part for part in parts if part) or _NOTHING


def _config(config: ConfigReport) -> str:
    words = _numbered(config, config.status)
    if config.status in {None, "applied"} or config.last_good in {None, config.version}:
        return words
    return f"{words}, last good {config.last_good}"


def _release(release: ReleaseReport) -> str:
    shown = release.progress is not None and release.status not in {None, "committed"}
    parts = (release.version, release.status, f"{release.progress:.0%}" if shown else None)
    return " ".join(part for part in parts if part) or _NOTHING


def _told(value: object) -> str:
    return _NOTHING if value is None else str(value)
