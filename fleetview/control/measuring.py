"""Takes the measurements that gates ask for: from Prometheus where there is one, otherwise from heartbeats."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from fleetview.control.evidence import Evidence
from fleetview.control.logs import LogEvidence
from fleetview.core.panels import DeviceLabels
from fleetview.core.rollout.events import DeviceSample, MeasurementFailed, MeasurementTaken
from fleetview.core.rollout.gates import canary_group, control_group
from fleetview.feeds.web import AskError
from fleetview_agent.wire import Address, Heartbeat

if TYPE_CHECKING:
    from fleetview.core.received import Received
    from fleetview.core.rollout.events import Measure
    from fleetview.core.rollout.plan import GatePlan
    from fleetview.core.rollout.state import Rollout
    from fleetview.core.series import Answer
    from fleetview.feeds.prometheus import Prometheus

_LEAST_WINDOW_S = 60.0
_BEFORE_S = 600.0
"""What devices were like before the rollout began is measured over so long, at most."""


class _Asked(NamedTuple):
    """A measurement, with all that the rollout says of it at the moment at which it is asked for."""

    gate: GatePlan
    measure: Measure
    canary: list[Address]
    control: list[Address]
    began_s: float
    """When the first wave did."""


class Measuring:
    """Measures for all rollouts of a controller."""

    def __init__(
        self, prometheus: Prometheus | None, labels: DeviceLabels, clock: Callable[[], float], logs: LogEvidence
    ) -> None:
        self.evidence = Evidence()
        self._prometheus = prometheus
        self._labels = labels
        self._logs = logs
        self._clock = clock
        self._before: dict[tuple[str, str], list[DeviceSample]] = {}
        """By rollout and measure: what its devices were like before it began."""

    def take_in(self, received: Received) -> None:
        """Note what a live heartbeat says."""
        if isinstance(received.body, Heartbeat) and not received.retained and self._prometheus is None:
            self.evidence.take(received.address, received.body, received.unix_s)

    def forget_others(self, devices: Iterable[Address], rollouts: Iterable[str]) -> None:
        """Forget devices that are not in the fleet any more, and what was before rollouts that are over."""
        self.evidence.keep_only(devices)
        running = set(rollouts)
        self._before = {key: samples for key, samples in self._before.items() if key[0] in running}

    def remember_before(self, rollout: Rollout) -> None:
        """Note what heartbeats say of its devices now, before it begins; they are forgotten when they are an hour old."""
        now_s = self._clock()
        for measure in ("error_rate", "cpu"):
            found = self.evidence.samples(rollout.devices, measure, now_s - _BEFORE_S, now_s, now_s)
            self._before[rollout.id, measure] = list(found)

    async def take(self, rollout: Rollout, measure: Measure) -> MeasurementTaken | MeasurementFailed:
        """The answer to a Measure. Raises nothing: what goes wrong is an answer, too."""
        gate = next((each for each in rollout.plan.gates if each.name == measure.gate), None)
        if gate is None:
            return self._failed(measure, "the plan has no such gate")
        began_s = rollout.head.waves[0].started_s or self._clock()
        asked = _Asked(gate, measure, canary_group(rollout), control_group(rollout), began_s)
        if gate.measure == "log_templates":
            return self._logged(rollout, measure)
        if self._prometheus is None:
            if gate.measure == "promql":
                return self._failed(measure, "no Prometheus is configured, and this gate is a query")
            return self._heard(rollout, asked)
        try:
            return await self._asked(self._prometheus, asked)
        except AskError as err:
            return self._failed(measure, err.verdict.words)

    @staticmethod
    def _failed(measure: Measure, reason: str) -> MeasurementFailed:
        return MeasurementFailed(measure.gate, measure.wave, measure.evaluation, reason)

    # -- from logs

    def _logged(self, rollout: Rollout, measure: Measure) -> MeasurementTaken:
        """Its window is for how long both groups were heard: after a restart, counting begins anew."""
        found = self._logs.of(rollout.id)
        return MeasurementTaken(
            gate=measure.gate,
            wave=measure.wave,
            evaluation=measure.evaluation,
            window_s=0.0 if found is None else found.compared_s,
            canary=(),
            scalar=0.0 if found is None else found.new_errors_on,
            query="logs",
        )

    # -- from heartbeats

    def _heard(self, rollout: Rollout, asked: _Asked) -> MeasurementTaken:
        now_s, measure = self._clock(), asked.measure

        def samples(addresses: Iterable[Address]) -> list[DeviceSample]:
            since_s = now_s - measure.window_s
            return list(self.evidence.samples(addresses, asked.gate.measure, since_s, now_s, now_s))

        return MeasurementTaken(
            gate=measure.gate,
            wave=measure.wave,
            evaluation=measure.evaluation,
            window_s=measure.window_s,
            canary=samples(asked.canary),
            control=samples(asked.control),
            baseline=self._before.get((rollout.id, asked.gate.measure), ()),
            query="heartbeats",
        )

    # -- from Prometheus

    async def _asked(self, server: Prometheus, asked: _Asked) -> MeasurementTaken:
        measure = asked.measure
        window_s = max(measure.window_s, _LEAST_WINDOW_S)
        window = f"{math.ceil(window_s)}s"
        values, events = self._queries(asked.gate)
        query = values.replace("$window", window)
        answer = await server.instant(query)
        counted = None if events is None else await server.instant(events.replace("$window", window))
        before: list[DeviceSample] = []
        if asked.gate.measure != "promql":
            earlier = f"{window} offset {math.ceil(max(0.0, self._clock() - asked.began_s))}s"
            old = await server.instant(self._moved(values, earlier))
            old_events = None if events is None else await server.instant(self._moved(events, earlier))
            before = self._samples(asked, [*asked.canary, *asked.control], old, old_events)
        return MeasurementTaken(
            gate=measure.gate,
            wave=measure.wave,
            evaluation=measure.evaluation,
            window_s=window_s,
            canary=self._samples(asked, asked.canary, answer, counted),
            control=self._samples(asked, asked.control, answer, counted),
            baseline=before,
            scalar=self._scalar(answer) if asked.gate.measure == "promql" and events is None else None,
            query=query,
        )

    @staticmethod
    def _moved(query: str, earlier: str) -> str:
        window, _, offset = earlier.partition(" ")
        return query.replace("[$window]", f"[{window}] {offset}")

    def _queries(self, gate: GatePlan) -> tuple[str, str | None]:
        """What is asked, and of how many events it is the share; for built-in rates: how many of them were bad."""
        by = self._labels.by
        match gate.measure:
            case "error_rate":
                return (
                    f"sum by ({by}) (increase(fleet_request_errors_total[$window]))",
                    f"sum by ({by}) (increase(fleet_requests_total[$window]))",
                )
            case "cpu":
                return f"avg by ({by}) (avg_over_time(fleet_device_cpu_ratio[$window]))", None
            case "promql" | "log_templates":
                return gate.query or "", gate.events

    def _samples(
        self, asked: _Asked, addresses: Sequence[Address], answer: Answer, events: Answer | None
    ) -> list[DeviceSample]:
        values = self._by_device(answer)
        counts = None if events is None else self._by_device(events)
        found = []
        for address in addresses:
            key = tuple(self._labels.of(address).values())
            value = values.get(key)
            if value is None:
                continue
            if counts is None:
                found.append(DeviceSample(address, value))
            elif (of := counts.get(key)) is not None:
                # A query of the plan's says which share was bad; ours, how many.
                found.append(DeviceSample(address, value * of if asked.gate.measure == "promql" else min(value, of), of))
        return found

    def _by_device(self, answer: Answer) -> dict[tuple[str | None, ...], float]:
        names = tuple(self._labels.templates)
        return {tuple(series.labels.get(name) for name in names): series.last for series in answer.series}

    def _scalar(self, answer: Answer) -> float | None:
        """The value of an answer that is not by device."""
        if len(answer.series) != 1 or any(name in answer.series[0].labels for name in self._labels.templates):
            return None
        return answer.series[0].last
