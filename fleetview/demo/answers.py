"""What simulated devices do when they are asked: the verbs of a real agent, in small. Stories, as faults are."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Generator
from datetime import UTC, datetime, timedelta

from fleetview.demo.devices import Device
from fleetview_agent.commands import Answer, judge
from fleetview_agent.wire import Address, Command, CommandResult
from fleetview_agent.wire.bundles import cut_bundle, pack_bundle

Story = Generator[float, None, None]
"""Yields seconds to wait."""

VERBS = ("ping", "restart_module", "set_log_level", "diagnostics")
_REMEMBERED = 2_000
_LEVELS = ("DEBUG", "INFO", "WARN", "ERROR")
_DEFAULT_LEVEL_S = 900.0
_MOST_S = 86_400.0
_DEBUG_EVERY_S = 5.0


class Answers:
    """What the devices of one simulation were asked."""

    def __init__(self) -> None:
        self._last: OrderedDict[tuple[Address, str], Answer | None] = OrderedDict()
        self._levels: dict[Address, str] = {}
        """By which command the log level of a device was set last."""

    def story(self, device: Device, command_id: str, payload: bytes) -> Story:
        """What comes of a command: nothing when nobody is there, and its last answer again when it comes twice."""
        key = (device.address, command_id)
        if not device.connected:
            return
        if key in self._last:
            if (last := self._last[key]) is not None:
                self._say(device, command_id, last)
            return
        self._last[key] = None
        while len(self._last) > _REMEMBERED:
            self._last.popitem(last=False)
        found = judge(payload, VERBS, datetime.fromtimestamp(device.local_unix_s(), UTC))
        if isinstance(found, Answer):
            self._say(device, command_id, found)
            return
        device.log("INFO", "fleetview-agent", f"command {found.verb}", command=command_id, by=(found.by or "")[:200])
        match found.verb:
            case "ping":
                self._say(
                    device,
                    command_id,
                    Answer("succeeded", f"fleetview-agent 0.1.0, up for {timedelta(seconds=int(device.uptime_s))}"),
                )
            case "restart_module":
                yield from self._restart(device, command_id, found)
            case "set_log_level":
                yield from self._set_log_level(device, command_id, found)
            case _:
                yield from self._diagnostics(device, command_id)

    def _say(self, device: Device, command_id: str, answer: Answer) -> None:
        self._last[device.address, command_id] = answer
        device.answer(command_id, CommandResult(status=answer.status, message=answer.words, at=device.local_time()))

    def _restart(self, device: Device, command_id: str, command: Command) -> Story:
        name = command.args.get("name")
        if not isinstance(name, str) or name not in device.modules:
            words = f"no module is called {str(name)[:40]!r}; there are: {', '.join(device.modules)}"
            self._say(device, command_id, Answer("failed", words))
            return
        self._say(device, command_id, Answer("accepted", f"module {name} is being restarted"))
        device.set_module(name, "starting", restarted=True)
        device.beat()
        yield device.rng.uniform(0.8, 2.5)
        if device.modules[name].state == "starting":  # or a fault has it again
            device.set_module(name, "running")
        module = device.modules[name]
        why = f": {module.reason}" if module.reason else ""
        device.log("INFO", "fleetview-agent", f"module {name} is {module.state}{why}", module=name)
        if device.connected:
            device.beat()
        self._say(
            device,
            command_id,
            Answer("succeeded" if module.state == "running" else "failed", f"module {name} is {module.state}{why}"),
        )

    def _set_log_level(self, device: Device, command_id: str, command: Command) -> Story:
        level, for_s = str(command.args.get("level")).upper(), command.args.get("for_s", _DEFAULT_LEVEL_S)
        if level not in _LEVELS or not isinstance(for_s, int | float) or not 1 <= for_s <= _MOST_S:
            words = f"args: level of {', '.join(_LEVELS)} and for_s of 1 to {_MOST_S:.0f} expected"
            self._say(device, command_id, Answer("failed", words))
            return
        words = f"log level is {level} for {for_s:g} s, and then as configured again"
        self._say(device, command_id, Answer("succeeded", words))
        self._levels[device.address] = command_id
        left_s = float(for_s)
        while left_s > 0:
            if level == "DEBUG" and device.connected:
                device.log("DEBUG", "fleetview-agent", "heartbeat handed to the link", spool=device.spool.records)
                device.ship()
            step_s = min(left_s, _DEBUG_EVERY_S)
            left_s -= step_s
            yield step_s
            if self._levels.get(device.address) != command_id:
                return  # another command has set it since
        device.log("INFO", "fleetview-agent", "log level is INFO again", was=level, command=command_id)
        device.ship()

    def _diagnostics(self, device: Device, command_id: str) -> Story:
        self._say(device, command_id, Answer("accepted", "gathering: configuration, modules, vitals, logs, checks"))
        yield device.rng.uniform(0.5, 1.5)
        heartbeat = device.last_heartbeat
        contents = {
            "v": 1,
            "id": command_id,
            "device": str(device.address),
            "agent": {"version": "0.1.0"},
            "host": device.plan.host.model_dump(mode="json", exclude_none=True),
            "configuration": device.desired().model_dump(mode="json", exclude_none=True)["config"],
            "heartbeat": None if heartbeat is None else heartbeat.model_dump(mode="json", exclude_unset=True),
            "modules": [module.model_dump(mode="json", exclude_unset=True) for module in device.modules.values()],
            "checks": [{"subject": "mqtt", "level": "ok", "words": "connected; this device is simulated"}],
        }
        packed = pack_bundle(json.dumps(contents).encode())
        pieces = list(cut_bundle(packed, command_id))
        for fields in pieces:
            words = f"diagnostics {command_id}: piece {fields['piece']} of {fields['pieces']}"
            device.log("INFO", "fleetview-agent", words, **fields)
        device.ship()
        plural = "" if len(pieces) == 1 else "s"
        self._say(device, command_id, Answer("succeeded", f"{len(packed):,} bytes sent as {len(pieces)} log record{plural}"))
