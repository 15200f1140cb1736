"""How a web server that is asked (Prometheus, Alertmanager) stands, in words, and what an HTTP answer says of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from fleetview.core.text import clean

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_TOLD = 240
"""Characters of a server's own words that are shown."""
SLOW_S = 2.0
"""An answer that took longer makes its server slow: the dashboard asks every few seconds."""
SKEW_SHOWN_S = 30.0
"""HTTP dates have whole seconds, and an answer may be on its way for seconds."""

_UNAUTHORISED = {401, 403, 407}
_OUR_FAULT = {"silence not found"}
"""What comes with HTTP 500 although nothing fails (Alertmanager 0.25)."""
_NO_TENANT = ': it keeps tenants apart, name yours: headers = { X-Scope-OrgID = "..." }'
"""What Mimir, Cortex and what is built on them mean by `no org id`."""
_TITLE = re.compile(r"<title[^>]*>(.{1,200}?)</title", re.IGNORECASE | re.DOTALL)


class Service(NamedTuple):
    """What a server ought to be."""

    name: str
    article: str

    @property
    def other(self) -> str:
        """What it is when it is not that."""
        return f"not {self.article} {self.name}"


PROMETHEUS = Service("Prometheus", "a")
ALERTMANAGER = Service("Alertmanager", "an")


class Health(StrEnum):
    """How a server answers. The value is the word on the screen; `OTHER` is said as `Service.other`."""

    UNASKED = "not asked yet"
    STARTING = "starting"
    """It was started together with us, and need not answer yet."""
    UP = "up"
    SLOW = "slow"
    PARTIAL = "partial"
    """It answers, and says itself that something is missing from the answer."""
    FAILING = "failing"
    """It is there, and says that it cannot answer now (HTTP 429, 5xx)."""
    REFUSED = "refused"
    """It does not let us in, or takes no certificate of ours, or we take none of its."""
    UNREACHABLE = "unreachable"
    OTHER = "something else"
    """Something answers, but not this service: a login page, an HTML error, a missing path prefix."""


ANSWERS = frozenset({Health.UP, Health.SLOW, Health.PARTIAL})
EARLY = frozenset({Health.UNASKED, Health.STARTING})
"""Nothing is known yet, and nothing is wrong."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a server stood when last asked."""

    health: Health
    words: str
    """Why, in one sentence; empty when it is up. Names the URL, never a password."""
    since_mono_s: float
    """When it came to this health."""
    warnings: tuple[str, ...] = ()
    """What the last answer warned of."""
    clock_skew_s: float | None = None
    """How far its clock is ahead of ours."""

    def word(self, service: Service) -> str:
        """The word for the badge."""
        return service.other if self.health is Health.OTHER else self.health.value


class Verdict(NamedTuple):
    """What is wrong with an answer."""

    health: Health | None
    """None when the question is at fault, and says nothing of the server."""
    words: str
    again: bool = False
    """Whether asking at once a second time may help."""


class Seen(NamedTuple):
    """An HTTP answer, as far as it tells how a server stands."""

    status: int
    headers: Mapping[str, str]
    """Names in any case, so a case-insensitive mapping."""
    body: bytes
    said: str | None = None
    """The `error` (Prometheus) or `message` (Alertmanager) of a JSON body."""
    kind: str | None = None
    """Prometheus' `errorType`."""
    is_json: bool = False


def judge(seen: Seen, service: Service, where: str) -> Verdict | None:
    """What is wrong with an answer, or None."""
    if 300 <= seen.status < 400:  # noqa: PLR2004 (HTTP's own classes)
        target = told(seen.headers.get("location", "elsewhere"))
        words = f"{where} sends us to {target}: is that a login page, or is https:// or a path prefix missing?"
        return Verdict(Health.OTHER, words)
    if seen.status in _UNAUTHORISED:
        words = f"{service.name} at {where} does not let us in (HTTP {seen.status}{_said(seen)})"
        return Verdict(Health.REFUSED, words + (_NO_TENANT if "no org id" in (seen.said or "").lower() else ""))
    if seen.said in _OUR_FAULT:
        return Verdict(None, f"{service.name} refuses the question: {told(seen.said or '')}")
    if seen.status == 429 or seen.status >= 500:  # noqa: PLR2004
        return Verdict(
            Health.FAILING,
            f"{service.name} at {where} cannot answer now (HTTP {seen.status}{_said(seen)})",
            again=seen.status in {502, 503, 504},
        )
    if 200 <= seen.status < 300 and seen.is_json:  # noqa: PLR2004
        return None
    if seen.is_json and seen.said is not None:
        return Verdict(None, f"{service.name} refuses the question (HTTP {seen.status}): {told(seen.said)}")
    hint = "is a path prefix missing, such as /prometheus?" if seen.status == 404 else "is a path prefix missing?"  # noqa: PLR2004
    if seen.status != 404 and seen.said and not seen.is_json:  # noqa: PLR2004
        hint = f'it says "{told(seen.said)}"'
    if title := _TITLE.search(seen.body[:65536].decode(errors="replace")):
        hint = f'it is a web page, "{told(" ".join(title[1].split()))}": a login, or a path prefix is missing'
    status = "" if seen.status == 200 else f" (HTTP {seen.status})"  # noqa: PLR2004
    return Verdict(Health.OTHER, f"{where} answers, but not as {service.name} does{status}: {hint}")


def told(text: str) -> str:
    """A server's words, harmless and short."""
    short = text.strip()
    return clean(short if len(short) <= LONGEST_TOLD else short[: LONGEST_TOLD - 1] + "…")


def _said(seen: Seen) -> str:
    return "" if not seen.said else f": {told(seen.said)}"


class Flavour(NamedTuple):
    """Which program it is that speaks Prometheus' language."""

    name: str
    version: str | None
    """None when it does not say."""

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name} {self.version}"


def flavour_of(build: Mapping[str, object], headers: Mapping[str, str], *, has_stores: bool = False) -> Flavour:
    """The program by its `/api/v1/status/buildinfo`, the headers of that, and whether it has `/api/v1/stores`.

    Mimir and Cortex name themselves; VictoriaMetrics sends X-Server-Hostname with all answers, if no proxy takes it away,
    and says no more than its version; only Thanos has stores.
    """
    version = told(str(build["version"])) if build.get("version") else None
    if application := build.get("application"):
        return Flavour(told(str(application)).removeprefix("Grafana "), version)
    if "x-server-hostname" in headers or (version is not None and build.keys() == {"version"}):
        return Flavour("VictoriaMetrics", version)
    return Flavour("Thanos" if has_stores else "Prometheus", version)
