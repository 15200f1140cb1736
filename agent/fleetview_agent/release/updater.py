"""Takes releases: does what `machine` decides, one effect at a time, and tells it what comes of that.

Before an effect is carried out, and before anything is reported, what was decided is on the disk. Whatever blocks (network,
disk, hashing) is `work` in threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from fleetview_agent.release import machine, model
from fleetview_agent.release.errors import BrokenOffError, ReleaseError
from fleetview_agent.release.manifest import Manifest
from fleetview_agent.release.model import State
from fleetview_agent.release.offer import offer_of, problem_of
from fleetview_agent.release.settings import Ota
from fleetview_agent.release.shelf import Recovered, Shelf
from fleetview_agent.wire import ReleaseOffer, ReleaseReport

if TYPE_CHECKING:
    from fleetview_agent.release.work import Work

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

REPORTED_STEPS = 20
"""Of progress: a report is a retained message, and goes to everybody who watches."""
RETRY_CAP_S = 300.0
LONGEST_REASON = 600
"""Characters: a server may say as much as it likes."""
_DISK_RETRY_S = 10.0
_PATIENCE_S = 0.5
"""For a thread that was called off: it may wait for the network, and is then left to itself."""


class Trouble(NamedTuple):
    """Why all is not well."""

    words: str
    hopeless: bool = False
    """It will not be by itself."""


class Device(Protocol):
    """What an updater needs of the agent around it."""

    def fits(self, release: Manifest) -> None:
        """Make sure that its modules can be together with those of the configuration. Raises RefusedError."""

    def run_release(self, release: Manifest | None) -> None:
        """Let its modules run in place of those of the release before, restarted in order. Raises RefusedError."""

    def begin_check(self) -> None:
        """Remember how the device is: what is wrong before the switch is not the fault of what comes."""

    def trouble(self) -> Trouble | None:
        """What is not well; None when all is."""

    def alone(self) -> contextlib.AbstractAsyncContextManager[object]:
        """Held while the device is changed: of two changes at once each would be blamed for the other."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Of an updater; tests have faster ones."""

    now_s: Callable[[], float] = time.monotonic
    look_s: float = 0.5
    """Between two looks at how the device is, while a release is checked."""
    retry_base_s: float = 1.0


class Updater:
    """The releases of one session of the agent. `run` takes them, for ever."""

    def __init__(
        self,
        settings: Ota,
        shelf: Shelf,
        recovered: Recovered,
        device: Device,
        *,
        verify_s: float,
        rng: random.Random,
        on_report: Callable[[], None] = lambda: None,
        clock: Clock | None = None,
    ) -> None:
        self._settings = settings
        self._shelf = shelf
        self._device = device
        self._rng = rng
        self._clock = clock or Clock()
        verify_s = verify_s if settings.verify_s is None else settings.verify_s
        self._rules = model.Rules(verify_s, settings.settle_s, settings.retries, self._delay_s)
        self._on_report = on_report
        self._state = recovered.state
        self._saved = recovered.state
        self._told = self._report = machine.report(recovered.state)
        self._problem = recovered.problem
        self._disk_problem: str | None = None
        self._events: asyncio.Queue[tuple[int | None, model.Event]] = asyncio.Queue()
        """Each with the number of the effect that it comes of."""
        self._to_do: list[model.Effect] = []
        self._effects = 0
        self._task: asyncio.Task[None] | None = None
        self._alone = contextlib.AsyncExitStack()
        self._has_switched = False
        """What the device runs is not committed."""
        self._idle = asyncio.Event()
        """Set while nothing is under way."""

    @property
    def running(self) -> str | None:
        """The release whose modules run, for heartbeats."""
        job = self._state.job
        return job.offer.version if job is not None and job.stage == "checking" else self._state.running

    @property
    def problems(self) -> list[str]:
        """What is wrong with the releases on the disk, in words."""
        return [words for words in (self._problem, self._disk_problem) if words is not None]

    def report(self) -> ReleaseReport | None:
        """How far a change has got, for `reported`."""
        return self._report

    def offered(self, release: ReleaseOffer, gen: int) -> None:
        """This release should run. A generation that is known is not heeded again."""
        offer = offer_of(release)
        self._events.put_nowait((None, model.Wanted(gen, offer, problem_of(offer, self._settings))))

    def refused(self, release: ReleaseOffer, gen: int, reason: str) -> None:
        """This release is not to be begun: it is reported as `failed` for this reason."""
        self._events.put_nowait((None, model.Wanted(gen, offer_of(release), reason)))

    def withdrawn(self) -> None:
        """Nothing is wanted any more. What is not switched yet is given up."""
        self._events.put_nowait((None, model.Withdrawn()))

    async def idle(self) -> None:
        """Wait until nothing is under way, and all is cleared away."""
        await self._idle.wait()

    async def run(self) -> None:
        """Take releases, until it is cancelled; it may be run again."""
        event: model.Event = model.Booted()
        if self._has_switched:  # it was cancelled while another release was tried
            await self._switch(self._state.running)
        try:
            while True:
                await self._apply(event)
                self._go_on()
                if self._state.job is None and self._task is None:
                    self._idle.set()
                else:
                    self._idle.clear()
                event = await self._next()
        finally:
            await self._call_off()
            await self._alone.aclose()

    def _delay_s(self, tries: int) -> float:
        """With half of it by chance: a fleet must not come back to its server in step."""
        most_s = min(RETRY_CAP_S, self._clock.retry_base_s * 2.0 ** min(tries - 1, 16))
        return most_s * self._rng.uniform(0.5, 1.0)

    # What happens

    async def _next(self) -> model.Event:
        while True:
            try:
                async with asyncio.timeout(self._wait_s()):
                    number, event = await self._events.get()
            except TimeoutError:
                return self._looked()
            if number in {None, self._effects}:
                return event  # else of an effect that was called off

    def _wait_s(self) -> float | None:
        job = self._state.job
        if self._disk_problem is not None:
            return _DISK_RETRY_S
        if job is None or self._task is not None:
            return None
        if job.stage == "checking":
            return self._clock.look_s
        return None if job.retry_at_s is None else max(0.0, job.retry_at_s - self._clock.now_s())

    def _looked(self) -> model.Event:
        job = self._state.job
        if job is None or job.stage != "checking" or self._task is not None:
            return model.Ticked()
        trouble = self._device.trouble()
        return model.Looked(None) if trouble is None else model.Looked(trouble.words, trouble.hopeless)

    async def _apply(self, event: model.Event) -> None:
        before = self._state
        self._state, effects = machine.step(before, event, self._clock.now_s(), self._rules)
        if model.CallOff() in effects:
            await self._call_off()
            self._to_do.clear()
        self._to_do += effects
        if _kept(self._state) != _kept(self._saved):
            await self._save()
        if self._state.running != before.running:
            self._has_switched = False
            self._problem = None  # it was of the one before
        if self._disk_problem is None:
            self._tell(before)
            if not self._state.may_have_switched:
                await self._alone.aclose()

    async def _save(self) -> None:
        state = self._state
        try:
            await _in_thread(lambda: self._shelf.save(state))
        except OSError as err:
            words = f"releases: {self._shelf.folder} cannot be written: {err.strerror}"
            if words != self._disk_problem:
                _log.error(words)
            self._disk_problem = words
        else:
            self._saved = state
            self._disk_problem = None

    def _tell(self, before: State) -> None:
        """What has changed, in the log and to whoever reports."""
        after, outcome = self._state, self._state.last
        if outcome is not None and outcome != before.last:
            words = f"release {outcome.version or 'without a version'}: {outcome.status.replace('_', ' ')}"
            level = logging.INFO if outcome.status == "committed" else logging.ERROR
            why = f": {outcome.reason}" if outcome.reason else ""
            _log.log(level, words + why, extra={"release": outcome.version, "gen": outcome.gen})
        job = after.job
        if job is not None and (before.job is None or before.job.stage != job.stage):
            extra = {"release": job.offer.version, "gen": job.gen, "reason": job.reason}
            _log.info("release %s: %s", job.offer.version, job.stage.replace("_", " "), extra=extra)
        self._report = machine.report(after)
        told = _coarse(self._report)
        if told != self._told or outcome != before.last:  # a generation may end as the one before did, and is to be told
            self._told = told
            self._on_report()

    # What is done

    def _go_on(self) -> None:
        if self._task is not None and self._task.done():
            self._task.result()  # raises a defect
            self._task = None
        if self._task is None and self._to_do and self._disk_problem is None:
            self._effects += 1
            self._task = asyncio.create_task(self._carry_out(self._to_do.pop(0), self._effects), name="release")

    @cached_property
    def _work(self) -> Work:
        # Most devices are offered nothing for weeks: what unpacking takes is half a MiB of their memory until then.
        from fleetview_agent.release.work import Work  # noqa: PLC0415

        return Work(self._settings, self._shelf)

    async def _carry_out(self, effect: model.Effect, number: int) -> None:
        self._work.begin()
        event: model.Event
        try:
            event = await self._do(effect, number)
        except BrokenOffError as err:
            event = model.BrokenOff(str(err)[:LONGEST_REASON], self._work.gained())
        except ReleaseError as err:
            event = model.Refused(str(err)[:LONGEST_REASON])
        except OSError as err:
            where = f"{err.filename}: " if isinstance(err.filename, str) else ""
            event = model.Refused(f"the disk: {where}{err.strerror or err}")
        except BaseException:
            self._events.put_nowait((number, model.Ticked()))  # to be seen by `_go_on`
            raise
        self._events.put_nowait((number, event))

    async def _do(self, effect: model.Effect, number: int) -> model.Event:
        work, shelf, state = self._work, self._shelf, self._state
        match effect:
            case model.Admit(offer):
                in_use = [version for version in (state.running, state.previous) if version is not None]
                return model.Admitted(await _in_thread(lambda: work.admit(offer, in_use)))
            case model.Fetch(offer):
                progress = self._progress(number)
                await _in_thread(lambda: work.fetch(offer, progress))
            case model.Verify(offer):
                await _in_thread(lambda: work.verify(offer))
            case model.Prove(version, back_to):
                self._device.fits(await _in_thread(lambda: work.prove(version, back_to)))
            case model.Switch(version):
                await self._alone.enter_async_context(self._device.alone())
                self._device.begin_check()
                await self._switch(version)
            case model.GoBack(back_to):
                await self._switch(back_to)
            case model.CallOff():
                return await self._tidy(shelf.forget_arrived)
            case model.Clean(keep, drop):
                return await self._tidy(lambda: shelf.clean(keep, drop, self._settings.keep))
        return model.Did()

    async def _tidy(self, function: Callable[[], None]) -> model.Event:
        """What is left on the disk is a pity, and no reason for anything."""
        try:
            await _in_thread(function)
        except OSError as err:
            _log.warning("releases cannot be cleared away", extra={"file": err.filename, "why": err.strerror})
        return model.Ticked()

    async def _switch(self, version: str | None) -> None:
        shelf = self._shelf
        release = None if version is None else await _in_thread(lambda: shelf.manifest(version))
        await _in_thread(lambda: shelf.switch(version))
        self._has_switched = version != self._state.running
        self._device.run_release(release)

    def _progress(self, number: int) -> Callable[[float], None]:
        """Hundredths, from the thread of a download."""
        loop = asyncio.get_running_loop()
        last = -1

        def tell(fraction: float) -> None:
            nonlocal last
            if int(fraction * 100) != last:
                last = int(fraction * 100)
                with contextlib.suppress(RuntimeError):  # the loop has ended
                    loop.call_soon_threadsafe(self._events.put_nowait, (number, model.Progressed(fraction)))

        return tell

    async def _call_off(self) -> None:
        task, self._task = self._task, None
        self._effects += 1
        if task is not None:
            self._work.call_off()
            await asyncio.wait({task}, timeout=_PATIENCE_S)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _in_thread(function: Callable[[], _T]) -> _T:
    """What blocks, in a thread that does not keep the agent from ending."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def settle(result: _T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def work() -> None:
        result, error = None, None
        try:
            result = function()
        except BaseException as err:  # noqa: BLE001  (whoever awaits it shall have it)
            error = err
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=work, name="release", daemon=True).start()
    return await done


def _kept(state: State) -> State:
    """What is worth a write to the disk: that there is a job, and whether another release may be linked."""
    if state.job is None:
        return state
    job = replace(state.job, progress=0.0, tries=0, retry_at_s=None, begun_s=0.0, well_since_s=None)
    match job.stage:
        case "going_back":
            pass
        case "applying" | "checking":
            job = replace(job, stage="applying", reason=None)
        case _:
            job = replace(job, stage="queued", reason=None)
    return replace(state, job=job)


def _coarse(report: ReleaseReport | None) -> ReleaseReport | None:
    """The report with so much of its progress as is worth a message."""
    if report is None or report.progress is None:
        return report
    return report.model_copy(update={"progress": int(report.progress * REPORTED_STEPS) / REPORTED_STEPS})
