"""What stands out in the logs of updated devices, as everybody may see it: a part of the public snapshot."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from fleetview.core.rollout.logdiff import Differences
from fleetview.core.rollout.words import count


class ShownLogDifference(BaseModel):
    """A kind of log record that updated devices write, and others never, or far less often; see `logdiff`."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)

    level: str
    service: str
    template: str
    """The message, with `<*>` for what varies."""
    example: str = ""
    devices: int
    """Updated ones that wrote it."""
    times: int
    control_devices: int = 0
    control_times: int = 0
    ratio: float | None = None
    """How many times as often, by device and time; None: never on the others."""

    @property
    def head(self) -> str:
        """`new on updated devices`."""
        return f"{'new' if self.ratio is None else 'more'} on updated devices"

    @property
    def words(self) -> str:
        """`3 devices, 412 times, never on the others`."""
        ours = f"{count(self.devices)}, {count(self.times, 'time')}"
        if self.ratio is None:
            return f"{ours}, never on the others"
        return f"{ours}, {self.ratio:,.0f} times as often as on the others ({count(self.control_times, 'time')})"


def shown_differences(found: Differences) -> list[ShownLogDifference]:
    """What stands out, as everybody may see it."""
    return [
        ShownLogDifference(
            level=each.key.level.text,
            service=each.key.service,
            template=each.key.template,
            example=each.example,
            devices=each.devices,
            times=each.times,
            control_devices=each.control_devices,
            control_times=each.control_times,
            ratio=each.ratio,
        )
        for each in found.found
    ]
