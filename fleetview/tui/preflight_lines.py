"""What preflight found on a device, as lines of its page."""

from __future__ import annotations

from collections.abc import Iterator

from fleetview.core.ages import age
from fleetview.core.device import Device
from fleetview.core.trouble import Trouble
from fleetview.tui.columns import Now
from fleetview.tui.glyphs import Glyphs
from fleetview.tui.spans import Line, Span, StyleName, fit, wrap
from fleetview_agent.wire import PreflightReport

_SUBJECT = 16
_MOST = 16
_MOST_CHARACTERS = 400
_LOOKS: dict[str, tuple[Trouble, StyleName]] = {
    "error": (Trouble.CRITICAL, "critical"),
    "warning": (Trouble.DEGRADED, "degraded"),
}


def preflight_lines(device: Device, now: Now, width: int, glyphs: Glyphs) -> Iterator[Line]:
    """The numbers and how old they are, then what is wrong; nothing for a device that reports none."""
    found = device.preflight()
    if found is None:
        return
    when = "" if found.at is None else f"   {age(max(0.0, now.unix_s - found.at.timestamp()))} ago"
    style: StyleName = "critical" if found.errors else "degraded" if found.warnings else "ok"
    yield (Span(f" {found.summary()}", style), Span(when, "dim"))
    yield from _findings(found, width, glyphs)


def _findings(found: PreflightReport, width: int, glyphs: Glyphs) -> Iterator[Line]:
    for finding in found.findings[:_MOST]:
        trouble, style = _LOOKS.get(finding.level or "", (Trouble.UNSEEN, "dim"))
        lead = (Span(f" {glyphs.trouble[trouble]} ", style), Span(fit(finding.subject, _SUBJECT) + " "))
        words = finding.words[:_MOST_CHARACTERS].strip(" ") or "(no words)"
        for line in wrap(words, max(10, width - _SUBJECT - 4)):
            yield (*lead, *line)
            lead = (Span(" " * 3), Span(" " * (_SUBJECT + 1)))
    more = found.errors + found.warnings - len(found.findings[:_MOST])
    if more > 0:
        yield (Span(f" and {more:,} more: fleetview-agent check, on the device", "dim"),)
