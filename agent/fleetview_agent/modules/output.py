"""What modules write becomes log records.

Unlike a followed file, a pipe keeps nothing, and a module must not stand still because the broker is away. So what is too
much is dropped and counted. One that writes without end is slowed down: else the agent would read as fast as it writes.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from fleetview_agent.followed import MAX_LINE_BYTES, Line
from fleetview_agent.lines import record_of_line
from fleetview_agent.spool import Record

_log = logging.getLogger(__name__)

LINES_A_SECOND = 1000.0
BURST_LINES = 5000.0
"""Half of what the spool holds."""
_READ_BYTES = 64 * 1024
_PAUSE_S = 0.05
"""Between two reads from a module that writes too much: with _READ_BYTES 1.3 MB a second."""
_REPORT_INTERVAL_S = 10.0


@dataclass(slots=True)
class Lines:
    """Cuts what arrives into lines, and keeps MAX_LINE_BYTES of one. No I/O."""

    _partial: bytearray = field(default_factory=bytearray)
    _length: int = 0

    def feed(self, data: bytes, most: int) -> tuple[list[Line], int]:
        """The lines that this completes, `most` of them at most, and how many more there were."""
        lines: list[Line] = []
        start, more = 0, 0
        while len(lines) < most and (end := data.find(b"\n", start)) >= 0:
            self._keep(data[start:end])
            lines.append(self._complete())
            start = end + 1
        if (last := data.rfind(b"\n", start)) >= 0:
            more = data.count(b"\n", start, last + 1)
            self._complete()
            start = last + 1
        self._keep(data[start:])
        return lines, more

    def rest(self) -> list[Line]:
        """The last line, if it has no end."""
        return [self._complete()] if self._length else []

    def _keep(self, part: bytes) -> None:
        self._length += len(part)
        self._partial += part[: max(0, MAX_LINE_BYTES - len(self._partial))]

    def _complete(self) -> Line:
        data, length = bytes(self._partial), self._length
        self._partial.clear()
        self._length = 0
        return Line(data[:-1], length - 1) if data.endswith(b"\r") else Line(data, length)


@dataclass(slots=True)
class Allowance:
    """How many lines a module may write now: LINES_A_SECOND, and BURST_LINES at once."""

    left: float = BURST_LINES
    _at_s: float | None = None

    def take(self, lines: int) -> None:
        """Use some of it up."""
        self.left -= lines

    def at(self, now_s: float) -> int:
        """What is allowed now."""
        if self._at_s is not None:
            self.left = min(BURST_LINES, self.left + (now_s - self._at_s) * LINES_A_SECOND)
        self._at_s = now_s
        return int(self.left)


@dataclass(frozen=True, slots=True)
class Sink:
    """Where records go, and when it is."""

    take: Callable[[Sequence[Record]], object]
    hold: Callable[[], bool]
    """Whether there is no room."""
    clock: Callable[[], float]
    now_ms: Callable[[], int]


class Output:
    """Both outlets of one process of a module. `stdout` and `stderr` are for the process, and closed once it has them."""

    def __init__(self, name: str, sink: Sink) -> None:
        self._name = name
        self._sink = sink
        self._allowance = Allowance()
        self.dropped = 0
        """Lines, since it was made."""
        self._unreported = 0
        self._reported_s = float("-inf")
        self._outlets = [_Outlet(self, "stdout"), _Outlet(self, "stderr")]
        self.stdout, self.stderr = (outlet.write_fd for outlet in self._outlets)

    def begin(self) -> None:
        """The process has its ends: read from ours."""
        for outlet in self._outlets:
            outlet.begin()

    def close(self) -> None:
        """Take what is still there, and let go. Without `begin` too."""
        for outlet in self._outlets:
            outlet.close()
        self._report()

    def arrived(self, data: bytes, lines: Lines, outlet: str) -> bool:
        """Take what was read. False when it is too much."""
        allowed = 0 if self._sink.hold() else self._allowance.at(self._sink.clock())
        found, more = lines.feed(data, allowed)
        self._allowance.take(len(found))
        self.take(found, outlet)
        if more:
            self.dropped += more
            self._unreported += more
            if self._sink.clock() - self._reported_s >= _REPORT_INTERVAL_S:
                self._report()
        return more == 0

    def take(self, lines: Sequence[Line], outlet: str) -> None:
        """Make records of these lines."""
        records = [self._record(line, outlet) for line in lines if line.data.strip()]
        if records:
            self._sink.take(records)

    def _record(self, line: Line, outlet: str) -> Record:
        cut = line.length if line.length > len(line.data) else None
        record = record_of_line(line.data, service=self._name, now_ms=self._sink.now_ms(), cut_from_bytes=cut)
        record.setdefault("module_name", self._name)
        if outlet == "stderr":
            record.setdefault("outlet", outlet)
        return record

    def _report(self) -> None:
        if not self._unreported:
            return
        why = "the spool is full" if self._sink.hold() else f"it writes more than {LINES_A_SECOND:g} a second"
        extra = {"module_name": self._name, "count": self._unreported, "event": "module_lines_dropped"}
        _log.warning("dropped %d lines of module %s: %s", self._unreported, self._name, why, extra=extra)
        self._unreported = 0
        self._reported_s = self._sink.clock()


class _Outlet:
    """One pipe."""

    def __init__(self, output: Output, name: str) -> None:
        self._output = output
        self._name = name
        self._lines = Lines()
        self._read_fd, self.write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        self._loop = asyncio.get_running_loop()
        self._again: asyncio.TimerHandle | None = None
        self._is_open = True
        self._is_given = False

    def begin(self) -> None:
        self._give()
        self._loop.add_reader(self._read_fd, self._on_readable)

    def _give(self) -> None:
        if not self._is_given:
            self._is_given = True
            os.close(self.write_fd)

    def _on_readable(self) -> None:
        data = self._read()
        if data is None:
            return
        if not data:
            self._finish()
        elif not self._output.arrived(data, self._lines, self._name):
            self._loop.remove_reader(self._read_fd)
            self._again = self._loop.call_later(_PAUSE_S, self._loop.add_reader, self._read_fd, self._on_readable)

    def _read(self) -> bytes | None:
        """What there is: nothing at the end, None when it is not there yet."""
        try:
            return os.read(self._read_fd, _READ_BYTES)
        except BlockingIOError:
            return None

    def close(self) -> None:
        self._give()
        if self._is_open:
            # Its writers are dead: no more than a pipe's worth can be there. A process that fled is not waited for.
            for _ in range(_MOST_READS_AT_END):
                data = self._read()
                if not data:
                    break
                self._output.arrived(data, self._lines, self._name)
            self._finish()

    def _finish(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        self._output.take(self._lines.rest(), self._name)
        if self._again is not None:
            self._again.cancel()
        with suppress(ValueError):
            self._loop.remove_reader(self._read_fd)
        os.close(self._read_fd)


_MOST_READS_AT_END = 16
"""Of 64 KiB: the largest pipe that the kernel gives without privileges."""
