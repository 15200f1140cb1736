"""A loaded function: its process, what it is told and what it answers.

A call is one line of JSON on stdin. With `idle_s = 0` that is all the process gets, and its exit status is the answer. One
that stays loaded reads line after line, and answers each with a line of JSON on stdout: `{"done": ID}`, or with `"error"` in
words beside that. All else that it writes become log records.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fleetview_agent.followed import Line
from fleetview_agent.modules.output import Output, Sink
from fleetview_agent.modules.process import ModuleProcess, Outlets, spawn, status_words
from fleetview_agent.modules.spec import ModuleSpec

MEMORY_MIB = 256
"""Address space of a function whose `limits` do not say otherwise."""
_SHOWN = 200


class _Answers(Output):
    """Takes the answers out of what a loaded function writes, where somebody wants them."""

    on_answer: Callable[[Mapping[str, Any]], None] | None = None

    def take(self, lines: Sequence[Line], outlet: str) -> None:
        rest = []
        for line in lines:
            answer = _answer(line.data) if self.on_answer is not None and outlet == "stdout" else None
            if answer is None or self.on_answer is None:
                rest.append(line)
            else:
                self.on_answer(answer)
        super().take(rest, outlet)


def _answer(line: bytes) -> Mapping[str, Any] | None:
    if b'"done"' not in line:
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and "done" in found else None


class LoadedFunction:
    """A process of a function, made by `load`."""

    def __init__(self, spec: ModuleSpec, running: ModuleProcess, output: Output, stdin: asyncio.WriteTransport) -> None:
        self._spec = spec
        self._running = running
        self._output = output
        self._stdin = stdin
        self._stays = spec.idle_s > 0
        self._asked: tuple[str, asyncio.Future[str | None]] | None = None
        """The id of the call under way, and its failure, once that is known."""
        self.end: asyncio.Task[str | None] = asyncio.create_task(self._ended(), name=f"function {running.group}")
        """Ends with the process: why that is a failure, or None."""

    @property
    def group(self) -> int:
        """The process group."""
        return self._running.group

    @property
    def dropped(self) -> int:
        """Lines that it wrote and that were too much."""
        return self._output.dropped

    async def _ended(self) -> str | None:
        try:
            status = await self._running.ended()
        finally:
            # Closed already, it is gone or will be, and asyncio's transport does not bear being told twice.
            if not self._stdin.is_closing() or self._stdin.get_write_buffer_size():
                self._stdin.abort()
            self._running.clear_away()
            self._output.close()
        return None if status == 0 else status_words(status, self._spec.limits)

    def on_answer(self, answer: Mapping[str, Any]) -> None:
        """What the process says of the call that it makes."""
        if self._asked is not None and str(answer["done"]) == self._asked[0] and not self._asked[1].done():
            error = answer.get("error")
            self._asked[1].set_result(None if error is None else f"it answered: {error}"[:_SHOWN])

    async def make(self, call_id: str, data: bytes) -> str | None:
        """Make a call; None, or why it failed."""
        answered: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._asked = call_id, answered
        self._stdin.write(data + b"\n")
        if not self._stays:
            self._stdin.close()  # once it has taken all
        waiting: set[asyncio.Future[str | None]] = {self.end, answered}
        done, _ = await asyncio.wait(waiting, timeout=self._spec.timeout_s, return_when=asyncio.FIRST_COMPLETED)
        self._asked = None
        if answered in done:
            return answered.result()
        if self.end in done:
            failure = self.end.result()
            return "it ended without an answer" if failure is None and self._stays else failure
        self.unload()
        await asyncio.wait({self.end})
        return f"it took longer than {self._spec.timeout_s:g} s"

    def unload(self) -> None:
        """End it."""
        self._stdin.close()
        self._running.ask_to_end()


async def load(name: str, spec: ModuleSpec, mark: str, sink: Sink) -> LoadedFunction:
    """Start a process of a function. Raises SpawnError."""
    if spec.limits.memory_mib is None:
        spec = spec.model_copy(update={"limits": spec.limits.model_copy(update={"memory_mib": MEMORY_MIB})})
    loop = asyncio.get_running_loop()
    output = _Answers(name, sink)
    theirs, ours = os.pipe()
    # Not a pipe of asyncio's subprocess, which waits for its end as well: what a function has started may hold it.
    stdin, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(ours, "wb", 0))
    try:
        process = await spawn(spec.command or [], spec, mark, Outlets(output.stdout, output.stderr, stdin=theirs))
    except BaseException:
        stdin.abort()
        output.close()
        raise
    finally:
        os.close(theirs)
    loaded = LoadedFunction(spec, ModuleProcess(process, spec, mark), output, stdin)
    if spec.idle_s > 0:
        output.on_answer = loaded.on_answer
    output.begin()
    return loaded
