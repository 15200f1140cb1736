"""What can go wrong on simulated devices, each told as a story.

A story is a generator: it changes the device, writes the log lines that such a thing leaves behind, and yields the seconds
until it goes on. The simulation resumes it when they have passed. So a fault reads from top to bottom as it unfolds, and
its log lines and its heartbeats cannot contradict each other.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from random import Random

from fleetview.demo import ids
from fleetview.demo.devices import NORMAL_FAILING, Device
from fleetview.demo.inventory import CONFIG_VERSION, NEXT_RELEASE
from fleetview_agent.wire import Channel, ConfigReport, ReleaseReport

Story = Generator[float, None, None]
"""Yields seconds to wait."""

KEEPALIVE_S = 20.0
"""Of a simulated agent's connection; the broker publishes the will after one and a half of it (MQTT 5, 3.1.2.10)."""
_WILL_AFTER_S = 1.5 * KEEPALIVE_S
_STEP_S = 5.0
_BACKOFF_S = (2.0, 4.0, 8.0, 12.0, 16.0)
_WAITING_FOR_MAINTENANCE_S = 86_400.0


def module_crash_loop(device: Device, module: str = "rule_engine") -> Story:
    """A module dies at every start, until the supervisor gives up: degraded, then critical, for good."""
    trace = ids.trace_id(device.rng)
    for attempt, backoff_s in enumerate(_BACKOFF_S, start=1):
        device.log("ERROR", module, "evaluation failed: KeyError 'limit'", trace_id=trace, rule="overheat", attempt=attempt)
        device.log("WARN", "fleetview-agent", f"module {module} ended: exit status 1; next start in {backoff_s:.0f} s",
                   module=module, exit_status=1)  # fmt: skip
        device.set_module(module, "backoff", reason="exit status 1")
        device.strain.failing = 0.004 * attempt
        yield backoff_s
        device.set_module(module, "starting", restarted=True)
        yield 1.5
        device.set_module(module, "running")
        yield 1.0
    device.log("ERROR", module, "evaluation failed: KeyError 'limit'", trace_id=trace, rule="overheat", attempt=6)
    device.log("ERROR", "fleetview-agent", f"module {module} failed after 5 restarts: exit status 1; it stays down",
               module=module)  # fmt: skip
    device.set_module(module, "failed", reason="exit status 1")


def module_crash_and_recovery(device: Device, module: str = "telemetry_collector") -> Story:
    """A module dies once, and comes back."""
    device.log(
        "ERROR", module, "source timed out: opc.tcp://10.20.3.14:4840", trace_id=ids.trace_id(device.rng), timeout_s=5
    )
    device.log("WARN", "fleetview-agent", f"module {module} ended: killed by signal 9 (out of memory); next start in 6 s",
               module=module)  # fmt: skip
    device.set_module(module, "backoff", reason="killed by signal 9 (out of memory)")
    device.strain.memory += 0.18
    yield 14.0
    device.set_module(module, "starting", restarted=True)
    device.strain.memory -= 0.18
    yield 3.0
    device.set_module(module, "running")
    device.log("INFO", "fleetview-agent", f"module {module} runs again, restart {device.modules[module].restarts}",
               module=module)  # fmt: skip


def link_drop(device: Device, away_s: float) -> Story:
    """The network goes, the broker publishes the will after its keepalive, and some time later the device is back."""
    device.lose_link()
    device.log("WARN", "uplink", "link down: no answer from the broker", rtt_ms=None)
    patience_s = 1.0
    since_s = 0.0
    while since_s < away_s:
        wait_s = min(patience_s, away_s - since_s)
        if since_s < _WILL_AFTER_S <= since_s + wait_s:
            yield _WILL_AFTER_S - since_s
            device.be_declared_lost()
            wait_s -= _WILL_AFTER_S - since_s
            since_s = _WILL_AFTER_S
        yield wait_s
        since_s += wait_s
        patience_s = min(60.0, patience_s * 2)
        device.log("WARN", "uplink", f"still no link, retrying in {patience_s:.0f} s")
    device.regain_link()
    device.log("INFO", "uplink", f"link up again after {away_s:.0f} s", away_s=round(away_s, 1))


def flapping(device: Device) -> Story:
    """A watchdog that is set too tight restarts the agent over and over: a new session each time."""
    while True:
        yield device.rng.uniform(9, 16)
        device.log(
            "WARN", "watchdog", "ota_updater did not answer within 5 s, restarting fleetview-agent", unit="fleetview-agent"
        )
        device.say_goodbye("stopped by SIGTERM")
        yield device.rng.uniform(3, 6)
        device.start_again()
        device.log("INFO", "fleetview-agent", "started", version="0.1.0")


def slow_and_lossy_link(device: Device) -> Story:
    """A mobile link at the edge of its cell: long round trips, and heartbeats that never arrive."""
    while True:
        device.strain.rtt_ms = device.rng.uniform(420, 1400)
        device.log(
            "WARN",
            "uplink",
            f"round trip of {device.strain.rtt_ms:.0f} ms",
            rtt_ms=round(device.strain.rtt_ms),
            rssi_dbm=-113,
        )
        if device.rng.random() < 0.6:  # noqa: PLR2004
            device.skip_heartbeats(device.rng.randrange(1, 3))
        yield device.rng.uniform(18, 40)


def clock_wrong(device: Device, skew_s: float, drift: float = 0.0) -> Story:
    """No battery for the clock, and nobody who sets it; `drift` is what it gains in a second."""
    device.strain.clock_skew_s = skew_s
    device.strain.clock_drift = drift
    while True:
        device.log("WARN", "timesync", f"clock is off by {skew_s + drift * device.now_s:.0f} s, no time server reachable")
        yield 240.0


def spool_full(device: Device) -> Story:
    """An application writes more than the link takes: the spool is full, and records are lost, openly."""
    device.strain.rtt_ms = 260.0
    device.spool.backlog = 41_200
    device.spool.is_full = True
    device.log("WARN", "fleetview-agent", "spool full: sources held", records=41_200)
    while True:
        yield device.rng.uniform(12, 25)
        device.spool.drop(device.rng.randrange(20, 180))


def disk_fills(device: Device) -> Story:
    """Something writes until the disk is full: degraded at 90 %, critical at 97 %."""
    target = 0.985 - device.plan.character.disk_base
    device.strain.disk = target - 0.11
    while device.strain.disk < target:
        level = device.plan.character.disk_base + device.strain.disk
        device.log("WARN", "historian", f"disk at {level:.0%}, segments are not being compacted".replace("%", " %"),
                   path="/var/lib/historian")  # fmt: skip
        yield 12.0
        device.strain.disk = min(target, device.strain.disk + 0.022)
    while True:
        device.log(
            "ERROR", "historian", "cannot write segment: no space left on device", path="/var/lib/historian", errno=28
        )
        yield 45.0


def overheats(device: Device) -> Story:
    """A fan fails: the temperature climbs, the processor is throttled."""
    device.log("ERROR", "hwmon", "fan 1 stopped", sensor="fan1", rpm=0)
    device.strain.temperature_c = 15.0
    while device.strain.temperature_c < 48.0:  # noqa: PLR2004
        yield _STEP_S
        device.strain.temperature_c += 3.0
        device.strain.cpu = min(0.45, device.strain.cpu + 0.03)
    while True:
        device.log("WARN", "hwmon", "processor throttled to 1.2 GHz", sensor="cpu-thermal")
        yield 60.0


def requests_fail(device: Device, share: float) -> Story:
    """A release that answers some requests with an error."""
    while device.strain.failing < share:
        device.strain.failing = min(share, device.strain.failing + share / 4)
        yield _STEP_S
    while True:
        device.log("ERROR", "user-auth", "token refused: unknown key id 'k-2026-10'", trace_id=ids.trace_id(device.rng),
                   status=500, release=device.release)  # fmt: skip
        yield device.rng.uniform(6, 14)


def release_rolls_back(device: Device) -> Story:
    """An update is fetched, started, found bad, and taken back by the device itself."""
    device.want(release=NEXT_RELEASE)
    previous = device.release
    device.gen = device.desired_gen

    def told(status: str, progress: float, reason: str | None = None) -> None:
        device.release_report = ReleaseReport.model_validate(
            {"version": NEXT_RELEASE, "previous": previous, "status": status, "progress": progress, "reason": reason}
        )
        device.report()

    told("queued", 0.0)
    yield 2.0
    for progress in (0.1, 0.45, 0.8, 1.0):
        told("downloading", progress)
        yield 2.5
    for status in ("verifying", "staged", "applying"):
        told(status, 1.0)
        yield 1.5
    device.say_goodbye(f"update to {NEXT_RELEASE}")
    device.release = NEXT_RELEASE
    yield 4.0
    device.start_again()
    device.log("INFO", "ota_updater", f"release {NEXT_RELEASE} started, on probation for 20 s")
    told("checking", 1.0)
    device.set_module("rule_engine", "backoff", reason="exit status 3")
    device.log("ERROR", "rule_engine", "cannot read rules: unknown operator 'between'", trace_id=ids.trace_id(device.rng))
    yield 18.0
    device.log("ERROR", "ota_updater", f"release {NEXT_RELEASE} rolled back: module rule_engine never became healthy")
    device.say_goodbye(f"rolling back to {previous}")
    device.release = previous
    yield 4.0
    device.start_again()
    told("rolled_back", 1.0, "module rule_engine never became healthy")


def config_rejected(device: Device) -> Story:
    """A configuration that the device cannot accept: it keeps the last good one and says why."""
    device.want(config=CONFIG_VERSION + 1)
    device.gen = device.desired_gen
    good = device.plan.config_version
    reason = "rules.overheat.limit: 120 is above the sensor's range of 110"
    device.config = ConfigReport(
        version=CONFIG_VERSION + 1, sha256=device.config.sha256, status="rejected", reason=reason, last_good=good
    )
    device.log("ERROR", "fleetview-agent", f"configuration {CONFIG_VERSION + 1} rejected: {reason}")
    device.report()
    yield 0.0


def config_pending(device: Device) -> Story:
    """A change that waits for a maintenance window."""
    device.want(config=CONFIG_VERSION + 1)
    device.gen = device.desired_gen
    device.config = ConfigReport(
        version=device.plan.config_version, status="pending", reason="waits for the maintenance window at 02:00",
        last_good=device.plan.config_version,
    )  # fmt: skip
    device.report()
    yield _WAITING_FOR_MAINTENANCE_S


def certificate_runs_out(device: Device, days: float) -> Story:
    """Nobody renewed it."""
    device.certificate_days = days
    while True:
        device.log("WARN", "fleetview-agent", f"client certificate expires in {days:.0f} days")
        yield 300.0


def maintenance(device: Device, reason: str) -> Story:
    """Somebody stopped it on purpose."""
    device.say_goodbye(reason)
    yield 0.0


def sleeping(device: Device, for_s: float) -> Story:
    """A solar-powered device that sleeps through the night, and a bit longer than any demo."""
    device.fall_asleep(for_s)
    yield for_s
    device.come_online()


def never_seen(device: Device) -> Story:
    """Somebody ordered a configuration for it, and it has not been installed yet."""
    device.born = False
    yield 0.0


def broken_payloads(device: Device) -> Story:
    """Firmware that writes a heartbeat into too small a buffer now and then."""
    while True:
        yield device.rng.uniform(14, 30)
        device.send_raw(
            Channel.HEARTBEAT, b'{"v":1,"session":"' + device.session.encode() + b'","seq":12,"timestamp":"2026-'
        )


def site_login_outage(devices: Sequence[Device], rng: Random) -> Story:
    """The site's directory server does not answer: one request, seen by several devices under one trace id."""
    for _ in range(6):
        trace = ids.trace_id(rng)
        user = f"u-{rng.randrange(10, 60)}"
        for device in devices:
            device.log("ERROR", "user-auth", "Authentication failed: directory server ldap-1 timed out after 5 s",
                       trace_id=trace, user=user, server="ldap-1")  # fmt: skip
            device.strain.failing = 0.031
        yield rng.uniform(5, 9)
    for device in devices:
        device.strain.failing = NORMAL_FAILING
        device.log("INFO", "user-auth", "directory server ldap-1 answers again", server="ldap-1")


def one_goes_dark(device: Device, after_s: float, away_s: float) -> Story:
    """This device's share in the outage of its site."""
    yield after_s
    yield from link_drop(device, away_s)
