"""The MQTT contract between agents and everything that watches or steers them.

Topics stand in `topics`, payloads in `messages` and `steering`, bytes in `codec`, log dialects in `records`, session ids in
`sessions`. fleetview imports the contract from here, so that there is one of it.
"""

from fleetview_agent.wire.codec import (
    MAX_BATCH_BYTES,
    MAX_BATCH_RECORDS,
    MAX_INFLATED_BYTES,
    MAX_PAYLOAD_BYTES,
    decode,
    decode_log,
    encode,
    encode_log,
    uncompressed,
)
from fleetview_agent.wire.documents import canonical_json, document_sha256
from fleetview_agent.wire.errors import WireError
from fleetview_agent.wire.messages import (
    AgentInfo,
    Birth,
    Certificate,
    Health,
    Heartbeat,
    HostInfo,
    LinkInfo,
    LogAck,
    LogBatch,
    LogCounts,
    Message,
    ModuleInfo,
    ModuleState,
    Resources,
    SpoolInfo,
    State,
)
from fleetview_agent.wire.models import MODELS
from fleetview_agent.wire.records import Level, LogRecord, normalize
from fleetview_agent.wire.sessions import new_session, session_is_newer
from fleetview_agent.wire.steering import (
    Command,
    CommandResult,
    ConfigOffer,
    ConfigReport,
    Controller,
    Desired,
    PreflightFinding,
    PreflightReport,
    ReleaseOffer,
    ReleaseReport,
    Reported,
    RolloutCommand,
    RolloutSnapshot,
)
from fleetview_agent.wire.topics import DEFAULT_ROOT, Address, Channel, DeviceTopic, FleetTopic, Topics
from fleetview_agent.wire.values import format_time

__all__ = [
    "DEFAULT_ROOT",
    "MAX_BATCH_BYTES",
    "MAX_BATCH_RECORDS",
    "MAX_INFLATED_BYTES",
    "MAX_PAYLOAD_BYTES",
    "MODELS",
    "Address",
    "AgentInfo",
    "Birth",
    "Certificate",
    "Channel",
    "Command",
    "CommandResult",
    "ConfigOffer",
    "ConfigReport",
    "Controller",
    "Desired",
    "DeviceTopic",
    "FleetTopic",
    "Health",
    "Heartbeat",
    "HostInfo",
    "Level",
    "LinkInfo",
    "LogAck",
    "LogBatch",
    "LogCounts",
    "LogRecord",
    "Message",
    "ModuleInfo",
    "ModuleState",
    "PreflightFinding",
    "PreflightReport",
    "ReleaseOffer",
    "ReleaseReport",
    "Reported",
    "Resources",
    "RolloutCommand",
    "RolloutSnapshot",
    "SpoolInfo",
    "State",
    "Topics",
    "WireError",
    "canonical_json",
    "decode",
    "decode_log",
    "document_sha256",
    "encode",
    "encode_log",
    "format_time",
    "new_session",
    "normalize",
    "session_is_newer",
    "uncompressed",
]
