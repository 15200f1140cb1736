"""Asks for what a silence needs, on whichever screen somebody wants one. Nothing happens before it is said in numbers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from fleetview.core.alertbook import AlertBook, device_matchers
from fleetview.core.roster import site_of
from fleetview.tui.spans import visible

if TYPE_CHECKING:
    from fleetview.core.device import Device
    from fleetview.core.silences import Matcher
    from fleetview.tui.app import FleetApp

MOST_NAMED = 200
"""Devices in one silence: Alertmanager tries its pattern on every alert, and a person is to be able to read it."""


def refused(app: FleetApp) -> bool:
    """Whether nothing may be changed from here, which is said."""
    words = app.desk.setup.read_only
    if words is None and not app.desk.configured:
        words = "no Alertmanager is configured: --alertmanager URL, or alertmanager = in the context"
    if words is not None:
        app.notify(words, severity="warning", markup=False)
    return words is not None


def ask_for_silence(app: FleetApp, what: str, matchers: Sequence[Matcher]) -> None:
    """Ask how long, who and why."""
    from fleetview.tui.screens.form import Field, FormScreen  # noqa: PLC0415  # imported when first shown

    fields = (
        Field("matchers", "which", visible(", ".join(map(str, matchers))), 'alertname="DiskFull", device="gw-1"'),
        Field("for", "for", "2h", "30m, 2h, 1d12h"),
        Field("author", "author", app.desk.setup.author, "who does it"),
        Field("comment", "comment", "", "why; whoever misses the alert will read it"),
    )
    app.push_screen(FormScreen(f"silence {visible(what)}", fields, app.desk.plan_silence, first="comment"))


def silence_devices(app: FleetApp, devices: Collection[Device]) -> None:
    """Ask for a silence over all alerts of these devices, those that come later too."""
    if refused(app) or not devices:
        return
    sites = {site_of(device) for device in devices}
    members = sum(len(app.fleet.sites.get(site, ())) for site in sites)
    whole_sites = len(devices) > 1 and members == len(devices)
    if len(devices) > MOST_NAMED and not whole_sites:
        app.notify(
            f"{len(devices):,} devices are more than one silence names ({MOST_NAMED}): select fewer, or whole sites",
            severity="warning",
        )
        return
    book = app.desk.book or AlertBook()
    matchers = device_matchers((device.address for device in devices), book, whole_sites=whole_sites)
    ask_for_silence(app, _named(devices, len(sites), whole_sites=whole_sites), matchers)


def _named(devices: Collection[Device], sites: int, *, whole_sites: bool) -> str:
    if len(devices) == 1:
        return str(next(iter(devices)).address)
    where = f"all of {sites} site{'s' * (sites != 1)}" if whole_sites else f"at {sites} site{'s' * (sites != 1)}"
    return f"{len(devices):,} devices, {where}"
