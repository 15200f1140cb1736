"""Asks Alertmanager (API version 2) for its alerts and silences, and sets, extends and expires silences.

What is asked twice does no harm; what changes something is asked once, for a silence that was set although the answer got
lost would else be set again.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from fleetview.core.alertread import read_alertmanager, read_groups
from fleetview.core.alerts import AlertGroup, Alerts
from fleetview.core.servers import ALERTMANAGER, Health, Standing, Verdict, told
from fleetview.core.silences import Silence, Silences, read_silences
from fleetview.feeds.asking import Asking, Told
from fleetview.feeds.web import AskError, Reply, Web

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from fleetview.access import Access
    from fleetview.core.silences import Matcher

T = TypeVar("T")

_API = "/api/v2"
_UUID_CHARACTERS = frozenset("0123456789abcdefABCDEF-")


class Alertmanager:
    """One server. Make it where the event loop runs."""

    def __init__(self, access: Access, **options: Any) -> None:  # noqa: ANN401 (those of Asking)
        """Raises TlsFileError for a file that cannot be used."""
        self.web = Web(access, ALERTMANAGER)
        self.asking = Asking(self.web, **options)

    @property
    def standing(self) -> Standing:
        """How it stood when last asked."""
        return self.asking.standing

    async def feel(self) -> bool:
        """Whether it answers again that did not; see `Asking.feel`."""
        return await self.asking.feel("/-/healthy")

    async def version(self) -> str:
        """Its version. Raises AskError, as all of these do."""

        def of(body: Any) -> str:  # noqa: ANN401
            return told(str(body["versionInfo"]["version"]))

        return await self._get("/status", of)

    async def alerts(self, matchers: Iterable[Matcher] = ()) -> Alerts:
        """The alerts that it has now, silenced and inhibited ones too; with matchers those that all of them mean."""
        params = {"filter": [str(matcher) for matcher in matchers]}
        return await self._get("/alerts", lambda body: read_alertmanager(_a_list(body)), params)

    async def groups(self) -> tuple[AlertGroup, ...]:
        """How it groups them, and whom it tells."""
        return await self._get("/alerts/groups", lambda body: read_groups(_a_list(body)))

    async def silences(self) -> Silences:
        """All silences that it remembers; those that are over for five days, unless it is told otherwise."""
        return await self._get("/silences", lambda body: read_silences(_a_list(body)))

    async def set_silence(
        self,
        matchers: Iterable[Matcher],
        starts_unix_s: float,
        ends_unix_s: float,
        author: str,
        comment: str,
        *,
        replaces: str | None = None,
    ) -> str:
        """Sets a silence, or puts it in the place of another, and returns its id."""
        body: dict[str, Any] = {
            "matchers": [
                {"name": one.name, "value": one.value, "isRegex": one.is_regex, "isEqual": one.is_equal} for one in matchers
            ],
            "startsAt": _time(starts_unix_s),
            "endsAt": _time(ends_unix_s),
            "createdBy": author,
            "comment": comment,
        }
        if replaces is not None:
            body["id"] = replaces
        return await self._change("POST", "/silences", lambda answer: str(answer["silenceID"]), body)

    async def extend(self, silence: Silence, ends_unix_s: float, author: str) -> str:
        """Lets a silence end at another time. Its id stays as long as Alertmanager can keep it."""
        return await self.set_silence(
            silence.matchers, silence.starts_unix_s, ends_unix_s, author, silence.comment, replaces=silence.id
        )

    async def expire(self, silence_id: str) -> None:
        """Ends a silence now."""
        if not silence_id or set(silence_id) - _UUID_CHARACTERS:  # it becomes part of a path
            raise AskError(Verdict(None, f"{told(silence_id)!r} is not the id of a silence"))
        await self._change("DELETE", f"/silence/{silence_id}", lambda _: None)

    async def _get(self, path: str, of: Callable[[Any], T], params: Mapping[str, Any] | None = None) -> T:
        def in_thread(within_s: float) -> Told[T]:
            return self._told(self.web.get(_API + path, within_s=within_s, params=params), of)

        return await self.asking.ask(in_thread)

    async def _change(self, method: str, path: str, of: Callable[[Any], T], body: object = None) -> T:
        def in_thread(within_s: float) -> Told[T]:
            return self._told(self.web.send(method, _API + path, within_s=within_s, body=body), of)

        return await self.asking.ask(in_thread, twice=False)

    def _told(self, reply: Reply, of: Callable[[Any], T]) -> Told[T]:
        try:
            return Told(of(reply.body), reply)
        except (KeyError, TypeError, ValueError, AttributeError):
            words = f"{self.web.where} answers, but not as Alertmanager does: is a path prefix missing?"
            raise AskError(Verdict(Health.OTHER, words)) from None


def _a_list(body: Any) -> Any:  # noqa: ANN401
    if not isinstance(body, list):
        raise TypeError(body)
    return body


def _time(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat().replace("+00:00", "Z")
