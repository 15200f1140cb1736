"""A rollout as JSON and back: what a journal stores. Plan, head, targets, and each device by itself.

plan      once, with its digest            targets   each once, by key
head      whenever `Outcome.head`          device    each in `Outcome.devices`
counted   what its devices logged, now and then
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from fleetview.core.rollout.logdiff import Counted, Key, Seen
from fleetview.core.rollout.plan import Plan
from fleetview.core.rollout.state import STATE_VERSION, DeviceState, Head, Measurement, Rollout
from fleetview.core.rollout.target import Target

_HEAD, _DEVICE, _MEASUREMENT = TypeAdapter(Head), TypeAdapter(DeviceState), TypeAdapter(Measurement)
_TARGET, _PLAN = TypeAdapter(Target), TypeAdapter(Plan)
_COUNTED = TypeAdapter(tuple[Counted, list[tuple[Key, Seen]]])
"""Templates as a list: a key of three parts is none in JSON."""


class StateDamagedError(ValueError):
    """Stored state cannot be read. Its text says which part of which rollout."""


def dump_plan(plan: Plan) -> bytes:
    """JSON of a plan."""
    return _PLAN.dump_json(plan)


def dump_target(target: Target) -> bytes:
    """JSON of a target."""
    return _TARGET.dump_json(target)


def dump_head(head: Head) -> bytes:
    """JSON of all but plan, targets and devices."""
    return _HEAD.dump_json(head)


def dump_device(device: DeviceState) -> bytes:
    """JSON of one device: about 400 bytes."""
    return _DEVICE.dump_json(device)


def dump_measurement(measurement: Measurement) -> bytes:
    """JSON of a measurement."""
    return _MEASUREMENT.dump_json(measurement)


def load_measurement(data: bytes | str) -> Measurement:
    """The measurement of `dump_measurement`. Raises StateDamagedError."""
    found: Measurement = _load(_MEASUREMENT, data, "a measurement")
    return found


def dump_counted(counted: Counted) -> bytes:
    """JSON of what was counted of logs: 100 bytes for each template, and 40 for each device that logged it."""
    return _COUNTED.dump_json((replace(counted, templates={}), list(counted.templates.items())))


def load_counted(data: bytes | str) -> Counted:
    """What `dump_counted` got. Raises StateDamagedError."""
    found: tuple[Counted, list[tuple[Key, Seen]]] = _load(_COUNTED, data, "what was counted of logs")
    found[0].templates.update(found[1])
    return found[0]


def load_rollout(
    plan: bytes | str, head: bytes | str, targets: Iterable[bytes | str], devices: Iterable[bytes | str]
) -> Rollout:
    """The rollout whose parts were dumped. Raises StateDamagedError, also for another plan than it was started with."""
    said: Plan = _load(_PLAN, plan, "the plan")
    top: Head = _load(_HEAD, head, "the head")
    if said.digest != top.digest:
        msg = f"rollout {top.id}: the plan's hash is {said.digest}, not {top.digest} as when it was started"
        raise StateDamagedError(msg)
    rollout = Rollout(said, top)
    for each in targets:
        target = _load(_TARGET, each, f"a target of rollout {top.id}")
        rollout.targets[target.key] = target
    for each in devices:
        device: DeviceState = _load(_DEVICE, each, f"a device of rollout {top.id}")
        rollout.devices[device.address] = device
        if not 0 <= device.wave < max(1, len(top.waves)):
            msg = f"rollout {top.id}: {device.address} is in wave {device.wave + 1}, and there are {len(top.waves)}"
            raise StateDamagedError(msg)
    rollout.index()
    return rollout


def to_json(rollout: Rollout) -> dict[str, Any]:
    """A whole rollout as JSON values."""
    return {
        "v": STATE_VERSION,
        "plan": rollout.plan.to_json(),
        "head": _HEAD.dump_python(rollout.head, mode="json"),
        "targets": [target.model_dump(mode="json") for target in rollout.targets.values()],
        "devices": [_DEVICE.dump_python(device, mode="json") for device in rollout.devices.values()],
    }


def from_json(data: Mapping[str, Any]) -> Rollout:
    """The rollout of `to_json`. Raises StateDamagedError."""
    from pydantic_core import to_json as written  # noqa: PLC0415 (its name is taken here)

    if data.get("v") != STATE_VERSION:
        msg = f"state of version {data.get('v')!r}; this program reads {STATE_VERSION}: use the one that wrote it"
        raise StateDamagedError(msg)
    try:
        parts = written(data["plan"]), written(data["head"]), map(written, data["targets"]), map(written, data["devices"])
    except KeyError as err:
        msg = f"state without {err}"
        raise StateDamagedError(msg) from None
    return load_rollout(*parts)


def _load(adapter: TypeAdapter[Any], data: bytes | str, what: str) -> Any:  # noqa: ANN401 (what the adapter is of)
    try:
        return adapter.validate_json(data)
    except ValidationError as err:
        first = err.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        msg = f"{what} cannot be read{f' ({where})' if where else ''}: {first['msg']}"
        raise StateDamagedError(msg) from None
