"""Asks Prometheus, or what speaks its language: Thanos, Mimir, VictoriaMetrics.

    server = Prometheus(context.prometheus_access)
    answer = await server.instant('up{site="plant-7"}')      # raises AskError; server.standing says how it is
    older = server.kept('up{site="plant-7"}')                # the last good answer, to be shown with its age

Each question has one deadline, retries included. A server that is down is left alone for a while: questions fail at once
then, and cost nothing. State changes on the event loop only; threads hand over what they read.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from datetime import UTC, datetime
from time import monotonic, time
from typing import TYPE_CHECKING, Any

from fleetview.core.alertread import read_rules
from fleetview.core.alerts import Alerts
from fleetview.core.series import MAX_POINTS_EACH, Answer, NotAnAnswerError, read_answer, read_texts, says_missing
from fleetview.core.servers import PROMETHEUS, Flavour, Health, Standing, Verdict, flavour_of
from fleetview.feeds.asking import Asking, Told
from fleetview.feeds.web import AskError, Recording, Reply, Web

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleetview.access import Access

MAX_KEPT = 256
MAX_KEPT_POINTS = 2_000_000
"""Of all kept answers together, 16 bytes each."""
MAX_NAMES = 20_000
"""Of metrics, or of labels, that are kept to be offered."""
_BUILD_INFO = "/api/v1/status/buildinfo"


class Prometheus:
    """One server. Make it where the event loop runs."""

    def __init__(self, access: Access, **options: Any) -> None:  # noqa: ANN401 (those of Asking)
        """Raises TlsFileError for a file that cannot be used."""
        self.web = Web(access, PROMETHEUS)
        self.asking = Asking(self.web, **options)
        self._kept: OrderedDict[str, Answer] = OrderedDict()
        self._kept_points = 0

    @property
    def standing(self) -> Standing:
        """How it stood when last asked."""
        return self.asking.standing

    async def feel(self) -> bool:
        """Whether it answers again that did not; see `Asking.feel`."""
        return await self.asking.feel(_BUILD_INFO)

    def per_minute(self) -> int:
        """Requests within the last minute."""
        return self.asking.per_minute()

    async def instant(self, promql: str, *, at_unix_s: float | None = None) -> Answer:
        """The answer to a query now, by the server's clock, or at a time. Raises AskError."""
        params = {} if at_unix_s is None else {"time": at_unix_s}
        answer = await self._query(lambda client, within_s: client.custom_query(promql, params, timeout=within_s))
        if at_unix_s is None:
            self._keep(promql, answer)
        return answer

    async def range(self, promql: str, start_unix_s: float, end_unix_s: float, step_s: float) -> Answer:
        """The answer over a range of time; `core.series.step_s` tells a step that is not refused. Raises AskError."""
        if not step_s > 0 or (end_unix_s - start_unix_s) / step_s > MAX_POINTS_EACH:
            words = f"a step of {step_s:g} s makes more than {MAX_POINTS_EACH} points of {end_unix_s - start_unix_s:g} s"
            raise AskError(Verdict(None, words))
        start, end = (datetime.fromtimestamp(at, UTC) for at in (start_unix_s, end_unix_s))
        answer = await self._query(
            lambda client, within_s: client.custom_query_range(promql, start, end, f"{step_s:.3f}", timeout=within_s)
        )
        self._keep(range_key(promql, end_unix_s - start_unix_s, step_s), answer)
        return answer

    def kept(self, key: str) -> Answer | None:
        """The last good answer to a query (or to a `range_key`); its age is that of `received_mono_s`."""
        return self._kept.get(key)

    async def about(self) -> Flavour:
        """Which program it is. Raises AskError."""
        return await self.asking.ask(self._about)

    async def alerts(self) -> Alerts:
        """What its alerting rules (or those of vmalert) have firing and pending. Raises AskError."""
        return await self.asking.ask(self._rules)

    async def names(self) -> tuple[str, ...]:
        """The names of all metrics, as far as they are worth offering. Raises AskError."""
        return await self.asking.ask(lambda within_s: self._listed("/api/v1/label/__name__/values", within_s))

    async def labels(self) -> tuple[str, ...]:
        """The names of all labels. Raises AskError."""
        return await self.asking.ask(lambda within_s: self._listed("/api/v1/labels", within_s))

    def _listed(self, path: str, within_s: float) -> Told[tuple[str, ...]]:
        reply = self.web.get(path, within_s=within_s)
        found = reply.body.get("data") if isinstance(reply.body, dict) else None
        if not isinstance(found, list):
            raise AskError(self._no_prometheus())
        return Told(tuple(str(name) for name in found[:MAX_NAMES]), reply)

    async def _query(self, run: Callable[[Any, float], object]) -> Answer:
        def in_thread(within_s: float) -> Told[Answer]:
            # Late, and from the submodule: 0.1 s that no other command pays.
            from prometheus_api_client.prometheus_connect import PrometheusConnect  # noqa: PLC0415

            recording = Recording(self.web, within_s)
            # A body that is JSON and no answer: found by our own reading, which also tells what is wrong.
            with contextlib.suppress(KeyError, TypeError):
                client = PrometheusConnect(url=self.web.where, session=recording)  # type: ignore[arg-type]
                run(client, within_s)
            reply = recording.reply
            if reply is None:
                raise AskError(Verdict(None, "the question could not be asked"))
            return self._told(reply)

        return await self.asking.ask(in_thread)

    def _told(self, reply: Reply) -> Told[Answer]:
        try:
            answer = read_answer(reply.body, mono_s=monotonic(), unix_s=time(), took_s=reply.took_s)
        except NotAnAnswerError:
            raise AskError(self._no_prometheus()) from None
        return Told(answer, reply, answer.partial, answer.warnings)

    def _no_prometheus(self) -> Verdict:
        where = self.web.where
        return Verdict(Health.OTHER, f"{where} answers, but not as Prometheus does: is a path prefix missing?")

    def _about(self, within_s: float) -> Told[Flavour]:
        deadline = monotonic() + within_s
        try:
            reply = self.web.get(_BUILD_INFO, within_s=within_s)
        except AskError as err:
            if err.verdict.health not in {Health.OTHER, None}:
                raise
            # Older than 2.14, Cortex and what is built on it (Amazon's), or a proxy that lets only queries through.
            reply = self.web.get("/api/v1/query", params={"query": "vector(1)"}, within_s=deadline - monotonic())
            return Told(Flavour("Prometheus or alike", None), reply)
        data = reply.body.get("data") if isinstance(reply.body, dict) else None
        if not isinstance(data, dict):
            raise AskError(self._no_prometheus())
        has_stores = False
        if str(data.get("version", "0.")).startswith("0."):  # no Prometheus that has this API is, and all of Thanos
            with contextlib.suppress(AskError):
                self.web.get("/api/v1/stores", within_s=max(0.05, deadline - monotonic()))
                has_stores = True
        return Told(flavour_of(data, reply.headers, has_stores=has_stores), reply)

    def _rules(self, within_s: float) -> Told[Alerts]:
        reply = self.web.get("/api/v1/rules", params={"type": "alert"}, within_s=within_s)
        if not isinstance(reply.body, dict) or not isinstance(reply.body.get("data"), dict):
            raise AskError(self._no_prometheus())
        warnings = read_texts(reply.body.get("warnings"))
        return Told(read_rules(reply.body["data"]), reply, says_missing(warnings), warnings)

    def _keep(self, key: str, answer: Answer) -> None:
        if (old := self._kept.pop(key, None)) is not None:
            self._kept_points -= old.points
        self._kept[key] = answer
        self._kept_points += answer.points
        while len(self._kept) > 1 and (len(self._kept) > MAX_KEPT or self._kept_points > MAX_KEPT_POINTS):
            _, gone = self._kept.popitem(last=False)
            self._kept_points -= gone.points

    def close(self) -> None:
        """Gives the connections back; threads that still wait end by their deadline, and hold nothing up."""
        self.web.close()


def range_key(promql: str, range_s: float, step_s: float) -> str:
    """Under which name an answer over a range of time is kept."""
    return f"{promql} [{range_s:g}:{step_s:g}]"
