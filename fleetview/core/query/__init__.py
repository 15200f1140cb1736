"""Which devices and log records a person means: the one filter language, in `/` and on the command line.

    health:critical site:plant-* version<1.4 cpu>80% -label.ring:canary "a text"
    level>=warn service:(uplink,rule_engine) message~"timed out" .code?=500 or exists(.panic)

Parts stand beside one another and must all hold; `or`, `not`, a `-` in front and brackets do what they say; case never
matters. Where a text holds blanks, brackets or operators, it goes in quotes.

- `field:value`, `=`, `!=`: one of several in `a,b` or `(a,b)`; `*` and `?` stand for other characters unless quoted;
  `1.4..1.6` is a range. `< <= > >=` compare versions, numbers (`80%` is 0.8), durations (`5m`), sizes (`10MB`) and levels as
  what they are. `~` contains; `~~` finds a regular expression, if it is one that no line can make slow.
- A comparison with a field that is absent is false, with `!=` too; `field?` makes it true: `.code?=500` is "500, or not
  there". `-site:x` is the opposite of `site:x` in every case. `exists(field)` asks.
- `.a.b` is any other field of a record's JSON (of a device's heartbeat); `label.ring` a label.
- Anything else is text that is looked for: in a device's address and reasons, in all of a record.

The grammar is `grammar.lark`, what can be asked is `fields`, and `predicate` and `sql` are what a tree is compiled to. lark
is only imported when the first filter is compiled, and SQLAlchemy only by who imports `sql`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetview.core.query.errors import QueryError

if TYPE_CHECKING:
    from fleetview.core.device import Device
    from fleetview.core.logbook import Entry
    from fleetview.core.query.fields import Clock
    from fleetview.core.query.predicate import Filter

__all__ = ["QueryError", "compile_devices", "compile_logs"]


def compile_devices(text: str, now: Clock | None = None) -> Filter[Device]:
    """The devices that a filter means. `now` is for the fields that change by the clock. Raises QueryError."""
    from fleetview.core.query.fields import device_fields  # noqa: PLC0415 (nobody pays for a language that is not spoken)
    from fleetview.core.query.parse import parse  # noqa: PLC0415
    from fleetview.core.query.predicate import compile_tree  # noqa: PLC0415

    return compile_tree(parse(text), device_fields(now))


def compile_logs(text: str) -> Filter[Entry]:
    """The log records that a filter means. Raises QueryError."""
    from fleetview.core.query.fields import log_fields  # noqa: PLC0415 (see above)
    from fleetview.core.query.parse import parse  # noqa: PLC0415
    from fleetview.core.query.predicate import compile_tree  # noqa: PLC0415

    return compile_tree(parse(text), log_fields())
