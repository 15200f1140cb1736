"""Follows one rollout: drawn in place on a terminal, with keys to steer it; a line for each change into a pipe."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from time import monotonic, time
from typing import TYPE_CHECKING

from fleetview.cli.rollout_text import bad, done, show_lines, status_words, waiting
from fleetview.cli.text import fitted
from fleetview.core.text import clean
from fleetview.feeds.rollouts import WATCH_EVERY_S, NoAnswerError
from fleetview_agent.endpoint import LinkError

if TYPE_CHECKING:
    from fleetview.core.rollout.board import Key, Shown
    from fleetview.feeds.rollouts import RolloutDesk
    from fleetview_agent.wire.messages import RolloutVerb

_KEYS: dict[str, RolloutVerb] = {"p": "pause", "r": "resume", "t": "retry", "a": "abort", "b": "rollback"}
_HINT = "p pause  r resume  t retry  a abort  b rollback  q leave"
_SECOND_S = 1.0


async def follow_rollout(desk: RolloutDesk, key: Key, *, steers: bool) -> str:
    """Until the rollout is over, or somebody presses q. Returns its status."""
    if sys.stdout.isatty():
        return await _draw(desk, key, steers=steers)
    return await _print(desk, key)


async def _print(desk: RolloutDesk, key: Key) -> str:
    before = ""
    while True:
        shown = desk.board.rollouts.get(key)
        if shown is None:
            return "gone"
        line = _line(shown)
        if line != before:
            before = line
            print(f"{datetime.now(UTC):%H:%M:%S}  {line}", flush=True)
        if shown.over:
            return shown.public.status.value
        await desk.news(_SECOND_S)


def _line(shown: Shown) -> str:
    public = shown.public
    phase = f" {public.phase.value}" if public.phase is not None else ""
    wave = f"wave {public.wave} of {len(public.waves)}{phase}, " if public.waves else ""
    counts = f"{done(public.counts)} of {public.devices_total} converged, {bad(public.counts)} bad"
    return clean(f"{status_words(public)}: {wave}{counts}; waits for {public.waits_for or 'nothing'}")


async def _draw(desk: RolloutDesk, key: Key, *, steers: bool) -> str:
    watched_mono_s = -WATCH_EVERY_S
    asked: RolloutVerb | None = None
    said = ""
    keys: asyncio.Queue[str] = asyncio.Queue()
    with _single_keys(keys):
        while True:
            shown = desk.board.rollouts.get(key)
            if shown is None:
                return "gone"
            if steers and monotonic() - watched_mono_s >= WATCH_EVERY_S:
                watched_mono_s = monotonic()
                with suppress(LinkError):
                    await desk.watch(key, datetime.now(UTC) + timedelta(seconds=WATCH_EVERY_S))
            foot = said or (_HINT if steers else "q leave")
            if asked is not None:
                foot = f"{asked}: {shown.public.verbs.get(asked, '')}  y to do it, any other key not to"
            _paint([*show_lines(shown, desk.board, time()), "", clean(foot)])
            if shown.over:
                return shown.public.status.value
            pressed = await _next(desk, keys)
            if asked is not None and pressed is not None:
                said = await _order(desk, shown, asked) if pressed == "y" else f"{asked}: not done"
                asked = None
            elif pressed == "q":
                return shown.public.status.value
            elif steers and (verb := _KEYS.get(pressed or "")) is not None:
                asked = verb if verb in shown.public.verbs else None
                said = (
                    ""
                    if asked
                    else f"{verb} would do nothing now ({waiting(shown.public, time()) or 'it waits for nothing'})"
                )


async def _next(desk: RolloutDesk, keys: asyncio.Queue[str]) -> str | None:
    """A key, or None when there is news or a second has passed."""
    waits: set[asyncio.Task[str] | asyncio.Task[None]] = {
        asyncio.create_task(keys.get()),
        asyncio.create_task(desk.news(_SECOND_S)),
    }
    finished, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    return next((result for task in finished if isinstance(result := task.result(), str)), None)


async def _order(desk: RolloutDesk, shown: Shown, verb: RolloutVerb) -> str:
    try:
        answer = await desk.order(shown.key, verb, "while watching it", revision=shown.public.revision)
    except (LinkError, NoAnswerError) as err:
        return f"{verb}: {err}"
    return f"{verb}: {'taken' if answer.taken else 'refused'}: {answer.text}"


def _paint(lines: list[str]) -> None:
    rows = shutil.get_terminal_size().lines
    shown = [*lines[: rows - 2], lines[-1]] if len(lines) >= rows else lines
    sys.stdout.write("\x1b[H" + "".join(f"{fitted(line, sys.stdout)}\x1b[K\r\n" for line in shown[:-1]))
    sys.stdout.write(f"{fitted(shown[-1], sys.stdout)}\x1b[K\x1b[J")
    sys.stdout.flush()


@contextmanager
def _single_keys(keys: asyncio.Queue[str]) -> Iterator[None]:
    """Keys one by one and unseen, on the terminal's other screen, which is as it was afterwards."""
    if not sys.stdin.isatty():
        yield
        return
    import termios  # noqa: PLC0415 (not on Windows)
    import tty  # noqa: PLC0415 (likewise)

    fd, loop = sys.stdin.fileno(), asyncio.get_running_loop()
    before = termios.tcgetattr(fd)
    sys.stdout.write("\x1b[?1049h\x1b[?25l")
    tty.setcbreak(fd)
    loop.add_reader(fd, lambda: keys.put_nowait(sys.stdin.read(1)))
    try:
        yield
    finally:
        loop.remove_reader(fd)
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
        sys.stdout.write("\x1b[?25h\x1b[?1049l")
        sys.stdout.flush()
