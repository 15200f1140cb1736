"""How a device introduces itself: the birth of a session, made of its configuration and its machine."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from fleetview_agent import __version__
from fleetview_agent.certificate import read_certificate
from fleetview_agent.config import AgentConfig
from fleetview_agent.metrics import host_info
from fleetview_agent.wire import AgentInfo, Birth, Certificate

_log = logging.getLogger(__name__)


def birth(config: AgentConfig, modules: Sequence[str], *, session: str, started_at: datetime) -> Birth:
    """The birth with this configuration. It may be said again when that changes: the session began when it began."""
    found = Birth(
        session=session,
        device=config.agent_id,
        started_at=started_at,
        heartbeat_interval_s=config.heartbeat_interval,
        agent=AgentInfo(version=__version__),
        deployment=config.deployment,
        host=host_info(),
        modules=list(modules),
        labels=dict(config.labels),
    )
    if (certificate := _certificate(config)) is not None:
        found.certificate = certificate
    return found


def _certificate(config: AgentConfig) -> Certificate | None:
    if config.tls is None or config.tls.cert is None:
        return None
    try:
        facts = read_certificate(config.tls.cert)
    except (OSError, ValueError) as err:
        _log.error("the certificate cannot be read: %s", err)
        return None
    return Certificate(sha256=facts.sha256, not_after=facts.not_after)
