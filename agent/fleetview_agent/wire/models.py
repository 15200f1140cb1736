"""Which payload comes on which channel."""

from __future__ import annotations

from fleetview_agent.wire.messages import Birth, Heartbeat, LogAck, LogBatch, Message, State
from fleetview_agent.wire.steering import (
    Command,
    CommandResult,
    Controller,
    Desired,
    Reported,
    RolloutCommand,
    RolloutSnapshot,
)
from fleetview_agent.wire.topics import Channel

MODELS: dict[Channel, type[Message]] = {
    model.channel: model
    for model in (
        Birth,
        State,
        Heartbeat,
        LogBatch,
        LogAck,
        Desired,
        Reported,
        Command,
        CommandResult,
        Controller,
        RolloutSnapshot,
        RolloutCommand,
    )
}
