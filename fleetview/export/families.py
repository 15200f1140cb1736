"""The metrics that the exporter makes, by name, and the text that stands in their labels."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from fleetview.core.text import clean

Kind = Literal["gauge", "counter"]

MAX_NAME_CHARS = 128
MAX_LABEL_CHARS = 128
"""A release or a module's name is shorter; whoever sends more would fill Prometheus' memory with it."""

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


class Family(NamedTuple):
    """All series of one name. That of a counter ends in `_total`."""

    name: str
    kind: Kind
    help: str


def _own(name: str, words: str) -> Family:
    full = f"fleet_{name}"
    return Family(full, "counter" if full.endswith("_total") else "gauge", words)


# What is said of a device as long as it is known, dead or alive.
UP = _own(
    "device_up", "1: a device is online by the rules of the contract; 0: it is known and is not. Absent: nobody can tell."
)
CONFIRMED = _own("device_confirmed", "1: a live message or the device's own goodbye stands behind its connectivity.")
CONNECTIVITY = _own(
    "device_connectivity", "1 for the state that a device is in: online, stale, lost, offline, sleeping, unseen."
)
LOST_HEARTBEATS = _own("device_lost_heartbeats_total", "Heartbeats missing in a device's sequence.")
MALFORMED = _own("device_malformed_messages_total", "Messages of a device that were not valid.")
HEARD = _own("device_heartbeat_timestamp_seconds", "When the last heartbeat came, in seconds since 1970.")
INTERVAL = _own("device_heartbeat_interval_seconds", "H of the contract: a device's time between heartbeats.")
CERTIFICATE = _own("device_certificate_expiry_timestamp_seconds", "End of a device's certificate, in seconds since 1970.")
SKEW = _own("device_clock_skew_seconds", "How far a device's clock is ahead.")

# What a heartbeat says: it ends when the device is no longer online.
HEALTH = _own("device_health", "Health as a device reports it: 0 ok, 1 degraded, 2 critical.")
UPTIME = _own("device_uptime_seconds", "Time since a device's agent started.")
CPU = _own("device_cpu_ratio", "Used part of the processors, 0 to 1.")
MEMORY = _own("device_memory_ratio", "Used part of the memory, 0 to 1.")
DISK = _own("device_disk_ratio", "Used part of the disk, 0 to 1.")
TEMPERATURE = _own("device_temperature_celsius", "Temperature of a device.")
CONFIG = _own("device_config_version", "Version of the configuration that a device runs.")
LOGS = _own("device_log_records_total", "Log records by level.")
SPOOL_RECORDS = _own("device_spool_records", "Log records that wait on a device.")
SPOOL_BYTES = _own("device_spool_bytes", "Bytes of log records that wait on a device.")
SPOOL_OLDEST = _own("device_spool_oldest_seconds", "Age of the oldest log record that waits on a device.")
SPOOL_DROPPED = _own("device_spool_dropped_total", "Log records that a device had to drop.")
RTT = _own("device_rtt_seconds", "Round trip between a device and its broker.")
RECONNECTS = _own("device_reconnects_total", "How often a device's link to the broker came back.")
MODULE_STATE = _own("device_module_state", "1 for the state that a module is in.")
MODULE_RESTARTS = _own("device_module_restarts_total", "Restarts of a module.")

# Sites, and the exporter itself.
OUTAGE = _own("site_outage_devices", "Devices that fell silent together, where a site is out.")
BROKER_UP = _own("export_broker_up", "1: the exporter's own link to the broker is up.")
DEVICES = _own("export_devices", "Devices known, by tenant.")
SERIES = _own("export_series", "Numbers of heartbeats that are kept, by tenant.")
HEARTBEATS = _own("export_heartbeats_total", "Heartbeats taken in, by tenant.")
LATE = _own("export_late_heartbeats_total", "Heartbeats left out because a later one had come.")
DROPPED = _own("export_dropped_series_total", "Numbers of heartbeats, and label values, that were left out, by reason.")
MESSAGES = _own("export_messages_total", "Messages received.")
INVALID = _own("export_malformed_messages_total", "Messages that were not valid.")
REFUSED = _own("export_refused_messages_total", "Messages of devices beyond the bound on their number.")
UNKNOWN_TOPICS = _own("export_unknown_topics_total", "Messages under topics that the contract does not know.")
LINKS = _own("export_links_total", "How often the link to the broker came up.")
SCRAPES = _own("export_scrapes_total", "Scrapes begun.")
SCRAPE_SECONDS = _own("export_scrape_duration_seconds", "How long the last whole scrape took.")
SHARD = _own("export_shard_info", "Which part of the fleet this is.")
CPU_SECONDS = _own("export_cpu_seconds_total", "Processor time of the exporter.")
RESIDENT = _own("export_resident_memory_bytes", "Memory of the exporter.")

OWN: dict[str, Family] = {family.name: family for family in list(globals().values()) if isinstance(family, Family)}


def metric_family(name: str) -> Family | None:
    """The family of a number in a heartbeat's `metrics`; None when it is not valid, or the name of one of ours."""
    if len(name) > MAX_NAME_CHARS or _NAME.fullmatch(name) is None:
        return None
    full = f"fleet_{name}"
    bare = full.removesuffix("_total")
    if full in OWN or bare in OWN or f"{bare}_total" in OWN:
        return None
    kind: Kind = "counter" if full.endswith("_total") else "gauge"
    return Family(full, kind, f"{name} as devices report it.")


def escaped(text: str) -> str:
    """A text as it stands between the quotes of a label. Control characters, which end a scrape, are made visible."""
    if len(text) > MAX_LABEL_CHARS:
        text = text[: MAX_LABEL_CHARS - 1] + "…"
    # `clean` shows line ends too, so what is left to escape are these two.
    return clean(text).replace("\\", "\\\\").replace('"', '\\"')
