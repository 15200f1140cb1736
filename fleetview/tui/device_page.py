"""The device screen as a document of lines. Pure, so that what it says is tested without a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from fleetview.core.ages import age
from fleetview.core.device import ConfigAxis, Connectivity, Device
from fleetview.core.fleet import Fleet
from fleetview.core.trouble import Trouble
from fleetview.core.twin import twin_reasons, twin_rows
from fleetview.core.why import why
from fleetview.tui.columns import Now, percent, seen
from fleetview.tui.device_charts import chart_lines
from fleetview.tui.glyphs import Glyphs, connectivity_span, health_span
from fleetview.tui.log_rows import log_row
from fleetview.tui.preflight_lines import preflight_lines
from fleetview.tui.spans import EMPTY, Line, Span, StyleName, beside, fit, line_width, pad, visible, width_of, wrap
from fleetview_agent.wire import Birth, Heartbeat, ModuleInfo

WIDE = 110
RECENT_LOGS = 12
RECENT_EVENTS = 16
_LABEL = 12
_ADDRESS_AT_LEAST = 24
_LONG = 1e15
"""From here on a number is shorter with an exponent."""
_MOST_REASONS = 12
_MOST_MODULES = 40
_MOST_CHARACTERS = 1000
"""Of one value; a device may send a quarter of a megabyte, and the page is drawn anew every second."""
_MODULE_STYLE: dict[str, tuple[Trouble, StyleName]] = {
    "running": (Trouble.OK, "ok"),
    "starting": (Trouble.STALE, "dim"),
    "waiting": (Trouble.STALE, "stale"),
    "backoff": (Trouble.DEGRADED, "degraded"),
    "failed": (Trouble.CRITICAL, "critical"),
    "stopped": (Trouble.OFFLINE, "dim"),
}
_CONFIG_STYLE: dict[ConfigAxis, StyleName] = {
    ConfigAxis.UNMANAGED: "dim",
    ConfigAxis.IN_SYNC: "ok",
    ConfigAxis.PENDING: "degraded",
    ConfigAxis.APPLYING: "degraded",
    ConfigAxis.REJECTED: "critical",
    ConfigAxis.ROLLED_BACK: "critical",
    ConfigAxis.FAILED: "critical",
    ConfigAxis.DRIFTED: "degraded",
}


@dataclass(frozen=True, slots=True)
class Page:
    """What a device page is drawn from."""

    fleet: Fleet
    device: Device
    now: Now
    glyphs: Glyphs
    width: int
    alerts: tuple[Line, ...] = ()
    """What Prometheus and Alertmanager say of it."""


def device_title(page: Page, *, known: bool = True) -> Line:
    """Address, state, health and since when. A long address gives way: the state behind it must be seen."""
    device, now, glyphs = page.device, page.now, page.glyphs
    address = str(device.address)
    since = "" if device.since_unix is None else f" for {age(now.unix_s - device.since_unix)}"
    health_since = "" if device.health_since_unix is None else f" for {age(now.unix_s - device.health_since_unix)}"
    state: Line = (
        connectivity_span(device, glyphs),
        Span(since, "dim"),
        Span("   "),
        health_span(device, glyphs),
        Span(health_since if device.connectivity is Connectivity.ONLINE else "", "dim"),
        Span("   last heard ", "dim"),
        Span("never" if device.seen_mono is None else f"{age(now.mono_s - device.seen_mono)} ago"),
    )
    if not known:
        state = (Span("removed from the fleet; this is the last that was known of it", "degraded"),)
    room = max(_ADDRESS_AT_LEAST, page.width - line_width(state) - 4)
    return (Span(" "), Span(fit(address, min(room, len(address))), "bold"), Span("   "), *state)


def device_page(page: Page) -> list[Line]:
    """The whole document."""
    heartbeat, birth = page.device.heartbeat(), page.device.birth()
    lines = [*_why(page), *page.alerts]
    width = (page.width - 4) // 2 if page.width >= WIDE else page.width - 2
    facts = list(_facts(page, heartbeat, birth, width))
    modules = list(_modules(page, heartbeat, birth, width))
    charts = list(chart_lines(page.fleet, page.device, page.now, width, page.glyphs))
    if page.width >= WIDE:
        half = width
        left = (
            *_section("last hour, from heartbeats", half, page.glyphs),
            *charts,
            *_section("facts", half, page.glyphs),
            *facts,
            *_section("desired against reported", half, page.glyphs),
            *_twin(page, half),
            *_preflight(page, half),
        )
        right = (
            *_section("modules", half, page.glyphs),
            *modules,
            *_section("what happened", half, page.glyphs),
            *_events(page, half),
        )
        lines += beside(left, right, half, gap=3)
    else:
        wide = width
        lines += (*_section("modules", wide, page.glyphs), *modules)
        lines += (*_section("last hour, from heartbeats", wide, page.glyphs), *charts)
        lines += (*_section("what happened", wide, page.glyphs), *_events(page, wide))
        lines += (*_section("facts", wide, page.glyphs), *facts)
        lines += (*_section("desired against reported", wide, page.glyphs), *_twin(page, wide))
        lines += _preflight(page, wide)
    lines += _logs(page)
    return lines


def _section(title: str, width: int, glyphs: Glyphs) -> Iterator[Line]:
    yield EMPTY
    yield (
        Span(f" {glyphs.rule * 2} ", "rule"),
        Span(title, "head"),
        Span(" " + glyphs.rule * max(0, width - len(title) - 5), "rule"),
    )


def _field(name: str, value: str, width: int, style: StyleName = "plain") -> Iterator[Line]:
    yield from _after(Span(" " + fit(name, _LABEL), "dim"), _wrapped(value, width - _LABEL - 1, style))


def _wrapped(text: str, width: int, style: StyleName = "plain", after: str = "") -> Iterator[Line]:
    """Text from outside in lines: neither without end, nor nothing at all."""
    cut = "…" if len(text) > _MOST_CHARACTERS else ""
    return wrap((text[:_MOST_CHARACTERS].strip(" ") or "(no words)") + cut + after, width, style)


def _after(lead: Span, lines: Iterable[Line]) -> Iterator[Line]:
    """Lines behind a lead, which stands before the first of them only."""
    for line in lines:
        yield (lead, *line)
        lead = Span(" " * width_of(lead.text))


def _why(page: Page) -> Iterator[Line]:
    reasons = why(page.device, page.now.mono_s, page.now.unix_s)
    if not reasons:
        yield (Span(" why  ", "dim"), Span("nothing is wrong with it"))
        return
    for index, reason in enumerate(reasons[:_MOST_REASONS]):
        since = (
            ""
            if reason.since_unix is None
            else f"  (since {_clock(reason.since_unix)}, {age(page.now.unix_s - reason.since_unix)})"
        )
        lead = Span(" why  " if index == 0 else "      ", "dim")
        yield from _after(lead, _wrapped(reason.text, page.width - 8, after=since))
    if len(reasons) > _MOST_REASONS:
        yield (Span(f"      and {len(reasons) - _MOST_REASONS:,} more", "dim"),)


def _facts(page: Page, heartbeat: Heartbeat | None, birth: Birth | None, width: int) -> Iterator[Line]:
    device = page.device
    yield from _vitals(page, heartbeat, width)
    host = birth.host if birth else None
    if host is not None:
        memory = f", {host.memory_bytes / 2**30:.1f} GiB" if host.memory_bytes else ""
        yield from _field(
            "machine", ", ".join(filter(None, (host.hostname, host.arch, f"{host.cpus or '?'} CPUs{memory}"))), width
        )
        yield from _field("system", ", ".join(filter(None, (host.os, host.kernel))), width)
    if birth is not None:
        agent = birth.agent.version if birth.agent else None
        yield from _field(
            "agent", ", ".join(filter(None, (agent, birth.deployment, f"heartbeat every {device.interval_s:g} s"))), width
        )
    if device.labels:
        yield from _field("labels", "  ".join(f"{name}={value}" for name, value in sorted(device.labels.items())), width)
    yield from _field("lifecycle", device.lifecycle, width)
    yield from _field("session", device.session or "-", width)
    if device.certificate_until_unix is not None:
        left = device.certificate_until_unix - page.now.unix_s
        words = f"expired {age(-left)} ago" if left < 0 else f"expires in {age(left)}"
        yield from _field("certificate", words, width, "error" if left < 0 else "plain")
    skew = device.clock_skew_s
    if skew is not None:
        words = f"{age(abs(skew))} {'ahead' if skew > 0 else 'behind'}" if abs(skew) >= 1 else "in step"
        yield from _field("clock", words, width)
    yield from _field("heartbeats", f"{device.lost_heartbeats} lost on the way", width)
    if device.malformed:
        yield from _field("not valid", f"{device.malformed}, the last: {device.malformed_reason}", width, "degraded")


def _vitals(page: Page, heartbeat: Heartbeat | None, width: int) -> Iterator[Line]:
    vitals = page.device.vitals
    current = page.device.connectivity is Connectivity.ONLINE
    style: StyleName = "plain" if current else "dim"
    stamp = "" if current else f"{seen(page.device, page.now)} old:  "
    temperature = "" if vitals.temperature_c is None else f"   {vitals.temperature_c:.0f} C"
    yield from _field(
        "vitals",
        f"{stamp}CPU {percent(vitals.cpu)}   memory {percent(vitals.memory)}   disk {percent(vitals.disk)}{temperature}",
        width,
        style,
    )
    if heartbeat is None:
        return
    if heartbeat.uptime_s is not None:
        yield from _field("uptime", stamp + age(heartbeat.uptime_s), width, style)
    if heartbeat.link is not None:
        rtt = "-" if heartbeat.link.rtt_ms is None else f"{heartbeat.link.rtt_ms:.0f} ms"
        yield from _field("link", f"round trip {rtt}, {heartbeat.link.reconnects} reconnects", width, style)
    if heartbeat.spool is not None:
        spool = heartbeat.spool
        oldest = "" if not spool.oldest_s else f", oldest {age(spool.oldest_s)}"
        bad = spool.dropped > 0
        words = f"{spool.records:,} records wait{oldest}, {spool.dropped:,} dropped"
        yield from _field("spool", words, width, "degraded" if bad else style)
    if heartbeat.metrics:
        shown = [f"{name}={_number(value)}" for name, value in heartbeat.metrics.items() if value is not None]
        yield from _field("metrics", "  ".join(shown), width, style)


def _modules(page: Page, heartbeat: Heartbeat | None, birth: Birth | None, width: int) -> Iterator[Line]:
    modules: list[ModuleInfo] = list(heartbeat.modules) if heartbeat else []
    if not modules:
        names = ", ".join(birth.modules if birth else ())
        yield from _after(Span(" "), _wrapped(names or "none reported", width - 1, "dim"))
        return
    current = page.device.connectivity is Connectivity.ONLINE
    names_width = min(28, max(width_of(visible(module.name[:64])) for module in modules))
    for module in modules[:_MOST_MODULES]:
        trouble, style = _MODULE_STYLE.get(module.state or "", (Trouble.UNSEEN, "dim"))
        restarts = f"{module.restarts} restart{'' if module.restarts == 1 else 's'}" if module.restarts else ""
        yield (
            Span(f" {page.glyphs.trouble[trouble]} ", style if current else "dim"),
            Span(fit(module.name, names_width)),
            Span(f"  {fit(module.state or '?', 9)}", style if current else "dim"),
            Span(fit(module.version or "", 9), "dim"),
            Span(restarts, "dim"),
        )
        if module.reason:
            yield from _after(Span(" " * 5), _wrapped(module.reason, width - 5, style if current else "dim"))
    if len(modules) > _MOST_MODULES:
        yield (Span(f" and {len(modules) - _MOST_MODULES:,} more", "dim"),)


def _twin(page: Page, width: int) -> Iterator[Line]:
    device = page.device
    state: Line = (
        Span(" " + fit("state", _LABEL), "dim"),
        Span(device.config.value.replace("_", " "), _CONFIG_STYLE[device.config]),
        Span(f"   rollout {device.rollout}" if device.rollout else "", "dim"),
    )
    yield pad(state, width)
    column = max(10, (width - _LABEL - 4) // 2)
    yield (Span(" " + fit("", _LABEL) + fit("desired", column) + " reported", "head"),)
    for row in twin_rows(device):
        first = Span(f" {fit(row.name, _LABEL)}", "dim"), Span(f"{fit(row.desired, column)} ")
        for index, told in enumerate(wrap(row.reported, column)):
            yield (*(first if index == 0 else (Span(" " * (_LABEL + column + 2)),)), *told)
    for reason in twin_reasons(device):
        yield from _after(Span(" " * (_LABEL + 1)), _wrapped(reason, width - _LABEL - 2, "degraded"))


def _preflight(page: Page, width: int) -> Iterator[Line]:
    lines = list(preflight_lines(page.device, page.now, width, page.glyphs))
    if lines:
        yield from _section("preflight", width, page.glyphs)
        yield from lines


def _events(page: Page, width: int) -> Iterator[Line]:
    events = list(page.device.events or ())[-RECENT_EVENTS:]
    if not events:
        yield (Span(" nothing since fleetview watches", "dim"),)
    for event in reversed(events):
        yield from _after(Span(f" {_clock(event.unix_s)}  ", "dim"), _wrapped(event.text, width - 12))


def _logs(page: Page) -> Iterator[Line]:
    tally = page.fleet.logbook.tally(page.device.address)
    summary = (
        f"logs: {tally.records:,} received, {tally.missing:,} missing in {tally.gaps} gaps, {tally.duplicates:,} duplicates"
    )
    yield from _section(summary, page.width - 2, page.glyphs)
    entries = page.fleet.logbook.of(page.device.address, last=RECENT_LOGS)
    if not entries:
        yield (Span(" none received since fleetview watches", "dim"),)
    for entry in reversed(entries):
        yield log_row(entry, page.width)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value.is_integer() and abs(value) < _LONG else f"{value:.4g}"


def _clock(unix_s: float) -> str:
    return f"{datetime.fromtimestamp(unix_s, UTC):%H:%M:%S}"
