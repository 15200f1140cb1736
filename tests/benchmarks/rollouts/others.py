"""The policies of other engines on the same fleets, with the same steps: 5 %, then 10 points more. (None knows a pilot.)

Each is set up as its documentation sets up its example, with the bound of our default policy (an error rate of 0.5 %):

- Argo Rollouts (canary with a background AnalysisRun): a measurement a minute of the canary's pooled error rate over five
  minutes; more than `failureLimit` 3 failed ones abort, and so do more than `consecutiveErrorLimit` 4 errors in a row. Ten
  minutes' pause at each step. A step is over when all of its devices are there: one that is offline blocks it.
- Flagger: a check at each `interval` (ten minutes, to have the same pace) of the same rate; a pass advances, a failed check
  (no data and no answer too) halts, and `threshold` 5 of them roll back. Devices that are not ready halt it likewise.
- hawkBit: groups, each started when half of the one before reports success; a third of a group reporting failure stops. It
  knows no metrics, and what falls silent after its report is not looked at.

None has a control group, and each takes the devices as they come.
"""

from __future__ import annotations

from benchmarks.rollouts.truth import Fleet, Run

SHARES = (*(percent / 100 for percent in range(5, 100, 10)), 1.0)
BOUND = 0.005
MINUTE_S = 60.0
WINDOW_S = 300.0
STEP_S = 600.0
TIRED_S = 12 * 3600.0


class _Engine:
    """What they have in common: devices that are offered a release and take it."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet, self.now_s = fleet, 0.0
        self.offered = 0
        self._applying: dict[int, float] = {}
        self.ready: set[int] = set()
        self.failed: set[int] = set()
        self.groups: list[range] = []

    def offer(self, share: float) -> None:
        """Offer the release to so many devices, all before included."""
        first, self.offered = self.offered, max(1, round(share * self.fleet.size))
        self.groups.append(range(first, self.offered))
        for number in self.groups[-1]:
            if self.fleet.devices[number].online:
                self._applying[number] = self.now_s + self.fleet.devices[number].apply_s

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now_s += seconds
        for number in [number for number, until_s in self._applying.items() if until_s <= self.now_s]:
            at_s = self._applying.pop(number)
            if self.fleet.devices[number].fails:
                self.failed.add(number)
            else:
                self.fleet.change(number, max(at_s, self.fleet.devices[number].until_s))
                self.ready.add(number)

    def rate(self) -> float | None:
        """The canary's pooled error rate; None without data."""
        found = [self.fleet.counts(number, self.now_s - WINDOW_S, self.now_s) for number in range(self.offered)]
        bad = sum(each[0] for each in found if each is not None)
        events = sum(each[1] for each in found if each is not None)
        return bad / events if events else None

    @property
    def all_ready(self) -> bool:
        """Whether all that were offered the release run it."""
        return len(self.ready) == self.offered

    def end(self, how: str) -> Run:
        """How it went. Devices that were not there have not got it."""
        exposed = sum(self.fleet.devices[number].online for number in range(self.offered)) / self.fleet.size
        assert how in {"stopped", "through", "stuck"}
        return Run(exposed, how, self.now_s)  # type: ignore[arg-type]


def argo(fleet: Fleet) -> Run:
    """Argo Rollouts."""
    engine, failures, errors = _Engine(fleet), 0, 0
    for share in SHARES:
        engine.offer(share)
        started_s = engine.now_s
        while engine.now_s < started_s + STEP_S or not engine.all_ready:
            engine.wait(MINUTE_S)
            if engine.now_s > TIRED_S:
                return engine.end("stuck")
            rate = engine.rate() if fleet.prometheus(engine.now_s) == "up" else None
            errors = errors + 1 if rate is None else 0
            failures += rate is not None and rate > BOUND
            if failures > 3 or errors > 4:
                return engine.end("stopped")
    return engine.end("through")


def flagger(fleet: Fleet) -> Run:
    """Flagger."""
    engine, failures = _Engine(fleet), 0
    for share in SHARES:
        engine.offer(share)
        while True:
            for _ in range(int(STEP_S / MINUTE_S)):
                engine.wait(MINUTE_S)
            if engine.now_s > TIRED_S:
                return engine.end("stuck")
            if not engine.all_ready:
                continue
            rate = engine.rate() if fleet.prometheus(engine.now_s) == "up" else None
            if rate is not None and rate <= BOUND:
                break
            failures += 1
            if failures >= 5:
                return engine.end("stopped")
    return engine.end("through")


def hawkbit(fleet: Fleet) -> Run:
    """hawkBit."""
    engine = _Engine(fleet)
    for share in SHARES:
        engine.offer(share)
        group = engine.groups[-1]
        while True:
            engine.wait(MINUTE_S)
            if len(engine.failed & set(group)) >= len(group) / 3:
                return engine.end("stopped")
            if len(engine.ready & set(group)) >= len(group) / 2:
                break
            if engine.now_s > TIRED_S:
                return engine.end("stuck")
    return engine.end("through")
