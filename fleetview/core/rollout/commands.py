"""What an operator asks of a rollout on `_fleet/rollout/<id>/command`.

    {"v":1, "verb":"skip", "id":"01JD...", "by":"ana@laptop", "reason":"known, ticket 4711", "expires_at":"...Z",
     "revision":17, "gate":"error-rate", "confirm":"telemetry-1.5.0"}

Approval is a `resume` that names the reason `approval`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fleetview.core.rollout.plan import Plan
from fleetview.core.rollout.planfile import PlanError, validate_plan
from fleetview.core.rollout.state import PauseReason
from fleetview_agent.wire import RolloutCommand, format_time
from fleetview_agent.wire.messages import RolloutVerb
from fleetview_agent.wire.values import Count, Id, Time

MAX_REASON_CHARS = 500


class OrderRefusedError(ValueError):
    """A command cannot be read. Its text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Order:
    """A command, read."""

    id: str
    """New for each; a second one with the same id is a replay, and is not taken."""
    verb: RolloutVerb
    by: str
    reason: str
    expires_at_s: float
    revision: int | None = None
    """The `revision` of the snapshot that the operator decided by. When the rollout has changed since, all but pause and
    abort, which are safe at any time, are refused."""
    reasons: tuple[PauseReason, ...] = ()
    """Of a resume: which reasons it removes; without, all that an operator can remove but `approval`."""
    gate: str | None = None
    """Of a skip: which gate is passed; without, all that do not pass."""
    confirm: str | None = None
    """Of a skip: the rollout's id, typed."""


@dataclass(frozen=True, slots=True)
class Start:
    """The order to begin a rollout, which brings its plan."""

    id: str
    by: str
    reason: str
    expires_at_s: float
    plan: Plan


class _Signed(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    id: Id
    by: Annotated[str, Field(min_length=1, max_length=128)]
    reason: Annotated[str, Field(max_length=MAX_REASON_CHARS)] = ""
    expires_at: Annotated[Time, Field(strict=False)]


class _StartModel(_Signed):
    plan: dict[str, Any]


class _OrderModel(_Signed):
    verb: RolloutVerb
    revision: Count | None = None
    reasons: list[PauseReason] = []
    gate: Annotated[str, Field(max_length=64)] | None = None
    confirm: Annotated[str, Field(max_length=64)] | None = None


def parse_order(command: RolloutCommand) -> Order:
    """The order in a command's payload. Raises OrderRefusedError, naming the field."""
    said = _read(_OrderModel, command)
    return Order(
        id=said.id,
        verb=said.verb,
        by=said.by,
        reason=said.reason.strip(),
        expires_at_s=said.expires_at.timestamp(),
        revision=said.revision,
        reasons=tuple(said.reasons),
        gate=said.gate,
        confirm=said.confirm,
    )


def parse_start(command: RolloutCommand) -> Start:
    """The order and the plan in the payload of a `start`. Raises OrderRefusedError, naming what is wrong."""
    said = _read(_StartModel, command)
    try:
        plan = validate_plan(said.plan)
    except PlanError as err:
        raise OrderRefusedError(str(err)) from None
    return Start(said.id, said.by, said.reason.strip(), said.expires_at.timestamp(), plan)


def parse_watch(command: RolloutCommand) -> str:
    """Who looks. Raises OrderRefusedError."""
    return _read(_Signed, command).by


def start_message(start: Start) -> RolloutCommand:
    """The payload of the order to begin."""
    return RolloutCommand(
        verb="start",
        id=start.id,
        by=start.by,
        reason=start.reason,
        expires_at=format_time(datetime.fromtimestamp(start.expires_at_s, UTC)),
        plan=start.plan.to_json(),
    )


M = TypeVar("M", bound=_Signed)


def _read(model: type[M], command: RolloutCommand) -> M:
    try:
        return model.model_validate(command.model_dump(exclude_unset=True))
    except ValidationError as err:
        first = err.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        what = "missing" if first["type"] == "missing" else f"{first['msg']}, not {str(first['input'])[:80]!r}"
        msg = f"{where}: {what}"
        raise OrderRefusedError(msg) from None


def order_message(order: Order) -> RolloutCommand:
    """The payload of an order."""
    fields: dict[str, Any] = {
        "verb": order.verb,
        "id": order.id,
        "by": order.by,
        "reason": order.reason,
        "expires_at": format_time(datetime.fromtimestamp(order.expires_at_s, UTC)),
        "revision": order.revision,
        "reasons": list(order.reasons) or None,
        "gate": order.gate,
        "confirm": order.confirm,
    }
    return RolloutCommand(**{name: value for name, value in fields.items() if value is not None})
