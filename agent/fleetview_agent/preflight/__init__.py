"""`fleetview-agent check`: whether this device can do its work as it is configured, and what to mend.

Each module beside this one asks about one thing; `findings` holds the order together, and here it stands.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from fleetview_agent.preflight import broker, identity, network, ports, storage, system, workload
from fleetview_agent.preflight.findings import Answer, Check, Finding, exit_code, run_checks
from fleetview_agent.preflight.inquiry import Inquiry
from fleetview_agent.preflight.machine import Machine
from fleetview_agent.twin.keep import load_doubt

__all__ = ["CHECKS", "CONFIGURATION", "Finding", "Inquiry", "Machine", "exit_code", "preflight"]

CONFIGURATION = "configuration"


def _configuration(inquiry: Inquiry) -> Answer:
    """It is valid, or there would be no inquiry."""
    config = inquiry.config
    doubt, _ = load_doubt(inquiry.store.folder)
    if doubt is not None and doubt.problem is not None:
        words = f"{doubt.problem}; what ran before does: mend it, then send the agent SIGHUP"
        return Finding(CONFIGURATION, "warning", words)
    over = "" if inquiry.version is None else f", with version {inquiry.version} from afar over the file"
    return Finding(CONFIGURATION, "ok", f"{config.address}, broker {config.broker}, {config.deployment or 'static'}{over}")


CHECKS: tuple[Check[Inquiry], ...] = (
    Check(CONFIGURATION, _configuration),
    Check(identity.CERTIFICATE, identity.certificate, (CONFIGURATION,)),
    Check(identity.KEY, identity.key, (identity.CERTIFICATE,)),
    Check(identity.CHAIN, identity.chain, (identity.CERTIFICATE, identity.KEY)),
    Check(identity.EXPIRY, identity.expiry, (identity.CERTIFICATE,)),
    Check(network.CLOCK, network.clock),
    Check(network.RESOLUTION, network.resolution, (CONFIGURATION,)),
    Check(network.TCP, network.tcp, (network.RESOLUTION,)),
    Check(network.TIME, network.time_against_broker, (network.TCP,)),
    Check(network.TLS, network.tls, (network.TCP, identity.CERTIFICATE, identity.KEY)),
    Check(broker.MQTT, broker.mqtt, (network.TLS, network.TCP)),
    Check(broker.RECEIVING, broker.receiving, (broker.MQTT,)),
    Check(broker.PUBLISHING, broker.publishing, (broker.MQTT,)),
    Check(storage.STATE_DIR, storage.state_dir, (CONFIGURATION,)),
    Check(storage.DISK, storage.disk, (storage.STATE_DIR,)),
    Check(storage.WEAR, storage.wear, (storage.STATE_DIR,)),
    Check(workload.LOG_FILES, workload.log_files, (CONFIGURATION,)),
    Check(system.OPEN_FILES, system.open_files),
    Check(system.KERNEL, system.kernel),
    Check(system.CGROUP, system.cgroup),
    Check(system.CONFINEMENT, system.confinement),
    Check(system.MEMORY, system.memory),
    Check(workload.ENGINE, workload.engine, (CONFIGURATION,)),
    Check(workload.MODULES, workload.modules, (CONFIGURATION,)),
    Check(workload.RELEASES, workload.releases, (CONFIGURATION,)),
    Check(ports.PORTS, ports.ports, (CONFIGURATION,)),
)
"""In the order of what rests on what."""


def preflight(inquiry: Inquiry) -> AsyncIterator[Finding]:
    """All findings, as they come in."""
    return run_checks(CHECKS, inquiry)
